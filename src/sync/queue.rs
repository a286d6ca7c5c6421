//! Queues of items: first in, first out; and last in, first out.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::channel::Channel;
use super::error::{GetError, PutError};
use super::growing::Growing;
use super::park::{Wait, after};
use super::queue_methods::{put_methods, queue_methods};
use super::ring::Ring;
use super::store::{Fifo, Guarded, Store};
use crate::error::Error;

/// A queue: first in, first out. A clone is the same queue.
///
/// An unbounded one keeps the memory of its largest backlog until it is dropped.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; items of any type that is `Send`, not copied |
/// | `cluster` | on a server: items are serialised, and each call can fail |
///
/// # Examples
///
/// ```
/// use fourfold::thread::{self, PutError, Queue};
///
/// let jobs = Queue::bounded(3);
/// let same = jobs.clone();
/// let consumer = thread::spawn(move || same.iter().sum::<u32>(), ())?;
/// for n in 0..10 {
///     jobs.put(n)?;
/// }
/// jobs.shut_down(false);
/// assert_eq!(consumer.join()?, 45);
/// assert_eq!(jobs.put(10), Err(PutError::ShutDown(10)));
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Queue<T> {
    channel: Arc<Channel<Fifo<T>>>,
}

impl<T> Queue<T> {
    /// An empty queue with room for any number of items.
    pub fn new() -> Queue<T> {
        Queue::of(Fifo::Unbounded(Box::new(Growing::new())))
    }

    /// An empty queue with room for so many items, which is allocated at once.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0, or more than memory could hold.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = fourfold::thread::Queue::bounded(3);
    /// for n in 0..3 {
    ///     queue.try_put(n)?;
    /// }
    /// assert!(queue.is_full());
    /// assert!(queue.try_put(3).is_err());
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn bounded(capacity: usize) -> Queue<T> {
        Queue::of(Fifo::Bounded(Ring::new(capacity)))
    }

    fn of(store: Fifo<T>) -> Queue<T> {
        Queue { channel: Arc::new(Channel::new(store)) }
    }

    put_methods!("Queue");

    #[inline]
    fn wrap(item: T) -> T {
        item
    }
}

queue_methods!(Queue<T>, "Queue");

/// A stack of items: last in, first out. A clone is the same queue.
///
/// Its methods are those of [`Queue`].
///
/// # Examples
///
/// ```
/// let queue = fourfold::thread::LifoQueue::new();
/// queue.put("one")?;
/// queue.put("two")?;
/// assert_eq!(queue.get(), Ok("two"));
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct LifoQueue<T> {
    channel: Arc<Channel<Guarded<Vec<T>>>>,
}

impl<T> LifoQueue<T> {
    /// An empty queue with room for any number of items.
    pub fn new() -> LifoQueue<T> {
        LifoQueue { channel: Arc::new(Channel::new(Guarded::new(None))) }
    }

    /// An empty queue with room for so many items.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> LifoQueue<T> {
        LifoQueue { channel: Arc::new(Channel::new(Guarded::new(Some(capacity)))) }
    }

    put_methods!("LifoQueue");

    fn wrap(item: T) -> T {
        item
    }
}

queue_methods!(LifoQueue<T>, "LifoQueue");
