//! Coroutines that wait for threads: their hub goes on.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fourfold::{green, thread};

use super::support::{LIMIT, within};

fn event() -> Arc<green::Event> {
    Arc::new(green::Event::new())
}

/// Has the end of a thread wait, from its thread-locals on.
struct Last(Arc<green::Event>, Arc<green::Event>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.set();
        self.1.wait();
    }
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

#[test]
fn a_coroutine_that_shuts_an_executor_of_threads_down_holds_up_no_other() {
    within(LIMIT, || {
        green::run(|| {
            let pool = thread::Executor::builder().workers(2).build().unwrap();
            let (go, ending, end) = (event(), event(), event());
            let (on, last) = (go.clone(), Last(ending.clone(), end.clone()));
            let task = pool.submit(
                move || {
                    LAST.set(Some(last));
                    on.wait();
                },
                (),
            );
            let waiting = pool.clone();
            let shuts = green::spawn(move || waiting.shutdown(), ()).unwrap();
            green::yield_now();
            // From here on this coroutine goes on: the task, and then the end of its thread, wait for it.
            go.set();
            task.join().unwrap();
            ending.wait();
            green::yield_now();
            assert!(!shuts.is_finished());
            end.set();
            shuts.join().unwrap();
        })
        .unwrap();
    });
}

#[test]
fn threads_and_coroutines_shut_one_executor_down_together() {
    within(LIMIT, || {
        for round in 0..50 {
            let pool = thread::Executor::builder().workers(3).build().unwrap();
            let done = Arc::new(AtomicUsize::new(0));
            let go = event();
            let tasks: Vec<_> = (0..20)
                .map(|_| {
                    let (done, go) = (done.clone(), go.clone());
                    let task = move || {
                        go.wait();
                        done.fetch_add(1, Ordering::Relaxed)
                    };
                    pool.submit(task, ())
                })
                .collect();
            std::thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(|| {
                        pool.shutdown();
                        assert_eq!(done.load(Ordering::Relaxed), 20);
                    });
                }
                green::scope(|scope| {
                    for _ in 0..3 {
                        let ends = || {
                            pool.shutdown();
                            assert_eq!(done.load(Ordering::Relaxed), 20);
                        };
                        scope.spawn(ends, ()).unwrap();
                    }
                    (0..round % 5).for_each(|_| green::yield_now());
                    go.set();
                })
                .unwrap();
            });
            assert!(tasks.into_iter().all(|task| task.join().is_ok()));
        }
    });
}

#[test]
fn a_coroutine_with_a_scope_of_threads_holds_up_no_other() {
    within(LIMIT, || {
        green::run(|| {
            let (go, begun) = (event(), event());
            let (on, tell) = (go.clone(), begun.clone());
            let scope = move || {
                let mut count = 0;
                let borrows = &mut count;
                let child = || {
                    tell.set();
                    on.wait();
                    *borrows += 1;
                };
                thread::scope(|scope| scope.spawn(child, ()).map(drop)).unwrap().unwrap();
                count
            };
            let scoped = green::spawn(scope, ()).unwrap();
            begun.wait();
            assert!(!scoped.is_finished());
            go.set();
            assert_eq!(scoped.join().unwrap(), 1);
        })
        .unwrap();
    });
}

#[test]
fn a_panic_in_a_scope_of_threads_comes_after_the_children_and_holds_up_no_other() {
    within(LIMIT, || {
        green::run(|| {
            let (go, begun) = (event(), event());
            let (on, tell) = (go.clone(), begun.clone());
            let done = Arc::new(AtomicUsize::new(0));
            let count = done.clone();
            let scope = move || {
                let child = || {
                    tell.set();
                    on.wait();
                    count.fetch_add(1, Ordering::Relaxed);
                };
                thread::scope(|scope| {
                    scope.spawn(child, ()).map(drop).unwrap();
                    panic!("asked to");
                })
                .unwrap()
            };
            let scoped = green::spawn::<_, (), _>(scope, ()).unwrap();
            begun.wait();
            assert!(!scoped.is_finished());
            go.set();
            assert_eq!(scoped.join().unwrap_err().panic().unwrap().message(), "asked to");
            assert_eq!(done.load(Ordering::Relaxed), 1);
        })
        .unwrap();
    });
}
