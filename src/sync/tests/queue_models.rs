//! Each order of events of small programs with queues, tried by loom. An unbounded queue begins with a ring of one item.

use std::sync::Arc;

use loom::future::block_on;
use loom::thread;

use super::models::check;
use super::once::poll_once;
use crate::sync::ring::Ring;
use crate::sync::{GetError, LifoQueue, PutError, Queue};

#[test]
fn a_ring_gives_each_item_once_and_in_order() {
    for capacity in [1, 2] {
        check(2, move || {
            let ring = Arc::new(Ring::new(capacity));
            let (one, two) = (ring.clone(), ring.clone());
            let put = |ring: &Ring<Box<u32>>, n| {
                if let Ok(room) = ring.reserve() {
                    room.fill(Box::new(n));
                    return 1;
                }
                0
            };
            let first = thread::spawn(move || put(&one, 1) + put(&one, 2));
            let second = thread::spawn(move || put(&two, 3));
            let mut got = Vec::new();
            for _ in 0..2 {
                got.extend(ring.claim().ok().map(|ready| *ready.take()));
            }
            let puts = first.join().unwrap() + second.join().unwrap();
            while let Ok(ready) = ring.claim() {
                got.push(*ready.take());
            }
            assert_eq!(got.len(), puts);
            let mine: Vec<_> = got.iter().filter(|n| **n < 3).collect();
            assert!(mine.is_sorted(), "{got:?}");
            assert_eq!((ring.puts(), ring.len()), (puts, 0));
        });
    }
}

#[test]
fn a_closed_ring_has_what_was_put_and_takes_no_more() {
    check(3, || {
        let ring = Arc::new(Ring::new(2));
        let (puts, gets) = (ring.clone(), ring.clone());
        let putter =
            thread::spawn(move || puts.reserve().map(|room| room.fill(Box::new(1))).is_ok());
        let getter = thread::spawn(move || gets.claim().map(|ready| ready.take()).is_ok());
        ring.close();
        let (put, got) = (putter.join().unwrap(), getter.join().unwrap());
        let left = ring.claim().map(|ready| ready.take());
        assert_eq!(put, got || left.is_ok());
        assert_eq!(ring.claim().map(|ready| ready.take()), Err(GetError::ShutDown));
    });
}

#[test]
fn a_full_queue_and_an_empty_one_wake_who_waits() {
    check(3, || {
        let queue = Queue::bounded(1);
        let same = queue.clone();
        let other = thread::spawn(move || {
            same.put(1).unwrap();
            block_on(same.put_async(2)).unwrap();
        });
        assert_eq!(queue.get(), Ok(1));
        assert_eq!(block_on(queue.get_async()), Ok(2));
        other.join().unwrap();
    });
}

#[test]
fn two_who_get_and_one_who_puts() {
    check(1, || {
        let queue = Queue::bounded(2);
        let (one, two) = (queue.clone(), queue.clone());
        let first = thread::spawn(move || one.get().unwrap());
        let second = thread::spawn(move || two.get().unwrap());
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        assert_eq!(first.join().unwrap() + second.join().unwrap(), 3);
    });
}

#[test]
fn an_item_goes_past_one_that_gave_up() {
    check(1, || {
        let queue = Queue::bounded(1);
        let (gives_up, waits) = (queue.clone(), queue.clone());
        let first = thread::spawn(move || {
            // What it got in spite of all goes back.
            if let Some(item) = poll_once(gives_up.get_async()) {
                gives_up.put(item.unwrap()).unwrap();
            }
        });
        let second = thread::spawn(move || waits.get().unwrap());
        queue.put(1).unwrap();
        first.join().unwrap();
        assert_eq!(second.join().unwrap(), 1);
    });
}

#[test]
fn an_unbounded_queue_grows_under_who_waits() {
    check(3, || {
        let queue = Queue::new();
        let same = queue.clone();
        let other = thread::spawn(move || {
            for n in 0..3 {
                same.put(n).unwrap();
            }
        });
        for n in 0..3 {
            assert_eq!(queue.get(), Ok(n));
        }
        other.join().unwrap();
    });
}

