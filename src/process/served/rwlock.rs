//! A value that processes may read at once, or one may write.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::handle::{Handle, done, limit, nobody, pack, pack_for_good, truth, unexpected, unpack};
use super::lock_error::LockError;
use super::wire::{AT_ONCE, Answer, Ask, Blank, FOR_EVER, Load};
use crate::error::Result;
use crate::process::owner_died::OwnerDied;
use crate::sync::park::Wait;
use crate::task::Payload;

/// A value between processes that many may read, or one may write.
///
/// The value is kept by the root of the processes. A guard has a copy of it, that came with the lock; what was changed through a
/// [`WriteGuard`] is stored with its release. So one who dies with the lock leaves the value as it was before; the next one is
/// told, by [`OwnerDied`], if it was held to write. A large value is better kept elsewhere, with an `RwLock<()>` beside it.
///
/// Who waits is served in the order of arrival, readers that stand next to each other together. One that comes while anybody
/// waits goes to the line, so writers do not starve.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; no call can fail; a guard refers to the value itself |
/// | `process` | each call can fail; a guard has a copy of the value |
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, RwLock};
///
/// let names = RwLock::new(vec!["one".to_owned()])?;
/// let add = |names: RwLock<Vec<String>>| names.write().unwrap().push("two".into());
/// process::spawn(add, names.clone())?.join()?;
/// let (first, second) = (names.read()?, names.read()?);
/// assert_eq!(first.len() + second.len(), 4);
/// assert!(names.try_write()?.is_none());
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct RwLock<T> {
    handle: Handle,
    #[serde(skip)]
    value: PhantomData<fn(T) -> T>,
}

/// A lock that is held to read, until this is dropped, and a copy of its value.
#[must_use = "the lock is released when the guard is dropped"]
pub struct ReadGuard<'a, T: Payload> {
    _hold: Hold<'a, T>,
    value: T,
}

/// A lock that is held to write, until this is dropped, and a copy of its value, which is stored then if it was changed.
#[must_use = "the lock is released when the guard is dropped"]
pub struct WriteGuard<'a, T: Payload> {
    hold: Hold<'a, T>,
    value: T,
    changed: bool,
}

/// Releases the lock.
struct Hold<'a, T: Payload> {
    lock: &'a RwLock<T>,
    who: u64,
    is_held: bool,
}

impl<T: Payload> Drop for Hold<'_, T> {
    fn drop(&mut self) {
        if self.is_held {
            self.lock.handle.tell(self.who, &Ask::Unlock(None));
        }
    }
}

impl<T: Payload> RwLock<T> {
    /// A free lock around a value.
    ///
    /// # Errors
    ///
    /// The value cannot be serialised, or the root is gone: [`ErrorKind::RootGone`](crate::ErrorKind::RootGone).
    pub fn new(value: T) -> Result<RwLock<T>> {
        let (load, tickets) = pack(&value, "value")?;
        let handle = Handle::new(Blank::RwLock(load), tickets)?;
        Ok(RwLock { handle, value: PhantomData })
    }

    /// Takes the lock to read, and waits for it.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], with the lock taken: one died who held it to write. [`LockError::Failed`] without: the root is
    /// gone. Here and below.
    #[track_caller]
    pub fn read(&self) -> Result<ReadGuard<'_, T>, LockError<ReadGuard<'_, T>>> {
        let wait = Wait { what: "RwLock::read", place: Location::caller() };
        present(self.take(FOR_EVER, &Ask::Read, &wait, ReadGuard::new))
    }

    /// Takes the lock to read if nobody writes or waits.
    ///
    /// # Errors
    ///
    /// As [`read`](RwLock::read).
    #[track_caller]
    pub fn try_read(&self) -> Result<Option<ReadGuard<'_, T>>, LockError<ReadGuard<'_, T>>> {
        let wait = Wait { what: "RwLock::try_read", place: Location::caller() };
        self.take(AT_ONCE, &Ask::Read, &wait, ReadGuard::new)
    }

    /// Takes the lock to read, and waits for it for so long.
    ///
    /// # Errors
    ///
    /// As [`read`](RwLock::read).
    #[track_caller]
    pub fn read_timeout(
        &self,
        time: Duration,
    ) -> Result<Option<ReadGuard<'_, T>>, LockError<ReadGuard<'_, T>>> {
        let wait = Wait { what: "RwLock::read_timeout", place: Location::caller() };
        self.take(limit(time), &Ask::Read, &wait, ReadGuard::new)
    }

    /// Takes the lock to read, for a future. Dropped before, it leaves the line.
    ///
    /// # Errors
    ///
    /// As [`read`](RwLock::read).
    pub async fn read_async(&self) -> Result<ReadGuard<'_, T>, LockError<ReadGuard<'_, T>>> {
        let who = nobody();
        let answer = self.handle.wait_async(who, &Ask::Read).await?;
        present(self.taken(who, answer, ReadGuard::new))
    }

