//! What safe code may do to the core in bad faith, or by accident, and must not break.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use fourfold::green::{self, Coroutine, Greenlet, State};

use super::support::{LIMIT, within};
use super::{Diary, Random};

const LONG: Duration = Duration::from_secs(3600);

/// Gives way when it is dropped, and then notes it.
struct Slow(Diary);

impl Drop for Slow {
    fn drop(&mut self) {
        for _ in 0..3 {
            green::yield_now();
        }
        self.0.note("value dropped");
    }
}

#[test]
fn a_scope_waits_for_the_drop_of_a_value_that_nobody_takes() {
    within(LIMIT, || {
        let diary = Diary::default();
        green::run(|| {
            green::scope(|scope| drop(scope.spawn(|| Slow(diary.clone()), ()).unwrap())).unwrap();
            diary.note("scope over");
        })
        .unwrap();
        assert_eq!(diary.lines(), ["value dropped", "scope over"]);
    });
}

#[test]
fn a_value_that_panics_as_it_is_dropped_ends_a_scoped_child_all_the_same() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    within(LIMIT, || {
        green::scope(|scope| drop(scope.spawn(|| Bomb, ()).unwrap())).unwrap();
    });
}

/// One that is suspended inside `around`.
fn suspended_in(
    around: impl FnOnce(&mut dyn FnMut()) + 'static,
) -> Coroutine<(), (), &'static str> {
    let mut coroutine = Coroutine::new(move |suspender, ()| {
        around(&mut || suspender.suspend(()));
        "over"
    })
    .unwrap();
    assert_eq!(coroutine.resume(()), State::Suspended(()));
    coroutine
}

#[test]
fn one_that_is_suspended_in_a_time_limit_may_outlive_the_hub() {
    within(LIMIT, || {
        let start = || {
            green::run(|| suspended_in(|suspend| green::timeout(LONG, suspend).unwrap())).unwrap()
        };
        let (mut a, mut b, c) = (start(), start(), start());
        assert_eq!(a.resume(()), State::Finished("over"));
        green::run(|| assert_eq!(b.resume(()), State::Finished("over"))).unwrap();
        drop(c);
    });
}

#[test]
fn one_that_is_suspended_in_a_stretch_without_waits_may_outlive_the_hub() {
    within(LIMIT, || {
        let start = || green::run(|| suspended_in(|suspend| green::no_suspend(suspend))).unwrap();
        let (mut a, mut b, c) = (start(), start(), start());
        assert_eq!(a.resume(()), State::Finished("over"));
        green::run(|| {
            assert_eq!(b.resume(()), State::Finished("over"));
            green::yield_now();
        })
        .unwrap();
        drop(c);
    });
}

#[test]
fn a_greenlet_that_is_suspended_in_a_time_limit_may_outlive_the_hub() {
    within(LIMIT, || {
        let greenlet = green::run(|| {
            let greenlet = Greenlet::new(|n: u32| {
                green::timeout(LONG, || Greenlet::parent().switch_to(n + 1)).unwrap()
            })
            .unwrap();
            assert_eq!(greenlet.switch_to(1), 2);
            greenlet
        })
        .unwrap();
        assert_eq!(greenlet.switch_to(7), 7);
        assert!(greenlet.is_finished());
    });
}

#[test]
fn a_time_limit_that_is_forgotten_ends_with_its_coroutine() {
    within(LIMIT, || {
        green::run(|| {
            let forgets = || {
                let limited = suspended_in(|suspend| {
                    drop(green::timeout(Duration::from_millis(1), suspend));
                });
                std::mem::forget(limited);
            };
            green::spawn_local(forgets, ()).unwrap().join().unwrap();
            // At the same place.
            let next = || green::sleep(Duration::from_millis(5));
            green::spawn_local(next, ()).unwrap().join().unwrap();
        })
        .unwrap();
    });
}

#[test]
fn a_scope_that_is_suspended_may_outlive_the_hub() {
    within(LIMIT, || {
        let diary = Diary::default();
        let start = || {
            let log = diary.clone();
            green::run(move || {
                // So that the child's place is one that the next hub has not.
                let others: Vec<_> =
                    (0..50).map(|_| green::spawn_local(|| (), ()).unwrap()).collect();
                let coroutine = suspended_in(move |suspend| {
                    let text = String::from("child unwound");
                    green::scope(|scope| {
                        let child = || {
                            let _end = log.at_drop(&text);
                            green::sleep(LONG);
                        };
                        drop(scope.spawn(child, ()).unwrap());
                        suspend();
                    })
                    .unwrap();
                });
                drop(others);
                green::yield_now();
                coroutine
            })
            .unwrap()
        };
        let (mut a, b) = (start(), start());
        assert_eq!(diary.lines(), ["child unwound", "child unwound"]);
        assert_eq!(a.resume(()), State::Finished("over"));
        // A hub with fewer places: that with many is in use.
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                green::run(|| {
                    barrier.wait();
                    barrier.wait();
                })
            });
            barrier.wait();
            green::run(|| drop(b)).unwrap();
            barrier.wait();
        });
    });
}

