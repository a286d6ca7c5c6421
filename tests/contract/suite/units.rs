//! How the suites of words run: as units of work of the scale that includes this.

use std::time::Duration;

use super::scale;
use crate::support::{LIMIT, within};

/// For what is not to come.
pub(super) const SHORT: Duration = Duration::from_millis(5);

/// Runs a test as a unit of work.
pub(super) fn inside(test: impl FnOnce() + Send + 'static) {
    within(LIMIT, || scale::spawn(test, ()).unwrap().join().unwrap());
}

/// Lets a child run for a while, in which it does not come to its end: it waits.
pub(super) fn still_waits<T: Send + 'static>(child: &mut scale::Child<T>) {
    assert!(child.join_timeout(4 * SHORT).is_none(), "it has ended, and was to wait");
}

/// Runs so many at once, each with its number, and gives their values in the order of the numbers.
pub(super) fn all<R: Send + 'static>(
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
