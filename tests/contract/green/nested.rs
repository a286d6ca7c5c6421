//! Tasks that submit to their own executor and wait: row E8.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fourfold::{Error, ErrorKind, as_completed, green};

use crate::support::{Gate, LIMIT, eventually, visit, within};

fn pool(workers: usize) -> green::Executor {
    green::Executor::builder().workers(workers).build().unwrap()
}

#[test]
fn all_workers_submit_to_their_own_executor_and_wait() {
    within(LIMIT, || {
        for (workers, hubs) in [(1, 1), (2, 1), (4, 2)] {
            let pool = green::Executor::builder().workers(workers).hubs(hubs).build().unwrap();
            let handles: Vec<_> = (0..workers as u64 * 3)
                .map(|n| {
                    let own = pool.clone();
                    pool.submit(move || own.submit(|n: u64| n * 2, n).join(), ())
                })
                .collect();
            for (n, handle) in handles.into_iter().enumerate() {
                assert_eq!(handle.join().unwrap().unwrap(), 2 * n as u64);
            }
        }
    });
}

#[test]
fn every_way_of_waiting_lends_the_worker() {
    within(LIMIT, || {
        let pool = pool(1);
        let own = pool.clone();
        let all = pool.submit(
            move || -> Result<u64, Error> {
                let joined = own.submit(|| 1u64, ()).join()?;
                let timed = own.submit(|| 2u64, ()).join_timeout(LIMIT).unwrap()?;
                let few = as_completed((3..6u64).map(|n| own.submit(|n: u64| n, n)));
                let completed = few.map(|(_, outcome)| outcome).sum::<Result<u64, _>>()?;
                let mapped = own.map(|n: u64| n, 6..9).sum::<Result<u64, _>>()?;
                let unordered = own.map_unordered(|n: u64| n, 9..12).sum::<Result<u64, _>>()?;
                Ok(joined + timed + completed + mapped + unordered)
            },
            (),
        );
        assert_eq!(all.join().unwrap().unwrap(), (1..12).sum::<u64>());
    });
}

fn fibonacci(pool: &green::Executor, n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let submit = |n| {
        let own = pool.clone();
        pool.submit(move || fibonacci(&own, n), ())
    };
    let (left, right) = (submit(n - 1), submit(n - 2));
    left.join().unwrap() + right.join().unwrap()
}

#[test]
fn a_tree_of_tasks_far_bigger_than_the_executor_comes_to_its_end() {
    within(LIMIT, || {
        for workers in [1, 4] {
            assert_eq!(fibonacci(&pool(workers), 15), 610);
        }
    });
}

/// Each level waits for the next.
fn chain(pool: &green::Executor, depth: usize) -> Result<usize, Error> {
    if depth == 0 {
        return Ok(0);
    }
    let own = pool.clone();
    Ok(1 + pool.submit(move || chain(&own, depth - 1), ()).join()??)
}

#[test]
fn a_long_chain_comes_to_its_end() {
    within(LIMIT, || assert_eq!(chain(&pool(2), 2000).unwrap(), 2000));
}

#[test]
fn a_callback_that_waits_lends_the_worker_too() {
    within(LIMIT, || {
        let pool = pool(1);
        let gate = Gate::new();
        let handle = pool.submit(visit, (gate.port(), 1));
        let seen = Arc::new(AtomicUsize::new(0));
        let (own, sum) = (pool.clone(), seen.clone());
        handle.on_done(move |_| {
            sum.store(own.submit(|| 7, ()).join().unwrap(), Ordering::Relaxed);
        });
        gate.next().pass();
        handle.join().unwrap();
        assert_eq!(seen.load(Ordering::Relaxed), 7);
    });
}

#[test]
fn no_more_than_the_limit_run_while_others_wait() {
    within(LIMIT, || {
        let pool = pool(2);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let handles: Vec<_> = (0..6)
            .map(|_| {
                let own = pool.clone();
                let (running, most) = (running.clone(), most.clone());
                let inner = move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    green::sleep(Duration::from_millis(2));
                    running.fetch_sub(1, Ordering::SeqCst);
                };
                pool.submit(move || own.map(inner, [(); 10]).count(), ())
            })
            .collect();
        for handle in handles {
            assert_eq!(handle.join().unwrap(), 10);
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn one_that_is_cancelled_while_it_waits_for_another_leaves_its_place() {
    within(LIMIT, || {
        let pool = pool(1);
        let gate = Gate::new();
        let (own, port) = (pool.clone(), gate.port());
        let outer = pool.submit(move || own.submit(visit, (port, 1)).join(), ());
        let guest = gate.next();
        assert!(outer.cancel());
        assert!(outer.join().unwrap_err().is_cancelled());
        guest.pass();
        assert_eq!(pool.submit(|| 2, ()).join().unwrap(), 2);
        pool.shutdown();
    });
}

#[test]
fn shutdown_by_a_task_of_its_own_does_not_wait_for_itself() {
    within(LIMIT, || {
        let pool = pool(1);
        let own = pool.clone();
        let closing = pool.submit(move || own.shutdown(), ());
        closing.join().unwrap();
        assert_eq!(pool.submit(|| (), ()).join().unwrap_err().kind(), ErrorKind::ShutDown);
        // The last clone may be dropped by a worker as well.
        let pool = self::pool(1);
        let gate = Gate::new();
        let (own, port) = (pool.clone(), gate.port());
        let last = pool.submit(move || (visit(port, 1), drop(own)).0, ());
        drop(pool);
        gate.next().pass();
        assert_eq!(last.join().unwrap(), 1);
    });
}

/// Whether a thread of this name is left.
fn is_there(name: &str) -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.into_iter().any(|found| found.trim_end() == name)
}

#[test]
fn one_that_has_ended_already_ends_no_other_when_it_is_dropped() {
    within(LIMIT, || {
        let ended = [(); 8].map(|()| {
            let pool = green::Executor::builder().workers(1).name("ended-early").build().unwrap();
            let own = pool.clone();
            pool.submit(move || own.shutdown(), ()).join().unwrap();
            pool
        });
        eventually("their threads are gone", || !is_there("ended-early-1"));
        let gate = Gate::new();
        let others = [(); 16].map(|()| pool(1));
        let tasks = others.each_ref().map(|other| other.submit(visit, (gate.port(), 1)));
        let guests = gate.next_few(16);
        drop(ended);
        // They would be cancelled by now, or soon.
        let more = others.each_ref().map(|other| other.submit(|| 2, ()));
        guests.into_iter().for_each(|guest| guest.pass());
        for (task, more) in tasks.into_iter().zip(more) {
            assert_eq!((task.join().unwrap(), more.join().unwrap()), (1, 2));
        }
    });
}
