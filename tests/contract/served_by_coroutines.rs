//! The words that are served between processes, used by coroutines: the suites of their words.

use std::time::Duration;

use crate::support::{LIMIT, within};

/// The served words, and units of work that use them.
mod scale {
    pub(super) use crate::served::*;
    pub(super) use fourfold::green::spawn;
}

#[path = "suite/barrier.rs"]
mod barrier;
#[path = "suite/condition.rs"]
mod condition;
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
