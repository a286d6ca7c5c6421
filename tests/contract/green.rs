//! The suite at the scale of coroutines.

use fourfold::green as scale;

/// Whether a task sees the globals of who submitted it.
const SHARES_MEMORY: bool = true;

/// How many coroutines an executor runs at a time that is not told.
fn usual_workers() -> usize {
    1000
}

#[path = "suite/mod.rs"]
mod suite;

#[path = "suite/nested.rs"]
mod waiting;

#[path = "suite/words.rs"]
mod words;

#[path = "green/captures.rs"]
mod captures;
#[path = "green/identity.rs"]
mod identity;
#[path = "green/nested.rs"]
mod nested;
