//! The words that work is shared with, against whichever scale includes this: one file for each word.
//!
//! Each test runs inside of a unit of work of the scale, and waits by its words alone, so that at the scale of coroutines
//! everybody can go on.

use std::time::Duration;

use super::scale;
use crate::support::{LIMIT, within};

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

/// For what is not to come.
const SHORT: Duration = Duration::from_millis(5);

/// Runs a test as a unit of work.
fn inside(test: impl FnOnce() + Send + 'static) {
    within(LIMIT, || scale::spawn(test, ()).unwrap().join().unwrap());
}

/// Runs so many at once, each with its number, and gives their values in the order of the numbers.
fn all<R: Send + 'static>(
    count: usize,
    work: impl Fn(usize) -> R + Clone + Send + 'static,
) -> Vec<R> {
    let children: Vec<_> = (0..count)
        .map(|number| {
            let work = work.clone();
            scale::spawn(move || work(number), ()).unwrap()
        })
        .collect();
    children.into_iter().map(|child| child.join().unwrap()).collect()
}
