//! The suite at the thread scale, and what only this scale can do.

use fourfold::thread as scale;

/// Whether a task sees the globals of who submitted it.
const SHARES_MEMORY: bool = true;

/// How many workers an executor has that is not told: one for each core.
fn usual_workers() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

#[path = "suite/mod.rs"]
mod suite;

#[path = "suite/nested.rs"]
mod waiting;

#[path = "suite/words.rs"]
mod words;

#[path = "thread/captures.rs"]
mod captures;
#[path = "thread/chance.rs"]
mod chance;
#[path = "thread/identity.rs"]
mod identity;
#[path = "thread/nested.rs"]
mod nested;
#[path = "thread/scope.rs"]
mod scope;
#[path = "thread/stress.rs"]
mod stress;
#[path = "thread/workers.rs"]
mod workers;
