//! Who this thread is, and who else is there.

use std::fmt;
use std::sync::Arc;

use super::registry::{self, Kind, Record};
use crate::error::Result;

/// A thread of this process. Made by [`current()`] and [`enumerate`].
#[derive(Clone)]
pub struct Thread {
    record: Arc<Record>,
}

/// The calling thread, whoever started it.
///
/// # Examples
///
/// ```
/// use fourfold::thread;
///
/// let me = thread::current().id();
/// let child = thread::spawn(|| (thread::current().id(), thread::current().parent_id()), ())?;
/// let id = child.id();
/// assert_eq!(child.join()?, (id, Some(me)));
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn current() -> Thread {
    Thread { record: registry::current() }
}

/// The threads that are alive: the main thread, and those started here, workers of executors among them. The oldest first.
///
/// Threads that were started by other means are not listed.
///
/// # Examples
///
/// ```
/// use fourfold::thread;
///
/// let child = thread::Builder::new().name("parked").daemon(true).spawn(std::thread::park, ())?;
/// assert!(thread::enumerate().iter().any(|thread| thread.name() == "parked"));
/// # drop(child);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn enumerate() -> Vec<Thread> {
    let mut threads = vec![registry::main()];
    threads.append(&mut registry::alive());
    threads.into_iter().map(|record| Thread { record }).collect()
}

/// How many threads [`enumerate`] lists.
///
/// # Examples
///
/// ```
/// use fourfold::thread;
///
/// let child = thread::spawn(std::thread::park, ())?;
/// assert!(thread::active_count() >= 2);
/// # drop(child);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn active_count() -> usize {
    registry::alive().len() + 1
}

impl Thread {
    /// The number of the thread, unique in this process: 1 is the main thread. It is not the kernel's number.
    pub fn id(&self) -> u64 {
        self.record.id
    }

    /// The name it has now: given to it, or that of its function. The main thread's is `main`.
    pub fn name(&self) -> String {
        self.record.name()
    }

    /// Gives it another name, which [`current()`], [`enumerate`] and, cut at 15 bytes, the system's tools show from now on.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the name has a zero byte in it.
    pub fn rename(&self, name: impl Into<String>) -> Result<()> {
        self.record.rename(name.into())
    }

    /// The thread that started it: `None` for the main thread, and for one that was not started here.
    pub fn parent_id(&self) -> Option<u64> {
        self.record.parent
    }

    /// The process: always this one.
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// Whether its function has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.record.is_alive()
    }

    /// Whether it is cut off when `main` ends. Also true of threads that were not started here.
    pub fn is_daemon(&self) -> bool {
        self.record.kind == Kind::Daemon
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("alive", &self.is_alive())
            .finish()
    }
}
