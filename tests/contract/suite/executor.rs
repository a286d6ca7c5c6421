//! `Executor`: rows E1, E4 and E8, and the words of its builder.

use std::path::PathBuf;
use std::sync::mpsc::channel;

use fourfold::vocab::Executor;
use fourfold::{ErrorKind, Handle, TaskState};
use serde::{Deserialize, Serialize};

use super::{scale, usual_workers};
use crate::support::{Gate, LIMIT, Log, eventually, note, visit, within};

fn hold_and_log(log: PathBuf, port: u16, name: u64) -> u64 {
    note(&log, "+");
    visit(port, name);
    note(&log, "-");
    name
}

#[test]
fn of_five_tasks_three_run_at_a_time() {
    within(LIMIT, || {
        let (gate, log) = (Gate::new(), Log::new());
        let pool = scale::Executor::builder().workers(3).build().unwrap();
        let handles: Vec<_> =
            (0..5).map(|n| pool.submit(hold_and_log, (log.path(), gate.port(), n))).collect();
        // Three are there together, and no other comes before one of them goes.
        let mut guests: Vec<_> = (0..3).map(|_| gate.next()).collect();
        let running = |handle: &&Handle<u64>| handle.state() == TaskState::Running;
        assert_eq!(handles.iter().filter(running).count(), 3);
        assert!(gate.next_now().is_none());
        for _ in 0..2 {
            guests.remove(0).pass();
            guests.push(gate.next());
            assert!(gate.next_now().is_none());
        }
        guests.into_iter().for_each(|guest| guest.pass());
        pool.shutdown();
        let names: Vec<u64> =
            handles.into_iter().map(|mut handle| handle.try_join().unwrap().unwrap()).collect();
        assert_eq!(names, [0, 1, 2, 3, 4]);
        let mut inside = 0;
        let most = log.lines().into_iter().map(|line| {
            inside += if line == "+" { 1 } else { -1 };
            inside
        });
        assert_eq!(most.max(), Some(3));
        assert_eq!(inside, 0);
    });
}

#[test]
fn shutdown_waits_for_what_was_submitted_and_refuses_the_late() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = scale::Executor::builder().workers(1).build().unwrap();
        let handles: Vec<_> = (0..3).map(|n| pool.submit(visit, (gate.port(), n))).collect();
        let (sender, receiver) = channel();
        let same = pool.clone();
        let closer = std::thread::spawn(move || {
            same.shutdown();
            sender.send(()).unwrap();
        });
        let first = gate.next();
        eventually("the executor refuses what comes late", || {
            let late = pool.submit(|| (), ());
            // One that was taken in would wait behind the first.
            !late.cancel() && late.join().is_err_and(|error| error.kind() == ErrorKind::ShutDown)
        });
        assert!(receiver.try_recv().is_err(), "shutdown returned while a task was running");
        first.pass();
        gate.next().pass();
        gate.next().pass();
        closer.join().unwrap();
        let late = pool.submit(|| (), ()).join().unwrap_err();
        assert_eq!(late.kind(), ErrorKind::ShutDown);
        assert!(late.to_string().contains("shut down"), "{late}");
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), n as u64);
        }
        pool.shutdown();
    });
}

#[test]
fn dropping_the_last_clone_waits_for_what_was_submitted() {
    within(LIMIT, || {
        let log = Log::new();
        let pool = scale::Executor::builder().workers(2).build().unwrap();
        let clone = pool.clone();
        drop(pool);
        for n in 0..5 {
            drop(clone.submit(|log: PathBuf, n: u32| note(&log, &n.to_string()), (log.path(), n)));
        }
        drop(clone);
        assert_eq!(log.lines().len(), 5);
    });
}

#[test]
fn shutdown_now_cancels_what_waits() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = scale::Executor::builder().workers(1).build().unwrap();
        let running = pool.submit(visit, (gate.port(), 0));
        let waiting: Vec<_> = (1..4).map(|n| pool.submit(visit, (gate.port(), n))).collect();
        let guest = gate.next();
        let closer = std::thread::spawn({
            let pool = pool.clone();
            move || pool.shutdown_now()
        });
        for handle in waiting {
            assert_eq!(handle.join().unwrap_err().kind(), ErrorKind::Cancelled);
        }
        // At the thread scale it goes on; at the process scale its worker is killed, and nobody is there.
        drop(guest);
        closer.join().unwrap();
        assert!(running.join().is_err());
    });
}

