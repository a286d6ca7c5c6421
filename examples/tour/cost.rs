//! What a start costs. The times differ from machine to machine and go to standard error; their order does not.

use std::time::Instant;

use fourfold::green;
use fourfold::prelude::*;
use fourfold::process::StartMethod;

/// What a start and a join take at the least, which is without what else the machine does meanwhile.
fn measure(start_and_join: impl Fn() -> fourfold::Result<()>) -> fourfold::Result<Duration> {
    let mut least = Duration::MAX;
    for _ in 0..50 {
        let begin = Instant::now();
        start_and_join()?;
        least = least.min(begin.elapsed());
    }
    Ok(least)
}

fn in_a_process(method: StartMethod) -> fourfold::Result<()> {
    process::Builder::new().start_method(method).spawn(|| (), ())?.join()
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let threads = thread::Executor::builder().workers(1).build()?;
    let processes = process::Executor::builder().workers(1).build()?;
    let coroutine = green::run(|| measure(|| green::spawn(|| (), ())?.join()))??;
    let table = [
        ("a coroutine", coroutine),
        ("a thread", measure(|| thread::spawn(|| (), ())?.join())?),
        ("a process, forked", measure(|| in_a_process(StartMethod::Forkserver))?),
        ("a process", measure(|| in_a_process(StartMethod::Spawn))?),
        ("a task, on a pool of threads", measure(|| threads.submit(|| (), ()).join())?),
        ("a task, on a pool of processes", measure(|| processes.submit(|| (), ()).join())?),
    ];
    for (what, time) in table {
        eprintln!("{what:<32}{:>10.1} µs", time.as_secs_f64() * 1e6);
    }
    let [coroutine, thread, forked, process, _, task] = table.map(|(_, time)| time);
    println!("a coroutine costs less than a third of a thread: {}", 3 * coroutine < thread);
    println!("a thread costs less than a process: {}", thread < forked && thread < process);
    println!("a process that is there costs less than a new one: {}", task < process);
    Ok(())
}
