//! Queues that are served: last in first out, joinable, and without a bound.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::channel::{Channel, Marked, QueueBuilder};
use super::handle::{Handle, limit};
use super::queue_methods::{put_methods, queue_methods};
use super::wire::{AT_ONCE, FOR_EVER};
use crate::error::Result;
use crate::process::queue_error::{GetError, OnDeath, PutError};
use crate::sync::park::Wait;
use crate::task::Payload;
use crate::words::Order;

macro_rules! queue {
    ($(#[$meta:meta])* $vis:vis $name:ident, $shown:literal, $order:expr, $on_death:expr) => {
        $(#[$meta])*
        #[derive(Serialize, Deserialize)]
        #[serde(transparent, bound = "")]
        $vis struct $name<T> {
            channel: Channel<T>,
        }

        impl<T> $name<T> {
            fn around(handle: Handle, capacity: Option<usize>) -> Self {
                $name { channel: Channel::new(handle, capacity) }
            }
        }

        impl<T: Payload> $name<T> {
            put_methods!($shown);

            fn key(_: &T) -> Vec<u8> {
                Vec::new()
            }
        }

        queue_methods!($name<T>, $shown, $order, $on_death);
    };
}

queue! {
    /// A queue between processes that gives the newest item first.
    ///
    /// What a consumer had taken is gone when its process dies, and counts as done, unless the queue is
    /// [made](LifoQueue::builder) otherwise. A clone is the same queue, and a small value that can be an argument or a value of a
    /// task, or an item of another word.
    ///
    /// # Scales
    ///
    /// | scale | what differs |
    /// | --- | --- |
    /// | `green`, `thread` | one type; only a full, an empty or a closed queue fails a call |
    /// | `process` | served by the root: each call can fail |
    /// | `cluster` | on a server: each call can fail |
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::process::{self, LifoQueue};
    ///
    /// let queue = LifoQueue::new()?;
    /// queue.put_many([1, 2, 3])?;
    /// let child = process::spawn(|queue: LifoQueue<i32>| queue.get_many(2).unwrap(), queue.clone())?;
    /// assert_eq!(child.join()?, [3, 2]);
    /// assert_eq!(queue.get()?, 1);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub LifoQueue, "LifoQueue", Order::Lifo, OnDeath::Drop
}

queue! {
    /// A queue between processes whose items are waited for until they are done: first in, first out.
    ///
    /// Each consumer says [`task_done`](JoinableQueue::task_done) for what it has got. What a consumer had taken and not said to be
    /// done goes back into the queue when its process dies, and is marked, unless the queue is
    /// [made](JoinableQueue::builder) otherwise: so [`join`](JoinableQueue::join) waits for it, and not for ever.
    ///
    /// # Scales
    ///
    /// | scale | what differs |
    /// | --- | --- |
    /// | `green`, `thread` | any queue is one |
    /// | `process` | served by the root: each call can fail |
    /// | `cluster` | any queue is one |
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::process::{self, JoinableQueue};
    ///
    /// fn work(queue: JoinableQueue<u32>) -> u32 {
    ///     queue.iter().inspect(|_| queue.task_done().unwrap()).sum()
    /// }
    ///
    /// let queue = JoinableQueue::new()?;
    /// let worker = process::spawn(work, queue.clone())?;
    /// queue.put_many(1..=10)?;
    /// queue.join()?;
    /// queue.shut_down(false)?;
    /// assert_eq!(worker.join()?, 55);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub JoinableQueue, "JoinableQueue", Order::Fifo, OnDeath::HandBack
}

queue! {
    /// A queue between processes with room for any number of items: first in, first out.
    ///
    /// A bounded one lies in memory that processes share, and is some hundred times as fast: [`Queue`](crate::process::Queue).
    /// What a consumer had taken is gone when its process dies, unless the queue is [made](UnboundedQueue::builder) otherwise.
    ///
    /// # Scales
    ///
    /// | scale | what differs |
    /// | --- | --- |
    /// | `green`, `thread` | a `Queue` that is made without a bound |
    /// | `process` | served by the root: each call can fail |
    /// | `cluster` | a queue that is made without a bound |
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::process::{self, UnboundedQueue};
    ///
    /// let queue = UnboundedQueue::new()?;
    /// let child = process::spawn(|queue: UnboundedQueue<u32>| queue.put_many(0..1_000).unwrap(), queue.clone())?;
    /// child.join()?;
    /// assert_eq!(queue.len()?, 1_000);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub UnboundedQueue, "UnboundedQueue", Order::Fifo, OnDeath::Drop
}
