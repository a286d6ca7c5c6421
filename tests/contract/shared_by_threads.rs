//! The words in memory that processes share, used by threads: the suites of their words.

/// The words in shared memory, and units of work that use them.
mod scale {
    pub(super) use crate::shared::*;
    pub(super) use fourfold::thread::{Child, spawn};
}

#[path = "suite/event.rs"]
mod event;
#[path = "suite/lock.rs"]
mod lock;
#[path = "suite/queue.rs"]
mod queue;
#[path = "suite/semaphore.rs"]
mod semaphore;
#[path = "suite/units.rs"]
mod units;

use units::{SHORT, all, inside, still_waits};
