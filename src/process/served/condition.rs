//! A lock between processes, and a place to wait with the lock given up.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::handle::{Handle, done, limit, nobody, pack, pack_for_good, unexpected, unpack};
use super::lock_error::LockError;
use super::wire::{AT_ONCE, Answer, Ask, Blank, FOR_EVER, Load};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::process::owner_died::OwnerDied;
use crate::sync::park::{Wait, after};
use crate::task::Payload;

/// A lock around a value, between processes, and a place to wait, with the lock given up, until another has changed the value.
///
/// The value is kept by the root of the processes: a guard has a copy, which is stored, if it was changed, whenever the lock is
/// given up, and fetched when it is taken. One who dies while it waits is gone, and the notification that it may have had
/// goes to the next; one who dies with the lock leaves the value as it was, and the next one is told, by [`OwnerDied`].
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; no call can fail; a guard refers to the value itself |
/// | `process` | each call can fail; a guard has a copy of the value |
/// | `cluster` | on a server: each call can fail, and the value is elsewhere |
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Condition};
///
/// fn wait(count: Condition<u32>) -> u32 {
///     let mut count = count.lock().unwrap();
///     count.wait_for(|count| *count == 3).unwrap();
///     *count
/// }
///
/// let count = Condition::new(0)?;
/// let child = process::spawn(wait, count.clone())?;
/// for _ in 0..3 {
///     let mut count = count.lock()?;
///     *count += 1;
///     count.notify_all()?;
/// }
/// assert_eq!(child.join()?, 3);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Condition<T = ()> {
    handle: Handle,
    #[serde(skip)]
    value: PhantomData<fn(T) -> T>,
}

/// A condition's lock, held until this is dropped, and a copy of its value.
#[must_use = "the lock is released when the guard is dropped"]
pub struct ConditionGuard<'a, T: Payload = ()> {
    condition: &'a Condition<T>,
    who: u64,
    /// `None` while it waits, and if that has failed or was cancelled: then it holds no lock.
    value: Option<T>,
    changed: bool,
}

impl<T: Payload> Condition<T> {
    /// A condition with a free lock around a value.
    ///
    /// # Errors
    ///
    /// The value cannot be serialised, or the root is gone: [`ErrorKind::RootGone`].
    pub fn new(value: T) -> Result<Condition<T>> {
        let (load, tickets) = pack(&value, "value")?;
        let handle = Handle::new(Blank::Condition(load), tickets)?;
        Ok(Condition { handle, value: PhantomData })
    }

