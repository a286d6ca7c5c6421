//! Who runs when: order, time, wake-ups from elsewhere, futures.

use std::future::poll_fn;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use fourfold::green;

use super::Diary;
use super::support::{LIMIT, within};

#[test]
fn those_that_give_way_take_turns() {
    within(LIMIT, || {
        let diary = Diary::default();
        let log = diary.clone();
        green::run(move || {
            let each = |name: u32, log: Diary| {
                for step in 0..3 {
                    log.note(format!("{name}{step}"));
                    green::yield_now();
                }
            };
            let children: Vec<_> =
                (1..=2).map(|n| green::spawn_local(each, (n, log.clone())).unwrap()).collect();
            for child in children {
                child.join().unwrap();
            }
        })
        .unwrap();
        assert_eq!(diary.lines(), ["10", "20", "11", "21", "12", "22"]);
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_times_and_together_take_the_longest() {
    within(LIMIT, || {
        let diary = Diary::default();
        let log = diary.clone();
        let began = Instant::now();
        green::run(move || {
            for millis in [30, 10, 20] {
                let log = log.clone();
                let nap = move || {
                    green::sleep(Duration::from_millis(millis));
                    log.note(millis.to_string());
                };
                drop(green::spawn_local(nap, ()).unwrap());
            }
        })
        .unwrap();
        assert_eq!(diary.lines(), ["10", "20", "30"]);
        assert!(began.elapsed() >= Duration::from_millis(30));
    });
}

#[test]
fn one_that_gives_way_all_the_time_does_not_keep_timers_from_firing() {
    within(LIMIT, || {
        green::run(|| {
            let busy = || loop {
                green::yield_now();
            };
            drop(green::Builder::new().daemon(true).spawn_local(busy, ()).unwrap());
            green::sleep(Duration::from_millis(5));
        })
        .unwrap();
    });
}

#[test]
fn wakers_work_from_other_threads_and_after_the_coroutine_has_gone() {
    within(LIMIT, || {
        let (sender, receiver) = channel::<Waker>();
        let helper = std::thread::spawn(move || {
            let wakers: Vec<Waker> = receiver
                .iter()
                .inspect(|waker| {
                    std::thread::sleep(Duration::from_millis(1));
                    waker.wake_by_ref();
                })
                .collect();
            // All their coroutines, and the hub, are gone by now.
            wakers.iter().for_each(Waker::wake_by_ref);
            wakers.len()
        });
        for _ in 0..3 {
            green::run(|| {
                let wait = |sender: std::sync::mpsc::Sender<Waker>| {
                    for _ in 0..5 {
                        let mut polled = false;
                        green::block_on(poll_fn(|context| {
                            if std::mem::replace(&mut polled, true) {
                                return Poll::Ready(());
                            }
                            sender.send(context.waker().clone()).unwrap();
                            Poll::Pending
                        }));
                    }
                };
                let children: Vec<_> =
                    (0..3).map(|_| green::spawn(wait, sender.clone()).unwrap()).collect();
                for child in children {
                    child.join().unwrap();
                }
            })
            .unwrap();
        }
        drop(sender);
        assert_eq!(helper.join().unwrap(), 45);
    });
}

#[test]
fn a_stale_waker_disturbs_nobody() {
    within(LIMIT, || {
        let stale = Arc::new(Mutex::new(None));
        let keep = stale.clone();
        green::run(move || {
            let leave = move || {
                green::block_on(poll_fn(|context| {
                    *keep.lock().unwrap() = Some(context.waker().clone());
                    Poll::Ready(())
                }));
            };
            green::spawn(leave, ()).unwrap().join().unwrap();
        })
        .unwrap();
        let waker = stale.lock().unwrap().take().unwrap();
        // Between hubs, and on one that uses the place again.
        waker.wake_by_ref();
        green::run(|| {
            let nap = || {
                let began = Instant::now();
                green::sleep(Duration::from_millis(10));
                began.elapsed()
            };
            let child = green::spawn(nap, ()).unwrap();
            for _ in 0..3 {
                green::yield_now();
                waker.wake_by_ref();
            }
            assert!(child.join().unwrap() >= Duration::from_millis(10));
        })
        .unwrap();
    });
}

#[test]
fn a_future_of_tokio_is_waited_for_while_others_run() {
    within(LIMIT, || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
        let runtime = runtime.unwrap();
        let handle = runtime.handle().clone();
        let order = green::run(move || {
            let diary = Arc::new(Mutex::new(Vec::new()));
            let log = diary.clone();
            let waits = move || {
                let task = handle.spawn(async {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    7
                });
                let value = green::block_on(task).unwrap();
                log.lock().unwrap().push(value);
            };
            let waits = green::spawn(waits, ()).unwrap();
            green::sleep(Duration::from_millis(1));
            diary.lock().unwrap().push(1);
            waits.join().unwrap();
            diary.lock().unwrap().clone()
        });
        assert_eq!(order.unwrap(), [1, 7]);
    });
}

#[test]
fn coroutines_of_several_hubs_join_each_other() {
    within(LIMIT, || {
        let (sender, receiver) = channel();
        let other = std::thread::spawn(move || {
            green::run(|| {
                let child = green::spawn(
                    || {
                        green::sleep(Duration::from_millis(20));
                        41
                    },
                    (),
                );
                sender.send(child.unwrap()).unwrap();
            })
            .unwrap();
        });
        let sum = green::run(|| {
            let child = receiver.recv().unwrap();
            let join = green::spawn(move || child.join().unwrap() + 1, ()).unwrap();
            assert!(!join.is_finished());
            join.join().unwrap()
        });
        assert_eq!(sum.unwrap(), 42);
        other.join().unwrap();
    });
}

#[test]
fn a_hub_within_a_coroutine_is_the_same_one() {
    let (inner, outer) =
        green::run(|| (green::run(|| green::current().id()).unwrap(), green::current().id()))
            .unwrap();
    assert_eq!(inner, outer);
}

#[test]
fn without_a_hub_coroutines_share_one() {
    within(LIMIT, || {
        let threads: Vec<_> = (0..3)
            .map(|_| green::spawn(|| std::thread::current().id(), ()).unwrap().join().unwrap())
            .collect();
        assert!(threads.iter().all(|id| *id == threads[0] && *id != std::thread::current().id()));
    });
}

#[test]
fn what_it_is_called_with_may_be_large_and_aligned_to_more_than_a_word() {
    #[derive(Clone, Copy)]
    #[repr(align(64))]
    struct Aligned<const N: usize>([u8; N]);

    fn sum<const N: usize>(value: Aligned<N>) -> (usize, bool) {
        let before = value.0.iter().map(|byte| usize::from(*byte)).sum::<usize>();
        green::yield_now();
        assert_eq!(value.0.iter().map(|byte| usize::from(*byte)).sum::<usize>(), before);
        (before, std::ptr::from_ref(&value).addr().is_multiple_of(64))
    }

    within(LIMIT, || {
        let local = green::run(|| green::spawn_local(sum, Aligned([1; 3])).unwrap().join());
        assert_eq!(local.unwrap().unwrap(), (3, true));
        // What fits at the beginning of a stack, and what does not.
        let roomy = green::Builder::new().stack_size(1 << 20);
        assert_eq!(roomy.spawn(sum, Aligned([1; 3000])).unwrap().join().unwrap(), (3000, true));
        assert_eq!(roomy.spawn(sum, Aligned([2; 9000])).unwrap().join().unwrap(), (18_000, true));
    });
}

#[test]
fn a_backtrace_ends_where_the_coroutine_begins() {
    fn frames() -> usize {
        let trace = std::backtrace::Backtrace::force_capture().to_string();
        assert!(trace.contains("a_backtrace_ends_where_the_coroutine_begins"), "{trace}");
        trace.lines().filter(|line| !line.trim_start().starts_with("at ")).count()
    }

    within(LIMIT, || {
        let outside = frames();
        let inside = green::run(|| {
            // Once at its beginning, and once after it has been left.
            let first = frames();
            green::yield_now();
            assert_eq!(frames(), first);
            first
        });
        assert!(inside.unwrap() < outside + 30, "it went on, into what lies above");
    });
}
