//! Who this process is.

use std::sync::{Mutex, PoisonError};

use super::entry;

static IDENTITY: Mutex<Option<Identity>> = Mutex::new(None);

struct Identity {
    pid: u32,
    name: String,
    parent: u32,
    daemon: bool,
}

/// This process. Made by [`current()`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    pid: u32,
    parent: u32,
    name: String,
    daemon: bool,
    depth: u32,
}

/// This process: who it is, and who started it.
///
/// # Examples
///
/// ```
/// use fourfold::process;
///
/// let child = process::spawn(|| (process::current().pid(), process::current().parent_pid()), ())?;
/// let pid = child.pid();
/// assert_eq!(child.join()?, (pid, std::process::id()));
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn current() -> Current {
    let pid = std::process::id();
    // A process forked from a child of ours is not that child.
    let identity = IDENTITY.lock().unwrap_or_else(PoisonError::into_inner);
    let identity = identity.as_ref().filter(|identity| identity.pid == pid);
    Current {
        pid,
        parent: std::os::unix::process::parent_id(),
        name: identity.map_or_else(|| "main".into(), |identity| identity.name.clone()),
        daemon: identity.is_some_and(|identity| identity.daemon),
        depth: entry::depth(),
    }
    .with_parent(identity.map(|identity| identity.parent))
}

impl Current {
    /// This process's id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The id of the process that started this one: for a child of ours, the one that asked for it, whatever the start
    /// method.
    pub fn parent_pid(&self) -> u32 {
        self.parent
    }

    /// The name given to this child or worker; `main` in a process that is neither.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is a daemon, which may not have children of its own.
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }

    /// How many processes of ours are above this one: 0 in the program itself.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    fn with_parent(mut self, parent: Option<u32>) -> Current {
        self.parent = parent.unwrap_or(self.parent);
        self
    }
}

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    IDENTITY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says who this child is.
pub(crate) fn set(name: String, parent: u32, daemon: bool) {
    let comm = std::ffi::CString::new(name.as_bytes()).unwrap_or_default();
    // For `ps` and `top`, which would show `exe`. The kernel cuts it at 15 bytes.
    let _ = rustix::thread::set_name(&comm);
    let identity = Identity { pid: std::process::id(), name, parent, daemon };
    *IDENTITY.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
}
