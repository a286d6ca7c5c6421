//! How the executor of this scale ends, and who waits for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fourfold::{ErrorKind, green};

use super::support::{LIMIT, within};

#[test]
fn an_executor_is_shut_down_by_a_coroutine_on_its_own_thread() {
    within(LIMIT, || {
        let pool = green::Executor::builder().workers(1).build().unwrap();
        let last = pool.clone();
        let task = move || {
            let child = move || {
                last.shutdown();
                drop(last);
            };
            green::spawn(child, ()).unwrap().join()
        };
        pool.submit(task, ()).join().unwrap().unwrap();
        assert_eq!(pool.submit(|| 1, ()).join().unwrap_err().kind(), ErrorKind::ShutDown);
    });
}

#[test]
fn an_executor_that_has_ended_stops_no_hub_of_another() {
    within(LIMIT, || {
        for _ in 0..20 {
            let first = green::Executor::builder().name("to-end").build().unwrap();
            let inside = first.clone();
            first.submit(move || inside.shutdown(), ()).join().unwrap();
            let is_there = || {
                let threads = std::fs::read_dir("/proc/self/task").unwrap();
                let name =
                    |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm"));
                threads.flatten().any(|one| name(one).is_ok_and(|name| name.starts_with("to-end")))
            };
            while is_there() {
                std::thread::yield_now();
            }
            // Its thread has what the other's had.
            let second = green::Executor::new().unwrap();
            assert_eq!(second.submit(|| 1, ()).join().unwrap(), 1);
            first.shutdown_now();
            drop(first);
            for _ in 0..20 {
                assert_eq!(second.submit(|| 2, ()).join().unwrap(), 2);
            }
        }
    });
}

/// Starts, by a task, a coroutine that is no task, on the hub of the executor.
fn leave_behind(pool: &green::Executor, daemon: bool, f: impl FnOnce() + Send + 'static) {
    let (begun, begins) = std::sync::mpsc::channel();
    let f = move || {
        begun.send(()).unwrap();
        f();
    };
    let task = move || drop(green::Builder::new().daemon(daemon).spawn(f, ()).unwrap());
    pool.submit(task, ()).join().unwrap();
    begins.recv().unwrap();
}

#[test]
fn a_coroutine_that_shuts_an_executor_down_holds_up_no_other_of_its_hub() {
    /// Has the end of a hub wait.
    struct Last(Arc<green::Event>, Arc<green::Event>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.set();
            self.1.wait();
        }
    }
    let event = || Arc::new(green::Event::new());
    within(LIMIT, || {
        green::run(|| {
            let pool = green::Executor::builder().workers(1).build().unwrap();
            let (first, second, ending, third) = (event(), event(), event(), event());
            let last = Last(ending.clone(), third.clone());
            leave_behind(&pool, true, move || {
                let _last = last;
                green::block_on(std::future::pending::<()>());
            });
            let on = second.clone();
            leave_behind(&pool, false, move || on.wait());
            let on = first.clone();
            let task = pool.submit(move || on.wait(), ());
            let shuts = green::spawn(move || pool.shutdown(), ()).unwrap();
            green::yield_now();
            // From here on this coroutine goes on: the task, the coroutine that is no task, and the end of the hub wait for it in turn.
            first.set();
            task.join().unwrap();
            second.set();
            // All tasks are gone, and the coroutine that waits for that was woken before this one.
            ending.wait();
            green::yield_now();
            assert!(!shuts.is_finished());
            third.set();
            shuts.join().unwrap();
        })
        .unwrap();
    });
}

#[test]
fn all_who_shut_an_executor_down_wait_for_the_end_of_its_hubs() {
    within(LIMIT, || {
        let pool = green::Executor::builder().workers(2).hubs(2).build().unwrap();
        let (go, over) = (Arc::new(green::Event::new()), Arc::new(AtomicUsize::new(0)));
        for _ in 0..2 {
            let (own, go, over) = (pool.clone(), go.clone(), over.clone());
            leave_behind(&pool, false, move || {
                go.wait();
                // On a thread of the executor's, which would wait for itself.
                own.shutdown();
                over.fetch_add(1, Ordering::Release);
            });
        }
        std::thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    pool.shutdown();
                    assert_eq!(over.load(Ordering::Acquire), 2);
                });
            }
            go.set();
        });
    });
}

#[test]
fn who_cancels_a_task_that_another_is_cancelling_is_told_that_it_is() {
    within(LIMIT, || {
        for round in 0..20 {
            let pool = green::Executor::builder().workers(1).build().unwrap();
            let go = Arc::new(green::Event::new());
            let on = go.clone();
            let first = pool.submit(move || on.wait(), ());
            let mut waiting: Vec<_> = (0..500).map(|n| pool.submit(|n: u32| n, n)).collect();
            // The last are looked at while the others are being told.
            waiting.reverse();
            std::thread::scope(|threads| {
                threads.spawn(|| match round % 2 {
                    0 => assert!(pool.cancel_pending() <= 500),
                    _ => waiting.iter().rev().for_each(|one| assert!(one.cancel())),
                });
                for one in &waiting {
                    assert!(one.cancel());
                }
            });
            assert!(waiting.into_iter().all(|one| one.join().unwrap_err().is_cancelled()));
            go.set();
            first.join().unwrap();
        }
    });
}