#[test]
fn only_the_coroutine_itself_suspends_itself() {
    within(LIMIT, || {
        // From a child in a scope, which is another coroutine.
        green::run(|| {
            let mut coroutine = Coroutine::<(), (), bool>::new(|suspender, ()| {
                let child = || catch_unwind(AssertUnwindSafe(|| suspender.suspend(()))).is_err();
                green::scope(|scope| scope.spawn(child, ()).unwrap().join().unwrap()).unwrap()
            })
            .unwrap();
            assert_eq!(coroutine.resume(()), State::Finished(true));
        })
        .unwrap();
        // From the first one of a hub that it has made.
        let mut coroutine = Coroutine::<(), (), bool>::new(|suspender, ()| {
            green::run(|| catch_unwind(AssertUnwindSafe(|| suspender.suspend(()))).is_err())
                .unwrap()
        })
        .unwrap();
        assert_eq!(coroutine.resume(()), State::Finished(true));
    });
}

#[test]
fn a_greenlet_that_catches_what_unwinds_it_hands_nothing_over() {
    within(LIMIT, || {
        let stubborn = Greenlet::new(|n: u32| {
            let caught = catch_unwind(|| Greenlet::parent().switch_to(n + 1));
            assert!(caught.is_err() && Greenlet::<u32>::current().is_none());
            99
        })
        .unwrap();
        assert_eq!(stubborn.switch_to(1), 2);
        let drops = Greenlet::new(move |n: u32| {
            drop(stubborn);
            Greenlet::parent().switch_to(n + 1)
        })
        .unwrap();
        assert_eq!(drops.switch_to(5), 6);
        assert_eq!(drops.switch_to(7), 7);
    });
}

#[test]
fn a_greenlet_that_catches_what_unwinds_it_may_switch_to_others() {
    within(LIMIT, || {
        let other = Greenlet::new(|mut n: u32| {
            loop {
                n = Greenlet::parent().switch_to(n * 2);
            }
        })
        .unwrap();
        let seen = Rc::new(Cell::new(0));
        let (name, log) = (other.clone(), seen.clone());
        let stubborn = Greenlet::new(move |n: u32| {
            drop(catch_unwind(|| Greenlet::parent().switch_to(n + 1)));
            log.set(name.switch_to(21));
            0
        })
        .unwrap();
        assert_eq!(stubborn.switch_to(1), 2);
        let drops = Greenlet::new(move |n: u32| {
            drop(stubborn);
            n
        })
        .unwrap();
        assert_eq!(drops.switch_to(5), 5);
        assert_eq!((seen.get(), other.switch_to(4)), (42, 8));
    });
}

#[test]
fn a_child_that_catches_what_unwinds_it_does_not_stop_the_panic_of_its_scope() {
    within(LIMIT, || {
        let diary = Diary::default();
        green::run(|| {
            let event = green::Event::new();
            let caught = catch_unwind(AssertUnwindSafe(|| {
                green::scope(|scope| {
                    let child = || {
                        for _ in 0..3 {
                            assert!(catch_unwind(AssertUnwindSafe(|| event.wait())).is_err());
                            diary.note(format!("panicking: {}", std::thread::panicking()));
                        }
                    };
                    drop(scope.spawn(child, ()).unwrap());
                    green::yield_now();
                    panic!("in the scope");
                })
            }));
            assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "in the scope");
        })
        .unwrap();
        assert_eq!(diary.lines(), ["panicking: false"; 3]);
    });
}

struct Fails;

impl Wake for Fails {
    fn wake(self: Arc<Self>) {
        panic!("a waker");
    }
}