    /// Takes the lock to write, and waits for it.
    ///
    /// # Errors
    ///
    /// As [`read`](RwLock::read).
    #[track_caller]
    pub fn write(&self) -> Result<WriteGuard<'_, T>, LockError<WriteGuard<'_, T>>> {
        let wait = Wait { what: "RwLock::write", place: Location::caller() };
        present(self.take(FOR_EVER, &Ask::Write, &wait, WriteGuard::new))
    }

    /// Takes the lock to write if it is free.
    ///
    /// # Errors
    ///
    /// As [`read`](RwLock::read).
    #[track_caller]
    pub fn try_write(&self) -> Result<Option<WriteGuard<'_, T>>, LockError<WriteGuard<'_, T>>> {
        let wait = Wait { what: "RwLock::try_write", place: Location::caller() };
        self.take(AT_ONCE, &Ask::Write, &wait, WriteGuard::new)
    }

    /// Takes the lock to write, and waits for it for so long.
    ///
    /// # Errors
    ///
    /// As [`read`](RwLock::read).
    #[track_caller]
    pub fn write_timeout(
        &self,
        time: Duration,
    ) -> Result<Option<WriteGuard<'_, T>>, LockError<WriteGuard<'_, T>>> {
        let wait = Wait { what: "RwLock::write_timeout", place: Location::caller() };
        self.take(limit(time), &Ask::Write, &wait, WriteGuard::new)
    }

    /// Takes the lock to write, for a future. Dropped before, it leaves the line.
    ///
    /// # Errors
    ///
    /// As [`read`](RwLock::read).
    pub async fn write_async(&self) -> Result<WriteGuard<'_, T>, LockError<WriteGuard<'_, T>>> {
        let who = nobody();
        let answer = self.handle.wait_async(who, &Ask::Write).await?;
        present(self.taken(who, answer, WriteGuard::new))
    }

    /// Whether somebody holds it, at this moment.
    ///
    /// # Errors
    ///
    /// The root is gone.
    pub fn is_locked(&self) -> Result<bool> {
        truth(self.handle.ask(nobody(), &Ask::IsLocked)?)
    }

    fn take<'a, G>(
        &'a self,
        limit: u64,
        ask: &Ask,
        wait: &Wait,
        guard: fn(Hold<'a, T>, T) -> G,
    ) -> Result<Option<G>, LockError<G>> {
        let who = nobody();
        let answer = self.handle.wait(who, limit, ask, wait)?;
        self.taken(who, answer, guard)
    }

    fn taken<'a, G>(
        &'a self,
        who: u64,
        answer: Answer,
        guard: fn(Hold<'a, T>, T) -> G,
    ) -> Result<Option<G>, LockError<G>> {
        match answer {
            Answer::Locked { owner_died, value: Some(load) } => {
                let hold = Hold { lock: self, who, is_held: true };
                let guard = guard(hold, unpack(load, "value")?);
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

/// What a wait without a limit ends with.
fn present<G>(taken: Result<Option<G>, LockError<G>>) -> Result<G, LockError<G>> {
    taken.and_then(|guard| guard.ok_or_else(|| unexpected(&Answer::Busy).into()))
}

impl<T> Clone for RwLock<T> {
    /// The same lock.
    fn clone(&self) -> Self {
        RwLock { handle: self.handle.clone(), value: PhantomData }
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RwLock").field(&self.handle.number()).finish()
    }
}

impl<'a, T: Payload> ReadGuard<'a, T> {
    fn new(hold: Hold<'a, T>, value: T) -> ReadGuard<'a, T> {
        ReadGuard { _hold: hold, value }
    }

    /// The copy of the value. The lock is released.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<'a, T: Payload> WriteGuard<'a, T> {
    fn new(hold: Hold<'a, T>, value: T) -> WriteGuard<'a, T> {
        WriteGuard { hold, value, changed: false }
    }

    /// Stores the value and releases the lock, as dropping it does, and tells what was in the way.
    ///
    /// # Errors
    ///
    /// The value cannot be serialised: the lock is released, and the value as it was. The root is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// let number = fourfold::process::RwLock::new(1)?;
    /// let mut guard = number.write()?;
    /// *guard = 2;
    /// guard.store()?;
    /// assert_eq!(*number.read()?, 2);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn store(mut self) -> Result<()> {
        let load = self.load()?;
        self.changed = false;
        self.hold.is_held = false;
        done(self.hold.lock.handle.ask(self.hold.who, &Ask::Unlock(load))?)
    }

    fn load(&self) -> Result<Option<Load>> {
        self.changed.then(|| pack_for_good(&self.value, "value")).transpose()
    }
}

impl<T: Payload> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Payload> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Payload> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }
}

impl<T: Payload> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        // One that cannot be stored is as one that was not changed: see `store`. What a panic has left half done is stored, as
        // it stays at the other scales.
        if let (true, Ok(load)) = (self.hold.is_held, self.load()) {
            self.hold.is_held = false;
            self.hold.lock.handle.tell(self.hold.who, &Ask::Unlock(load));
        }
    }
}

impl<T: Payload + fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Payload + fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