#[test]
fn an_unbounded_queue_of_two_who_put() {
    check(1, || {
        let queue = Queue::new();
        let (one, two) = (queue.clone(), queue.clone());
        let first = thread::spawn(move || one.put(1).and_then(|()| one.put(2)).unwrap());
        let second = thread::spawn(move || two.put(4).unwrap());
        assert_eq!((0..3).map(|_| queue.get().unwrap()).sum::<u32>(), 7);
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn shutting_down_wakes_all() {
    for unbounded in [false, true] {
        check(2, move || {
            let queue = if unbounded { Queue::new() } else { Queue::bounded(1) };
            let (puts, gets) = (queue.clone(), queue.clone());
            let putter = thread::spawn(move || match puts.put(1).and_then(|()| puts.put(2)) {
                Ok(()) => 2,
                Err(PutError::ShutDown(item)) => item - 1,
                Err(other) => panic!("{other:?}"),
            });
            let getter = thread::spawn(move || gets.iter().count());
            queue.shut_down(false);
            assert_eq!(putter.join().unwrap(), getter.join().unwrap());
            assert_eq!(queue.get(), Err(GetError::ShutDown));
        });
    }
}

#[test]
fn who_joins_goes_on_after_the_last_is_done() {
    check(3, || {
        let queue = LifoQueue::new();
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        let same = queue.clone();
        let other = thread::spawn(move || {
            while same.try_get().is_ok() {
                same.task_done().unwrap();
            }
        });
        queue.join();
        assert!(queue.is_empty() && queue.task_done().is_err());
        other.join().unwrap();
    });
}

/// One who looks until there is something.
async fn look(queue: &Queue<u32>) {
    let mut looks = queue.look();
    std::future::poll_fn(|context| looks(context)).await;
}

#[test]
fn who_only_looks_is_told_and_takes_nothing_from_who_gets() {
    check(2, || {
        let queue = Queue::bounded(2);
        let (one, two) = (queue.clone(), queue.clone());
        let looks = thread::spawn(move || block_on(look(&one)));
        let gets = thread::spawn(move || two.get().unwrap());
        // One for who gets, and one for who looks, whichever of them comes first.
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        let got = gets.join().unwrap();
        looks.join().unwrap();
        assert_eq!(queue.try_get().unwrap() + got, 3);
    });
}

#[test]
fn an_item_goes_past_one_who_looks_and_never_asks_again() {
    check(3, || {
        let queue = Queue::bounded(1);
        let (looks, gets) = (queue.clone(), queue.clone());
        let looks = thread::spawn(move || {
            let mut look = looks.look();
            let _ = look(&mut std::task::Context::from_waker(std::task::Waker::noop()));
            // In line still, for ever.
            std::mem::forget(look);
        });
        let gets = thread::spawn(move || gets.get().unwrap());
        queue.put(1).unwrap();
        looks.join().unwrap();
        assert_eq!(gets.join().unwrap(), 1);
    });
}

#[test]
fn shutting_down_is_told_to_who_looks() {
    for unbounded in [false, true] {
        check(3, move || {
            let queue = if unbounded { Queue::new() } else { Queue::bounded(1) };
            let same = queue.clone();
            let looks = thread::spawn(move || block_on(look(&same)));
            queue.shut_down(false);
            looks.join().unwrap();
        });
    }
}

#[test]
fn who_looks_for_room_is_told_of_it() {
    check(3, || {
        let (sender, receiver) = crate::sync::pipe_with_room(1);
        sender.send(1).unwrap();
        let other = thread::spawn(move || {
            assert_eq!(receiver.recv(), Ok(1));
            receiver
        });
        let mut looks = sender.look();
        block_on(std::future::poll_fn(|context| looks(context)));
        assert_eq!(sender.try_send(2), Ok(()));
        drop(other.join().unwrap());
    });
}
