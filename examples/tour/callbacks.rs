//! Where a callback runs: of a thread, in that thread; of a process, here, on a thread of the library's.

use std::sync::mpsc::channel;

use fourfold::prelude::*;
use fourfold::process::Fd;
use std::io::{PipeReader, Read};

fn work(mut begin: Fd<PipeReader>) -> (u32, u64) {
    begin.read_to_string(&mut String::new()).unwrap();
    (std::process::id(), thread::current().id())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let threads = thread::Executor::builder().workers(1).build()?;
    let processes = process::Executor::builder().workers(1).build()?;
    let main_thread = thread::current().id();
    let here = std::process::id();

    for scale in ["thread", "process"] {
        let (reader, begin) = std::io::pipe()?;
        let task = match scale {
            "thread" => threads.submit(work, Fd(reader)),
            _ => processes.submit(work, Fd(reader)),
        };
        let (sender, receiver) = channel();
        task.on_done(move |_| {
            sender.send((std::process::id(), thread::current().id())).unwrap();
        });
        drop(begin);
        let (pid, id) = receiver.recv().expect("it is called");
        let (work_pid, work_id) = task.join()?;
        println!("{scale}:");
        println!("  the work was done in this process: {}", work_pid == here);
        println!("  the callback ran in this process: {}", pid == here);
        println!("  in the thread that did the work: {}", (pid, id) == (work_pid, work_id));
        println!("  in the main thread: {}", id == main_thread);
    }
    Ok(())
}
