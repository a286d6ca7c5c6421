//! The words in memory that processes share, used by coroutines: the suites of their words.

use std::time::Duration;

use crate::support::{LIMIT, within};

/// The words in shared memory, and units of work that use them.
mod scale {
    pub(super) use crate::shared::*;
    pub(super) use fourfold::green::spawn;
}

#[path = "suite/event.rs"]
mod event;
#[path = "suite/lock.rs"]
mod lock;
#[path = "suite/queue.rs"]
mod queue;
#[path = "suite/semaphore.rs"]
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
