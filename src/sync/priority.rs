//! A queue that gives the smallest item first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::channel::Channel;
use super::error::{GetError, PutError};
use super::park::{Wait, after};
use super::queue_methods::{put_methods, queue_methods};
use super::store::{Guarded, Pile, Store};
use crate::error::Error;

/// A queue that gives the smallest item first: by the order of the whole item with [`put`](PriorityQueue::put), or by a
/// priority of its own with [`put_at`](PriorityQueue::put_at). Of equal ones, the first comes first. A clone is the same queue.
///
/// Its other methods are those of [`Queue`](super::Queue). Items are compared under the queue's lock: an order that calls the
/// same queue waits for ever. An order that panics can cost the item that was to be got, and leaves the one that was put.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; all items of a queue are put in the same way, and `P` says in which |
/// | `cluster` | on a server: each call can fail |
///
/// # Examples
///
/// ```
/// use fourfold::thread::PriorityQueue;
///
/// let queue = PriorityQueue::new();
/// queue.put((20, "b"))?;
/// queue.put((20, "a"))?;
/// queue.put((-1, "c"))?;
/// assert_eq!([queue.get()?.1, queue.get()?.1, queue.get()?.1], ["c", "a", "b"]);
///
/// // Floating-point numbers have no order.
/// let queue = PriorityQueue::new();
/// queue.put_at(2, 0.5)?;
/// queue.put_at(1, 0.7)?;
/// assert_eq!(queue.get()?, 0.7);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct PriorityQueue<T, P: Priority<T> = Itself> {
    channel: Arc<Channel<Guarded<Heap<T, P>>>>,
}

/// In place of a priority: the item itself is what it is ordered by.
#[derive(Clone, Copy, Debug)]
pub struct Itself;

/// What items of a priority queue may be ordered by: anything that has an order, or [`Itself`].
pub trait Priority<T>: Sized + private::Sealed<T> {}

mod private {
    use std::cmp::Ordering;

    pub trait Sealed<T> {
        fn compare(left: (&Self, &T), right: (&Self, &T)) -> Ordering;
    }
}

impl<T: Ord> Priority<T> for Itself {}

impl<T, P: Ord> Priority<T> for P {}

impl<T: Ord> private::Sealed<T> for Itself {
    fn compare(left: (&Itself, &T), right: (&Itself, &T)) -> Ordering {
        left.1.cmp(right.1)
    }
}

impl<T, P: Ord> private::Sealed<T> for P {
    fn compare(left: (&P, &T), right: (&P, &T)) -> Ordering {
        left.0.cmp(right.0)
    }
}

impl<T: Ord> PriorityQueue<T> {
    put_methods!("PriorityQueue");

    fn wrap(item: T) -> (Itself, T) {
        (Itself, item)
    }
}

impl<T, P: Priority<T>> PriorityQueue<T, P> {
    /// An empty queue with room for any number of items.
    pub fn new() -> PriorityQueue<T, P> {
        PriorityQueue { channel: Arc::new(Channel::new(Guarded::new(None))) }
    }

    /// An empty queue with room for so many items.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> PriorityQueue<T, P> {
        PriorityQueue { channel: Arc::new(Channel::new(Guarded::new(Some(capacity)))) }
    }
}

impl<T, P: Ord> PriorityQueue<T, P> {
    /// Puts an item by a priority of its own, and waits for room.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`], with the item.
    #[track_caller]
    pub fn put_at(&self, priority: P, item: T) -> Result<(), PutError<T>> {
        let wait = Wait { what: "PriorityQueue::put_at", place: Location::caller() };
        self.channel.put((priority, item), &wait, || None)
    }

    /// Puts an item by a priority of its own if there is room, also before those who wait for it.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`], with the item, or as [`put_at`](PriorityQueue::put_at).
    pub fn try_put_at(&self, priority: P, item: T) -> Result<(), PutError<T>> {
        self.channel.try_put((priority, item))
    }

    /// Puts an item by a priority of its own, for a future.
    ///
    /// # Errors
    ///
    /// As [`put_at`](PriorityQueue::put_at).
    pub async fn put_at_async(&self, priority: P, item: T) -> Result<(), PutError<T>> {
        self.channel.put_async((priority, item)).await
    }
}

queue_methods!(PriorityQueue<T, P: Priority<T>>, "PriorityQueue");

struct Heap<T, P: Priority<T>>(BinaryHeap<Entry<T, P>>);

struct Entry<T, P> {
    priority: P,
    item: T,
    number: usize,
}

impl<T, P: Priority<T>> Default for Heap<T, P> {
    fn default() -> Self {
        Heap(BinaryHeap::new())
    }
}

impl<T, P: Priority<T>> Pile for Heap<T, P> {
    type Put = (P, T);
    type Item = T;
    type Entry = Entry<T, P>;

    fn back((_, item): (P, T)) -> T {
        item
    }

    fn push(&mut self, (priority, item): (P, T), number: usize) {
        self.0.push(Entry { priority, item, number });
    }

    fn pop(&mut self) -> Option<Entry<T, P>> {
        self.0.pop()
    }

    fn item(entry: Entry<T, P>) -> T {
        entry.item
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T, P: Priority<T>> Ord for Entry<T, P> {
    /// The other way round, since the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        P::compare((&other.priority, &other.item), (&self.priority, &self.item))
            .then_with(|| other.number.cmp(&self.number))
    }
}

impl<T, P: Priority<T>> PartialOrd for Entry<T, P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T, P: Priority<T>> PartialEq for Entry<T, P> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T, P: Priority<T>> Eq for Entry<T, P> {}
