//! A lock between processes that its holder may take again.

use std::marker::PhantomData;
use std::panic::Location;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::handle::{Handle, done, limit, me_who_holds, truth, unexpected};
use super::lock_error::LockError;
use super::wire::{AT_ONCE, Answer, Ask, Blank, FOR_EVER};
use crate::error::{Error, ErrorKind, Result};
use crate::process::owner_died::OwnerDied;
use crate::sync::park::Wait;
use crate::task::ticket::Tickets;

/// A lock between processes that the thread or the coroutine which holds it may take again, and again.
///
/// It is free when it was released as often as it was taken, and when its holder died: the next one is told, by
/// [`OwnerDied`] with the guard at hand. A clone is the same lock, and a small value that can be an argument or a value of a
/// task, or an item of another word.
///
/// # Scales
///
/// | scale | who holds it |
/// | --- | --- |
/// | `green` | the coroutine; outside of one, the thread |
/// | `thread` | the thread |
/// | `process` | the thread or the coroutine of one process; each call can fail |
/// | `cluster` | the thread's connection; each call can fail |
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, RLock};
///
/// let lock = RLock::new()?;
/// let outer = lock.lock()?;
/// let inner = lock.lock()?;
/// let other = process::spawn(|lock: RLock| lock.try_lock().unwrap().is_none(), lock.clone())?;
/// assert!(other.join()?);
/// drop((outer, inner));
/// assert!(!lock.is_locked()?);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RLock {
    handle: Handle,
}

/// A lock that is held by who took it, until this and all others of the same owner are dropped.
///
/// It does not go to another thread, so that no other can release it.
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct RLockGuard<'a> {
    lock: &'a RLock,
    who: u64,
    here: PhantomData<*const ()>,
}

impl RLock {
    /// A free lock.
    ///
    /// # Errors
    ///
    /// There is no room for it, or the root is gone: [`ErrorKind::RootGone`], here and below.
    pub fn new() -> Result<RLock> {
        Ok(RLock { handle: Handle::new(Blank::RLock, Tickets::default())? })
    }

    /// Takes the lock, and waits for it.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], with the lock taken; [`LockError::Failed`] without. Here and below.
    #[track_caller]
    pub fn lock(&self) -> Result<RLockGuard<'_>, LockError<RLockGuard<'_>>> {
        let wait = Wait { what: "RLock::lock", place: Location::caller() };
        let guard = self.take(FOR_EVER, &wait)?;
        guard.ok_or_else(|| unexpected(&Answer::Busy).into())
    }

    /// Takes the lock if it is free or the caller's.
    ///
    /// # Errors
    ///
    /// As [`lock`](RLock::lock).
    #[track_caller]
    pub fn try_lock(&self) -> Result<Option<RLockGuard<'_>>, LockError<RLockGuard<'_>>> {
        self.take(AT_ONCE, &Wait { what: "RLock::try_lock", place: Location::caller() })
    }

    /// Takes the lock, and waits for it for so long.
    ///
    /// # Errors
    ///
    /// As [`lock`](RLock::lock).
    #[track_caller]
    pub fn lock_timeout(
        &self,
        time: Duration,
    ) -> Result<Option<RLockGuard<'_>>, LockError<RLockGuard<'_>>> {
        let wait = Wait { what: "RLock::lock_timeout", place: Location::caller() };
        self.take(limit(time), &wait)
    }

    /// Releases the lock once, for a guard that was given to [`RLockGuard::forget`].
    ///
    /// # Errors
    ///
    /// The caller does not hold it: [`ErrorKind::InvalidInput`].
    pub fn release(&self) -> Result<()> {
        match self.handle.ask(me_who_holds(), &Ask::Unlock(None))? {
            Answer::NotHeld => Err(Error::new(ErrorKind::InvalidInput)
                .with_message("the lock is not held by who releases it")),
            answer => done(answer),
        }
    }

    /// Whether somebody holds it, at this moment.
    ///
    /// # Errors
    ///
    /// As [`new`](RLock::new).
    pub fn is_locked(&self) -> Result<bool> {
        truth(self.handle.ask(me_who_holds(), &Ask::IsLocked)?)
    }

    fn take(
        &self,
        limit: u64,
        wait: &Wait,
    ) -> Result<Option<RLockGuard<'_>>, LockError<RLockGuard<'_>>> {
        let who = me_who_holds();
        match self.handle.wait(who, limit, &Ask::Lock, wait)? {
            Answer::Locked { owner_died, .. } => {
                let guard = RLockGuard { lock: self, who, here: PhantomData };
                match owner_died {
                    true => Err(LockError::OwnerDied(OwnerDied::new(guard))),
                    false => Ok(Some(guard)),
                }
            }
            Answer::Busy => Ok(None),
            other => Err(unexpected(&other).into()),
        }
    }
}

impl RLockGuard<'_> {
    /// Keeps the lock beyond this guard, until [`RLock::release`], or the end of the thread.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for RLockGuard<'_> {
    fn drop(&mut self) {
        self.lock.handle.tell(self.who, &Ask::Unlock(None));
    }
}
