//! How much of the shared memory is in use.

use super::arena;
use crate::error::Result;

/// What the processes of a tree have in the memory that they share, at one moment.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Lock};
///
/// let before = process::shared_memory()?;
/// let lock = Lock::new(0u64)?;
/// assert_eq!(process::shared_memory()?.words, before.words + 1);
/// drop(lock);
/// assert_eq!(process::shared_memory()?, before);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedMemory {
    /// Words that somebody has a handle to, or that are on their way to somebody.
    pub words: u64,
    /// Bytes in use for them, and for what is in them.
    pub bytes: u64,
}

/// How much of the memory that the processes of this tree share is in use.
///
/// # Errors
///
/// There is no such memory, and it cannot be made: for want of descriptors or addresses.
pub fn shared_memory() -> Result<SharedMemory> {
    let (words, bytes) = arena()?.usage();
    Ok(SharedMemory { words, bytes })
}
