//! Each word of the vocabulary as a state machine without I/O, for whoever serves it to several participants.
//!
//! A word takes the requests of [`Participant`]s and says what replies are due, to the one who asked or to others
//! who have waited. It knows no clock: who serves it keeps the deadlines, and tells a word with
//! [`Word::time_out`] that a participant has waited long enough. A participant that is gone, by its own will or by
//! its death, is an event as well: it frees what the participant held.
//!
//! What never waits (lists, dicts, values, arrays, iterators) has plain methods.

mod array;
mod barrier;
mod condition;
mod dict;
mod effort;
mod event;
mod line;
mod list;
mod lock;
mod queue;
mod reentrant;
mod rwlock;
mod semaphore;
mod store;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

pub(crate) use self::array::{Array, ArrayError, Number, is_of_chars};
pub(crate) use self::barrier::{Barrier, BarrierReply, BarrierRequest};
pub(crate) use self::condition::{Condition, ConditionReply, ConditionRequest};
pub(crate) use self::dict::Dict;
pub(crate) use self::effort::{Effort, Unordered};
pub(crate) use self::event::{Event, EventReply, EventRequest};
pub(crate) use self::list::{List, ListError, Slice};
pub(crate) use self::lock::{Lock, LockReply, LockRequest};
pub(crate) use self::queue::{HandBack, Queue, QueueReply, QueueRequest};
pub(crate) use self::reentrant::RLock;
pub(crate) use self::rwlock::{RwLock, RwLockReply, RwLockRequest};
pub(crate) use self::semaphore::{Semaphore, SemaphoreReply, SemaphoreRequest};
pub(crate) use self::store::Order;

/// Who asks. It asks for one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Participant {
    /// The connection that it asks over: those of one connection are gone together.
    pub(crate) link: u64,
    /// Which of those it is, where there are several.
    pub(crate) who: u64,
}

impl Participant {
    /// The only one of a connection.
    pub(crate) fn alone(link: u64) -> Participant {
        Participant { link, who: 0 }
    }
}

/// Replies that are due, in order.
pub(crate) type Replies<R> = Vec<(Participant, R)>;

/// A word that participants may have to wait for.
pub(crate) trait Word {
    type Request;
    type Reply;

    /// Takes a request. Its reply is among `replies`, or it waits.
    fn request(
        &mut self,
        who: Participant,
        request: Self::Request,
        replies: &mut Replies<Self::Reply>,
    );

    /// The participant's request has waited long enough. Does nothing if it does not wait.
    fn time_out(&mut self, who: Participant, replies: &mut Replies<Self::Reply>);

    /// The participant is gone: it gets no more replies, and what it held is free.
    fn gone(&mut self, who: Participant, replies: &mut Replies<Self::Reply>);

    /// Who waits or holds something. One may be named twice.
    fn participants(&self) -> Vec<Participant>;
}

/// What a list, a dict or a priority queue holds: values with an order and an equality of their own.
pub(crate) trait Element: Clone {
    /// Whether both are equal to the program that put them there. Nothing: they are too large to tell.
    fn is_equal(&self, other: &Self, effort: &mut Effort) -> Option<bool>;

    /// Called of an item that is handed back since its consumer is gone.
    fn hand_back(&mut self) {}

    /// Which comes first, if there is an order between them. Where neither does, they are equal to whoever sorts.
    fn order(&self, other: &Self, effort: &mut Effort) -> Result<Ordering, Unordered>;
}
