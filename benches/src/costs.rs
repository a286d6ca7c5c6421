//! What it costs to start a unit of work, from scale to scale.

use fourfold::process::{Builder, StartMethod};
use fourfold::{process, thread};

use crate::Failure;
use crate::contest::{Contest, Verdict, each};
use crate::submit::nothing;

const ROUNDS: usize = 9;
const CALLS: u32 = 1_000;
const STARTS: u32 = 40;

const THREAD: &str = "thread, start and join";
const SPAWN: &str = "process by Spawn, start and join";
const FORKSERVER: &str = "process by Forkserver, start and join";

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let threads = thread::Executor::builder().workers(2).build()?;
    let processes = process::Executor::builder().workers(2).build()?;
    let mut contest = Contest::new("The cost of starting a unit of work");
    contest.entry(THREAD, || each(CALLS, || Ok(thread::spawn(nothing, ())?.join()?)));
    contest.entry("task on a pool of threads", || {
        each(CALLS, || Ok(threads.submit(nothing, ()).join()?))
    });
    contest.entry("task on a pool of processes", || {
        each(CALLS, || Ok(processes.submit(nothing, ()).join()?))
    });
    for (name, method) in [(FORKSERVER, StartMethod::Forkserver), (SPAWN, StartMethod::Spawn)] {
        contest.entry(name, move || {
            each(STARTS, || Ok(Builder::new().start_method(method).spawn(nothing, ())?.join()?))
        });
    }
    let results = contest.run(ROUNDS)?;
    Ok(vec![results.ahead(5.0, THREAD, FORKSERVER), results.ahead(5.0, THREAD, SPAWN)])
}
