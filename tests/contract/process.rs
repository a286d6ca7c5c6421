//! The suite at the process scale, and what only this scale can do.

use std::time::Duration;

use fourfold::process as scale;

use crate::support::{LIMIT, within};

/// Whether a task sees the globals of who submitted it.
const SHARES_MEMORY: bool = false;

/// How many workers an executor has that is not told: one for each core.
fn usual_workers() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

/// For what is not to come.
const SHORT: Duration = Duration::from_millis(5);

/// Runs a test.
fn inside(test: impl FnOnce()) {
    within(LIMIT, test);
}

/// The ends of a pipe.
fn ends<E>(made: fourfold::Result<E>) -> E {
    made.unwrap()
}

#[path = "suite/mod.rs"]
mod suite;

#[path = "suite/pipe.rs"]
mod pipe;

#[path = "process/callbacks.rs"]
mod callbacks;
#[path = "process/carrying.rs"]
mod carrying;
#[path = "process/descriptors.rs"]
mod descriptors;
#[path = "process/ends.rs"]
mod ends;
#[path = "process/hardship.rs"]
mod hardship;
#[path = "process/identity.rs"]
mod identity;
#[path = "process/losses.rs"]
mod losses;
#[path = "process/nested.rs"]
mod nested;
#[path = "process/payloads.rs"]
mod payloads;
#[path = "process/pipes.rs"]
mod pipes;
#[path = "process/served.rs"]
mod served;
#[path = "process/served_crowd.rs"]
mod served_crowd;
#[path = "process/served_deaths.rs"]
mod served_deaths;
#[path = "process/served_unread.rs"]
mod served_unread;
#[path = "process/served_waits.rs"]
mod served_waits;
#[path = "process/shared_lives.rs"]
mod shared_lives;
#[path = "process/shared_many.rs"]
mod shared_many;
#[path = "process/shared_travel.rs"]
mod shared_travel;
#[path = "process/shared_values.rs"]
mod shared_values;
#[path = "process/shared_waits.rs"]
mod shared_waits;
#[path = "process/shared_words.rs"]
mod shared_words;
#[path = "process/stress.rs"]
mod stress;
#[path = "process/transport.rs"]
mod transport;
