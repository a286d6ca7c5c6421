//! A pool: five tasks for three workers, the state of each, and the end of it. One word changes from scale to scale.

use fourfold::green::{self, net::wait_readable};
use fourfold::prelude::*;
use fourfold::process::Fd;
use std::io::{PipeReader, PipeWriter, Read, Write};

/// Says that it runs, and waits until its door opens.
fn work(n: u32, mut begun: Fd<PipeWriter>, mut door: Fd<PipeReader>) -> u32 {
    begun.write_all(b"!").unwrap();
    // In a coroutine the read would block the thread of all of them; this lets them run.
    wait_readable(&*door, None).unwrap();
    door.read_to_string(&mut String::new()).unwrap();
    n * n
}

/// The same program at every scale that has descriptors among its arguments.
macro_rules! program {
    ($scale:ident) => {{
        let pool = $scale::Executor::builder().workers(3).build()?;
        let (mut begun, tell) = std::io::pipe()?;
        let (door, closed) = std::io::pipe()?;
        let submit = |n| Ok((n, tell.try_clone()?.into(), door.try_clone()?.into()));
        let tasks: Vec<Handle<u32>> = (1..=5)
            .map(|n| submit(n).map(|args| pool.submit(work, args)))
            .collect::<fourfold::Result<_>>()?;
        begun.read_exact(&mut [0; 3])?;
        println!("{}:", stringify!($scale));
        println!("  three have begun: {:?}", states(&tasks));
        tasks[4].cancel();
        println!("  one is cancelled: {:?}", states(&tasks));
        drop(closed);
        pool.shutdown();
        println!("  after shutdown:   {:?}", states(&tasks));
        let values: Vec<_> =
            tasks.into_iter().map(|task| task.join().map_err(|error| error.kind())).collect();
        println!("  {values:?}");
        println!("  too late: {:?}", pool.submit(|| (), ()).join().unwrap_err().kind());
    }};
}

fn states(tasks: &[Handle<u32>]) -> Vec<TaskState> {
    tasks.iter().map(Handle::state).collect()
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    program!(green);
    program!(thread);
    program!(process);
    Ok(())
}
