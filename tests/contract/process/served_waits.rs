//! Waits on served words that are cut short: cancelled coroutines, dropped futures, times that are over. Nothing is lost by them.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fourfold::green;
use fourfold::process::{
    Barrier, Condition, GetError, JoinableQueue, LifoQueue, Lock, RLock, RwLock,
};

use crate::support::{LIMIT, eventually, within};

/// A moment, for what may happen in it or not.
fn moment(round: u64) {
    green::sleep(Duration::from_micros(round * 37 % 400));
}

/// Runs this in a coroutine, and cancels it after a moment.
fn cut_short(round: u64, wait: impl FnOnce() + Send + 'static) {
    green::spawn(
        move || {
            let waits = green::spawn(wait, ()).unwrap();
            moment(round);
            let _ = waits.kill();
        },
        (),
    )
    .unwrap()
    .join()
    .unwrap();
}

/// Polls once.
fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn a_coroutine_that_waits_lets_others_run() {
    within(LIMIT, || {
        let queue = LifoQueue::<u32>::new().unwrap();
        let same = queue.clone();
        green::run(move || {
            let waits = green::spawn(move || same.get().unwrap(), ()).unwrap();
            let (lock, barrier) = (RwLock::new(1).unwrap(), Barrier::new(2).unwrap());
            let meets = barrier.clone();
            let meets = green::spawn(move || meets.wait().unwrap().is_some(), ()).unwrap();
            for _ in 0..100 {
                *lock.write().unwrap() += 1;
                green::yield_now();
            }
            assert!(!waits.is_finished() && !meets.is_finished());
            assert!(barrier.wait().unwrap().is_some() && meets.join().unwrap());
            queue.put(*lock.read().unwrap()).unwrap();
            assert_eq!(waits.join().unwrap(), 101);
        })
        .unwrap();
    });
}

#[test]
fn locks_are_free_after_waits_that_were_cut_short() {
    within(LIMIT, || {
        let (rlock, rwlock) = (RLock::new().unwrap(), RwLock::new(0u32).unwrap());
        let condition = Condition::new(0u32).unwrap();
        for round in 0..60 {
            let held = (rlock.lock().unwrap(), rwlock.write().unwrap(), condition.lock().unwrap());
            let (a, b, c) = (rlock.clone(), rwlock.clone(), condition.clone());
            let waits = std::thread::spawn(move || {
                match round % 3 {
                    0 => cut_short(round, move || drop(a.lock().unwrap())),
                    1 => cut_short(round, move || drop(b.read().unwrap())),
                    _ => cut_short(round, move || drop(c.lock().unwrap())),
                };
            });
            assert!(poll_once(rwlock.write_async()).is_none());
            assert!(poll_once(rwlock.read_async()).is_none());
            assert!(poll_once(condition.lock_async()).is_none());
            std::thread::sleep(Duration::from_micros(round * 53 % 400));
            drop(held);
            waits.join().unwrap();
            assert!(rlock.lock_timeout(LIMIT).unwrap().is_some());
            assert!(rwlock.write_timeout(LIMIT).unwrap().is_some());
            assert!(condition.lock().is_ok());
        }
    });
}

#[test]
fn a_queue_loses_nothing_by_gets_that_are_cut_short() {
    within(LIMIT, || {
        for queue in [JoinableQueue::new().unwrap(), JoinableQueue::bounded(1).unwrap()] {
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for kind in 0..3 {
                    let (queue, done) = (&queue, &done);
                    scope.spawn(move || {
                        for round in 0u64.. {
                            if done.load(Ordering::Relaxed) {
                                return;
                            }
                            let (same, got) = (queue.clone(), Arc::new(Mutex::new(None)));
                            match kind {
                                0 => {
                                    let got = got.clone();
                                    cut_short(round, move || {
                                        let item = same.get().unwrap();
                                        // It waits for nothing from the get on, and is not cancelled there.
                                        *got.lock().unwrap() = Some(item);
                                    });
                                }
                                1 => {
                                    let item = poll_once(queue.get_async()).map(Result::unwrap);
                                    *got.lock().unwrap() = item;
                                }
                                _ => match queue.get_timeout(Duration::from_micros(round % 300)) {
                                    Ok(item) => *got.lock().unwrap() = Some(item),
                                    Err(GetError::Empty) => {}
                                    Err(error) => panic!("{error}"),
                                },
                            }
                            // What was got at the last moment is for somebody else.
                            if let Some(item) = got.lock().unwrap().take() {
                                queue.put(item).unwrap();
                            }
                        }
                    });
                }
                let mut seen = [0u32; 200];
                for item in 0..200 {
                    queue.put(item).unwrap();
                    if item % 2 == 1 {
                        for _ in 0..2 {
                            seen[queue.get_timeout(LIMIT).unwrap() as usize] += 1;
                        }
                    }
                }
                done.store(true, Ordering::Relaxed);
                assert_eq!(seen, [1; 200]);
            });
            assert!(queue.is_empty().unwrap());
        }
    });
}

