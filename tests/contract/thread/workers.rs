//! The workers of an executor: which tasks come first, how many there are, when they come and go.
//!
//! `FOURFOLD_ROUNDS` says how often what is random is tried; 100 by default.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use fourfold::{ErrorKind, Handle, as_completed, thread};

use super::chance::{Dice, rounds};
use crate::support::{Gate, LIMIT, eventually, visit, within};

fn crew(name: &str) -> usize {
    thread::enumerate().iter().filter(|thread| thread.name().starts_with(name)).count()
}

#[test]
fn the_oldest_task_comes_first_but_those_that_others_wait_for_before_it() {
    within(LIMIT, || {
        let pool = thread::Executor::builder().workers(1).build().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate::new();
        let note = |name: &'static str| {
            let order = order.clone();
            move || order.lock().unwrap().push(name)
        };
        let (own, port) = (pool.clone(), gate.port());
        let (first, second, last) = (note("first"), note("second"), note("wished"));
        let parent = pool.submit(
            move || {
                visit(port, 0);
                let older = [own.submit(first, ()), own.submit(second, ())];
                own.submit(last, ()).join().unwrap();
                older
            },
            (),
        );
        gate.next().pass();
        for older in parent.join().unwrap() {
            older.join().unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["wished", "first", "second"]);
    });
}

#[test]
fn as_many_threads_start_as_tasks_are_there_up_to_the_limit() {
    within(LIMIT, || {
        let pool = thread::Executor::builder().workers(4).name("needed").build().unwrap();
        let held = Gate::new();
        let first = pool.submit(visit, (held.port(), 0));
        let guest = held.next();
        assert_eq!(crew("needed-"), 1);
        guest.pass();
        assert_eq!(first.join().unwrap(), 0);
        let gate = Gate::new();
        let handles: Vec<_> = (0..6).map(|n| pool.submit(visit, (gate.port(), n))).collect();
        let guests = gate.next_few(4);
        assert_eq!(crew("needed-"), 4);
        assert!(gate.next_now().is_none());
        guests.into_iter().for_each(|guest| guest.pass());
        gate.next_few(2).into_iter().for_each(|guest| guest.pass());
        handles.into_iter().for_each(|handle| assert!(handle.join().is_ok()));
    });
}

#[test]
fn workers_without_a_task_end_after_a_while_and_come_again() {
    within(LIMIT, || {
        let started = Arc::new(AtomicUsize::new(0));
        let count = started.clone();
        let pool = thread::Executor::builder()
            .workers(3)
            .name("shrinking")
            .keep_alive(Duration::from_millis(1))
            .on_start(move || {
                count.fetch_add(1, Ordering::Relaxed);
            })
            .build()
            .unwrap();
        for round in 1..=3 {
            let gate = Gate::new();
            let handles = [0, 1, 2].map(|n| pool.submit(visit, (gate.port(), n)));
            let guests = gate.next_few(3);
            assert_eq!(crew("shrinking-"), 3);
            guests.into_iter().for_each(|guest| guest.pass());
            handles.into_iter().for_each(|handle| assert!(handle.join().is_ok()));
            eventually("all its threads have ended", || crew("shrinking-") == 0);
            assert!(started.load(Ordering::Relaxed) >= 3 * round);
        }
        pool.shutdown();
    });
}

#[test]
fn workers_that_were_needed_for_joins_end_and_those_that_may_stay_do() {
    within(LIMIT, || {
        for (keep_alive, left) in [(Duration::from_millis(1), 0), (Duration::MAX, 4)] {
            let pool = thread::Executor::builder()
                .workers(1)
                .name("substitute")
                .keep_alive(keep_alive)
                .build()
                .unwrap();
            fn nest(pool: &thread::Executor, depth: usize) -> usize {
                let own = pool.clone();
                let deeper = move || nest(&own, depth - 1);
                if depth == 0 { 0 } else { 1 + pool.submit(deeper, ()).join().unwrap() }
            }
            assert_eq!(nest(&pool, 4), 4);
            eventually("those that are not needed have ended", || crew("substitute-") == left);
            drop(pool);
            assert_eq!(crew("substitute-"), 0);
        }
    });
}

#[test]
fn starts_that_wait_for_each_other_come_to_be() {
    within(LIMIT, || {
        let all = Arc::new(Barrier::new(3));
        let meet = all.clone();
        let pool = thread::Executor::builder()
            .workers(3)
            .on_start(move || {
                meet.wait();
            })
            .build()
            .unwrap();
        let handles = [0, 1, 2].map(|n| pool.submit(|n: u32| n, n));
        let values = handles.map(|handle| handle.join().unwrap());
        assert_eq!(values, [0, 1, 2]);
    });
}

