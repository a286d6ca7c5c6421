//! Words under many threads, without an end to any wait: nothing is lost, nobody starves, nobody waits for ever.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::support::{eventually, run, within};
use crate::sync::{Barrier, Event, GetError, LifoQueue, Lock, PriorityQueue, Queue, RLock, RwLock};

const TURNS: usize = 2_000;

#[test]
fn every_item_comes_once_and_those_of_one_producer_in_order() {
    for capacity in [Some(1), Some(3), Some(64), None] {
        within(|| {
            let queue = capacity.map_or_else(Queue::new, Queue::bounded);
            let producers = AtomicUsize::new(4);
            let got: Vec<Vec<(usize, usize)>> = thread::scope(|scope| {
                for producer in 0..4 {
                    let (queue, producers) = (&queue, &producers);
                    scope.spawn(move || {
                        for n in 0..TURNS {
                            match producer % 2 {
                                0 => queue.put((producer, n)).unwrap(),
                                _ => {
                                    run(queue.put_async((producer, n)), || false).unwrap().unwrap()
                                }
                            }
                        }
                        if producers.fetch_sub(1, Ordering::SeqCst) == 1 {
                            queue.shut_down(false);
                        }
                    });
                }
                let consumer = |asynchronous: bool| {
                    let queue = &queue;
                    move || match asynchronous {
                        false => queue.iter().collect::<Vec<_>>(),
                        true => {
                            std::iter::from_fn(|| run(queue.get_async(), || false).unwrap().ok())
                                .collect()
                        }
                    }
                };
                let consumers: Vec<_> =
                    [false, true, false].map(|kind| scope.spawn(consumer(kind))).into();
                consumers.into_iter().map(|consumer| consumer.join().unwrap()).collect()
            });
            for items in &got {
                for producer in 0..4 {
                    let mine = items.iter().filter(|(who, _)| *who == producer);
                    assert!(mine.is_sorted(), "items of one producer overtook each other");
                }
            }
            let all: Vec<_> = got.concat();
            assert_eq!(all.len(), 4 * TURNS);
            assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 4 * TURNS);
        });
    }
}

#[test]
fn stacks_and_priority_queues_lose_nothing() {
    within(|| {
        let (stack, heap) = (LifoQueue::bounded(3), PriorityQueue::bounded(3));
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..TURNS).for_each(|n| stack.put(n).unwrap()));
                // From one to the other.
                scope.spawn(|| {
                    (0..TURNS).for_each(|_| heap.put(stack.get().unwrap()).unwrap());
                });
                scope.spawn(|| {
                    for _ in 0..TURNS {
                        sum.fetch_add(heap.get().unwrap(), Ordering::Relaxed);
                        heap.task_done().unwrap();
                    }
                });
            }
        });
        heap.join();
        assert_eq!(sum.into_inner(), TURNS * (TURNS - 1));
        assert_eq!((stack.try_get(), heap.try_get()), (Err(GetError::Empty), Err(GetError::Empty)));
    });
}

#[test]
fn who_joins_goes_on_after_the_last_item_only() {
    for capacity in [Some(2), None] {
        within(|| {
            for _ in 0..50 {
                let queue = capacity.map_or_else(Queue::new, Queue::bounded);
                let done = AtomicUsize::new(0);
                thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            for _ in queue.iter() {
                                done.fetch_add(1, Ordering::SeqCst);
                                queue.task_done().unwrap();
                            }
                        });
                    }
                    (0..40).for_each(|n| queue.put(n).unwrap());
                    queue.join();
                    assert_eq!(done.load(Ordering::SeqCst), 40);
                    queue.shut_down(false);
                });
            }
        });
    }
}

#[test]
fn a_lock_that_is_always_in_demand_still_comes_to_each() {
    within(|| {
        let lock = Lock::new(());
        let (stop, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    // Takes it again at once, and keeps it for much longer than it lets go of it.
                    while !stop.load(Ordering::Relaxed) {
                        let _guard = lock.lock();
                        (0..1000).for_each(|_| std::hint::spin_loop());
                    }
                });
            }
            for _ in 0..20 {
                drop(lock.lock());
                run(lock.lock_async(), || false);
                rounds.fetch_add(1, Ordering::Relaxed);
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(rounds.into_inner(), 20);
    });
}

#[test]
fn a_writer_gets_past_readers_that_never_all_leave() {
    within(|| {
        let lock = RwLock::new(0);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let _reading = lock.read();
                        thread::yield_now();
                    }
                });
            }
            for _ in 0..20 {
                *lock.write() += 1;
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(lock.into_inner(), 20);
    });
}

#[test]
fn an_rlock_excludes_others_at_each_depth() {
    within(|| {
        let (lock, inside) = (RLock::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..TURNS {
                        let outer = lock.lock();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        let inner = lock.lock();
                        drop(outer);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(inner);
                    }
                });
            }
        });
        assert!(!lock.is_locked());
    });
}

#[test]
fn all_leave_a_barrier_together_again_and_again() {
    within(|| {
        let (barrier, arrived) = (Barrier::new(4), AtomicUsize::new(0));
        thread::scope(|scope| {
            for worker in 0..4 {
                let (barrier, arrived) = (&barrier, &arrived);
                scope.spawn(move || {
                    for round in 1..=500 {
                        arrived.fetch_add(1, Ordering::SeqCst);
                        let place = match worker % 2 {
                            0 => barrier.wait(),
                            _ => run(barrier.wait_async(), || false).unwrap(),
                        };
                        assert!(place.is_some_and(|place| place < 4));
                        assert!(arrived.load(Ordering::SeqCst) >= 4 * round);
                        // Nobody begins the next round before all have looked.
                        barrier.wait().unwrap();
                    }
                });
            }
        });
        assert_eq!(arrived.into_inner(), 2000);
    });
}

#[test]
fn an_event_lets_go_of_all_who_wait() {
    within(|| {
        for _ in 0..200 {
            let (event, gone) = (Event::new(), AtomicUsize::new(0));
            thread::scope(|scope| {
                for worker in 0..4 {
                    let (event, gone) = (&event, &gone);
                    scope.spawn(move || {
                        match worker % 2 {
                            0 => event.wait(),
                            _ => run(event.wait_async(), || false).unwrap(),
                        }
                        gone.fetch_add(1, Ordering::SeqCst);
                    });
                }
                event.set();
                eventually("all four go on", || gone.load(Ordering::SeqCst) == 4);
            });
        }
    });
}
