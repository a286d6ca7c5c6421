//! A lock that many may hold to read, or one to write.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::list::{Kind, STARVED, UNIT, WAITED, WaitList, Waiter};
use super::park::{self, Wait, after};
use super::primitive::atomic::Ordering;
use super::primitive::{UnsafeCell, const_fn};

/// Somebody writes.
const WRITER: usize = UNIT;

/// One who reads.
const READER: usize = UNIT << 1;

/// A value that many may read, or one may write.
///
/// Who waits is served in the order of arrival, readers that stand next to each other together. A reader that comes while
/// anybody waits goes to the line, so writers do not starve. So who reads already and reads again can wait for ever, if a
/// writer has come in between.
///
/// A panic while it is held releases it, as with [`Lock`](super::Lock).
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; no call can fail |
///
/// # Examples
///
/// ```
/// use fourfold::thread::RwLock;
///
/// let names = RwLock::new(vec!["one"]);
/// {
///     let (first, second) = (names.read(), names.read());
///     assert_eq!(first.len() + second.len(), 2);
///     assert!(names.try_write().is_none());
/// }
/// names.write().push("two");
/// assert_eq!(names.read().len(), 2);
/// ```
pub struct RwLock<T: ?Sized> {
    list: WaitList,
    value: UnsafeCell<T>,
}

// SAFETY: through `&RwLock` several threads get `&T` at once, so `T` must be `Sync`, and one at a time `&mut T`, so it must
// be `Send`. Which of them, the state decides: `take_shared` and `take_alone`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

// SAFETY: moving the lock moves the value.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}

/// A lock that is held to read, until this is dropped.
#[must_use = "the lock is released when the guard is dropped"]
pub struct ReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

/// A lock that is held to write, until this is dropped.
#[must_use = "the lock is released when the guard is dropped"]
pub struct WriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    /// Has the guard be sent and shared where a `&mut T` may be.
    value: PhantomData<&'a mut T>,
}

impl<T> RwLock<T> {
    const_fn! {
        /// A free lock around a value. It can be made in a `static`.
        pub fn new(value: T) -> RwLock<T> {
            RwLock { list: WaitList::new(0), value: UnsafeCell::new(value) }
        }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Takes the lock to read, and waits for it.
    ///
    /// # Panics
    ///
    /// If `usize::MAX / 8` hold it to read, here and below.
    #[track_caller]
    pub fn read(&self) -> ReadGuard<'_, T> {
        self.wait_shared(&Wait { what: "RwLock::read", place: Location::caller() }, || None);
        ReadGuard { lock: self }
    }

