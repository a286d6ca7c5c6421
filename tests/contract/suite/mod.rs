//! The suite, against whichever scale includes it.

use super::{SHARES_MEMORY, scale, usual_workers};

mod as_completed;
mod executor;
mod handle;
mod map;
mod spawn;
mod styles;
