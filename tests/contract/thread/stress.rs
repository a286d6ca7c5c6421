//! Submit, cancel, join, time out and shut down against each other. `FOURFOLD_ROUNDS` says how often; 100 by default.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fourfold::{ErrorKind, Handle, as_completed, thread};

use super::chance::{mix, rounds};
use crate::support::within;

const LONG: Duration = Duration::from_secs(600);

/// What became of tasks, counted where it is told and where it happens.
#[derive(Default)]
struct Tally {
    ran: AtomicUsize,
    called_back: AtomicUsize,
    values: AtomicUsize,
    cancelled: AtomicUsize,
    refused: AtomicUsize,
}

impl Tally {
    fn take(&self, handle: Handle<usize>, n: usize) {
        match handle.join() {
            Ok(value) => {
                assert_eq!(value, n);
                self.values.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.is_cancelled() => {
                self.cancelled.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ShutDown);
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[test]
fn submit_cancel_and_shutdown_race_and_every_task_ends_once() {
    const SUBMITTERS: usize = 4;
    const TASKS: usize = 40;
    within(LONG, || {
        for round in 0..rounds() {
            let tally = Arc::new(Tally::default());
            let pool = thread::Executor::builder().workers(1 + mix(round) % 3).build().unwrap();
            std::thread::scope(|scope| {
                for submitter in 0..SUBMITTERS {
                    let (pool, tally) = (&pool, &tally);
                    scope.spawn(move || {
                        let handles: Vec<_> = (0..TASKS)
                            .map(|n| {
                                let counted = tally.clone();
                                let handle = pool.submit(
                                    move |n: usize| {
                                        counted.ran.fetch_add(1, Ordering::Relaxed);
                                        n
                                    },
                                    n,
                                );
                                let counted = tally.clone();
                                handle.on_done(move |_| {
                                    counted.called_back.fetch_add(1, Ordering::Relaxed);
                                });
                                if mix(round + n * 7 + submitter).is_multiple_of(3) {
                                    handle.cancel();
                                }
                                handle
                            })
                            .collect();
                        for (n, mut handle) in handles.into_iter().enumerate() {
                            match mix(round ^ n) % 4 {
                                0 => drop(handle.join_timeout(Duration::ZERO).map(|outcome| {
                                    if let Ok(value) = outcome {
                                        assert_eq!(value, n);
                                    }
                                })),
                                1 => drop(handle),
                                _ => tally.take(handle, n),
                            }
                        }
                    });
                }
                if round % 2 == 0 {
                    let pool = pool.clone();
                    scope.spawn(move || {
                        for _ in 0..mix(round) % 500 {
                            std::hint::spin_loop();
                        }
                        if round % 4 == 0 { pool.shutdown() } else { pool.shutdown_now() }
                    });
                }
            });
            drop(pool);
            let total = SUBMITTERS * TASKS;
            assert_eq!(tally.called_back.load(Ordering::Relaxed), total, "round {round}");
            let ran = tally.ran.load(Ordering::Relaxed);
            assert!(tally.values.load(Ordering::Relaxed) <= ran && ran <= total);
            if round % 2 == 1 {
                assert_eq!(tally.refused.load(Ordering::Relaxed), 0);
            }
        }
    });
}

#[test]
fn two_that_cancel_the_same_task_agree() {
    within(LONG, || {
        let pool = thread::Executor::builder().workers(1).build().unwrap();
        for _ in 0..rounds() * 5 {
            let handle = pool.submit(|| (), ());
            let told: Vec<bool> = std::thread::scope(|scope| {
                let cancels = [(); 2].map(|()| scope.spawn(|| handle.cancel()));
                cancels.into_iter().map(|cancel| cancel.join().unwrap()).collect()
            });
            let cancelled = handle.join().is_err();
            assert_eq!(told, [cancelled; 2]);
        }
    });
}

#[test]
fn trees_of_tasks_on_few_workers() {
    fn tree(pool: &thread::Executor, depth: usize, seed: usize) -> usize {
        if depth == 0 {
            return 1;
        }
        let handles: Vec<_> = (0..1 + mix(seed) % 4)
            .map(|branch| {
                let own = pool.clone();
                let seed = mix(seed + branch);
                pool.submit(move || tree(&own, depth - 1, seed), ())
            })
            .collect();
        if seed.is_multiple_of(2) {
            as_completed(handles).map(|(_, outcome)| outcome.unwrap()).sum()
        } else {
            handles.into_iter().map(|handle| handle.join().unwrap()).sum()
        }
    }

    fn count(depth: usize, seed: usize) -> usize {
        if depth == 0 {
            return 1;
        }
        (0..1 + mix(seed) % 4).map(|branch| count(depth - 1, mix(seed + branch))).sum()
    }

    within(LONG, || {
        for round in 0..rounds() {
            let pool = thread::Executor::builder().workers(1 + round % 3).build().unwrap();
            assert_eq!(tree(&pool, 4, round), count(4, round), "round {round}");
        }
    });
}

#[test]
fn waits_that_time_out_inside_the_executor() {
    within(LONG, || {
        for round in 0..rounds() {
            let pool = thread::Executor::builder().workers(1 + round % 2).build().unwrap();
            let handles: Vec<_> = (0..8)
                .map(|n| {
                    let own = pool.clone();
                    pool.submit(
                        move || {
                            let mut inner = own.submit(|n: usize| n, n);
                            let patience = Duration::from_micros(1 + (mix(round + n) % 60) as u64);
                            loop {
                                if let Some(outcome) = inner.join_timeout(patience) {
                                    return outcome;
                                }
                            }
                        },
                        (),
                    )
                })
                .collect();
            for (n, handle) in handles.into_iter().enumerate() {
                assert_eq!(handle.join().unwrap().unwrap(), n);
            }
        }
    });
}

#[test]
fn threads_that_start_end_and_are_counted() {
    within(LONG, || {
        for _ in 0..rounds() {
            let children: Vec<_> =
                (0..8u64).map(|n| thread::spawn(|n: u64| n, n).unwrap()).collect();
            let ids: Vec<u64> = children.iter().map(thread::Child::id).collect();
            for (n, child) in children.into_iter().enumerate() {
                assert_eq!(child.join().unwrap(), n as u64);
            }
            assert!(thread::enumerate().iter().all(|thread| !ids.contains(&thread.id())));
        }
    });
}