#[test]
fn slots_that_could_not_be_lent_are_lent_when_others_come_back() {
    within(LIMIT, || {
        // Two that join when all 256 slots are lent keep theirs; the chain that has lent them comes to its end, and only
        // then can what the two wait for run.
        let pool = thread::Executor::builder().workers(2).build().unwrap();
        let gate = Gate::new();
        let port = gate.port();
        fn chain(pool: &thread::Executor, depth: usize, port: u16) -> usize {
            if depth == 0 {
                visit(port, 9);
                return 0;
            }
            let own = pool.clone();
            1 + pool.submit(move || chain(&own, depth - 1, port), ()).join().unwrap()
        }
        let own = pool.clone();
        let long = pool.submit(move || chain(&own, 256, port), ());
        let end = gate.next();
        assert_eq!(end.name, 9);
        let own = pool.clone();
        let mut late = pool.submit(
            move || {
                let its_own = own.submit(|| 5, ());
                visit(port, 1);
                its_own.join()
            },
            (),
        );
        let guest = gate.next();
        assert_eq!(guest.name, 1, "its own task is submitted");
        guest.pass();
        let short = Duration::from_millis(20);
        assert!(late.join_timeout(short).is_none(), "it waits for what cannot run yet");
        end.pass();
        assert_eq!(long.join().unwrap(), 256);
        assert_eq!(late.join().unwrap().unwrap(), 5);
        pool.shutdown();
    });
}

/// What tasks do, and what was seen of them.
struct Seen {
    running: AtomicUsize,
    over: AtomicBool,
}

fn work(pool: &thread::Executor, seen: &Arc<Seen>, seed: u64) -> u64 {
    seen.running.fetch_add(1, Ordering::SeqCst);
    assert!(!seen.over.load(Ordering::SeqCst), "a task runs after the shutdown has returned");
    let mut dice = Dice(seed);
    let submit = |seed| {
        let (own, seen) = (pool.clone(), seen.clone());
        pool.submit(move || work(&own, &seen, seed), ())
    };
    // Fewer than one child each on average, so that a family dies out.
    let children: Vec<_> =
        (0..dice.below(3)).map(|_| dice.below(1 << 30)).filter(|s| s % 5 < 2).map(submit).collect();
    match dice.below(5) {
        0 => drop(children),
        1 => children.iter().for_each(|child| {
            child.cancel();
        }),
        2 => as_completed(children).for_each(|(_, outcome)| check(outcome.map(drop))),
        3 => children.into_iter().for_each(|mut child| {
            let _ = child.join_timeout(Duration::from_micros(dice.below(80)));
        }),
        _ => children.into_iter().for_each(|child| check(child.join().map(drop))),
    }
    seen.running.fetch_sub(1, Ordering::SeqCst);
    seed
}

fn check(outcome: fourfold::Outcome<()>) {
    if let Err(error) = outcome {
        let kind = error.kind();
        assert!(matches!(kind, ErrorKind::Cancelled | ErrorKind::ShutDown), "{error}");
    }
}

#[test]
fn all_that_can_be_done_at_random_by_several_threads() {
    const SUBMITTERS: u64 = 3;
    within(Duration::from_secs(600), || {
        for round in 0..rounds() as u64 {
            let mut dice = Dice(round);
            let keep_alive = [Duration::ZERO, Duration::from_micros(50), Duration::MAX];
            let pool = thread::Executor::builder()
                .workers(1 + dice.below(4) as usize)
                .keep_alive(keep_alive[dice.below(3) as usize])
                .build()
                .unwrap();
            let over = AtomicBool::new(false);
            let seen = Arc::new(Seen { running: 0.into(), over });
            std::thread::scope(|scope| {
                for submitter in 0..SUBMITTERS {
                    let (pool, seen) = (&pool, &seen);
                    scope.spawn(move || {
                        let mut dice = Dice(round * SUBMITTERS + submitter);
                        let mut handles: Vec<Handle<u64>> = Vec::new();
                        for _ in 0..30 {
                            match dice.below(8) {
                                0..4 => {
                                    let (own, seen, seed) =
                                        (pool.clone(), seen.clone(), dice.below(1 << 30));
                                    handles.push(pool.submit(move || work(&own, &seen, seed), ()));
                                }
                                4 => {
                                    if let Some(handle) = handles.pop() {
                                        handle.cancel();
                                    }
                                }
                                5 => {
                                    handles
                                        .pop()
                                        .into_iter()
                                        .for_each(|handle| check(handle.join().map(drop)));
                                }
                                6 => drop(handles.pop()),
                                _ if dice.below(12) == 0 => {
                                    pool.cancel_pending();
                                }
                                _ => std::thread::sleep(Duration::from_micros(dice.below(60))),
                            }
                        }
                        handles.into_iter().for_each(|handle| check(handle.join().map(drop)));
                    });
                }
                if dice.below(2) == 0 {
                    std::thread::sleep(Duration::from_micros(dice.below(600)));
                    if dice.below(2) == 0 {
                        pool.shutdown()
                    } else {
                        pool.shutdown_now()
                    }
                    seen.over.store(true, Ordering::SeqCst);
                }
            });
            pool.shutdown();
            assert_eq!(seen.running.load(Ordering::SeqCst), 0, "round {round}");
        }
    });
}
