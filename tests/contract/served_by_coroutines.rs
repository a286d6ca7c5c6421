//! The words that are served between processes, used by coroutines: the suites of their words.

/// The served words, and units of work that use them.
mod scale {
    pub(super) use crate::served::*;
    pub(super) use fourfold::green::{Child, spawn};
}

#[path = "suite/barrier.rs"]
mod barrier;
#[path = "suite/condition.rs"]
mod condition;
#[path = "suite/joinable_queue.rs"]
mod joinable_queue;
#[path = "suite/lifo_queue.rs"]
mod lifo_queue;
#[path = "suite/priority_queue.rs"]
mod priority_queue;
#[path = "suite/queue.rs"]
mod queue;
#[path = "suite/rlock.rs"]
mod rlock;
#[path = "suite/rwlock.rs"]
mod rwlock;
#[path = "suite/units.rs"]
mod units;

use units::{SHORT, all, inside, still_waits};
