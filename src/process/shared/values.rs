//! A value that several processes read and change, one at a time.

use std::fmt;

use super::lock::{Lock, LockGuard};
use super::plain::Plain;
use crate::error::Result;
use crate::process::OwnerDied;

/// A value that several processes read and change.
///
/// Each call takes the lock around the value, and gives it back; [`lock`](Value::lock) holds it for several steps. If who held it
/// before has died, which may have left the value half changed, the call does nothing but tell so, by [`OwnerDied`], which has the
/// guard. Waiting with a limit, and as a future, are [`as_lock`](Value::as_lock)'s.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Value};
///
/// fn add(sum: Value<f64>) {
///     sum.update(|sum| *sum += 0.5).unwrap();
/// }
///
/// let sum = Value::new(1.0)?;
/// process::spawn(add, sum.clone())?.join()?;
/// assert_eq!(sum.get()?, 1.5);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Value<T: Plain> {
    lock: Lock<T>,
}

impl<T: Plain> Value<T> {
    /// A value of which there is one, for all who have a handle to it.
    ///
    /// # Errors
    ///
    /// There is no room for it in the memory that processes share: [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory).
    pub fn new(value: T) -> Result<Value<T>> {
        Lock::new(value).map(Value::from)
    }

    /// The value, as it is now.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard.
    #[track_caller]
    pub fn get(&self) -> Result<T, OwnerDied<LockGuard<'_, T>>>
    where
        T: Copy,
    {
        self.lock.lock().map(|value| *value)
    }

    /// Puts another value in its place.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard; the value is as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// let value = fourfold::process::Value::new([1u8, 2])?;
    /// value.set([3, 4])?;
    /// assert_eq!(value.get()?, [3, 4]);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), OwnerDied<LockGuard<'_, T>>> {
        *self.lock.lock()? = value;
        Ok(())
    }

    /// Changes the value, while nobody else does, and gives what `change` gives.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard; `change` was not called.
    ///
    /// # Examples
    ///
    /// ```
    /// let next = fourfold::process::Value::new(7u32)?;
    /// let mine = next.update(|next| std::mem::replace(next, *next + 1))?;
    /// assert_eq!((mine, next.get()?), (7, 8));
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    #[track_caller]
    pub fn update<R>(
        &self,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, OwnerDied<LockGuard<'_, T>>> {
        self.lock.lock().map(|mut value| change(&mut value))
    }

    /// Holds the value, until the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard.
    #[track_caller]
    pub fn lock(&self) -> Result<LockGuard<'_, T>, OwnerDied<LockGuard<'_, T>>> {
        self.lock.lock()
    }

    /// The lock around the value.
    ///
    /// # Examples
    ///
    /// ```
    /// let value = fourfold::process::Value::new(1u8)?;
    /// let held = value.lock()?;
    /// assert!(value.as_lock().try_lock()?.is_none());
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn as_lock(&self) -> &Lock<T> {
        &self.lock
    }
}

/// The value that the lock is around.
impl<T: Plain> From<Lock<T>> for Value<T> {
    fn from(lock: Lock<T>) -> Value<T> {
        Value { lock }
    }
}

impl<T: Plain> Clone for Value<T> {
    /// The same value.
    fn clone(&self) -> Value<T> {
        Value { lock: self.lock.clone() }
    }
}

impl<T: Plain> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("is_locked", &self.lock.is_locked()).finish()
    }
}
