//! The children that this process has started and that have not ended, and what becomes of them when `main` ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once};

use super::child::Body;

/// A child that was started and has not ended.
pub(crate) struct Entry {
    pub(crate) body: Arc<Body>,
}

struct Registry {
    /// The process that these are children of: a forked child has none of them.
    owner: u32,
    alive: BTreeMap<u64, Entry>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { owner: 0, alive: BTreeMap::new() });
static ENDED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Registry> {
    let mut registry = REGISTRY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pid = std::process::id();
    if registry.owner != pid {
        registry.owner = pid;
        // Leaked: dropping a parent's children would let go of their lifelines.
        std::mem::forget(std::mem::take(&mut registry.alive));
    }
    registry
}

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    lock()
}

pub(crate) fn insert(entry: Entry) {
    if !entry.body.daemon {
        wait_at_exit();
    }
    lock().alive.insert(entry.body.id, entry);
}

pub(crate) fn remove(id: u64) {
    let entry = lock().alive.remove(&id);
    drop(entry);
    ENDED.notify_all();
}

/// A child that has not ended. Made by [`active_children`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveChild {
    pid: u32,
    name: String,
    daemon: bool,
}

impl ActiveChild {
    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a daemon.
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }
}

/// The children started by [`spawn`](super::spawn) or a [`Builder`](super::Builder) that have not ended, oldest first. The
/// workers of executors are not among them.
///
/// # Examples
///
/// ```
/// use fourfold::process;
/// use std::io::Read;
///
/// fn wait(process::Fd(mut until): process::Fd<std::io::PipeReader>) {
///     let _ = until.read(&mut [0]);
/// }
///
/// let (reader, writer) = std::io::pipe()?;
/// let child = process::Builder::new().name("waiter").spawn(wait, process::Fd(reader))?;
/// assert!(process::active_children().iter().any(|active| active.pid() == child.pid()));
/// drop(writer);
/// child.join()?;
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn active_children() -> Vec<ActiveChild> {
    lock()
        .alive
        .values()
        .map(|Entry { body }| ActiveChild {
            pid: body.proc.pid,
            name: body.name.clone(),
            daemon: body.daemon,
        })
        .collect()
}

/// Ends the daemons, and waits for the other children.
pub(crate) fn end_of_main() {
    let daemons: Vec<Arc<Body>> = {
        let registry = lock();
        registry.alive.values().map(|entry| entry.body.clone()).filter(|body| body.daemon).collect()
    };
    for daemon in daemons {
        daemon.proc.kill(None);
    }
    let mut registry = lock();
    while !registry.alive.is_empty() {
        registry = ENDED.wait(registry).unwrap_or_else(|poisoned| poisoned.into_inner());
    }
}

/// For programs without `#[fourfold::main]`: waits when the C library runs its exit handlers. Not in a test harness, where
/// a child that a failed test has left behind must not hold the end up.
fn wait_at_exit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if !in_test_harness() {
            super::entry::at_exit(end_of_main_at_exit);
        }
    });
}

extern "C" fn end_of_main_at_exit() {
    end_of_main();
}

/// Test and bench executables lie in a directory of cargo's named `deps`, those of doc tests in a temporary one.
fn in_test_harness() -> bool {
    let Ok(path) = std::env::current_exe() else {
        return false;
    };
    let in_deps = path.parent().and_then(|parent| parent.file_name()).is_some_and(|n| n == "deps");
    in_deps || path.file_name().is_some_and(|name| name == "rust_out")
}
