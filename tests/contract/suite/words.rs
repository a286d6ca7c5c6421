//! The words that work is shared with, against whichever scale includes this: one file for each word.
//!
//! Each test runs inside of a unit of work of the scale, and waits by its words alone, so that at the scale of coroutines
//! everybody can go on.

use super::scale;
use units::{SHORT, all, inside, still_waits};

mod barrier;
mod condition;
mod event;
mod joinable_queue;
mod lifo_queue;
mod lock;
mod pipe;
mod priority_queue;
mod queue;
mod rlock;
mod rwlock;
mod semaphore;
mod units;

/// The ends of a pipe, which cannot fail to be made.
fn ends<E>(made: E) -> E {
    made
}
