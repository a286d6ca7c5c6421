//! A lock whose last holder died with it.

use std::fmt;

use crate::error::{Error, ErrorKind, Scale};

/// The last holder of a lock died before it released it. The lock is the caller's now; what it guards may be half done.
///
/// It is told once: who takes the lock next is told nothing, as the caller has seen to it.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, LockError, RLock};
///
/// let lock = RLock::new()?;
/// let dies = process::spawn(|lock: RLock| -> () {
///     let _guard = lock.lock().unwrap();
///     std::process::abort()
/// }, lock.clone())?;
/// assert!(dies.join().is_err());
/// match lock.lock() {
///     Err(LockError::OwnerDied(died)) => drop(died.into_inner()),
///     other => panic!("{other:?}"),
/// }
/// assert!(lock.lock().is_ok());
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct OwnerDied<G> {
    guard: G,
}

impl<G> OwnerDied<G> {
    pub(crate) fn new(guard: G) -> OwnerDied<G> {
        OwnerDied { guard }
    }

    /// The guard: the lock is held.
    pub fn into_inner(self) -> G {
        self.guard
    }

    /// The guard.
    pub fn get_ref(&self) -> &G {
        &self.guard
    }

    /// The guard.
    pub fn get_mut(&mut self) -> &mut G {
        &mut self.guard
    }
}

impl<G> fmt::Debug for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerDied").finish_non_exhaustive()
    }
}

impl<G> fmt::Display for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ErrorKind::OwnerDied.fmt(f)
    }
}

impl<G> std::error::Error for OwnerDied<G> {}

impl<G> From<OwnerDied<G>> for Error {
    /// The lock is released.
    fn from(_: OwnerDied<G>) -> Error {
        Error::new(ErrorKind::OwnerDied).with_scale(Scale::Process)
    }
}

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
