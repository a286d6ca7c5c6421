//! No-ops on a pool of two threads, joined one by one and counted down in a crowd, beside rayon's pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Instant;

use fourfold::thread::Executor;
use rayon::ThreadPool;

use crate::Failure;
use crate::contest::{Contest, Verdict, each};
use crate::submit::nothing;

const ROUNDS: usize = 31;
const CALLS: u32 = 2_000;
const WORKERS: usize = 2;
/// How many tasks are spawned before the count is waited for.
const CROWD: usize = 100_000;

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let ours = Executor::builder().workers(WORKERS).build()?;
    let theirs = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()?;
    let mut verdicts = round_trip(&ours, &theirs)?;
    verdicts.extend(crowd_from_outside(&ours, &theirs)?);
    verdicts.extend(crowd_from_within(&ours, &theirs)?);
    Ok(verdicts)
}

fn round_trip(ours: &Executor, theirs: &ThreadPool) -> Result<Vec<Verdict>, Failure> {
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
    let results = contest.run(ROUNDS)?;
    Ok(vec![results.at_most(1.0, "fourfold", "rayon install")])
}

fn crowd_from_outside(ours: &Executor, theirs: &ThreadPool) -> Result<Vec<Verdict>, Failure> {
    let mut contest =
        Contest::new("100,000 no-ops spawned by another thread and counted down, each");
    contest.entry("fourfold", || {
        Ok(count_down(|count| {
            for _ in 0..CROWD {
                let count = count.clone();
                drop(ours.submit(move || count.down(), ()));
            }
        }))
    });
    contest.entry("rayon spawn", || {
        Ok(count_down(|count| {
            for _ in 0..CROWD {
                let count = count.clone();
                theirs.spawn(move || count.down());
            }
        }))
    });
    contest.entry("rayon scope", || {
        Ok(count_down(|count| {
            theirs.in_place_scope(|scope| {
                for _ in 0..CROWD {
                    scope.spawn(|_| count.down());
                }
            });
        }))
    });
    let results = contest.run(ROUNDS)?;
    Ok(vec![results.at_most(1.5, "fourfold", "rayon spawn")])
}

fn crowd_from_within(ours: &Executor, theirs: &ThreadPool) -> Result<Vec<Verdict>, Failure> {
    let mut contest = Contest::new("100,000 no-ops spawned by a task and counted down, each");
    contest.entry("fourfold", || {
        Ok(count_down(|count| {
            let (own, count) = (ours.clone(), count.clone());
            let spawn_all = move || {
                for _ in 0..CROWD {
                    let count = count.clone();
                    drop(own.submit(move || count.down(), ()));
                }
            };
            drop(ours.submit(spawn_all, ()));
        }))
    });
    contest.entry("rayon spawn", || {
        Ok(count_down(|count| {
            let count = count.clone();
            theirs.spawn(move || {
                for _ in 0..CROWD {
                    let count = count.clone();
                    rayon::spawn(move || count.down());
                }
            });
        }))
    });
    contest.run(ROUNDS)?;
    // No target: rayon takes the newest first here, from a queue of the worker's own; ours keeps the order.
    Ok(Vec::new())
}

/// How many tasks are still to run, and who waits for that.
struct Count {
    left: AtomicUsize,
    waiter: Thread,
}

impl Count {
    fn down(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waiter.unpark();
        }
    }
}

/// Seconds for each task of a crowd, until the last has run.
fn count_down(spawn: impl FnOnce(&Arc<Count>)) -> f64 {
    let count = Arc::new(Count { left: AtomicUsize::new(CROWD), waiter: thread::current() });
    let began = Instant::now();
    spawn(&count);
    while count.left.load(Ordering::Acquire) > 0 {
        thread::park();
    }
    began.elapsed().as_secs_f64() / CROWD as f64
}
