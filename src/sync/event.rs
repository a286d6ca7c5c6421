//! A flag that can be waited for.

use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::Duration;

use super::list::{Kind, UNIT, WAITED, WaitList, Waiter};
use super::park::{self, Wait, after};
use super::primitive::atomic::Ordering;
use super::primitive::const_fn;

/// The flag is set.
const SET: usize = UNIT;

/// A flag that can be waited for.
///
/// All who wait when it is set go on, also if it is cleared right after.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; no call can fail |
/// | `cluster` | on a server: each call can fail |
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use fourfold::thread::{self, Event};
///
/// let ready = Arc::new(Event::new());
/// let same = ready.clone();
/// let child = thread::spawn(move || same.wait(), ())?;
/// ready.set();
/// child.join()?;
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Event {
    list: WaitList,
}

impl Event {
    const_fn! {
        /// An event that is not set. It can be made in a `static`.
        pub fn new() -> Event {
            Event { list: WaitList::new(0) }
        }
    }

    /// Sets the flag, which lets go of all who wait.
    pub fn set(&self) {
        // Release: who sees the flag, or is told, sees what was done before. Who went to the line before this is seen
        // here; who goes there after it finds the flag set, or it was cleared since.
        if self.list.state().fetch_or(SET, Ordering::AcqRel) & WAITED != 0 {
            self.list.notify_all(0);
        }
    }

    /// Clears the flag.
    pub fn clear(&self) {
        self.list.state().fetch_and(!SET, Ordering::AcqRel);
    }

    /// Whether the flag is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.list.state().load(Ordering::Acquire) & SET != 0
    }

    /// Waits until the flag is set.
    #[track_caller]
    pub fn wait(&self) {
        self.wait_for(&Wait { what: "Event::wait", place: Location::caller() });
    }

    /// As `wait`, told as a wait for something else.
    pub(crate) fn wait_for(&self, wait: &Wait) {
        if !self.is_set() {
            let mut waiter = self.waiter();
            park::block(wait, None, |context| self.poll(&mut waiter, context));
        }
    }

    /// Waits until the flag is set, or so long, and says whether it was set.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let event = fourfold::thread::Event::new();
    /// assert!(!event.wait_timeout(Duration::from_millis(1)));
    /// event.set();
    /// assert!(event.wait_timeout(Duration::ZERO));
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        if self.is_set() {
            return true;
        }
        let wait = Wait { what: "Event::wait_timeout", place: Location::caller() };
        let mut waiter = self.waiter();
        park::block(&wait, after(limit), |context| self.poll(&mut waiter, context)).is_some()
    }

    /// Waits until the flag is set, for a future.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let event = fourfold::thread::Event::new();
    /// event.set();
    /// event.wait_async().await;
    /// # });
    /// ```
    pub async fn wait_async(&self) {
        let mut waiter = self.waiter();
        std::future::poll_fn(|context| match self.is_set() {
            true => Poll::Ready(()),
            false => self.poll(&mut waiter, context),
        })
        .await;
    }

    /// Polls until the flag is set, or was.
    pub(crate) fn look(&self) -> impl FnMut(&mut Context<'_>) -> Poll<()> {
        let mut waiter = self.waiter();
        move |context| match self.is_set() {
            true => Poll::Ready(()),
            false => self.poll(&mut waiter, context),
        }
    }

    fn waiter(&self) -> Waiter<'_> {
        Waiter::new(&self.list, Kind::All)
    }

    fn poll(&self, waiter: &mut Waiter<'_>, context: &mut Context<'_>) -> Poll<()> {
        let is_over = match waiter.has_queued() {
            true => waiter.poll_told(context.waker()).is_some() || self.is_set(),
            false => waiter.enter(context.waker().clone()) & SET != 0,
        };
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish()
    }
}
