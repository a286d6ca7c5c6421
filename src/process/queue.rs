//! The queue between processes.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::queue_error::{GetError, OnDeath, PutError};
use super::shared::Bounded;
use crate::error::Result;
use crate::sync::park::Wait;
use crate::task::Payload;
use crate::wait::{Waitable, Watch};

/// A queue between processes: what is put first comes out first.
///
/// A handle to it is small: it is cloned, passed as an argument, given as a value, and put in other queues. Many may put and get at
/// once. What [`put`](Queue::put) has returned for comes out exactly once, whoever is killed when: a process that dies in the
/// middle of a `put` has put nothing, and what one was taking in the middle of a `get` another gets, or is told of, as was
/// asked for when the queue was made. Nobody waits for the dead for more than a twentieth of a second. A process that is
/// stopped in the middle of a call keeps its place, and may keep others waiting until it goes on.
///
/// Items are any serde type. Those of up to some hundred bytes lie in the queue itself, others in a block of their own of
/// the memory that processes share. An item can have handles in it, to this and to other words, but no descriptors: a
/// [`pipe`](super::pipe()) takes these.
///
/// A struct of one's own with queues of a type that is a parameter needs `'static` of it, to be written and read; its methods that put
/// and get need [`Payload`]:
///
/// ```
/// use fourfold::process::{PutError, Queue};
///
/// #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
/// struct Jobs<T: 'static> {
///     queue: Queue<T>,
/// }
///
/// impl<T: fourfold::task::Payload> Jobs<T> {
///     fn add(&self, job: T) -> Result<(), PutError<T>> {
///         self.queue.put(job)
///     }
/// }
/// # let jobs = Jobs { queue: Queue::bounded(1)? };
/// # let child = fourfold::process::spawn(|jobs: Jobs<u32>| jobs.add(7).unwrap(), jobs.clone())?;
/// # assert_eq!(jobs.queue.get()?, 7);
/// # child.join()?;
/// # Ok::<(), fourfold::Error>(())
/// ```
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | items of any type; each queue can be joined; one may be made without a bound |
/// | `process` | items that serde can write; one that can be joined is a [`JoinableQueue`](super::JoinableQueue), one without a bound an [`UnboundedQueue`](super::UnboundedQueue) |
/// | `cluster` | on a server: each call can fail |
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Queue};
///
/// fn squares(numbers: Queue<u64>, results: Queue<(u64, u64)>) {
///     for number in numbers.iter() {
///         results.put((number, number * number)).unwrap();
///     }
/// }
///
/// let (numbers, results) = (Queue::bounded(8)?, Queue::bounded(8)?);
/// let child = process::spawn(squares, (numbers.clone(), results.clone()))?;
/// for number in 1..=3 {
///     numbers.put(number)?;
/// }
/// numbers.shut_down(false);
/// child.join()?;
/// let all: Vec<_> = results.try_iter().collect();
/// assert_eq!(all, [(1, 1), (2, 4), (3, 9)]);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Queue<T> {
    bounded: Bounded<T>,
}

impl<T: Payload> Queue<T> {
    /// The most items that a bounded queue can have room for.
    pub const MAX_CAPACITY: usize = super::shared::MAX_CAPACITY;

    /// A queue with room for so many items.
    ///
    /// # Errors
    ///
    /// There is no room for it in the memory that processes share: [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory). The
    /// capacity is 0, or more than [`MAX_CAPACITY`](Queue::MAX_CAPACITY): [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput).
    pub fn bounded(capacity: usize) -> Result<Queue<T>> {
        Queue::bounded_with(capacity, OnDeath::default())
    }

    /// As [`bounded`](Queue::bounded), and says what becomes of an item that a process dies taking.
    ///
    /// # Errors
    ///
    /// As [`bounded`](Queue::bounded).
    pub fn bounded_with(capacity: usize, on_death: OnDeath) -> Result<Queue<T>> {
        Ok(Queue { bounded: Bounded::new(capacity, on_death)? })
    }

