//! Which threads of ours are alive, and waiting until those in the foreground have ended.
//!
//! A thread is registered by its starter, before it starts, and leaves by itself, after its callbacks. In between it is
//! marked as ended, before its outcome is known: who has joined it finds it ended.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;

use super::pool;
use crate::error::{Error, ErrorKind, Result, Scale};

/// The id of the main thread; those of the others count up from there.
const MAIN: u64 = 1;

static NEXT_ID: AtomicU64 = AtomicU64::new(MAIN + 1);

/// What a thread is to the end of `main`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is waited for.
    Foreground,
    /// It is cut off.
    Daemon,
    /// It is cut off once its executor has no more tasks.
    Worker,
}

/// What is known of a thread, shared by the thread itself and whoever asks about it.
pub(super) struct Record {
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) kind: Kind,
    name: Mutex<Name>,
    ended: AtomicBool,
}

struct Name {
    text: String,
    /// The kernel's number of the thread, while it surely is this thread's.
    tid: Option<i32>,
}

impl Record {
    fn new(id: u64, parent: Option<u64>, kind: Kind, name: String) -> Arc<Record> {
        let name = Mutex::new(Name { text: name, tid: None });
        Arc::new(Record { id, parent, kind, name, ended: AtomicBool::new(false) })
    }

    pub(super) fn name(&self) -> String {
        self.lock().text.clone()
    }

    pub(super) fn rename(&self, name: String) -> Result<()> {
        check_name(&name)?;
        let mut current = self.lock();
        if let Some(tid) = current.tid {
            // For `ps -L`, `top -H` and debuggers. It is not worth an error where /proc is not mounted.
            let _ = std::fs::write(format!("/proc/self/task/{tid}/comm"), &name);
        }
        current.text = name;
        Ok(())
    }

    /// Whether the thread's function has not ended.
    pub(super) fn is_alive(&self) -> bool {
        // Acquire: who sees the end sees what the thread did before it.
        !self.ended.load(Ordering::Acquire)
    }

    /// The thread's function has ended.
    pub(super) fn transition_to_ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn is_current(&self) -> bool {
        current().id == self.id
    }

    fn lock(&self) -> MutexGuard<'_, Name> {
        self.name.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A name that the system takes.
pub(super) fn check_name(name: &str) -> Result<()> {
    if name.contains('\0') {
        return Err(Error::invalid("the name of a thread has a zero byte in it"));
    }
    Ok(())
}

thread_local! {
    static CURRENT: OnceCell<Arc<Record>> = const { OnceCell::new() };
}

/// The record of the calling thread, made now if it was not started here.
pub(super) fn current() -> Arc<Record> {
    let known = CURRENT.try_with(|current| current.get_or_init(adopt).clone());
    // A thread that is destroying its thread-locals is nobody's any more.
    known.unwrap_or_else(|_| adopt())
}

fn adopt() -> Arc<Record> {
    let tid = rustix::thread::gettid();
    if tid == rustix::process::getpid() {
        return main();
    }
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let record = Record::new(id, None, Kind::Daemon, name);
    record.lock().tid = Some(tid.as_raw_nonzero().get());
    record
}

/// The record of the main thread.
pub(super) fn main() -> Arc<Record> {
    static RECORD: OnceLock<Arc<Record>> = OnceLock::new();
    let record = RECORD.get_or_init(|| {
        let record = Record::new(MAIN, None, Kind::Foreground, "main".into());
        record.lock().tid = Some(rustix::process::getpid().as_raw_nonzero().get());
        record
    });
    record.clone()
}

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { pid: 0, started: 0, threads: BTreeMap::new() });
static LEFT: Condvar = Condvar::new();

struct Registry {
    /// The process that these threads are of: a fork takes along none but the thread that calls it.
    pid: u32,
    /// How many were ever started.
    started: u64,
    threads: BTreeMap<u64, Arc<Record>>,
}

fn registry() -> MutexGuard<'static, Registry> {
    let mut registry = REGISTRY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pid = std::process::id();
    if registry.pid != pid {
        registry.pid = pid;
        registry.threads.clear();
    }
    registry
}

/// Those alive, by age. The main thread and threads that were not started here are not among them.
pub(super) fn alive() -> Vec<Arc<Record>> {
    registry().threads.values().filter(|record| record.is_alive()).cloned().collect()
}

/// What a new thread is to be.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) stack_size: Option<usize>,
    pub(super) kind: Kind,
}

/// Starts a thread that runs `body` and is registered meanwhile.
pub(super) fn start(
    plan: Plan,
    body: impl FnOnce(&Arc<Record>) + Send + 'static,
) -> Result<(Arc<Record>, JoinHandle<()>)> {
    start_by(plan, |builder, presence| builder.spawn(move || presence.run(body)))
}

/// Starts a thread as `spawn` does, which has it call [`Presence::run`].
pub(super) fn start_by<H>(
    plan: Plan,
    spawn: impl FnOnce(std::thread::Builder, Presence) -> io::Result<H>,
) -> Result<(Arc<Record>, H)> {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    check_name(&plan.name)?;
    let mut builder = std::thread::Builder::new().name(plan.name.clone());
    if let Some(bytes) = plan.stack_size {
        builder = builder.stack_size(bytes);
    }
    let record = Record::new(id, Some(current().id), plan.kind, plan.name);
    let presence = Presence::new(record.clone());
    match spawn(builder, presence) {
        Ok(thread) => Ok((record, thread)),
        Err(error) => Err(not_started(&record.name(), error)),
    }
}

fn not_started(name: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::NotStarted)
        .with_task(name)
        .with_scale(Scale::Thread)
        .with_message("the system gave no thread")
        .with_source(error)
}

/// A thread's entry in the registry, which lasts as long as this.
pub(super) struct Presence(Arc<Record>);

impl Presence {
    fn new(record: Arc<Record>) -> Presence {
        let mut registry = registry();
        registry.started += 1;
        registry.threads.insert(record.id, record.clone());
        Presence(record)
    }

    /// This thread is the one: runs `body`, and leaves.
    pub(super) fn run(self, body: impl FnOnce(&Arc<Record>)) {
        self.0.lock().tid = Some(rustix::thread::gettid().as_raw_nonzero().get());
        let _ = CURRENT.try_with(|current| current.set(self.0.clone()));
        body(&self.0);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.transition_to_ended();
        // The number may be another thread's once this one is gone.
        self.0.lock().tid = None;
        registry().threads.remove(&self.0.id);
        LEFT.notify_all();
    }
}

/// Waits until no foreground thread is left and no executor has a task: called when `main` ends.
///
/// Threads and tasks may start others meanwhile. So it looks until nothing has begun between two looks at everything: then
/// all were idle at the moment between the two.
pub(crate) fn wait_for_foreground() {
    let mut seen = None;
    loop {
        let now = (wait_for_threads(), pool::wait_until_idle());
        if seen.replace(now) == Some(now) {
            return;
        }
    }
}

/// Waits until no foreground thread is left but this one. How many threads have ever been started.
fn wait_for_threads() -> u64 {
    let me = current().id;
    let busy = |registry: &mut Registry| {
        let mut threads = registry.threads.values();
        threads.any(|record| record.kind == Kind::Foreground && record.id != me)
    };
    let registry =
        LEFT.wait_while(registry(), busy).unwrap_or_else(|poisoned| poisoned.into_inner());
    registry.started
}
