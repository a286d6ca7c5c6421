//! A lock, and a place to wait with the lock given up.

use std::fmt;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::list::{Kind, WaitList, Waiter};
use super::lock::{Lock, LockGuard};
use super::park::{self, Wait, after};
use super::primitive::const_fn;

/// A lock around a value, and a place to wait, with the lock given up, until another has changed the value.
///
/// Who was notified and is cancelled before it goes on passes the notification on.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; no call can fail; it protects a value |
/// | `cluster` | on a server: each call can fail, and the value is elsewhere |
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use fourfold::thread::{self, Condition};
///
/// let count = Arc::new(Condition::new(0));
/// let same = count.clone();
/// let child = thread::spawn(move || {
///     let mut count = same.lock();
///     count.wait_for(|count| *count == 3);
///     *count
/// }, ())?;
/// for _ in 0..3 {
///     let mut count = count.lock();
///     *count += 1;
///     count.notify_all();
/// }
/// assert_eq!(child.join()?, 3);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Condition<T = ()> {
    lock: Lock<T>,
    list: WaitList,
}

/// A condition's lock, held until this is dropped.
#[must_use = "the lock is released when the guard is dropped"]
pub struct ConditionGuard<'a, T = ()> {
    condition: &'a Condition<T>,
    /// `None` while it waits, and if it was cancelled there.
    guard: Option<LockGuard<'a, T>>,
}

impl<T> Condition<T> {
    const_fn! {
        /// A condition with a free lock around a value. It can be made in a `static`.
        pub fn new(value: T) -> Condition<T> {
            Condition { lock: Lock::new(value), list: WaitList::new(0) }
        }
    }

    /// Takes the lock, and waits for it.
    #[track_caller]
    pub fn lock(&self) -> ConditionGuard<'_, T> {
        self.guard(self.lock.lock())
    }

    /// Takes the lock if it is free, and nobody has waited for it for too long.
    pub fn try_lock(&self) -> Option<ConditionGuard<'_, T>> {
        self.lock.try_lock().map(|guard| self.guard(guard))
    }

    /// Takes the lock, for a future.
    pub async fn lock_async(&self) -> ConditionGuard<'_, T> {
        self.guard(self.lock.lock_async().await)
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.lock.into_inner()
    }

    fn guard<'a>(&'a self, guard: LockGuard<'a, T>) -> ConditionGuard<'a, T> {
        ConditionGuard { condition: self, guard: Some(guard) }
    }
}

impl<T: Default> Default for Condition<T> {
    fn default() -> Condition<T> {
        Condition::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.lock).finish()
    }
}

impl<'a, T> ConditionGuard<'a, T> {
    /// Gives the lock up until it is notified, and takes it again.
    ///
    /// Others may have changed the value before: see [`wait_for`](ConditionGuard::wait_for).
    ///
    /// # Examples
    ///
    /// ```
    /// let turn = fourfold::thread::Condition::new(0);
    /// std::thread::scope(|s| {
    ///     let mut mine = turn.lock();
    ///     s.spawn(|| {
    ///         let mut theirs = turn.lock();
    ///         *theirs = 1;
    ///         theirs.notify_one();
    ///     });
    ///     mine.wait();
    ///     assert_eq!(*mine, 1);
    /// });
    /// ```
    #[track_caller]
    pub fn wait(&mut self) {
        self.wait_until(&Wait { what: "Condition::wait", place: Location::caller() }, None);
    }

    /// As [`wait`](ConditionGuard::wait), for so long; says whether it was notified. The lock is then taken again, however
    /// long another has it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let condition = fourfold::thread::Condition::new(());
    /// assert!(!condition.lock().wait_timeout(Duration::from_millis(1)));
    /// ```
    #[track_caller]
    pub fn wait_timeout(&mut self, limit: Duration) -> bool {
        let wait = Wait { what: "Condition::wait_timeout", place: Location::caller() };
        self.wait_until(&wait, after(limit))
    }

    /// Waits until this holds of the value: at once, or after a notification.
    #[track_caller]
    pub fn wait_for(&mut self, mut holds: impl FnMut(&mut T) -> bool) {
        let wait = Wait { what: "Condition::wait_for", place: Location::caller() };
        while !holds(self) {
            self.wait_until(&wait, None);
        }
    }

    /// As [`wait_for`](ConditionGuard::wait_for), for so long; says whether it holds at the end.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let condition = fourfold::thread::Condition::new(1);
    /// assert!(!condition.lock().wait_for_timeout(Duration::from_millis(1), |n| *n > 1));
    /// assert!(condition.lock().wait_for_timeout(Duration::ZERO, |n| *n > 0));
    /// ```
    #[track_caller]
    pub fn wait_for_timeout(
        &mut self,
        limit: Duration,
        mut holds: impl FnMut(&mut T) -> bool,
    ) -> bool {
        let wait = Wait { what: "Condition::wait_for_timeout", place: Location::caller() };
        let deadline = after(limit);
        loop {
            if holds(self) {
                return true;
            }
            if !self.wait_until(&wait, deadline) {
                return holds(self);
            }
        }
    }

    /// As [`wait`](ConditionGuard::wait), for a future. Dropped while it waits, it does not take the lock again.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let condition = fourfold::thread::Condition::new(0);
    /// let waiting = async {
    ///     let mut guard = condition.lock_async().await;
    ///     while *guard == 0 {
    ///         guard = guard.wait_async().await;
    ///     }
    /// };
    /// let notifying = async {
    ///     let mut guard = condition.lock_async().await;
    ///     *guard = 1;
    ///     guard.notify_one();
    /// };
    /// tokio::join!(waiting, notifying);
    /// # });
    /// ```
    pub async fn wait_async(mut self) -> ConditionGuard<'a, T> {
        let mut waiter = Waiter::new(&self.condition.list, Kind::One);
        poll_fn(|context| self.poll(&mut waiter, context)).await;
        self.guard = Some(self.condition.lock.lock_async().await);
        waiter.finish();
        self
    }

    /// Notifies one who waits.
    pub fn notify_one(&self) {
        if self.condition.list.is_waited() {
            self.condition.list.notify_one();
        }
    }

    /// Notifies all who wait.
    pub fn notify_all(&self) {
        if self.condition.list.is_waited() {
            self.condition.list.notify_all(0);
        }
    }

    /// Waits to be notified, or until then: then false.
    fn wait_until(&mut self, wait: &Wait, deadline: Option<Instant>) -> bool {
        let mut waiter = Waiter::new(&self.condition.list, Kind::One);
        let told = park::block(wait, deadline, |context| self.poll(&mut waiter, context)).is_some();
        // If this is cancelled while it waits for the lock, the notification goes to another: `Waiter::drop`.
        self.guard = Some(self.condition.lock.lock_for(wait));
        if told {
            waiter.finish();
        }
        told
    }

    /// Goes to the line with the lock held, so that who notifies later sees it; then gives the lock up.
    fn poll(&mut self, waiter: &mut Waiter<'_>, context: &mut Context<'_>) -> Poll<()> {
        if !waiter.has_queued() {
            waiter.enter(context.waker().clone());
            self.guard = None;
            return Poll::Pending;
        }
        match waiter.poll_told(context.waker()) {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }
}

impl<T> Deref for ConditionGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("the guard of a wait that was cancelled holds no lock")
    }
}

impl<T> DerefMut for ConditionGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("the guard of a wait that was cancelled holds no lock")
    }
}

impl<T: fmt::Debug> fmt::Debug for ConditionGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConditionGuard").field(&self.guard).finish()
    }
}
