//! A lock around a value.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::Duration;

use super::park::{Wait, after};
use super::primitive::{UnsafeCell, const_fn};
use super::raw::RawLock;

/// A value that one at a time may use.
///
/// The one may be a thread, a coroutine or a future. A lock that is free goes to who comes first; but who has waited for
/// about a millisecond lets nobody go before it any more, so nobody waits for ever.
///
/// A panic while it is held releases it. The next one to take it is not refused, and finds the value as the panic left it:
/// what must not be seen half done, keep in order across every call that can panic.
///
/// A future that waits for a lock holds a place in the line. One that is neither polled nor dropped keeps those behind it
/// waiting, as with any lock for futures.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; no call can fail; it protects a value; shared in an `Arc` or borrowed |
/// | `cluster` | on a server: each call can fail, the value is elsewhere, and who takes it after a holder has died is told |
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use fourfold::thread::{self, Lock};
///
/// let count = Arc::new(Lock::new(0));
/// let same = count.clone();
/// let child = thread::spawn(move || *same.lock() += 1, ())?;
/// *count.lock() += 1;
/// child.join()?;
/// assert_eq!(*count.lock(), 2);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Lock<T: ?Sized = ()> {
    raw: RawLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard, and there is one at a time: `RawLock`. Another thread can take it out, so it
// must be `Send`; it is never used by two at a time, so it need not be `Sync`.
unsafe impl<T: ?Sized + Send> Sync for Lock<T> {}

// SAFETY: as above; moving the lock moves the value.
unsafe impl<T: ?Sized + Send> Send for Lock<T> {}

/// A lock that is held, until this is dropped.
///
/// It may go to another thread, which then releases the lock.
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard<'a, T: ?Sized = ()> {
    lock: &'a Lock<T>,
    /// Has the guard be sent and shared where a `&mut T` may be.
    value: PhantomData<&'a mut T>,
}

impl<T> Lock<T> {
    const_fn! {
        /// A free lock around a value. It can be made in a `static`.
        ///
        /// # Examples
        ///
        /// ```
        /// use fourfold::thread::Lock;
        ///
        /// static NAMES: Lock<Vec<String>> = Lock::new(Vec::new());
        /// NAMES.lock().push("one".into());
        /// assert_eq!(NAMES.lock().len(), 1);
        /// ```
        pub fn new(value: T) -> Lock<T> {
            Lock { raw: RawLock::new(), value: UnsafeCell::new(value) }
        }
    }

    /// The value.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(fourfold::thread::Lock::new(5).into_inner(), 5);
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Lock<T> {
    /// Takes the lock, and waits for it.
    ///
    /// Who holds it already waits for ever: see [`RLock`](super::RLock).
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = fourfold::thread::Lock::new(1);
    /// *lock.lock() += 1;
    /// assert_eq!(*lock.lock(), 2);
    /// ```
    #[track_caller]
    #[inline]
    pub fn lock(&self) -> LockGuard<'_, T> {
        self.raw.lock(&Wait { what: "Lock::lock", place: Location::caller() }, || None);
        self.guard()
    }

    /// Takes the lock if it is free, and nobody has waited for it for too long.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = fourfold::thread::Lock::new(());
    /// let held = lock.lock();
    /// assert!(lock.try_lock().is_none());
    /// drop(held);
    /// assert!(lock.try_lock().is_some());
    /// ```
    #[inline]
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.raw.try_lock().then(|| self.guard())
    }

    /// Takes the lock, and waits for it for so long.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let lock = fourfold::thread::Lock::new(());
    /// let held = lock.lock();
    /// assert!(lock.lock_timeout(Duration::from_millis(1)).is_none());
    /// ```
    #[track_caller]
    pub fn lock_timeout(&self, limit: Duration) -> Option<LockGuard<'_, T>> {
        let wait = Wait { what: "Lock::lock_timeout", place: Location::caller() };
        self.raw.lock(&wait, || after(limit)).then(|| self.guard())
    }

    /// Takes the lock, for a future: it waits without a thread. Dropped before, it leaves the line.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let lock = fourfold::thread::Lock::new(1);
    /// *lock.lock_async().await += 1;
    /// assert_eq!(*lock.lock_async().await, 2);
    /// # });
    /// ```
    pub async fn lock_async(&self) -> LockGuard<'_, T> {
        self.raw.lock_async().await;
        self.guard()
    }

    /// Whether somebody holds it, at this moment.
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// The value, without locking: nobody else can hold the lock.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut lock = fourfold::thread::Lock::new(1);
    /// *lock.get_mut() = 2;
    /// assert_eq!(lock.into_inner(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self` says that there is no guard.
        unsafe { &mut *self.value.with_mut(|value| value) }
    }

    /// Takes the lock, for a wait that is part of another.
    pub(super) fn lock_for(&self, wait: &Wait) -> LockGuard<'_, T> {
        self.raw.lock(wait, || None);
        self.guard()
    }

    /// The guard of who has just taken the lock.
    fn guard(&self) -> LockGuard<'_, T> {
        LockGuard { lock: self, value: PhantomData }
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Lock<T> {
        Lock::new(T::default())
    }
}

impl<T> From<T> for Lock<T> {
    fn from(value: T) -> Lock<T> {
        Lock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_tuple("Lock").field(&&*guard).finish(),
            None => f.debug_tuple("Lock").field(&format_args!("<locked>")).finish(),
        }
    }
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock (`Lock::guard` is called by who has taken it), so no other guard is there, and
        // its own `&mut T` borrows it mutably.
        unsafe { &*self.lock.value.with(|value| value) }
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and this guard is borrowed mutably.
        unsafe { &mut *self.lock.value.with_mut(|value| value) }
    }
}

impl<T: ?Sized> Drop for LockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