    /// Takes the lock to read if nobody writes or waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = fourfold::thread::RwLock::new(1);
    /// let writing = lock.write();
    /// assert!(lock.try_read().is_none());
    /// drop(writing);
    /// assert_eq!(*lock.try_read().unwrap(), 1);
    /// ```
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.take_shared(WRITER | STARVED | WAITED).then(|| ReadGuard { lock: self })
    }

    /// Takes the lock to read, and waits for it for so long.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let lock = fourfold::thread::RwLock::new(1);
    /// let writing = lock.write();
    /// assert!(lock.read_timeout(Duration::from_millis(1)).is_none());
    /// ```
    #[track_caller]
    pub fn read_timeout(&self, limit: Duration) -> Option<ReadGuard<'_, T>> {
        let wait = Wait { what: "RwLock::read_timeout", place: Location::caller() };
        self.wait_shared(&wait, || after(limit)).then(|| ReadGuard { lock: self })
    }

    /// Takes the lock to read, for a future. Dropped before, it leaves the line.
    pub async fn read_async(&self) -> ReadGuard<'_, T> {
        if !self.take_shared(WRITER | STARVED | WAITED) {
            let mut waiter = Waiter::new(&self.list, Kind::Shared);
            std::future::poll_fn(|context| self.poll_shared(&mut waiter, context)).await;
        }
        ReadGuard { lock: self }
    }

    /// Takes the lock to write, and waits for it.
    #[track_caller]
    pub fn write(&self) -> WriteGuard<'_, T> {
        self.wait_alone(&Wait { what: "RwLock::write", place: Location::caller() }, || None);
        self.write_guard()
    }

    /// Takes the lock to write if it is free, and nobody has waited for it for too long.
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        self.take_alone(STARVED).then(|| self.write_guard())
    }

    /// Takes the lock to write, and waits for it for so long.
    #[track_caller]
    pub fn write_timeout(&self, limit: Duration) -> Option<WriteGuard<'_, T>> {
        let wait = Wait { what: "RwLock::write_timeout", place: Location::caller() };
        self.wait_alone(&wait, || after(limit)).then(|| self.write_guard())
    }

    /// Takes the lock to write, for a future. Dropped before, it leaves the line.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let lock = fourfold::thread::RwLock::new(1);
    /// *lock.write_async().await += 1;
    /// assert_eq!(*lock.read_async().await, 2);
    /// # });
    /// ```
    pub async fn write_async(&self) -> WriteGuard<'_, T> {
        if !self.take_alone(STARVED) {
            let mut waiter = Waiter::new(&self.list, Kind::Alone);
            std::future::poll_fn(|context| self.poll_alone(&mut waiter, context)).await;
        }
        self.write_guard()
    }

    /// The value, without locking: nobody else can hold the lock.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self` says that there is no guard.
        unsafe { &mut *self.value.with_mut(|value| value) }
    }

    fn write_guard(&self) -> WriteGuard<'_, T> {
        WriteGuard { lock: self, value: PhantomData }
    }

    /// Takes it to read, unless one of these bits is set.
    #[inline]
    fn take_shared(&self, barred: usize) -> bool {
        // Acquire, here and below: who takes it sees what the last writer did, which released it by Release.
        let state = self.list.state();
        let taken = state.fetch_update(Ordering::Acquire, Ordering::Relaxed, |now| {
            (now & barred == 0)
                .then(|| now.checked_add(READER).expect("a lock is held by too many readers"))
        });
        taken.is_ok()
    }

    /// Takes it to write, unless it is held or one of these bits is set.
    #[inline]
    fn take_alone(&self, barred: usize) -> bool {
        let state = self.list.state();
        // Acquire pairs with the Release of readers, too, which have looked at the value until then.
        let taken = state.fetch_update(Ordering::Acquire, Ordering::Relaxed, |now| {
            (now & barred == 0 && now & !(WAITED | STARVED) == 0).then_some(now | WRITER)
        });
        taken.is_ok()
    }

    fn wait_shared(&self, wait: &Wait, deadline: impl FnOnce() -> Option<Instant>) -> bool {
        let take = || self.take_shared(WRITER | STARVED | WAITED);
        if take() || self.list.look(take) {
            return true;
        }
        let mut waiter = Waiter::new(&self.list, Kind::Shared);
        park::block(wait, deadline(), |context| self.poll_shared(&mut waiter, context)).is_some()
    }

    fn wait_alone(&self, wait: &Wait, deadline: impl FnOnce() -> Option<Instant>) -> bool {
        let take = || self.take_alone(STARVED);
        if take() || self.list.look(take) {
            return true;
        }
        let mut waiter = Waiter::new(&self.list, Kind::Alone);
        park::block(wait, deadline(), |context| self.poll_alone(&mut waiter, context)).is_some()
    }

    fn poll_shared(&self, waiter: &mut Waiter<'_>, context: &mut Context<'_>) -> Poll<()> {
        let poll = waiter.poll(context, || self.take_shared(WRITER).then_some(()));
        // Others who read may have gone to the line, although it could be shared, because of one that was starved.
        if poll.is_ready() && self.list.is_waited() {
            self.list.notify_sharers();
        }
        poll
    }

    fn poll_alone(&self, waiter: &mut Waiter<'_>, context: &mut Context<'_>) -> Poll<()> {
        waiter.poll(context, || self.take_alone(0).then_some(()))
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_read() {
            Some(guard) => f.debug_tuple("RwLock").field(&&*guard).finish(),
            None => f.debug_tuple("RwLock").field(&format_args!("<locked>")).finish(),
        }
    }
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard was made by who has counted itself as a reader, so there is no `WriteGuard`.
        unsafe { &*self.lock.value.with(|value| value) }
    }
}

impl<T: ?Sized> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard was made by who has set `WRITER` where no other held the lock, so it is the only one.
        unsafe { &*self.lock.value.with(|value| value) }
    }
}

impl<T: ?Sized> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and this guard is borrowed mutably.
        unsafe { &mut *self.lock.value.with_mut(|value| value) }
    }
}

impl<T: ?Sized> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        let before = self.lock.list.state().fetch_sub(READER, Ordering::Release);
        // The last one out, while somebody waits.
        if before & WAITED != 0 && before & !(WAITED | STARVED) == READER {
            self.lock.list.notify_run();
        }
    }
}

impl<T: ?Sized> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        if self.lock.list.state().fetch_and(!WRITER, Ordering::Release) & WAITED != 0 {
            self.lock.list.notify_run();
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
