//! A lock around a value that lies in the memory that processes share.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gate::Patience;
use super::lock_word::{LockWord, Taken};
use super::object::{Attached, ObjectKind, type_mark};
use super::plain::Plain;
use super::wait::{self, Watch};
use crate::error::Result;
use crate::process::OwnerDied;
use crate::sync::park::{Wait, after};
use crate::system::forks;

/// A value that one process, and in it one thread or coroutine, may use at a time.
///
/// A handle to it is small: it is cloned, passed as an argument or given as a value of a task, and put in queues. The lock is
/// freed with the last handle in any process.
///
/// A holder that is killed takes nothing with it: the next to come gets the lock at once, or within a twentieth of a second if
/// it waits already, and is told by [`OwnerDied`], which has the guard: the value is as the dead one left it. A holder that
/// is stopped holds on. Who has waited for about a millisecond is let go before those who come later.
///
/// The value is one without pointers for which every bit pattern is valid, see [`Plain`].
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | any value; no call can fail; shared in an `Arc` or borrowed |
/// | `process` | the value is [`Plain`]; the lock can lack room when it is made; who takes it after a holder has died is told |
/// | `cluster` | on a server: each call can fail, and the value is elsewhere |
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Lock};
///
/// fn add(count: Lock<u64>) {
///     *count.lock().unwrap() += 1;
/// }
///
/// let count = Lock::new(0u64)?;
/// process::spawn(add, count.clone())?.join()?;
/// assert_eq!(*count.lock()?, 1);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Lock<T: Plain = ()> {
    attached: Arc<Attached>,
    word: &'static LockWord,
    value: *mut T,
}

// SAFETY: `value` points into the mapping, which is never unmapped, and is used by one guard at a time, which may be on any
// thread since `T` is `Send`.
unsafe impl<T: Plain> Send for Lock<T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for Lock<T> {}

/// A lock that is held, until this is dropped.
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard<'a, T: Plain = ()> {
    lock: &'a Lock<T>,
    /// In a fork it is the parent's.
    forks: u32,
    /// Has the guard be sent and shared where a `&mut T` may be.
    value: PhantomData<&'a mut T>,
}

/// Where the value is behind the lock word.
const fn value_at<T>() -> u64 {
    assert!(align_of::<T>() <= 64, "a value that must lie at a multiple of more than 64");
    (size_of::<LockWord>() as u64).next_multiple_of(align_of::<T>() as u64)
}

impl<T: Plain> Lock<T> {
    /// A free lock around a value.
    ///
    /// # Errors
    ///
    /// There is no room for it in the memory that processes share: [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory).
    pub fn new(value: T) -> Result<Lock<T>> {
        let arena = super::arena()?;
        let size = const { value_at::<T>() + size_of::<T>() as u64 };
        let attached = Attached::create(arena, ObjectKind::Lock, type_mark::<T>(), size, |body| {
            let place = arena.at(body + value_at::<T>(), size_of::<T>()).cast::<T>();
            // SAFETY: in a block of this size, aligned since blocks are to 64, that nobody else knows of yet.
            unsafe { place.write(value) }
        })?;
        Ok(Lock::of(attached))
    }

    pub(super) fn of(attached: Arc<Attached>) -> Lock<T> {
        let (arena, _) = attached.enter();
        let body = attached.body();
        let value = arena.at(body + value_at::<T>(), size_of::<T>()).cast::<T>();
        // SAFETY: a `LockWord` is atomics only.
        let word = unsafe { arena.get(body) };
        Lock { attached, word, value }
    }

    pub(super) fn attached(&self) -> &Arc<Attached> {
        &self.attached
    }

    /// Takes the lock, and waits for it.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard: who held it has died.
    #[track_caller]
    #[inline]
    pub fn lock(&self) -> Result<LockGuard<'_, T>, OwnerDied<LockGuard<'_, T>>> {
        let (_, me) = self.attached.enter();
        if self.word.try_fast(me) {
            return Ok(self.guard());
        }
        let wait = Wait { what: "Lock::lock", place: Location::caller() };
        let taken = self.take_slowly(&wait, None);
        self.told(taken.expect("a wait without a deadline"))
    }

