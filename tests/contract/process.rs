//! The suite at the process scale.

use fourfold::process as scale;

/// Whether a task sees the globals of who submitted it.
const SHARES_MEMORY: bool = false;

#[path = "suite/mod.rs"]
mod suite;

#[path = "process/nested.rs"]
mod nested;
#[path = "process/payloads.rs"]
mod payloads;
#[path = "process/stress.rs"]
mod stress;
