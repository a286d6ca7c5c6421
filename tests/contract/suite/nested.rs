//! Tasks that submit to their own executor and wait, at scales where a task can capture it: row E8.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fourfold::green::sleep;
use fourfold::{Error, ErrorKind, as_completed};

use super::scale;
use crate::support::{Gate, LIMIT, visit, within};

pub(super) fn pool(workers: usize) -> scale::Executor {
    scale::Executor::builder().workers(workers).build().unwrap()
}

#[test]
fn all_workers_submit_to_their_own_executor_and_wait() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let pool = pool(workers);
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

fn fibonacci(pool: &scale::Executor, n: u64) -> u64 {
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

fn leaves(pool: &scale::Executor, depth: u32, width: usize) -> usize {
    if depth == 0 {
        return 1;
    }
    let handles: Vec<_> = (0..width)
        .map(|_| {
            let own = pool.clone();
            pool.submit(move || leaves(&own, depth - 1, width), ())
        })
        .collect();
    as_completed(handles).map(|(_, outcome)| outcome.unwrap()).sum()
}

#[test]
fn a_wide_tree_whose_branches_are_taken_as_they_finish_does_too() {
    within(LIMIT, || {
        assert_eq!(leaves(&pool(4), 3, 12), 12 * 12 * 12);
        assert_eq!(leaves(&pool(1), 2, 40), 40 * 40);
    });
}

/// Each level waits for the next.
pub(super) fn chain(pool: &scale::Executor, depth: usize) -> Result<usize, Error> {
    if depth == 0 {
        return Ok(0);
    }
    let own = pool.clone();
    Ok(1 + pool.submit(move || chain(&own, depth - 1), ()).join()??)
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
                    sleep(Duration::from_millis(2));
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
