//! How a thread waits: for a thing that wakers can be left with, parked or lending itself to an executor.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

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

    /// Runs the callbacks of a finished task where this backend runs callbacks.
    fn call(&self, callbacks: Box<dyn FnOnce() + Send>) {
        callbacks();
    }

    /// Blocks the calling thread until `pending` has come to pass or the deadline has.
    fn wait(&self, pending: &dyn Pending, deadline: Option<Instant>) {
        park(pending, deadline);
    }
}

/// Parks the calling thread until `pending` has come to pass or the deadline has.
pub(crate) fn park(pending: &dyn Pending, deadline: Option<Instant>) {
    if pending.is_done() {
        return;
    }
    let parker = Parker::current();
    pending.register(&parker.waker);
    while !pending.is_done() {
        if !parker.park(deadline) {
            return pending.forget(&parker.waker);
        }
    }
}

/// The calling thread as something that can be woken.
///
/// `thread::park` may be ended by an unrelated `unpark`, and an `unpark` of ours may end an unrelated `park`: both
/// are allowed by its contract, so `notified` is what counts, and the token is only what ends the sleep.
struct Parker {
    inner: Arc<Notify>,
    waker: Waker,
}

struct Notify {
    thread: Thread,
    notified: AtomicBool,
}

impl Wake for Notify {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: what was done before the wake is seen by the thread that takes the notification.
        if !self.notified.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}

thread_local! {
    /// A parker that is not in use: a nested wait, from within a callback, makes one of its own.
    static SPARE: Cell<Option<Arc<Notify>>> = const { Cell::new(None) };
}

impl Parker {
    fn current() -> Parker {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        let inner = spare.unwrap_or_else(|| {
            Arc::new(Notify { thread: thread::current(), notified: AtomicBool::new(false) })
        });
        Parker { waker: Waker::from(inner.clone()), inner }
    }

    /// Sleeps until woken. False when the deadline has passed without it.
    fn park(&self, deadline: Option<Instant>) -> bool {
        // Acquire pairs with the Release of the waker.
        while !self.inner.notified.swap(false, Ordering::Acquire) {
            match deadline {
                None => thread::park(),
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => thread::park_timeout(left),
                    _ => return false,
                },
            }
        }
        true
    }
}

impl Drop for Parker {
    fn drop(&mut self) {
        // A late wake on a reused parker is only a spurious one, and every wait looks again.
        let _ = SPARE.try_with(|spare| spare.set(Some(self.inner.clone())));
    }
}
