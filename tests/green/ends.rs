//! How a coroutine ends: by itself, by a panic, cancelled at each kind of wait, with its hub.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fourfold::{ErrorKind, Scale, green};

use super::Diary;
use super::support::{LIMIT, within};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_panic_is_told_with_its_place_and_the_others_go_on() {
    within(LIMIT, || {
        green::run(|| {
            let bad = green::spawn(|| -> u32 { panic!("asked to") }, ()).unwrap();
            let good = green::spawn(|| 7, ()).unwrap();
            let error = bad.join().unwrap_err();
            assert_eq!((error.kind(), error.scale()), (ErrorKind::Panicked, Some(Scale::Green)));
            let panic = error.panic().unwrap();
            assert_eq!(panic.message(), "asked to");
            assert!(panic.location().unwrap().contains("ends.rs"), "{panic:?}");
            assert_eq!(good.join().unwrap(), 7);
        })
        .unwrap();
    });
}

#[test]
fn panics_of_coroutines_that_interleave_are_not_mixed_up() {
    within(LIMIT, || {
        let outcomes = green::run(|| {
            let children: Vec<_> = (0..10)
                .map(|n| {
                    let fail = move || {
                        for _ in 0..n {
                            green::yield_now();
                        }
                        panic!("number {n}");
                    };
                    green::spawn::<_, (), _>(fail, ()).unwrap()
                })
                .collect();
            children.into_iter().map(green::Child::join).collect::<Vec<Result<(), _>>>()
        });
        for (n, outcome) in outcomes.unwrap().into_iter().enumerate() {
            let error = outcome.unwrap_err();
            let panic = error.panic().unwrap();
            assert_eq!(panic.message(), format!("number {n}"));
            assert!(panic.location().is_some());
        }
    });
}

#[test]
fn a_panic_of_the_first_goes_on_in_the_caller_after_the_others_have_ended() {
    within(LIMIT, || {
        let count = Arc::new(AtomicUsize::new(0));
        let other = count.clone();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            green::run(|| {
                let slow = move || {
                    green::sleep(Duration::from_millis(20));
                    other.fetch_add(1, Ordering::Relaxed)
                };
                drop(green::spawn(slow, ()).unwrap());
                panic!("the first");
            })
        }));
        assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "the first");
        assert_eq!(count.load(Ordering::Relaxed), 1);
        // The thread can have a hub again.
        assert_eq!(green::run(|| green::spawn(|| 1, ()).unwrap().join().unwrap()).unwrap(), 1);
    });
}

#[test]
fn one_that_is_cancelled_is_unwound_where_it_waits() {
    within(LIMIT, || {
        let diary = Diary::default();
        let log = diary.clone();
        green::run(move || {
            let inner = log.clone();
            let child = green::spawn_local(
                move || {
                    let _end = inner.at_drop("unwound");
                    inner.note("waits");
                    green::sleep(LONG);
                    inner.note("never");
                },
                (),
            )
            .unwrap();
            green::yield_now();
            assert!(child.cancel() && child.cancel());
            log.note("cancelled");
            assert!(child.join().unwrap_err().is_cancelled());
        })
        .unwrap();
        assert_eq!(diary.lines(), ["waits", "cancelled", "unwound"]);
    });
}

#[test]
fn one_that_has_not_begun_never_does() {
    within(LIMIT, || {
        green::run(|| {
            let ran = Arc::new(AtomicUsize::new(0));
            let other = ran.clone();
            let child = green::spawn(move || other.fetch_add(1, Ordering::Relaxed), ()).unwrap();
            assert_eq!(child.state(), fourfold::TaskState::Pending);
            assert!(child.kill().unwrap_err().is_cancelled());
            assert_eq!(ran.load(Ordering::Relaxed), 0);
            assert_eq!(Arc::strong_count(&ran), 1);
        })
        .unwrap();
    });
}

#[test]
fn one_that_has_ended_cannot_be_cancelled() {
    within(LIMIT, || {
        green::run(|| {
            let child = green::spawn(|| 5, ()).unwrap();
            green::yield_now();
            assert!(!child.is_alive() && !child.cancel());
            assert_eq!(child.join().unwrap(), 5);
        })
        .unwrap();
    });
}

type Flag = Arc<AtomicBool>;