    /// Puts an item, and waits for room.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`], [`PutError::Failed`], each with the item.
    #[track_caller]
    #[inline]
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        let wait = Wait { what: "Queue::put", place: Location::caller() };
        self.bounded.put(item, &wait, None)
    }

    /// Puts an item if there is room.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`], with the item, or as [`put`](Queue::put).
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.bounded.try_put(item)
    }

    /// Puts an item, and waits for room for so long.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`], with the item, or as [`put`](Queue::put).
    #[track_caller]
    pub fn put_timeout(&self, item: T, limit: Duration) -> Result<(), PutError<T>> {
        let wait = Wait { what: "Queue::put_timeout", place: Location::caller() };
        self.bounded.put(item, &wait, Some(limit))
    }

    /// Puts an item, for a future. Dropped before, it has not put the item, which is dropped with it.
    ///
    /// # Errors
    ///
    /// As [`put`](Queue::put).
    pub async fn put_async(&self, item: T) -> Result<(), PutError<T>> {
        self.bounded.put_async(item).await
    }

    /// Puts items one after the other, and waits for room. Those who wait for items are woken once for many.
    ///
    /// # Errors
    ///
    /// As [`put`](Queue::put), with the first item that was not put; what came before it was, what comes after it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = fourfold::process::Queue::bounded(8)?;
    /// queue.put_many(1..=5)?;
    /// assert_eq!(queue.get_many(8)?, [1, 2, 3, 4, 5]);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    #[track_caller]
    pub fn put_many(&self, items: impl IntoIterator<Item = T>) -> Result<(), PutError<T>> {
        let wait = Wait { what: "Queue::put_many", place: Location::caller() };
        self.bounded.put_many(items, &wait)
    }

    /// Takes an item, and waits for one.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`]: the queue was shut down, nothing is in it, and nobody is in the middle of taking an item, which would come
    /// back if that one died: its end is waited for. [`GetError::TakerDied`], [`GetError::Failed`].
    #[track_caller]
    #[inline]
    pub fn get(&self) -> Result<T, GetError> {
        let wait = Wait { what: "Queue::get", place: Location::caller() };
        self.bounded.get(&wait, None)
    }

    /// Takes an item if there is one.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`], or as [`get`](Queue::get).
    pub fn try_get(&self) -> Result<T, GetError> {
        self.bounded.try_get()
    }

    /// Takes an item, and waits for one for so long.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`], or as [`get`](Queue::get).
    #[track_caller]
    pub fn get_timeout(&self, limit: Duration) -> Result<T, GetError> {
        let wait = Wait { what: "Queue::get_timeout", place: Location::caller() };
        self.bounded.get(&wait, Some(limit))
    }

    /// Takes an item, for a future. Dropped before, it has taken none.
    ///
    /// # Errors
    ///
    /// As [`get`](Queue::get).
    pub async fn get_async(&self) -> Result<T, GetError> {
        self.bounded.get_async().await
    }

    /// Takes what there is, at most so many items, and waits for the first. Who has to wait gives those that follow it some microseconds
    /// to come along.
    ///
    /// # Errors
    ///
    /// As [`get`](Queue::get); not if there is an item before that which it is about.
    #[track_caller]
    pub fn get_many(&self, most: usize) -> Result<Vec<T>, GetError> {
        let wait = Wait { what: "Queue::get_many", place: Location::caller() };
        self.bounded.get_many(most, &wait)
    }

    /// How many items are in it, at this moment.
    pub fn len(&self) -> usize {
        self.bounded.len()
    }

    /// Whether no item is in it, at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room in it, at this moment.
    pub fn is_full(&self) -> bool {
        self.capacity().is_some_and(|capacity| self.len() >= capacity)
    }

    /// How many items it has room for. `None`: for any number.
    pub fn capacity(&self) -> Option<usize> {
        Some(self.bounded.capacity())
    }

    /// Shuts the queue down: nothing more is put, and whoever waits is told. What is in it can still be got, unless
    /// `immediate` drops it.
    pub fn shut_down(&self, immediate: bool) {
        self.bounded.shut_down(immediate);
    }

    /// Takes items, and waits for them, until the queue is shut down and empty, or an item cannot be got.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.get().ok())
    }

    /// Takes what is in it, without waiting.
    pub fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.try_get().ok())
    }
}

impl<T> Clone for Queue<T> {
    /// The same queue.
    fn clone(&self) -> Queue<T> {
        Queue { bounded: self.bounded.clone() }
    }
}

/// Ready when there is an item, or it was shut down.
impl<T: Payload> Waitable for Queue<T> {
    fn watch(&self) -> Watch<'_> {
        Watch::poll_fn(self.bounded.look())
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.bounded.len())
            .field("capacity", &Some(self.bounded.capacity()))
            .finish()
    }
}

impl<T: 'static> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.bounded.serialize(serializer)
    }
}

impl<'de, T: 'static> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Queue<T>, D::Error> {
        Bounded::deserialize(deserializer).map(|bounded| Queue { bounded })
    }
}