    /// Takes the lock if nobody holds it who lives.
    ///
    /// # Errors
    ///
    /// As [`lock`](Lock::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = fourfold::process::Lock::new(())?;
    /// let held = lock.lock()?;
    /// assert!(lock.try_lock()?.is_none());
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn try_lock(&self) -> Result<Option<LockGuard<'_, T>>, OwnerDied<LockGuard<'_, T>>> {
        let (arena, _) = self.attached.enter();
        self.word.try_lock(arena).map(|taken| self.told(taken)).transpose()
    }

    /// Takes the lock, and waits for it for so long.
    ///
    /// # Errors
    ///
    /// As [`lock`](Lock::lock).
    #[track_caller]
    pub fn lock_timeout(
        &self,
        limit: Duration,
    ) -> Result<Option<LockGuard<'_, T>>, OwnerDied<LockGuard<'_, T>>> {
        let wait = Wait { what: "Lock::lock_timeout", place: Location::caller() };
        let (_, me) = self.attached.enter();
        let taken = match self.word.try_fast(me) {
            true => Some(Taken::Free),
            false => self.take_slowly(&wait, after(limit)),
        };
        taken.map(|taken| self.told(taken)).transpose()
    }

    /// Takes the lock, for a future: it waits without a thread. Dropped before, it has not taken it.
    ///
    /// # Errors
    ///
    /// As [`lock`](Lock::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let lock = fourfold::process::Lock::new(1u32).unwrap();
    /// *lock.lock_async().await.unwrap() += 1;
    /// assert_eq!(*lock.lock_async().await.unwrap(), 2);
    /// # });
    /// ```
    pub async fn lock_async(&self) -> Result<LockGuard<'_, T>, OwnerDied<LockGuard<'_, T>>> {
        let (arena, me) = self.attached.enter();
        let began = Instant::now();
        let mut watch = Watch::new(&self.attached, self.word.gate());
        let taken = std::future::poll_fn(|context| {
            watch.poll(context, |now| self.word.look(arena, me, now, began))
        });
        self.told(taken.await)
    }

    /// Whether somebody holds it, at this moment.
    pub fn is_locked(&self) -> bool {
        self.word.is_locked()
    }

    #[cold]
    fn take_slowly(&self, wait: &Wait, deadline: Option<Instant>) -> Option<Taken> {
        let (arena, me) = self.attached.enter();
        let began = Instant::now();
        let patience = Patience::new();
        let look = |now| {
            patience.pause(now);
            self.word.look(arena, me, now, began)
        };
        wait::wait(&self.attached, self.word.gate(), wait, deadline, look)
    }

    fn told(&self, taken: Taken) -> Result<LockGuard<'_, T>, OwnerDied<LockGuard<'_, T>>> {
        match taken {
            Taken::Free => Ok(self.guard()),
            Taken::OwnerDied => Err(OwnerDied::new(self.guard())),
        }
    }

    /// The guard of who has just taken the lock.
    #[inline]
    fn guard(&self) -> LockGuard<'_, T> {
        LockGuard { lock: self, forks: forks(), value: PhantomData }
    }
}

impl<T: Plain> Clone for Lock<T> {
    /// The same lock.
    fn clone(&self) -> Lock<T> {
        Lock { attached: self.attached.clone(), word: self.word, value: self.value }
    }
}

impl<T: Plain> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("is_locked", &self.is_locked()).finish()
    }
}

impl<T: Plain> LockGuard<'_, T> {
    /// In a fork it is the parent that holds the lock.
    #[inline]
    pub(super) fn check(&self) {
        assert!(self.forks == forks(), "a lock that the parent of this fork holds");
    }
}

impl<T: Plain> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.check();
        // SAFETY: this guard holds the lock, so no other guard is there in any process; any bytes are a `T`.
        unsafe { &*self.lock.value }
    }
}

impl<T: Plain> DerefMut for LockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.check();
        // SAFETY: as in `deref`, and this guard is borrowed mutably.
        unsafe { &mut *self.lock.value }
    }
}

impl<T: Plain> Drop for LockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.forks == forks() {
            let (arena, _) = self.lock.attached.enter();
            self.lock.word.unlock(arena);
        }
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