#[test]
fn cancel_keeps_its_word_also_if_the_function_ends_before_its_next_wait() {
    within(LIMIT, || {
        green::run(|| {
            let (running, cancelled, ended) = <(Flag, Flag, Flag)>::default();
            let (runs, until, end) = (running.clone(), cancelled.clone(), ended.clone());
            // Cancelled while it runs, by another thread, and it does not wait again.
            let spins = move || {
                runs.store(true, Ordering::Release);
                while !until.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                end.store(true, Ordering::Release);
                5
            };
            let child = green::spawn(spins, ()).unwrap();
            std::thread::scope(|scope| {
                let cancels = scope.spawn(|| {
                    while !running.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                    let told = child.cancel();
                    cancelled.store(true, Ordering::Release);
                    told
                });
                green::yield_now();
                assert!(ended.load(Ordering::Acquire), "it was not unwound: it came to its end");
                assert!(cancels.join().unwrap());
            });
            assert!(child.join().unwrap_err().is_cancelled());
        })
        .unwrap();
    });
}

#[test]
fn it_is_cancelled_at_each_kind_of_wait() {
    type Wait = fn();
    let waits: [(&str, Wait); 7] = [
        ("sleep", || green::sleep(LONG)),
        ("yield", || {
            loop {
                green::yield_now();
            }
        }),
        ("join", || drop(sleeper().join())),
        ("select", || drop(green::select(&mut [sleeper(), sleeper()]))),
        ("future", || green::block_on(std::future::pending())),
        ("timeout", || drop(green::timeout(LONG, || green::sleep(LONG)))),
        ("scope", || {
            green::scope(|scope| drop(scope.spawn(|| green::sleep(LONG), ()))).unwrap();
        }),
    ];
    for (name, wait) in waits {
        within(LIMIT, || {
            green::run(|| {
                let child = green::Builder::new().daemon(true).spawn(wait, ()).unwrap();
                green::yield_now();
                green::yield_now();
                assert!(child.is_alive(), "{name}");
                assert!(child.kill().unwrap_err().is_cancelled(), "{name}");
            })
            .unwrap();
        });
    }
}

/// A daemon, which is cancelled with its hub.
fn sleeper() -> green::Child<()> {
    green::Builder::new().daemon(true).spawn(|| green::sleep(LONG), ()).unwrap()
}

#[test]
fn what_it_waits_for_in_a_destructor_while_it_unwinds_is_waited_for_by_the_thread() {
    struct Patient;
    impl Drop for Patient {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            green::sleep(Duration::from_millis(5));
        }
    }
    within(LIMIT, || {
        green::run(|| {
            let innocent = Arc::new(Mutex::new(0));
            let other = innocent.clone();
            let unwinds = green::spawn(
                || {
                    let _patient = Patient;
                    green::sleep(LONG);
                },
                (),
            )
            .unwrap();
            let works = green::spawn(
                move || {
                    for _ in 0..5 {
                        // A guard that is dropped while the thread counts as panicking would poison it.
                        *other.lock().unwrap() += 1;
                        green::yield_now();
                    }
                },
                (),
            )
            .unwrap();
            green::yield_now();
            assert!(unwinds.kill().unwrap_err().is_cancelled());
            works.join().unwrap();
            assert!(!innocent.is_poisoned());
            assert_eq!(*innocent.lock().unwrap(), 5);
        })
        .unwrap();
    });
}

#[test]
fn daemons_end_with_their_hub_and_the_others_are_waited_for() {
    within(LIMIT, || {
        let diary = Diary::default();
        let log = diary.clone();
        green::run(move || {
            let (a, b) = (log.clone(), log.clone());
            let daemon = move || {
                let _end = a.at_drop("daemon unwound");
                green::sleep(LONG);
            };
            drop(green::Builder::new().daemon(true).spawn_local(daemon, ()).unwrap());
            let other = move || {
                green::sleep(Duration::from_millis(10));
                b.note("other done");
            };
            drop(green::spawn_local(other, ()).unwrap());
            green::yield_now();
            log.note("first done");
        })
        .unwrap();
        assert_eq!(diary.lines(), ["first done", "other done", "daemon unwound"]);
    });
}

