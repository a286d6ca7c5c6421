//! A queue between processes that gives the smallest item first.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::channel::{Channel, Marked, QueueBuilder};
use super::handle::{Handle, limit};
use super::queue_methods::{put_methods, queue_methods};
use super::rank::Rank;
use super::wire::{AT_ONCE, FOR_EVER};
use crate::error::Result;
use crate::process::queue_error::{GetError, OnDeath, PutError};
use crate::sync::Itself;
use crate::sync::park::Wait;
use crate::task::Payload;
use crate::words::Order;

/// A queue between processes that gives the smallest item first: by the order of the whole item with
/// [`put`](PriorityQueue::put), or by a priority of its own with [`put_at`](PriorityQueue::put_at). Of equal ones, the first
/// comes first.
///
/// What it is ordered by is a [`Rank`]: numbers, texts, tuples, sequences and what is made of them are. What a consumer had taken
/// is gone when its process dies, and counts as done, unless the queue is [made](PriorityQueue::builder) otherwise; what is
/// handed back has its old place among its equals. A clone is the same queue.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | anything that has an order is a priority |
/// | `process` | a priority is a `Rank`; each call can fail |
/// | `cluster` | on a server: each call can fail |
///
/// # Examples
///
/// ```
/// use fourfold::process::PriorityQueue;
///
/// let queue = PriorityQueue::new()?;
/// queue.put_many([(20, "b".to_owned()), (20, "a".to_owned()), (-1, "c".to_owned())])?;
/// assert_eq!([queue.get()?.1, queue.get()?.1, queue.get()?.1], ["c", "a", "b"]);
///
/// // Floating-point numbers have no order.
/// let queue = PriorityQueue::new()?;
/// queue.put_at(2, 0.5)?;
/// queue.put_at(1, 0.7)?;
/// assert_eq!(queue.get()?, 0.7);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct PriorityQueue<T, P = Itself> {
    channel: Items<T, P>,
}

/// The queue, and what its items are ordered by.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
struct Items<T, P> {
    channel: Channel<T>,
    #[serde(skip)]
    priority: PhantomData<fn(P)>,
}

impl<T, P> Clone for Items<T, P> {
    fn clone(&self) -> Self {
        Items { channel: self.channel.clone(), priority: PhantomData }
    }
}

impl<T, P> std::ops::Deref for Items<T, P> {
    type Target = Channel<T>;

    fn deref(&self) -> &Channel<T> {
        &self.channel
    }
}

impl<T, P> PriorityQueue<T, P> {
    fn around(handle: Handle, capacity: Option<usize>) -> Self {
        let channel = Channel::new(handle, capacity);
        PriorityQueue { channel: Items { channel, priority: PhantomData } }
    }
}

impl<T: Payload + Rank> PriorityQueue<T> {
    put_methods!("PriorityQueue");

    fn key(item: &T) -> Vec<u8> {
        key(item)
    }
}

impl<T: Payload, P: Rank> PriorityQueue<T, P> {
    /// Puts an item by a priority of its own, and waits for room.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`], or [`PutError::Failed`] if the item cannot be serialised or the root is gone: with the item.
    #[track_caller]
    pub fn put_at(&self, priority: P, item: T) -> Result<(), PutError<T>> {
        let wait = Wait { what: "PriorityQueue::put_at", place: Location::caller() };
        self.channel.put(item, key(&priority), FOR_EVER, &wait)
    }

    /// Puts an item by a priority of its own if there is room.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`], with the item, or as [`put_at`](PriorityQueue::put_at).
    #[track_caller]
    pub fn try_put_at(&self, priority: P, item: T) -> Result<(), PutError<T>> {
        let wait = Wait { what: "PriorityQueue::try_put_at", place: Location::caller() };
        self.channel.put(item, key(&priority), AT_ONCE, &wait)
    }

    /// Puts an item by a priority of its own, for a future. Dropped while it waits for room, it has not put the item.
    ///
    /// # Errors
    ///
    /// As [`put_at`](PriorityQueue::put_at).
    pub async fn put_at_async(&self, priority: P, item: T) -> Result<(), PutError<T>> {
        self.channel.put_async(item, key(&priority)).await
    }
}

queue_methods!(PriorityQueue<T, P>, "PriorityQueue", Order::Priority, OnDeath::Drop);

fn key<P: Rank>(priority: &P) -> Vec<u8> {
    let mut key = Vec::new();
    priority.rank(&mut key);
    key
}
