//! The replies of words as those of Python.

use fourfold_wire::pickle::Value;
use fourfold_wire::talk::{Exception, Reply};

use super::errors::{no_order, runtime_error, too_large, value_error};
use super::thing::{Due, Out};
use crate::cluster::manager::item::Item;
use crate::words::{
    BarrierReply, ConditionReply, EventReply, LockReply, QueueReply, Replies, SemaphoreReply,
    Unordered,
};

/// Puts replies of a word into those of Python.
pub(super) struct Told<'a> {
    pub(super) due: &'a mut Vec<Due>,
}

impl Told<'_> {
    pub(super) fn all<R>(&mut self, replies: Replies<R>, tell: impl Fn(R) -> Out) {
        self.due.extend(replies.into_iter().map(|(to, reply)| Due { to, what: tell(reply) }));
    }
}

fn done() -> Out {
    Out::Reply(Reply::none())
}

fn value(value: impl Into<Value>) -> Out {
    Out::Reply(Reply::Return(value.into()))
}

fn error(exception: Exception) -> Out {
    Out::Reply(Reply::Error(exception))
}

fn number(number: usize) -> Out {
    value(number as i64)
}

pub(super) fn queue_reply(reply: QueueReply<Item>) -> Out {
    match reply {
        QueueReply::Done => done(),
        QueueReply::Full(_) => error(Exception::new("queue", "Full")),
        QueueReply::NoOrder(_, Unordered::NoOrder) => error(no_order()),
        QueueReply::NoOrder(_, Unordered::TooLarge) => error(too_large()),
        QueueReply::Item { item, at, arrival } => Out::Item { item, at, arrival },
        QueueReply::Empty => error(Exception::new("queue", "Empty")),
        QueueReply::Shut { put } => {
            let before = Exception::new("queue", if put { "Full" } else { "Empty" });
            error(Exception::new("queue", "ShutDown").before_313(before))
        }
        QueueReply::Len(len) => number(len),
        QueueReply::Is(is) => value(is),
        QueueReply::TooManyDone => error(value_error("task_done() called too many times")),
    }
}

pub(super) fn lock_reply(reply: LockReply) -> Out {
    match reply {
        LockReply::Acquired { owner_died } => Out::Lock { taken: true, owner_died },
        LockReply::Busy => Out::Lock { taken: false, owner_died: false },
        LockReply::Released => done(),
        // `RuntimeError` to Python 3.
        LockReply::NotHeld => {
            error(Exception::new("_thread", "error").with("release unlocked lock"))
        }
        LockReply::Is(is) => value(is),
    }
}

pub(super) fn rlock_reply(reply: LockReply) -> Out {
    match reply {
        LockReply::NotHeld => error(runtime_error("cannot release un-acquired lock")),
        other => lock_reply(other),
    }
}

pub(super) fn semaphore_reply(reply: SemaphoreReply) -> Out {
    match reply {
        SemaphoreReply::Acquired => value(true),
        SemaphoreReply::Busy => value(false),
        SemaphoreReply::Released => done(),
        SemaphoreReply::TooMany => error(value_error("Semaphore released too many times")),
        SemaphoreReply::Value(free) => number(free),
    }
}

pub(super) fn event_reply(reply: EventReply) -> Out {
    match reply {
        EventReply::Done => done(),
        EventReply::Is(is) => value(is),
    }
}

pub(super) fn condition_reply(reply: ConditionReply) -> Out {
    match reply {
        ConditionReply::Lock(reply) => rlock_reply(reply),
        ConditionReply::Woken { notified, .. } => value(notified),
        ConditionReply::Notified => done(),
        ConditionReply::NotHeld => {
            error(runtime_error("cannot wait on or notify an un-acquired lock"))
        }
    }
}

pub(super) fn barrier_reply(reply: BarrierReply) -> Out {
    match reply {
        BarrierReply::Passed(place) => number(place),
        BarrierReply::Broken => error(Exception::new("threading", "BrokenBarrierError")),
        BarrierReply::Done => done(),
        BarrierReply::Number(n) => number(n),
        BarrierReply::Is(is) => value(is),
    }
}
