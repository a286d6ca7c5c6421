//! Items of served queues that cannot be read back: they are told of, and cost none of their neighbours.

use std::cell::Cell;
use std::time::Duration;

use fourfold::ErrorKind;
use fourfold::process::{
    self, GetError, JoinableQueue, LifoQueue, OnDeath, PriorityQueue, RLock, UnboundedQueue,
};
use serde::{Deserialize, Deserializer, Serialize};

use crate::support::{LIMIT, eventually, within};

thread_local! {
    /// The number that this thread cannot read, and what it does instead.
    static BAD: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
}

/// An item with a word in it, which some threads cannot read.
#[derive(Debug, Serialize)]
struct Picky(u32, RLock);

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Picky, D::Error> {
        let (number, lock) = <(u32, RLock)>::deserialize(deserializer)?;
        match BAD.get() {
            Some((bad, panics)) if bad == number => {
                assert!(!panics, "one that panics");
                Err(serde::de::Error::custom("one that cannot be read"))
            }
            _ => Ok(Picky(number, lock)),
        }
    }
}

fn picky(number: u32) -> Picky {
    Picky(number, RLock::new().unwrap())
}

/// The numbers, each of whose locks is there.
fn numbers(items: Vec<Picky>) -> Vec<u32> {
    let number = |Picky(number, lock): Picky| {
        assert!(lock.lock().is_ok());
        number
    };
    items.into_iter().map(number).collect()
}

fn is_unread<T>(got: Result<T, GetError>) -> bool {
    matches!(got, Err(GetError::Failed(error)) if error.kind() == ErrorKind::NotSerializable)
}

#[test]
fn one_that_cannot_be_read_costs_no_other() {
    within(LIMIT, || {
        BAD.set(Some((3, false)));
        let fifo = UnboundedQueue::new().unwrap();
        fifo.put_many((1..=5).map(picky)).unwrap();
        assert_eq!(numbers(fifo.get_many(9).unwrap()), [1, 2]);
        // In its place, and alone.
        assert_eq!(fifo.len().unwrap(), 3);
        assert!(is_unread(fifo.get_many(9)));
        assert_eq!(numbers(fifo.try_get_many(9).unwrap()), [4, 5]);

        let lifo = LifoQueue::new().unwrap();
        lifo.put_many((1..=5).map(picky)).unwrap();
        assert_eq!(numbers(lifo.get_many(4).unwrap()), [5, 4]);
        assert!(is_unread(lifo.try_get_many(4)));
        assert_eq!(numbers(lifo.get_many(4).unwrap()), [2, 1]);

        let first = PriorityQueue::<Picky, u32>::new().unwrap();
        for number in [4, 3, 5, 1] {
            first.put_at(number, picky(number)).unwrap();
        }
        assert_eq!(numbers(first.get_many(9).unwrap()), [1]);
        assert!(is_unread(first.get()));
        assert_eq!(numbers(first.get_many(9).unwrap()), [4, 5]);
    });
}

#[test]
fn what_is_read_and_what_is_not_are_each_done_once() {
    within(LIMIT, || {
        BAD.set(Some((2, false)));
        let queue = JoinableQueue::new().unwrap();
        queue.put_many((1..=4).map(picky)).unwrap();
        assert_eq!(numbers(queue.get_many(9).unwrap()), [1]);
        assert!(is_unread(queue.get_many(9)));
        assert_eq!(numbers(queue.get_many(9).unwrap()), [3, 4]);
        for _ in 0..4 {
            assert!(!queue.join_timeout(Duration::from_millis(1)).unwrap());
            queue.task_done().unwrap();
        }
        assert!(queue.join_timeout(LIMIT).unwrap() && queue.task_done().is_err());
    });
}

#[test]
fn a_read_that_panics_costs_no_other() {
    within(LIMIT, || {
        let queue = UnboundedQueue::new().unwrap();
        queue.put_many((1..=4).map(picky)).unwrap();
        let same = queue.clone();
        let panics = std::thread::spawn(move || {
            BAD.set(Some((1, true)));
            same.get_many(9).map(numbers)
        });
        assert!(panics.join().is_err());
        assert_eq!(numbers(queue.get_many(9).unwrap()), [2, 3, 4]);
    });
}

#[test]
fn what_was_lost_is_told_but_for_what_cannot_be_read() {
    within(LIMIT, || {
        let queue = UnboundedQueue::builder().on_death(OnDeath::Report).build().unwrap();
        queue.put_many((1..=5).map(picky)).unwrap();
        let dies = |queue: UnboundedQueue<Picky>| -> () {
            assert_eq!(queue.get_many(9).unwrap().len(), 5);
            std::process::abort()
        };
        assert!(process::spawn(dies, queue.clone()).unwrap().join().is_err());
        BAD.set(Some((3, false)));
        let mut lost = Vec::new();
        eventually("the death is known", || {
            lost = queue.lost().unwrap();
            !lost.is_empty()
        });
        assert_eq!(numbers(lost), [1, 2]);
        assert!(queue.lost().is_err_and(|error| error.kind() == ErrorKind::NotSerializable));
        assert_eq!(numbers(queue.lost().unwrap()), [4, 5]);
        assert!(queue.lost().unwrap().is_empty());
    });
}
