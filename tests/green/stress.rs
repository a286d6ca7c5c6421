//! Many at once, woken and cancelled at random, from several threads.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use fourfold::{ErrorKind, green};

use super::Random;
use super::support::{LIMIT, within};

/// Waits until another thread has woken it.
fn hop(sender: &Sender<(Waker, Arc<AtomicU64>)>) {
    let done = Arc::new(AtomicU64::new(0));
    let mut sent = false;
    green::block_on(poll_fn(|context| {
        if done.load(Ordering::Acquire) == 1 {
            return Poll::Ready(());
        }
        if !std::mem::replace(&mut sent, true) {
            sender.send((context.waker().clone(), done.clone())).unwrap();
        }
        Poll::Pending
    }));
}

#[test]
fn no_wake_up_from_another_thread_is_lost() {
    within(LIMIT, || {
        let (sender, receiver) = channel::<(Waker, Arc<AtomicU64>)>();
        let receiver = Arc::new(Mutex::new(receiver));
        let wakers: Vec<_> = (0..2)
            .map(|seed| {
                let receiver = receiver.clone();
                std::thread::spawn(move || {
                    let mut random = Random::new(seed);
                    loop {
                        let Ok((waker, done)) = receiver.lock().unwrap().recv() else { return };
                        for _ in 0..random.below(200) {
                            std::hint::spin_loop();
                        }
                        done.store(1, Ordering::Release);
                        waker.wake();
                    }
                })
            })
            .collect();
        let hubs: Vec<_> = (0..2)
            .map(|_| {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    green::run(|| {
                        for _ in 0..20 {
                            let sender = sender.clone();
                            let hops = move || (0..100).for_each(|_| hop(&sender));
                            drop(green::spawn(hops, ()).unwrap());
                        }
                    })
                    .unwrap();
                })
            })
            .collect();
        hubs.into_iter().for_each(|hub| hub.join().unwrap());
        drop(sender);
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
    });
}

#[test]
fn each_has_one_outcome_whoever_cancels_it_when() {
    within(LIMIT, || {
        let dropped = Arc::new(AtomicU64::new(0));
        struct Count(Arc<AtomicU64>);
        impl Drop for Count {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut random = Random::new(7);
        let mut started = 0;
        for _ in 0..20 {
            let children: Vec<_> = (0..100)
                .map(|n| {
                    let (count, steps) = (Count(dropped.clone()), random.below(8));
                    started += 1;
                    let work = move || {
                        let _count = count;
                        for step in 0..steps {
                            match step % 3 {
                                0 => green::yield_now(),
                                1 => green::sleep(Duration::from_micros(50)),
                                _ => drop(green::timeout(Duration::from_micros(20), || {
                                    green::sleep(Duration::from_micros(40));
                                })),
                            }
                        }
                        assert!(n % 10 != 3, "one in ten panics");
                        n
                    };
                    green::spawn(work, ()).unwrap()
                })
                .collect();
            let victims: Vec<usize> = (0..50).map(|_| random.below(100) as usize).collect();
            let told: Vec<bool> = {
                let told = Mutex::new(vec![false; 100]);
                std::thread::scope(|scope| {
                    for half in victims.chunks(25) {
                        let (told, children) = (&told, &children);
                        scope.spawn(move || {
                            for victim in half {
                                let cancelled = children[*victim].cancel();
                                let mut told = told.lock().unwrap();
                                told[*victim] |= cancelled;
                            }
                        });
                    }
                });
                told.into_inner().unwrap()
            };
            for (n, (child, told)) in children.into_iter().zip(told).enumerate() {
                match child.join() {
                    Ok(value) => {
                        assert!(value == n as u64 && !told, "{n} was told to be cancelled")
                    }
                    Err(error) if error.is_cancelled() => assert!(told),
                    Err(error) => assert_eq!((error.kind(), n % 10), (ErrorKind::Panicked, 3)),
                }
            }
        }
        // Each coroutine's own value was dropped, by the time that it was joined or soon after.
        super::support::eventually("all is dropped", || dropped.load(Ordering::Relaxed) == started);
    });
}

#[test]
fn a_hundred_thousand_sleep_at_once() {
    within(LIMIT, || {
        let count = green::run(|| {
            let nap = || green::sleep(Duration::from_millis(50));
            let children: Vec<_> =
                (0..100_000).map(|_| green::spawn_local(nap, ()).unwrap()).collect();
            children.into_iter().map(green::LocalChild::join).filter(Result::is_ok).count()
        });
        assert_eq!(count.unwrap(), 100_000);
    });
}

#[test]
fn hubs_come_and_go_on_many_threads() {
    within(LIMIT, || {
        let threads: Vec<_> = (0..4)
            .map(|seed| {
                std::thread::spawn(move || {
                    let mut random = Random::new(seed);
                    for _ in 0..50 {
                        let (count, yields) = (random.below(20), random.below(5));
                        let sum = green::run(|| {
                            let work = move |n: u64| {
                                (0..yields).for_each(|_| green::yield_now());
                                n
                            };
                            let children: Vec<_> =
                                (0..count).map(|n| green::spawn(work, n).unwrap()).collect();
                            children.into_iter().map(|child| child.join().unwrap()).sum::<u64>()
                        });
                        assert_eq!(sum.unwrap(), (0..count).sum());
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
