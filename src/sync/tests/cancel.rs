//! Waits that are cancelled at random: nothing they were told or given is lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::support::{Chance, run_briefly, within};
use crate::sync::{Barrier, Condition, GetError, Lock, PutError, Queue, RwLock, Semaphore};

const WORKERS: usize = 4;
const TURNS: usize = 400;

/// So many threads do this, each so many times.
fn stress(turn: impl Fn(usize, &mut Chance) + Sync) {
    within(|| {
        thread::scope(|scope| {
            for worker in 0..WORKERS {
                let turn = &turn;
                scope.spawn(move || {
                    let mut chance = Chance::new();
                    (0..TURNS).for_each(|_| turn(worker, &mut chance));
                });
            }
        });
    });
}

#[test]
fn a_lock_excludes_and_goes_on() {
    let (lock, inside) = (Lock::new(0), AtomicUsize::new(0));
    let taken = AtomicUsize::new(0);
    stress(|worker, chance| {
        let guard = match worker % 3 {
            0 => Some(lock.lock()),
            1 => lock.lock_timeout(Duration::from_micros(chance.below(100))),
            _ => run_briefly(lock.lock_async(), || chance.once_in(2)),
        };
        if let Some(mut guard) = guard {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
            if chance.once_in(3) {
                thread::yield_now();
            }
            *guard += 1;
            taken.fetch_add(1, Ordering::SeqCst);
            inside.fetch_sub(1, Ordering::SeqCst);
        }
    });
    assert_eq!(*lock.try_lock().expect("nobody holds it"), taken.into_inner());
}

#[test]
fn a_lock_for_readers_and_writers_excludes_and_goes_on() {
    let lock = RwLock::new((0_u64, 0_u64));
    stress(|worker, chance| {
        let limit = Duration::from_micros(chance.below(100));
        match (worker + chance.below(4) as usize) % 4 {
            0 => {
                if let Some(mut pair) = lock.write_timeout(limit) {
                    pair.0 += 1;
                    thread::yield_now();
                    pair.1 += 1;
                }
            }
            1 => {
                if let Some(mut pair) = run_briefly(lock.write_async(), || chance.once_in(2)) {
                    pair.0 += 1;
                    pair.1 += 1;
                }
            }
            2 => {
                let pair = lock.read();
                assert_eq!(pair.0, pair.1);
            }
            _ => {
                if let Some(pair) = run_briefly(lock.read_async(), || chance.once_in(2)) {
                    assert_eq!(pair.0, pair.1);
                }
            }
        }
    });
    assert!(lock.try_write().is_some());
}

#[test]
fn permits_are_conserved() {
    let semaphore = Semaphore::new(2);
    let inside = AtomicUsize::new(0);
    stress(|worker, chance| {
        let taken = match worker % 3 {
            0 => {
                semaphore.acquire();
                true
            }
            1 => semaphore.acquire_timeout(Duration::from_micros(chance.below(100))),
            _ => run_briefly(semaphore.acquire_async(), || chance.once_in(2)).is_some(),
        };
        if taken {
            assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
            thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
            semaphore.release().unwrap();
        }
    });
    assert_eq!(semaphore.permits(), 2);
}

#[test]
fn items_are_conserved() {
    for capacity in [Some(1), Some(3), None] {
        let queue = capacity.map_or_else(Queue::new, Queue::bounded);
        let (put, got) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let producers_left = AtomicUsize::new(2);
        within(|| {
            thread::scope(|scope| {
                for producer in 0..2 {
                    let (queue, put, left) = (&queue, &put, &producers_left);
                    scope.spawn(move || {
                        let mut chance = Chance::new();
                        for n in 1..=TURNS {
                            let limit = Duration::from_micros(chance.below(100));
                            let done = match (producer, chance.below(3)) {
                                (0, 0) => queue.put(n).is_ok(),
                                (0, _) => queue.put_timeout(n, limit).is_ok(),
                                _ => {
                                    run_briefly(queue.put_async(n), || chance.once_in(2)).is_some()
                                }
                            };
                            if done {
                                put.fetch_add(n, Ordering::SeqCst);
                            }
                        }
                        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                            queue.shut_down(false);
                        }
                    });
                }
                for consumer in 0..2 {
                    let (queue, got) = (&queue, &got);
                    scope.spawn(move || {
                        let mut chance = Chance::new();
                        loop {
                            let limit = Duration::from_micros(chance.below(100));
                            let item = match (consumer, chance.below(2)) {
                                (0, 0) => queue.get(),
                                (0, _) => queue.get_timeout(limit),
                                _ => run_briefly(queue.get_async(), || chance.once_in(2))
                                    .unwrap_or(Err(GetError::Empty)),
                            };
                            match item {
                                Ok(n) => drop(got.fetch_add(n, Ordering::SeqCst)),
                                Err(GetError::Empty) => {}
                                Err(GetError::ShutDown) => break,
                            }
                        }
                    });
                }
            });
        });
        assert_eq!(put.into_inner(), got.into_inner());
        assert_eq!(queue.put(1), Err(PutError::ShutDown(1)));
    }
}

#[test]
fn a_notification_to_one_that_goes_away_reaches_another() {
    // Each token that is put is worth one notification. Some who wait for them go away.
    let tokens = Arc::new(Condition::new(0_usize));
    let (given, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    stress(|worker, chance| match worker {
        0 | 1 => {
            let mut count = tokens.lock();
            *count += 1;
            given.fetch_add(1, Ordering::SeqCst);
            count.notify_one();
        }
        2 => {
            // As many as one producer gives, whatever the other waiter does.
            let mut count = tokens.lock();
            count.wait_for(|count| *count > 0);
            *count -= 1;
            taken.fetch_add(1, Ordering::SeqCst);
        }
        _ => {
            let waiting = async {
                let mut count = tokens.lock_async().await;
                if *count == 0 {
                    count = count.wait_async().await;
                    // It takes no token, so the notification is for another.
                    count.notify_one();
                }
            };
            let _ = run_briefly(waiting, || chance.once_in(2));
        }
    });
    assert_eq!(*tokens.lock() + taken.into_inner(), given.into_inner());
}

#[test]
fn a_barrier_lets_all_go_or_none() {
    // Each waits at it again and again, so what one passed as its nth, all passed as their nth. Of the futures, the first
    // `futures` of the workers, one may be dropped after it was let go, and before it has heard of it.
    for futures in [0, 2] {
        let barrier = Barrier::new(WORKERS);
        let passed: [Mutex<Vec<usize>>; WORKERS] = Default::default();
        stress(|worker, chance| {
            let place = match worker < futures {
                true => run_briefly(barrier.wait_async(), || chance.once_in(50)).flatten(),
                false => barrier.wait_timeout(Duration::from_micros(chance.below(2000))),
            };
            match place {
                Some(place) => passed[worker].lock().unwrap().push(place),
                None => barrier.reset(),
            }
        });
        assert_eq!(barrier.waiting(), 0);
        let passed = passed.map(|places| places.into_inner().unwrap());
        let (heard, all) = passed.split_at(futures);
        assert!(all.iter().all(|places| places.len() == all[0].len()), "{all:?}");
        assert!(heard.iter().all(|places| places.len() <= all[0].len()), "{heard:?}, {all:?}");
        for generation in 0..all[0].len() {
            let places: BTreeSet<_> = all.iter().map(|places| places[generation]).collect();
            assert_eq!(places.len(), all.len(), "the places of generation {generation}");
            assert!(places.iter().all(|place| *place < WORKERS));
        }
    }
}
