//! What kind of queue is served.

use serde::{Deserialize, Serialize};

use crate::words::Order;

/// What happens to an item when the connection ends that got it from a queue.
///
/// A stock server never gives an item back. The protocol has no word for having received one either: whatever can be
/// known to have been undelivered stays in the queue under all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HandBack {
    /// It is gone with its consumer, as with a stock server.
    #[default]
    Never,
    /// It goes back to where it was in the queue, unless its consumer called `task_done` for it. Take and say so on one
    /// thread: another thread of a Python program is another consumer, and one that holds nothing speaks for the first item
    /// of all that are held.
    UntilDone,
    /// It goes back, unless its consumer called `task_done` or has asked for another one since. For workers that take,
    /// work and take again, and know nothing of `task_done`: the last `get` of such a worker has to come back empty.
    UntilNext,
}

/// What kind of queue is served.
///
/// # Examples
///
/// ```
/// use fourfold::cluster::manager::{HandBack, QueueOptions};
///
/// let tasks = QueueOptions::default().capacity(100).hand_back(HandBack::UntilNext);
/// assert_ne!(tasks, QueueOptions::default().priority());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueOptions {
    pub(super) order: Order,
    pub(super) capacity: usize,
    pub(super) hand_back: HandBack,
}

impl QueueOptions {
    /// Last in, first out.
    #[must_use]
    pub fn lifo(mut self) -> QueueOptions {
        self.order = Order::Lifo;
        self
    }

    /// The smallest item first, as Python compares.
    #[must_use]
    pub fn priority(mut self) -> QueueOptions {
        self.order = Order::Priority;
        self
    }

    /// How many items it holds. Zero: as many as there is memory.
    #[must_use]
    pub fn capacity(mut self, items: usize) -> QueueOptions {
        self.capacity = items;
        self
    }

    /// What happens to an item when its consumer goes away.
    #[must_use]
    pub fn hand_back(mut self, hand_back: HandBack) -> QueueOptions {
        self.hand_back = hand_back;
        self
    }
}
