//! The words in coroutines: each wait can be cancelled, leaves nothing behind, and passes on what it had been given.

use std::sync::Arc;
use std::time::Duration;

use fourfold::green::{
    self, Barrier, Condition, Event, LifoQueue, Lock, PriorityQueue, Queue, RLock, RwLock,
    Semaphore,
};

use super::support::{LIMIT, within};

/// Has a coroutine wait, looks that it does, cancels it there, and then has `after` show that the word is as before.
fn cancelled_at(what: &str, wait: impl FnOnce() + 'static, after: impl FnOnce()) {
    let child = green::spawn_local(wait, ()).unwrap();
    for _ in 0..3 {
        green::yield_now();
    }
    assert!(!child.is_finished(), "{what} does not wait");
    assert!(child.kill().unwrap_err().is_cancelled(), "{what}");
    after();
}

#[test]
fn each_wait_can_be_cancelled_and_leaves_the_word_as_it_was() {
    within(LIMIT, || {
        green::run(|| {
            let lock = Arc::new(Lock::new(0));
            let held = lock.lock();
            let same = lock.clone();
            cancelled_at("Lock::lock", move || drop(same.lock()), || drop(held));
            assert_eq!(*lock.try_lock().unwrap(), 0);

            let rlock = Arc::new(RLock::new());
            let held = rlock.lock();
            let same = rlock.clone();
            cancelled_at("RLock::lock", move || drop(same.lock()), || drop(held));
            assert!(rlock.try_lock().is_some());

            let rwlock = Arc::new(RwLock::new(0));
            let (held, same) = (rwlock.read(), rwlock.clone());
            cancelled_at("RwLock::write", move || *same.write() += 1, || drop(held));
            let (held, same) = (rwlock.write(), rwlock.clone());
            cancelled_at("RwLock::read", move || drop(same.read()), || drop(held));
            assert_eq!(*rwlock.try_write().unwrap(), 0);

            let semaphore = Arc::new(Semaphore::new(0));
            let same = semaphore.clone();
            cancelled_at("Semaphore::acquire", move || same.acquire(), || {});
            semaphore.release().unwrap();
            assert!(semaphore.try_acquire());

            let event = Arc::new(Event::new());
            let same = event.clone();
            cancelled_at("Event::wait", move || same.wait(), || event.set());

            let condition = Arc::new(Condition::new(()));
            let same = condition.clone();
            let wait = move || {
                let mut guard = same.lock();
                guard.wait();
            };
            cancelled_at("Condition::wait", wait, || drop(condition.try_lock().unwrap()));

            let barrier = Arc::new(Barrier::new(2));
            let same = barrier.clone();
            let wait = move || {
                same.wait();
            };
            cancelled_at("Barrier::wait", wait, || assert!(barrier.is_broken()));

            let queue = Queue::bounded(1);
            let same = queue.clone();
            cancelled_at(
                "Queue::get",
                move || {
                    let _ = same.get();
                },
                || queue.put(1).unwrap(),
            );
            let same = queue.clone();
            cancelled_at("Queue::put", move || same.put(2).unwrap(), || {});
            let same = queue.clone();
            cancelled_at("Queue::join", move || same.join(), || {});
            assert_eq!((queue.len(), queue.get().unwrap()), (1, 1));

            let lifo = LifoQueue::<u32>::new();
            let same = lifo.clone();
            cancelled_at(
                "LifoQueue::get",
                move || {
                    let _ = same.get();
                },
                || lifo.put(1).unwrap(),
            );
            let priority = PriorityQueue::<u32>::new();
            let same = priority.clone();
            cancelled_at(
                "PriorityQueue::get",
                move || {
                    let _ = same.get();
                },
                || priority.put(1).unwrap(),
            );

            let (sender, receiver) = green::pipe::<u32>();
            cancelled_at(
                "Receiver::recv",
                move || {
                    let _ = receiver.recv();
                },
                || {
                    // Its end went with it.
                    assert!(sender.send(1).is_err());
                },
            );
        })
        .unwrap();
    });
}

#[test]
fn one_that_is_cancelled_with_what_it_was_given_hands_it_on() {
    within(LIMIT, || {
        for _ in 0..100 {
            green::run(|| {
                let queue = Queue::new();
                let first = queue.clone();
                let first = green::spawn(move || first.get(), ()).unwrap();
                let second = queue.clone();
                let second = green::spawn(move || second.get(), ()).unwrap();
                green::yield_now();
                // The first is told of the item, and cancelled before it can take it.
                queue.put(7).unwrap();
                first.cancel();
                assert!(first.join().unwrap_err().is_cancelled());
                assert_eq!(second.join().unwrap().unwrap(), 7);
            })
            .unwrap();
        }
    });
}

#[test]
fn a_time_limit_ends_the_wait_for_a_word() {
    within(LIMIT, || {
        green::run(|| {
            let queue = Queue::<u32>::new();
            let over = green::timeout(Duration::from_millis(5), || queue.get());
            assert!(over.unwrap_err().is_timeout());
            queue.put(1).unwrap();
            assert_eq!(queue.get().unwrap(), 1);
        })
        .unwrap();
    });
}

#[test]
fn coroutines_and_threads_share_words() {
    within(LIMIT, || {
        let (work, results) = (Queue::bounded(3), Queue::new());
        let lock = Arc::new(Lock::new(0));
        let thread = {
            let (work, results, lock) = (work.clone(), results.clone(), lock.clone());
            std::thread::spawn(move || {
                while let Ok(n) = work.get() {
                    *lock.lock() += 1;
                    results.put(n * 2).unwrap();
                }
            })
        };
        let sum: u64 = green::run(move || {
            let put = move || {
                (1..=100).for_each(|n: u64| work.put(n).unwrap());
                work.shut_down(false);
            };
            let put = green::spawn(put, ()).unwrap();
            let sum = (0..100).map(|_| results.get().unwrap()).sum();
            put.join().unwrap();
            sum
        })
        .unwrap();
        thread.join().unwrap();
        assert_eq!((sum, *lock.lock()), (10_100, 100));
    });
}