#[test]
fn a_task_that_panics_harms_no_other() {
    within(LIMIT, || {
        let pool = scale::Executor::builder().workers(1).build().unwrap();
        let before = pool.submit(|n: u32| n, 1);
        let bad = pool.submit(|n: u32| -> u32 { panic!("no {n}") }, 2);
        let after = pool.submit(|n: u32| n, 3);
        assert_eq!(before.join().unwrap(), 1);
        let error = bad.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert_eq!(error.panic().unwrap().message(), "no 2");
        assert!(error.task().unwrap().contains("a_task_that_panics_harms_no_other"), "{error}");
        assert_eq!(after.join().unwrap(), 3);
    });
}

#[test]
fn no_worker_at_all_is_refused() {
    let error = scale::Executor::builder().workers(0).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_number_of_workers_is_the_one_given_or_the_usual_one() {
    within(LIMIT, || {
        let pool = scale::Executor::builder().workers(3).build().unwrap();
        assert_eq!(pool.workers(), 3);
        assert_eq!(scale::Executor::new().unwrap().workers(), usual_workers());
    });
}

/// Written once for every scale.
fn total<E, F, M>(pool: &E, f: F, upto: u64) -> fourfold::Result<u64>
where
    E: Executor<F, u64, M, Output = u64>,
    F: Copy,
{
    let handles: Vec<_> = (1..=upto).map(|n| pool.submit(f, n)).collect();
    handles.into_iter().map(Handle::join).sum()
}

#[test]
fn code_for_several_scales_uses_the_trait() {
    within(LIMIT, || {
        let pool = scale::Executor::builder().workers(2).build().unwrap();
        assert_eq!(total(&pool, |n| n * n, 3).unwrap(), 14);
        Executor::<fn(u64) -> u64, u64, _>::shutdown(&pool);
        assert_eq!(total(&pool, |n| n, 1).unwrap_err().kind(), ErrorKind::ShutDown);
    });
}

#[derive(Serialize, Deserialize)]
struct Repeat {
    text: String,
    count: usize,
}

impl Repeat {
    fn run(self) -> String {
        self.text.repeat(self.count)
    }

    fn run_with(self, end: char) -> String {
        self.run() + &end.to_string()
    }
}

#[fourfold::task]
fn area(width: u64, height: u64) -> u64 {
    width * height
}

#[test]
fn a_value_with_a_run_method_a_closure_a_function_and_a_named_task_are_submitted_alike() {
    within(LIMIT, || {
        let pool = scale::Executor::builder().workers(2).build().unwrap();
        let repeat = || Repeat { text: "ab".into(), count: 2 };
        assert_eq!(pool.submit(Repeat::run, repeat()).join().unwrap(), "abab");
        assert_eq!(pool.submit(Repeat::run_with, (repeat(), '!')).join().unwrap(), "abab!");
        let all: Vec<String> =
            pool.map(Repeat::run, [repeat(), repeat()]).collect::<Result<_, _>>().unwrap();
        assert_eq!(all, ["abab", "abab"]);
        assert_eq!(pool.submit(|a: i64, b: i64| a - b, (1, 3)).join().unwrap(), -2);
        assert_eq!(pool.submit(i64::abs, -4).join().unwrap(), 4);
        assert_eq!(pool.submit(area, (3, 4)).join().unwrap(), 12);
        assert_eq!(pool.submit(area {}, (3, 4)).join().unwrap(), 12);
        assert_eq!(scale::spawn(area {}, (5, 6)).unwrap().join().unwrap(), 30);
    });
}

#[test]
fn a_thousand_tasks_of_many_submitters() {
    within(LIMIT, || {
        let pool = scale::Executor::builder().workers(4).build().unwrap();
        std::thread::scope(|scope| {
            for submitter in 0..4u64 {
                let pool = &pool;
                scope.spawn(move || {
                    let numbers = (0..250).map(|n| submitter * 1000 + n);
                    let handles: Vec<_> =
                        numbers.map(|n| (n, pool.submit(|n: u64| n + 1, n))).collect();
                    for (n, handle) in handles {
                        assert_eq!(handle.join().unwrap(), n + 1);
                    }
                });
            }
        });
    });
}
