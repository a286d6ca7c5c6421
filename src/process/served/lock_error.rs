//! Why a lock that is served was not simply taken.

use std::fmt;

use crate::error::Error;
use crate::process::owner_died::OwnerDied;

/// Why a lock was not simply taken.
#[non_exhaustive]
pub enum LockError<G> {
    /// It was taken, from one who died.
    OwnerDied(OwnerDied<G>),
    /// It was not taken.
    Failed(Error),
}

impl<G> LockError<G> {
    /// The guard, for whom it makes no difference that the last holder died.
    ///
    /// # Errors
    ///
    /// The lock was not taken.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::process::{LockError, RLock};
    ///
    /// let lock = RLock::new()?;
    /// let guard = lock.lock().or_else(LockError::into_guard)?;
    /// # drop(guard);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn into_guard(self) -> Result<G, Error> {
        match self {
            LockError::OwnerDied(died) => Ok(died.into_inner()),
            LockError::Failed(error) => Err(error),
        }
    }
}

impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(died) => died.fmt(f),
            LockError::Failed(error) => error.fmt(f),
        }
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(died) => died.fmt(f),
            LockError::Failed(error) => error.fmt(f),
        }
    }
}

impl<G> std::error::Error for LockError<G> {}

impl<G> From<Error> for LockError<G> {
    fn from(error: Error) -> LockError<G> {
        LockError::Failed(error)
    }
}

impl<G> From<LockError<G>> for Error {
    /// A lock that was taken is released.
    fn from(error: LockError<G>) -> Error {
        match error {
            LockError::OwnerDied(died) => died.into(),
            LockError::Failed(error) => error,
        }
    }
}
