//! Submit and join of a no-op on a pool of threads, beside rayon's pool and a thread of its own for each.

use std::thread;

use crate::Failure;
use crate::contest::{Contest, Verdict, each};
use crate::submit::nothing;

const ROUNDS: usize = 15;
const CALLS: u32 = 2_000;

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let ours = fourfold::thread::Executor::builder().workers(2).build()?;
    let theirs = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
    let mut contest = Contest::new("Submit and join a no-op, idle pool of 2 threads");
    contest.entry("fourfold", || each(CALLS, || Ok(ours.submit(nothing, ()).join()?)));
    contest.entry("rayon install", || {
        each(CALLS, || {
            theirs.install(nothing);
            Ok(())
        })
    });
    contest.entry("std thread::spawn", || {
        each(CALLS, || thread::spawn(nothing).join().map_err(|_| "the thread panicked".into()))
    });
    contest.run(ROUNDS)?;
    // The project has set no target for these yet.
    Ok(Vec::new())
}
