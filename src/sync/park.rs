//! How the caller waits: parked, if it is a thread; suspended, if it is a coroutine.
//!
//! A word keeps [`Waker`]s and knows nothing else of who waits. [`block`] makes a blocking call of a wait that can be polled:
//! it leaves the caller's waker, and parks until that is woken. Whether the caller is a coroutine is asked of the one
//! [`Scheduler`] there may be, which the scale of coroutines installs before the first one runs.

use std::cell::Cell;
use std::io;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::primitive::Sleeper;
use super::primitive::atomic::{AtomicBool, Ordering};
use crate::system::ready::{self, Wanted};

/// What a wait is for, as a report of those who wait for ever says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// The call: `Queue::get`.
    pub(crate) what: &'static str,
    /// Where the program made it.
    pub(crate) place: &'static Location<'static>,
}

/// What suspends the coroutine that runs on the calling thread.
pub(crate) trait Scheduler: Sync {
    /// The waker of the coroutine that runs on this thread. `None` if none does, or if it may not be suspended now, as in
    /// a destructor that runs because of a panic: then the thread waits.
    fn current(&self) -> Option<Waker>;

    /// Suspends the running coroutine until it is woken or the deadline has passed; returns false if it was the deadline.
    /// May return early. Unwinds if the coroutine is cancelled: who waits cleans up by destructors.
    fn suspend(&self, wait: &Wait, deadline: Option<Instant>) -> bool;

    /// As `suspend`, until one of the descriptors may be ready, too. Where one is of a kind that cannot be waited for, such as a
    /// file, it returns at once.
    fn suspend_for(
        &self,
        fds: &[Wanted<'_>],
        wait: &Wait,
        deadline: Option<Instant>,
    ) -> io::Result<bool>;

    /// The number of the coroutine that runs on this thread, of which there is never another in this process, also if it may
    /// not be suspended now. `None` if none runs.
    fn id(&self) -> Option<u64>;

    /// The thread is about to wait without a deadline, and maybe with a coroutine running on it that may not be suspended now.
    fn before_block(&self, wait: &Wait);
}

static SCHEDULER: OnceLock<&'static dyn Scheduler> = OnceLock::new();

/// Has coroutines suspended by this from now on. All but the first call do nothing.
pub(crate) fn install(scheduler: &'static dyn Scheduler) {
    let _ = SCHEDULER.set(scheduler);
}

/// Who runs: a thread or a coroutine. No two of this process are ever equal, and none is 0.
pub(crate) fn current_id() -> u64 {
    // std's counter, also under the model checker: it is no part of any protocol.
    use std::sync::atomic::{AtomicU64, Ordering};

    static NEXT: AtomicU64 = AtomicU64::new(1);

    thread_local! {
        static THREAD: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    match running_coroutine() {
        // Odd for coroutines, even for threads.
        Some(id) => id << 1 | 1,
        None => THREAD.with(|id| *id) << 1,
    }
}

fn running_coroutine() -> Option<u64> {
    SCHEDULER.get().and_then(|scheduler| scheduler.id())
}

/// Whether the caller may look again and again for a moment. A coroutine would keep those from running that it waits for.
pub(crate) fn may_spin() -> bool {
    running_coroutine().is_none()
}

/// Whether the caller is a thread that runs no coroutine, and so may block as it likes.
pub(crate) fn is_plain_thread() -> bool {
    running_coroutine().is_none()
}

/// When a wait of this length is over. `None` is never: it would be too far off to be told.
pub(crate) fn after(limit: Duration) -> Option<Instant> {
    Instant::now().checked_add(limit)
}

/// Polls until there is a value, and lets the caller wait in between. `None` if the deadline comes first.
///
/// `poll` is polled once more after the deadline, so a value that is there at that moment is not lost.
pub(crate) fn block<T>(
    wait: &Wait,
    deadline: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let parker = Parker::current();
    let mut context = Context::from_waker(&parker.waker);
    loop {
        if let Poll::Ready(value) = poll(&mut context) {
            return Some(value);
        }
        if !parker.park(wait, deadline) {
            return match poll(&mut context) {
                Poll::Ready(value) => Some(value),
                Poll::Pending => None,
            };
        }
    }
}

/// The caller, a thread or a coroutine, as something that can be woken.
pub(crate) struct Parker {
    waker: Waker,
    /// `None` for a coroutine.
    thread: Option<Arc<Notify>>,
}

/// A thread that waits. `thread::park` may be ended by an unrelated `unpark`, and an `unpark` of ours may end an unrelated
/// `park`: both are allowed by its contract, so `notified` is what counts, and the token is only what ends the sleep.
struct Notify {
    sleeper: Sleeper,
    notified: AtomicBool,
}

impl Wake for Notify {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: what was done before the wake is seen by the thread that takes the notification.
        if !self.notified.swap(true, Ordering::Release) {
            self.sleeper.wake();
        }
    }
}

thread_local! {
    /// A parker that is not in use: a nested wait, from within a callback, makes one of its own.
    static SPARE: Cell<Option<Arc<Notify>>> = const { Cell::new(None) };
}

impl Parker {
    pub(crate) fn current() -> Parker {
        if let Some(waker) = SCHEDULER.get().and_then(|scheduler| scheduler.current()) {
            return Parker { waker, thread: None };
        }
        // The checker's threads have no such thing.
        let spare = match cfg!(all(loom, test)) {
            true => None,
            false => SPARE.try_with(Cell::take).ok().flatten(),
        };
        let inner = spare.unwrap_or_else(|| {
            Arc::new(Notify { sleeper: Sleeper::current(), notified: AtomicBool::new(false) })
        });
        Parker { waker: Waker::from(inner.clone()), thread: Some(inner) }
    }

    /// What wakes it.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Waits until it is woken, or the deadline has passed: then false. A coroutine may return early.
    pub(crate) fn park(&self, wait: &Wait, deadline: Option<Instant>) -> bool {
        let Some(inner) = &self.thread else {
            let scheduler = SCHEDULER.get().expect("the caller was found to be a coroutine");
            return scheduler.suspend(wait, deadline);
        };
        // Acquire pairs with the Release of the waker.
        while !inner.notified.swap(false, Ordering::Acquire) {
            match deadline {
                None => {
                    if let Some(scheduler) = SCHEDULER.get() {
                        scheduler.before_block(wait);
                    }
                    inner.sleeper.sleep(None);
                }
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => inner.sleeper.sleep(Some(left)),
                    _ => return false,
                },
            }
        }
        true
    }

    /// Whether it is a coroutine.
    pub(crate) fn is_coroutine(&self) -> bool {
        self.thread.is_none()
    }
}

/// Waits until one of the descriptors may be ready, or the deadline has passed: then false. A coroutine may return early, also
/// because it was woken.
pub(crate) fn wait_for(
    fds: &[Wanted<'_>],
    wait: &Wait,
    deadline: Option<Instant>,
) -> io::Result<bool> {
    let scheduler = SCHEDULER.get().filter(|scheduler| scheduler.current().is_some());
    match scheduler {
        Some(scheduler) => scheduler.suspend_for(fds, wait, deadline),
        None => ready::poll(fds, deadline).map(|ready| !ready.is_empty()),
    }
}

impl Drop for Parker {
    fn drop(&mut self) {
        // A late wake on a reused parker is only a spurious one, and every wait looks again.
        if let (Some(inner), false) = (self.thread.take(), cfg!(all(loom, test))) {
            let _ = SPARE.try_with(|spare| spare.set(Some(inner)));
        }
    }
}