#[test]
fn what_a_put_that_was_cut_short_has_put_can_be_read() {
    within(LIMIT, || {
        let queue = LifoQueue::<Option<Lock<u64>>>::bounded(1).unwrap();
        let mut got = 0;
        for round in 0..100 {
            queue.put(None).unwrap();
            let (same, lock) = (queue.clone(), Lock::new(round).unwrap());
            let puts = std::thread::spawn(move || {
                // The only other handle is in the item: if that was put, it is all that keeps the lock.
                cut_short(round, move || same.put(Some(lock)).unwrap());
            });
            std::thread::sleep(Duration::from_micros(round * 53 % 600));
            assert!(queue.get().unwrap().is_none());
            puts.join().unwrap();
            match queue.get_timeout(Duration::from_millis(20)) {
                Ok(item) => {
                    assert_eq!(*item.unwrap().lock().unwrap(), round);
                    got += 1;
                }
                Err(GetError::Empty) => {}
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        println!("{got} of 100 were put");
    });
}

#[test]
fn a_member_that_is_cut_short_breaks_the_barrier() {
    within(LIMIT, || {
        let barrier = Barrier::new(3).unwrap();
        assert!(poll_once(barrier.wait_async()).is_none());
        eventually("it is broken", || barrier.is_broken().unwrap());
        barrier.reset().unwrap();
        let same = barrier.clone();
        cut_short(300, move || assert_eq!(same.wait().unwrap(), None));
        eventually("it is broken again, or the wait never began", || {
            barrier.is_broken().unwrap() || barrier.waiting().unwrap() == 0
        });
    });
}

#[test]
fn a_notification_of_one_that_is_cut_short_goes_to_the_next() {
    within(LIMIT, || {
        for round in 0..40 {
            let condition = Condition::new(0u32).unwrap();
            let (first, second) = (condition.clone(), condition.clone());
            let waits = move |condition: Condition<u32>| {
                let mut guard = condition.lock().unwrap();
                *guard += 1;
                guard.wait().unwrap();
            };
            let first = std::thread::spawn(move || cut_short(300, move || waits(first)));
            let second = std::thread::spawn(move || waits(second));
            eventually("the second waits", || {
                *condition.lock().unwrap() == 2 || first.is_finished()
            });
            std::thread::sleep(Duration::from_micros(round * 29 % 500));
            let guard = condition.lock().unwrap();
            guard.notify_one().unwrap();
            drop(guard);
            first.join().unwrap();
            // The first has taken it only if it has gone on with it.
            let end = std::time::Instant::now() + LIMIT;
            while !second.is_finished() && std::time::Instant::now() < end {
                condition.lock().unwrap().notify_one().unwrap();
            }
            second.join().unwrap();
        }
    });
}

#[test]
fn futures_wait_for_all_words() {
    within(LIMIT, || {
        let (queue, lock) = (JoinableQueue::bounded(1).unwrap(), RwLock::new(1).unwrap());
        let (barrier, condition) = (Barrier::new(2).unwrap(), Condition::new(false).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let producer = async {
                for n in 0..50 {
                    queue.put_async(n).await.unwrap();
                    *lock.write_async().await.unwrap() += n;
                }
                queue.join_async().await.unwrap();
                barrier.wait_async().await.unwrap()
            };
            let consumer = async {
                let mut sum = 0;
                for _ in 0..50 {
                    sum += queue.get_async().await.unwrap();
                    queue.task_done().unwrap();
                }
                let mut guard = condition.lock_async().await.unwrap();
                *guard = true;
                guard.notify_all().unwrap();
                drop(guard);
                assert!(barrier.wait_async().await.unwrap().is_some());
                sum
            };
            let waiter = async {
                let mut guard = condition.lock_async().await.unwrap();
                while !*guard {
                    guard = guard.wait_async().await.unwrap();
                }
            };
            let (place, sum, ()) = tokio::join!(producer, consumer, waiter);
            assert!(place.is_some());
            assert_eq!((sum, *lock.read_async().await.unwrap()), (1225, 1226));
        });
    });
}