#[test]
fn a_hub_that_ends_refuses_new_coroutines() {
    static REFUSED: AtomicUsize = AtomicUsize::new(0);
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            let refused = green::spawn_local(|| (), ()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ShutDown);
            REFUSED.fetch_add(1, Ordering::Relaxed);
        }
    }
    within(LIMIT, || {
        green::run(|| {
            let daemon = || {
                let _late = Late;
                green::sleep(LONG);
            };
            drop(green::Builder::new().daemon(true).spawn_local(daemon, ()).unwrap());
            green::yield_now();
        })
        .unwrap();
        assert_eq!(REFUSED.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn an_unwinding_that_is_caught_goes_on_at_the_next_wait() {
    within(LIMIT, || {
        green::run(|| {
            let stubborn = || {
                let mut caught = 0;
                while caught < 3 {
                    caught += i32::from(catch_unwind(|| green::sleep(LONG)).is_err());
                }
                caught
            };
            let child = green::spawn(stubborn, ()).unwrap();
            green::yield_now();
            // It ends by itself after the third, and has no value, as `cancel` says.
            assert!(child.kill().unwrap_err().is_cancelled());
        })
        .unwrap();
    });
}

#[test]
fn a_time_limit_ends_the_wait_and_what_is_outside_goes_on() {
    within(LIMIT, || {
        green::run(|| {
            let diary = Diary::default();
            let began = Instant::now();
            let over = green::timeout(Duration::from_millis(20), || {
                let _end = diary.at_drop("unwound");
                let inner = green::timeout(LONG, || green::sleep(LONG));
                unreachable!("{inner:?}");
            });
            let over: fourfold::Result<()> = over;
            assert!(over.unwrap_err().is_timeout());
            assert!(began.elapsed() >= Duration::from_millis(20));
            assert_eq!(diary.lines(), ["unwound"]);
            // The inner one is over first, and told by the inner call alone.
            let outer = green::timeout(LONG, || {
                let inner = green::timeout(Duration::from_millis(1), || green::sleep(LONG));
                assert!(inner.unwrap_err().is_timeout());
                7
            });
            assert_eq!(outer.unwrap(), 7);
            // No limit is left.
            green::sleep(Duration::from_millis(2));
        })
        .unwrap();
        assert_eq!(green::timeout(LONG, || 1).unwrap_err().kind(), ErrorKind::Unsupported);
    });
}

#[test]
fn it_cannot_join_itself() {
    within(LIMIT, || {
        green::run(|| {
            let (sender, receiver) = std::sync::mpsc::channel::<green::Child<()>>();
            let child = green::spawn(
                move || {
                    let me = receiver.recv().unwrap();
                    assert_eq!(me.join().unwrap_err().kind(), ErrorKind::Deadlock);
                },
                (),
            )
            .unwrap();
            let id = child.id();
            sender.send(child).unwrap();
            while green::enumerate().iter().any(|one| one.id() == id) {
                green::yield_now();
            }
        })
        .unwrap();
    });
}

#[test]
fn no_hub_no_local_coroutine() {
    let refused = green::spawn_local(|| (), ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotStarted);
    assert!(refused.to_string().contains("green::run"), "{refused}");
}

#[test]
fn a_value_that_panics_when_it_is_dropped_harms_nobody_where_nobody_takes_it() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    let last = green::run(|| {
        drop(green::spawn(|| Bomb, ()).unwrap());
        drop(green::spawn_local(|| Bomb, ()).unwrap());
        green::yield_now();
        green::spawn(|| 7, ()).unwrap().join().unwrap()
    });
    assert_eq!(last.unwrap(), 7);
}

#[test]
fn one_that_has_ended_with_a_value_is_never_said_to_be_cancelled() {
    let values = green::run(|| {
        let (sent, local) =
            (green::spawn(|| 7, ()).unwrap(), green::spawn_local(|| 8, ()).unwrap());
        green::yield_now();
        for _ in 0..3 {
            assert!(!sent.cancel() && !local.cancel());
        }
        (sent.join().unwrap(), local.join().unwrap())
    });
    assert_eq!(values.unwrap(), (7, 8));
}

#[test]
fn one_that_has_ended_and_waits_in_its_callback_goes_with_its_hub() {
    within(LIMIT, || {
        let ended = green::run(|| {
            let child = green::Builder::new().daemon(true).spawn(|| 7, ()).unwrap();
            child.on_done(|_| green::sleep(Duration::from_secs(86_400)));
            green::sleep(Duration::from_millis(1));
        });
        ended.unwrap();
    });
}

#[test]
fn another_who_joins_during_a_callback_that_waits_gets_the_value() {
    let value = green::run(|| {
        let child = green::spawn(|| 7, ()).unwrap();
        child.on_done(|_| green::sleep(Duration::from_millis(20)));
        green::sleep(Duration::from_millis(1));
        child.join().unwrap()
    });
    assert_eq!(value.unwrap(), 7);
}
