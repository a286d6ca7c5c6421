//! A lock that its holder may take again.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::time::Duration;

use super::park::{self, Wait, after};
use super::primitive::atomic::{AtomicU64, AtomicUsize, Ordering};
use super::primitive::const_fn;
use super::raw::RawLock;
use crate::error::{Error, ErrorKind};

/// A lock that the thread or the coroutine which holds it may take again, and again.
///
/// It is free when it was released as often as it was taken. There is no form of it for futures: who polls a future is not
/// who owns it.
///
/// # Scales
///
/// | scale | who holds it |
/// | --- | --- |
/// | `green` | the coroutine; outside of one, the thread |
/// | `thread` | the thread |
/// | `cluster` | the thread's connection; each call can fail |
///
/// # Examples
///
/// ```
/// let lock = fourfold::thread::RLock::new();
/// let outer = lock.lock();
/// let inner = lock.lock();
/// drop(outer);
/// assert!(lock.is_locked());
/// drop(inner);
/// assert!(!lock.is_locked());
/// ```
pub struct RLock {
    raw: RawLock,
    /// Who holds it, or 0. Written by the holder only.
    owner: AtomicU64,
    /// How often it was taken and not released. For the holder only.
    depth: AtomicUsize,
}

/// A lock that is held by who took it, until this and all others of the same owner are dropped.
///
/// It does not go to another thread, so that no other can release it.
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct RLockGuard<'a> {
    lock: &'a RLock,
    here: PhantomData<*const ()>,
}

impl RLock {
    const_fn! {
        /// A free lock. It can be made in a `static`.
        pub fn new() -> RLock {
            RLock { raw: RawLock::new(), owner: AtomicU64::new(0), depth: AtomicUsize::new(0) }
        }
    }

    /// Takes the lock, and waits for it.
    ///
    /// # Panics
    ///
    /// When it is taken `usize::MAX` times at once, here and below.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = fourfold::thread::RLock::new();
    /// let guards = [lock.lock(), lock.lock(), lock.lock()];
    /// drop(guards);
    /// assert!(!lock.is_locked());
    /// ```
    #[track_caller]
    pub fn lock(&self) -> RLockGuard<'_> {
        let wait = Wait { what: "RLock::lock", place: Location::caller() };
        let taken = self.take(|| self.raw.lock(&wait, || None));
        taken.expect("a wait without a limit ends with the lock")
    }

    /// Takes the lock if it is free or the caller's.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = fourfold::thread::RLock::new();
    /// let guard = lock.try_lock().unwrap();
    /// std::thread::scope(|s| s.spawn(|| assert!(lock.try_lock().is_none())).join().unwrap());
    /// assert!(lock.try_lock().is_some());
    /// ```
    pub fn try_lock(&self) -> Option<RLockGuard<'_>> {
        self.take(|| self.raw.try_lock())
    }

    /// Takes the lock, and waits for it for so long.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let lock = fourfold::thread::RLock::new();
    /// assert!(lock.lock_timeout(Duration::from_millis(1)).is_some());
    /// ```
    #[track_caller]
    pub fn lock_timeout(&self, limit: Duration) -> Option<RLockGuard<'_>> {
        let wait = Wait { what: "RLock::lock_timeout", place: Location::caller() };
        self.take(|| self.raw.lock(&wait, || after(limit)))
    }

    /// Releases the lock once, for a guard that was given to [`RLockGuard::forget`].
    ///
    /// # Errors
    ///
    /// The caller does not hold it: [`ErrorKind::InvalidInput`].
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = fourfold::thread::RLock::new();
    /// assert!(lock.release().is_err());
    /// lock.lock().forget();
    /// lock.release()?;
    /// assert!(!lock.is_locked());
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn release(&self) -> Result<(), Error> {
        match self.release_once() {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::InvalidInput)
                .with_message("the lock is not held by who releases it")),
        }
    }

    /// Whether somebody holds it, at this moment.
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    fn take(&self, lock: impl FnOnce() -> bool) -> Option<RLockGuard<'_>> {
        let me = park::current_id();
        // Relaxed: only I write my number, so I see it if and only if I hold the lock; what another writes is never mine.
        if self.owner.load(Ordering::Relaxed) == me {
            let depth = self.depth.load(Ordering::Relaxed);
            let more = depth.checked_add(1).expect("a lock is taken too many times at once");
            self.depth.store(more, Ordering::Relaxed);
        } else if lock() {
            // The raw lock orders this after what its last holder wrote.
            self.owner.store(me, Ordering::Relaxed);
            self.depth.store(1, Ordering::Relaxed);
        } else {
            return None;
        }
        Some(RLockGuard { lock: self, here: PhantomData })
    }

    /// False if it is not the caller's.
    fn release_once(&self) -> bool {
        if self.owner.load(Ordering::Relaxed) != park::current_id() {
            return false;
        }
        let depth = self.depth.load(Ordering::Relaxed) - 1;
        self.depth.store(depth, Ordering::Relaxed);
        if depth == 0 {
            self.owner.store(0, Ordering::Relaxed);
            self.raw.unlock();
        }
        true
    }
}

impl Default for RLock {
    fn default() -> RLock {
        RLock::new()
    }
}

impl fmt::Debug for RLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLock").field("is_locked", &self.is_locked()).finish()
    }
}

impl RLockGuard<'_> {
    /// Keeps the lock beyond this guard, until [`RLock::release`].
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for RLockGuard<'_> {
    fn drop(&mut self) {
        // Nothing is left to do if the lock was released by hand more often than guards were forgotten.
        self.lock.release_once();
    }
}
