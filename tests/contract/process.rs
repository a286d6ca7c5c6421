//! The suite at the process scale, and what only this scale can do.

use fourfold::process as scale;

/// Whether a task sees the globals of who submitted it.
const SHARES_MEMORY: bool = false;

/// How many workers an executor has that is not told: one for each core.
fn usual_workers() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

#[path = "suite/mod.rs"]
mod suite;

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
