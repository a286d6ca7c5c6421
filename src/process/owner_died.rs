//! That a lock was taken from a holder that has died.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// The lock is taken, and who held it before died with it: what it guards is as the dead one left it, which may be half done.
///
/// It is told once, to who takes the lock next, as std tells of a poisoned mutex. [`into_inner`](OwnerDied::into_inner) gives
/// the guard, to put things right; dropped, it gives the lock back.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Lock};
///
/// fn die_with(lock: Lock<u32>) {
///     let mut guard = lock.lock().unwrap();
///     *guard = 7;
///     std::process::exit(3);
/// }
///
/// let lock = Lock::new(0u32)?;
/// process::spawn(die_with, lock.clone())?.join().unwrap_err();
/// let told = lock.lock().unwrap_err();
/// assert_eq!(*told.into_inner(), 7);
/// assert_eq!(*lock.lock()?, 7);
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

    /// The guard, to look through.
    pub fn get_ref(&self) -> &G {
        &self.guard
    }

    /// The guard, to change things through.
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
        f.write_str("who held the lock has died; what it guards may be half done")
    }
}

impl<G> std::error::Error for OwnerDied<G> {}

/// The lock is given back.
impl<G> From<OwnerDied<G>> for Error {
    fn from(_: OwnerDied<G>) -> Error {
        Error::new(ErrorKind::OwnerDied).with_message("what the lock guards may be half done")
    }
}