    /// Takes the lock, and waits for it.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], with the lock taken; [`LockError::Failed`] without: the root is gone. Here and below.
    #[track_caller]
    pub fn lock(&self) -> Result<ConditionGuard<'_, T>, LockError<ConditionGuard<'_, T>>> {
        let wait = Wait { what: "Condition::lock", place: Location::caller() };
        let who = nobody();
        let answer = self.handle.wait(who, FOR_EVER, &Ask::Lock, &wait)?;
        self.taken(who, answer)?.ok_or_else(|| unexpected(&Answer::Busy).into())
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// As [`lock`](Condition::lock).
    #[track_caller]
    pub fn try_lock(
        &self,
    ) -> Result<Option<ConditionGuard<'_, T>>, LockError<ConditionGuard<'_, T>>> {
        let wait = Wait { what: "Condition::try_lock", place: Location::caller() };
        let who = nobody();
        let answer = self.handle.wait(who, AT_ONCE, &Ask::Lock, &wait)?;
        self.taken(who, answer)
    }

    /// Takes the lock, for a future. Dropped before, it leaves the line.
    ///
    /// # Errors
    ///
    /// As [`lock`](Condition::lock).
    pub async fn lock_async(
        &self,
    ) -> Result<ConditionGuard<'_, T>, LockError<ConditionGuard<'_, T>>> {
        let who = nobody();
        let answer = self.handle.wait_async(who, &Ask::Lock).await?;
        self.taken(who, answer)?.ok_or_else(|| unexpected(&Answer::Busy).into())
    }

    fn taken(
        &self,
        who: u64,
        answer: Answer,
    ) -> Result<Option<ConditionGuard<'_, T>>, LockError<ConditionGuard<'_, T>>> {
        match answer {
            Answer::Locked { owner_died, value: Some(load) } => {
                let mut guard =
                    ConditionGuard { condition: self, who, value: None, changed: false };
                guard.fill(load)?;
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

impl<T> Clone for Condition<T> {
    /// The same condition.
    fn clone(&self) -> Self {
        Condition { handle: self.handle.clone(), value: PhantomData }
    }
}

impl<T> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.handle.number()).finish()
    }
}

impl<T: Payload> ConditionGuard<'_, T> {
    /// Gives the lock up until it is notified, and takes it again.
    ///
    /// Others may have changed the value before: see [`wait_for`](ConditionGuard::wait_for).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OwnerDied`]: the last holder of the lock died with it; it was notified all the same, and holds the lock. With
    /// any other the guard holds no lock. Here and below.
    #[track_caller]
    pub fn wait(&mut self) -> Result<()> {
        let wait = Wait { what: "Condition::wait", place: Location::caller() };
        self.wait_within(FOR_EVER, &wait).map(drop)
    }

    /// As [`wait`](ConditionGuard::wait), for so long; says whether it was notified. The lock is then taken again, however
    /// long another has it.
    ///
    /// # Errors
    ///
    /// As [`wait`](ConditionGuard::wait).
    #[track_caller]
    pub fn wait_timeout(&mut self, time: Duration) -> Result<bool> {
        let wait = Wait { what: "Condition::wait_timeout", place: Location::caller() };
        self.wait_within(limit(time), &wait)
    }

    /// Waits until this holds of the value: at once, or after a notification.
    ///
    /// # Errors
    ///
    /// As [`wait`](ConditionGuard::wait).
    #[track_caller]
    pub fn wait_for(&mut self, mut holds: impl FnMut(&mut T) -> bool) -> Result<()> {
        let wait = Wait { what: "Condition::wait_for", place: Location::caller() };
        while !self.holds(&mut holds) {
            self.wait_within(FOR_EVER, &wait)?;
        }
        Ok(())
    }

    /// As [`wait_for`](ConditionGuard::wait_for), for so long; says whether it holds at the end.
    ///
    /// # Errors
    ///
    /// As [`wait`](ConditionGuard::wait).
    #[track_caller]
    pub fn wait_for_timeout(
        &mut self,
        time: Duration,
        mut holds: impl FnMut(&mut T) -> bool,
    ) -> Result<bool> {
        let wait = Wait { what: "Condition::wait_for_timeout", place: Location::caller() };
        let deadline = after(time);
        while !self.holds(&mut holds) {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if !self.wait_within(left.map_or(FOR_EVER, limit), &wait)? {
                return Ok(self.holds(&mut holds));
            }
        }
        Ok(true)
    }

    /// As [`wait`](ConditionGuard::wait), for a future. Dropped while it waits, it does not keep the lock.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], with the lock taken; [`LockError::Failed`] without.
    pub async fn wait_async(mut self) -> Result<Self, LockError<Self>> {
        let ask = self.give_up()?;
        let answer = self.condition.handle.wait_async(self.who, &ask).await;
        let answer = answer.inspect_err(|_| self.let_go(ask))?;
        match self.come_back(answer)? {
            (_, true) => Err(LockError::OwnerDied(OwnerDied::new(self))),
            (_, false) => Ok(self),
        }
    }

    /// Notifies one who waits.
    ///
    /// # Errors
    ///
    /// The root is gone.
    pub fn notify_one(&self) -> Result<()> {
        done(self.condition.handle.ask(self.who, &Ask::Notify(1))?)
    }

    /// Notifies all who wait.
    ///
    /// # Errors
    ///
    /// The root is gone.
    pub fn notify_all(&self) -> Result<()> {
        done(self.condition.handle.ask(self.who, &Ask::Notify(u64::MAX))?)
    }

    fn wait_within(&mut self, limit: u64, wait: &Wait) -> Result<bool> {
        let ask = self.give_up()?;
        let answer = self.condition.handle.wait(self.who, limit, &ask, wait);
        let answer = answer.inspect_err(|_| self.let_go(ask))?;
        match self.come_back(answer)? {
            (_, true) => Err(Error::new(ErrorKind::OwnerDied).with_scale(Scale::Process)),
            (notified, false) => Ok(notified),
        }
    }

    /// The request that gives the lock up. From then on this holds none.
    fn give_up(&mut self) -> Result<Ask> {
        let load = self.load()?;
        self.value = None;
        self.changed = false;
        Ok(Ask::Wait(load))
    }

    /// Gives the lock up after a wait that failed, which may have been before it was asked for. If it was given up, this is told to
    /// nobody's harm.
    fn let_go(&self, ask: Ask) {
        if let Ask::Wait(load) = ask {
            self.condition.handle.tell(self.who, &Ask::Unlock(load));
        }
    }

    /// Has the lock again: whether it was notified, and whether the last holder died.
    fn come_back(&mut self, answer: Answer) -> Result<(bool, bool)> {
        match answer {
            Answer::Woken { notified, owner_died, value } => {
                self.fill(value)?;
                Ok((notified, owner_died))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Takes the value that has come with the lock. One that cannot be read is left there.
    fn fill(&mut self, load: Load) -> Result<()> {
        match unpack(load, "value") {
            Ok(value) => self.value = Some(value),
            Err(error) => {
                self.condition.handle.tell(self.who, &Ask::Unlock(None));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether it holds of the value. Looking at it changes nothing, as far as the types can tell; so it counts as a change if
    /// the bytes are others.
    fn holds(&mut self, holds: &mut impl FnMut(&mut T) -> bool) -> bool {
        let before = (!self.changed).then(|| self.bytes());
        let answer = holds(self.value.as_mut().expect(NO_LOCK));
        if let Some(before) = before {
            self.changed = before.is_none() || self.bytes() != before;
        }
        answer
    }

    fn bytes(&self) -> Option<Load> {
        let packed = self.value.as_ref().map(|value| pack(value, "value"));
        Some(packed?.ok()?.0)
    }

    fn load(&self) -> Result<Option<Load>> {
        let value = self.value.as_ref().filter(|_| self.changed);
        value.map(|value| pack_for_good(value, "value")).transpose()
    }
}

const NO_LOCK: &str = "the guard of a wait that failed or was cancelled holds no lock";

impl<T: Payload> Deref for ConditionGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect(NO_LOCK)
    }
}

impl<T: Payload> DerefMut for ConditionGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        self.value.as_mut().expect(NO_LOCK)
    }
}

impl<T: Payload> Drop for ConditionGuard<'_, T> {
    fn drop(&mut self) {
        if self.value.is_some() {
            // One that cannot be stored is as one that was not changed.
            let load = self.load().unwrap_or_default();
            self.condition.handle.tell(self.who, &Ask::Unlock(load));
        }
    }
}

impl<T: Payload + fmt::Debug> fmt::Debug for ConditionGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConditionGuard").field(&self.value).finish()
    }
}
