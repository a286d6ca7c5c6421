//! How the caller waits for a thing that wakers can be left with.

use std::panic::Location;
use std::task::{Poll, Waker};
use std::time::Instant;

use crate::error::Error;
use crate::sync::park::{Parker, Wait};
use crate::wait::Watch;

/// A thing that comes to pass once, and wakes whom it was told of.
pub(crate) trait Pending {
    /// Whether it has come to pass. Once true, it stays true.
    fn is_done(&self) -> bool;

    /// Leaves a waker, which is woken when it comes to pass: at once, if it has.
    fn register(&self, waker: &Waker);

    /// Takes a waker back, whose owner waits no longer.
    fn forget(&self, waker: &Waker);

    /// A task that must finish before it comes to pass, where there is one: a hint as to what to run first.
    fn task(&self) -> Option<u64> {
        None
    }

    /// Whether it comes to pass with this task, and with no other.
    fn is_of(&self, _task: u64) -> bool {
        false
    }
}

/// What stands behind a handle: the executor, or whatever else runs its task.
pub(crate) trait Backend: Send + Sync {
    /// Ends the task without a value: if it waits, and `even_running` if it runs. Whether it will be so.
    fn cancel(&self, task: u64, even_running: bool) -> bool;

    /// Whether a worker has taken the task up, and has not finished it.
    fn is_running(&self, task: u64) -> bool;

    /// Why none of its tasks will ever have an outcome in this process, which is a fork of theirs. `None` if that is not so.
    fn lost(&self) -> Option<Error> {
        None
    }

    /// Runs the callbacks of a finished task where this backend runs callbacks.
    fn call(&self, callbacks: Box<dyn FnOnce() + Send>) {
        callbacks();
    }

    /// Blocks the caller, thread or coroutine, until `pending` has come to pass or the deadline has.
    fn wait(&self, pending: &dyn Pending, wait: &Wait, deadline: Option<Instant>) {
        park(pending, wait, deadline);
    }
}

/// The wait for a task that the caller makes. Told at once by each method that the program calls to wait: behind a `dyn`, nobody knows the
/// caller any more.
#[track_caller]
pub(crate) fn for_a_task() -> Wait {
    Wait { what: "a task", place: Location::caller() }
}

/// Lets the caller wait, thread or coroutine, until `pending` has come to pass or the deadline has.
pub(crate) fn park(pending: &dyn Pending, wait: &Wait, deadline: Option<Instant>) {
    if pending.is_done() {
        return;
    }
    let parker = Parker::current();
    // Also where the coroutine that waits is cancelled.
    let left = Left { pending, waker: parker.waker() };
    pending.register(parker.waker());
    while !pending.is_done() {
        if !parker.park(wait, deadline) {
            return;
        }
        // A waker is woken once, and what was done may be taken back for a moment, by a callback that comes late. Not if it is done:
        // that would wake us at our next wait.
        if !pending.is_done() {
            pending.register(parker.waker());
        }
    }
    std::mem::forget(left);
}

/// Watches it, in a wait for several things.
pub(crate) fn watch(pending: &(impl Pending + Sync)) -> Watch<'_> {
    let mut left: Option<Registered<'_>> = None;
    Watch::poll_fn(move |context| {
        let waker = context.waker();
        if !left.as_ref().is_some_and(|left| left.waker.will_wake(waker)) {
            left = Some(Registered { pending, waker: waker.clone() });
        }
        // Each time: as in `park`.
        if !pending.is_done() {
            pending.register(waker);
        }
        if pending.is_done() { Poll::Ready(()) } else { Poll::Pending }
    })
}

/// As [`Left`], with a waker of its own.
struct Registered<'a> {
    pending: &'a (dyn Pending + Sync),
    waker: Waker,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.pending.forget(&self.waker);
    }
}

/// A waker that was left, and is taken back.
struct Left<'a> {
    pending: &'a dyn Pending,
    waker: &'a Waker,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.pending.forget(self.waker);
    }
}