#[test]
fn a_waker_that_panics_costs_nobody_else_the_wake_up() {
    within(LIMIT, || {
        green::run(|| {
            let poll = |future: &mut (dyn Future<Output = _> + Unpin)| {
                let waker = Waker::from(Arc::new(Fails));
                assert!(std::pin::pin!(future).poll(&mut Context::from_waker(&waker)).is_pending());
            };
            let mut local = green::spawn_local(green::yield_now, ()).unwrap();
            poll(&mut local);
            local.join().unwrap();
            let mut child = green::spawn(green::yield_now, ()).unwrap();
            poll(&mut child);
            child.join().unwrap();
        })
        .unwrap();
    });
}

#[test]
fn an_executor_outlives_values_and_wakers_that_panic() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    within(LIMIT, || {
        let pool = green::Executor::builder().workers(1).build().unwrap();
        let handles_gone = Arc::new(green::Event::new());
        for _ in 0..3 {
            let handles_gone = handles_gone.clone();
            let value = move || {
                handles_gone.wait();
                Bomb
            };
            drop(pool.submit(value, ()));
        }
        handles_gone.set();
        let mut handle = pool.submit(|| green::sleep(Duration::from_millis(5)), ());
        let waker = Waker::from(Arc::new(Fails));
        let _ = std::pin::pin!(&mut handle).poll(&mut Context::from_waker(&waker));
        assert_eq!(pool.submit(|| 7, ()).join().unwrap(), 7);
        pool.shutdown();
    });
}

/// One that suspends itself in scopes and in time limits, and waits in between.
fn wanderer(r: u64, token: Rc<()>) -> Coroutine<(), (), ()> {
    Coroutine::new(move |suspender, ()| {
        for round in 0..4 {
            let token = token.clone();
            let inner = || {
                let list = vec![round; 10];
                let (list, token) = (&list, &token);
                suspender.suspend(());
                let in_scope = green::scope(|scope| {
                    let quick = move || {
                        let _token = token.clone();
                        green::yield_now();
                        list.iter().sum::<u64>()
                    };
                    let slow = move || {
                        let _token = token.clone();
                        green::sleep(Duration::from_micros(r % 90));
                        list.len()
                    };
                    drop(scope.spawn(quick, ()));
                    if !r.is_multiple_of(5) {
                        suspender.suspend(());
                    }
                    drop(scope.spawn(slow, ()));
                });
                in_scope.unwrap();
            };
            if r.is_multiple_of(2) {
                let _ = green::timeout(Duration::from_micros(r % 700), inner);
            } else {
                inner();
            }
        }
    })
    .unwrap()
}

#[test]
fn a_storm_of_coroutines_that_wander_between_others_leaves_nothing() {
    fn storm(random: &mut Random) {
        let token = Rc::new(());
        let pot: Rc<Cell<Vec<Coroutine<(), (), ()>>>> = Rc::default();
        let put = |pot: &Cell<Vec<_>>, one| {
            let mut all = pot.take();
            all.push(one);
            pot.set(all);
        };
        let take = |pot: &Cell<Vec<_>>| {
            let mut all = pot.take();
            let one = (!all.is_empty()).then(|| all.remove(0));
            pot.set(all);
            one
        };
        green::run(|| {
            let children: Vec<_> = (0..30)
                .map(|_| {
                    let (pot, r, token) = (pot.clone(), random.next(), token.clone());
                    let body = move || {
                        let mut own = wanderer(r, token);
                        own.resume(());
                        put(&pot, own);
                        for _ in 0..6 {
                            green::yield_now();
                            let Some(mut other) = take(&pot) else { continue };
                            let result = catch_unwind(AssertUnwindSafe(|| other.resume(())));
                            if !other.is_finished() {
                                put(&pot, other);
                            }
                            if let Err(payload) = result {
                                std::panic::resume_unwind(payload);
                            }
                        }
                    };
                    green::spawn_local(body, ()).unwrap()
                })
                .collect();
            for (n, child) in children.into_iter().enumerate() {
                if n % 7 == 3 {
                    child.cancel();
                }
                // Some end by the limit of one that has left it with them.
                let _ = child.join();
            }
        })
        .unwrap();
        while let Some(mut one) = take(&pot) {
            if random.next().is_multiple_of(2) {
                // Outside of a hub, where a scope makes one, from whose coroutines this one cannot be left.
                let _ = catch_unwind(AssertUnwindSafe(|| one.resume(())));
            }
        }
        assert_eq!(Rc::strong_count(&token), 1);
    }
    within(LIMIT, || {
        std::thread::scope(|threads| {
            for seed in 1..=4 {
                threads.spawn(move || {
                    let mut random = Random(seed * 0x1e37_79b9_7f4a_7c15);
                    (0..40).for_each(|_| storm(&mut random));
                });
            }
        });
    });
}
