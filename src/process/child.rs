//! A function that runs in a process of its own: what it gave, and how the process ended.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::channel::{Frame, Inbox, Kind, Received};
use super::channel::{Parcel, send_bytes, unless_gone, write_frame};
use super::launch::{Proc, Settings, Watch, launch_with};
use super::registry::{self, Entry};
use super::serve::unpack_panic;
use super::status::{Cause, ExitStatus};
use super::supervisor::supervisor;
use crate::error::{Error, ErrorKind, Outcome, Result, Scale};
use crate::sync::park::{Wait, after};
use crate::task::envelope::Envelope;
use crate::task::{Payload, codec, next_id};
use crate::vocab::outcome::Cell;
use crate::vocab::wait::{Backend, Pending, park};
use crate::vocab::{Handle, TaskState};
use crate::wait::{self, Waitable};

/// A process that this one has started to run one function, and the outcome that it will have.
///
/// It is waited for as soon as it ends, whether or not anybody joins it, so it never stays a zombie. Dropping the `Child`
/// lets it go on. It is a [`Future`] too.
///
/// # Examples
///
/// ```
/// use fourfold::process;
///
/// let child = process::spawn(|a: u32, b: u32| a + b, (1, 2))?;
/// assert_ne!(child.pid(), std::process::id());
/// assert_eq!(child.join()?, 3);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[must_use = "the outcome of the child is only told to who asks; `drop` it to let the child go on unobserved"]
pub struct Child<T> {
    handle: Handle<T>,
    body: Arc<Body>,
}

/// What is known of a child, whoever asks.
pub(crate) struct Body {
    pub(crate) id: u64,
    pub(crate) proc: Arc<Proc>,
    pub(crate) name: String,
    pub(crate) daemon: bool,
    pub(crate) parent: u32,
    watch: OnceLock<Arc<Watch>>,
}

/// The work of a child, ready to be sent.
pub(crate) struct Work {
    pub(crate) entry: u64,
    pub(crate) args: Envelope,
    pub(crate) task: String,
}

/// Bytes of a task that goes with the greeting. Any socket has room for so many before there is a child to read them.
const AT_ONCE: usize = 1 << 10;

/// Starts a child and gives it its work.
pub(crate) fn start<T: Payload>(
    mut settings: Settings,
    work: Work,
    timeout: Option<Duration>,
    memory: Option<u64>,
) -> Result<Child<T>> {
    let (name, daemon) = (settings.name.clone(), settings.daemon);
    let mut parcel = Parcel::of(work.args)?;
    // Before the child exists, so that a supervisor that cannot be started leaves none behind.
    let supervisor = supervisor()?;
    settings.memory = memory;
    let mut bytes = Vec::new();
    write_frame(&mut bytes, Kind::Task, 0, work.entry, 0, &parcel);
    // One with a memory limit is put in its group before it has a task.
    let at_once = parcel.fd_count() == 0 && bytes.len() <= AT_ONCE && memory.is_none();
    let proc = if at_once {
        launch_with(settings, &bytes, |_| Ok(()))?
    } else {
        // Of descriptors only some can be on their way, until the child takes them off.
        let send = |proc: &Proc| Ok(unless_gone(send_bytes(&proc.socket, &bytes, &parcel))?);
        launch_with(settings, &[], send)?
    };
    let proc = Arc::new(proc);
    // Until the child has ended: it may not have read them yet.
    let tickets = super::callbacks::Late::of(&mut parcel);
    drop(parcel);
    let body = Arc::new(Body {
        id: next_id(),
        proc: proc.clone(),
        name,
        daemon,
        parent: std::process::id(),
        watch: OnceLock::new(),
    });
    let cell = Cell::new(body.id, body.clone());
    registry::insert(Entry { body: body.clone() });
    let handle = Handle::new(cell.clone());
    let id = body.id;
    let limit = timeout.and_then(|limit| Some((after(limit)?, limit)));
    let timer = limit.map(|(moment, limit)| {
        let proc = Arc::downgrade(&proc);
        supervisor.at(moment, move || {
            if let Some(proc) = proc.upgrade() {
                proc.kill(Some(Cause::TimedOut(limit)));
            }
        })
    });
    let meter = memory.and_then(|limit| {
        let proc = Arc::downgrade(&proc);
        body.proc.meter(limit, move |seen| {
            if let Some(proc) = proc.upgrade() {
                proc.kill(Some(Cause::OutOfMemory { limit, seen }));
            }
        })
    });
    let watched = proc.watch(move |proc| {
        if let (Some(timer), Ok(supervisor)) = (timer, super::supervisor::supervisor()) {
            supervisor.forget(timer);
        }
        drop((meter, tickets));
        registry::remove(id);
        let task = work.task;
        match last_answer(&proc) {
            Some(answer) => {
                let pid = proc.pid;
                cell.complete_later(Box::new(move || value_of(answer, pid, || task)));
            }
            None => {
                let error = proc.explain().unwrap_or_else(|| Error::new(ErrorKind::NotStarted));
                cell.complete(Err(error.with_task(task)));
            }
        }
    });
    body.keep(watched)?;
    Ok(Child { handle, body })
}

/// Looks after a child that does no work of ours: its outcome is that it exits with 0.
pub(crate) fn adopt(proc: Arc<Proc>, name: String) -> Result<Child<()>> {
    let (id, parent) = (next_id(), std::process::id());
    let task = name.clone();
    let body = Arc::new(Body {
        id,
        proc: proc.clone(),
        name,
        daemon: false,
        parent,
        watch: OnceLock::new(),
    });
    let cell = Cell::new(id, body.clone());
    registry::insert(Entry { body: body.clone() });
    let handle = Handle::new(cell.clone());
    let watched = proc.watch(move |proc| {
        registry::remove(id);
        let well = proc.ended().is_some_and(|ended| ended.status.success());
        let outcome = match proc.explain_program() {
            Some(error) if !well => Err(error.with_task(task)),
            _ => Ok(()),
        };
        cell.complete(outcome);
    });
    body.keep(watched)?;
    Ok(Child { handle, body })
}

/// The answer that a child which has ended left in its socket.
fn last_answer(proc: &Proc) -> Option<Frame> {
    let mut inbox = Inbox::new();
    loop {
        if let Some(frame) = inbox.next().ok()? {
            return Some(frame);
        }
        match inbox.receive(&proc.socket, true) {
            Ok(Received::Some) => {}
            Ok(Received::End | Received::WouldBlock) | Err(_) => return None,
        }
    }
}

/// The outcome that an answer holds.
pub(crate) fn value_of<T: Payload>(
    answer: Frame,
    pid: u32,
    task: impl FnOnce() -> String,
) -> Outcome<T> {
    let read = || -> Outcome<T> {
        let (body, fds) = answer.parcel.open()?;
        match answer.kind {
            Kind::Value => Envelope { body, fds, ..Envelope::default() }.unpack("value"),
            Kind::Panicked => Err(Error::panicked(unpack_panic(&body))),
            _ => Err(codec::decode(&body, "error").unwrap_or_else(|error| error)),
        }
    };
    // A user's `Deserialize` may panic; it does so on behalf of this task.
    let outcome =
        crate::task::catch::catch(read).unwrap_or_else(|panic| Err(Error::panicked(panic)));
    outcome.map_err(|error| error.with_task(task()).with_scale(Scale::Process).with_pid(pid))
}

impl Body {
    /// Keeps the watch over the child. Without one, nobody would learn of its end.
    fn keep(&self, watched: Result<Arc<Watch>>) -> Result<()> {
        let watch = watched.inspect_err(|_| {
            registry::remove(self.id);
            self.proc.end_and_reap();
        })?;
        let _ = self.watch.set(watch);
        Ok(())
    }
}

impl Backend for Body {
    fn cancel(&self, _task: u64, even_running: bool) -> bool {
        even_running && self.proc.kill(Some(Cause::Cancelled))
    }

    fn is_running(&self, _task: u64) -> bool {
        self.proc.ended().is_none()
    }

    fn call(&self, callbacks: Box<dyn FnOnce() + Send>) {
        super::callbacks::run(callbacks);
    }

    fn wait(&self, pending: &dyn Pending, wait: &Wait, deadline: Option<Instant>) {
        if super::callbacks::wait(pending, deadline) {
            return;
        }
        // A fork of this process has no child of it to wait for.
        if pending.is_of(self.id)
            && self.parent == std::process::id()
            && let Some(watch) = self.watch.get()
        {
            watch.wait(deadline);
        }
        park(pending, wait, deadline);
    }
}

impl<T: Payload> Child<T> {
    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.body.proc.pid
    }

    /// The id of the process that started it.
    pub fn parent_pid(&self) -> u32 {
        self.body.parent
    }

    /// Its name: that given to the [`Builder`](super::Builder), or that of its function.
    pub fn name(&self) -> &str {
        &self.body.name
    }

    /// Whether it is a daemon: ended, not waited for, when `main` ends. Decided when it is started.
    pub fn is_daemon(&self) -> bool {
        self.body.daemon
    }

    /// Whether the process has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.body.proc.ended().is_none()
    }

    /// How the process ended; `None` while it has not.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.body.proc.ended().map(|ended| ended.status)
    }

    /// Asks the process to end, with SIGTERM. Whether it was still there.
    pub fn terminate(&self) -> bool {
        self.body.proc.signal(libc::SIGTERM)
    }

    /// Ends the process and all that it has started, with SIGKILL. Whether it was still there.
    pub fn kill(&self) -> bool {
        self.body.proc.kill(None)
    }

    /// Sends the process a signal. Whether it was still there.
    pub fn signal(&self, signal: i32) -> bool {
        self.body.proc.signal(signal)
    }

    /// Waits until the process has ended, and takes the outcome. See [`Handle::join`].
    ///
    /// # Errors
    ///
    /// What kept it from giving a value, exactly: see [`ErrorKind`].
    #[track_caller]
    pub fn join(self) -> Outcome<T> {
        self.handle.join()
    }

    /// Waits at most this long. `None` if the process has not ended by then. See [`Handle::join_timeout`].
    ///
    /// # Errors
    ///
    /// As [`join`](Child::join).
    #[track_caller]
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Outcome<T>> {
        self.handle.join_timeout(timeout)
    }

    /// Takes the outcome if the process has ended. See [`Handle::try_join`].
    ///
    /// # Errors
    ///
    /// As [`join`](Child::join).
    pub fn try_join(&mut self) -> Option<Outcome<T>> {
        self.handle.try_join()
    }

    /// Whether there is an outcome.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// How far it has come.
    pub fn state(&self) -> TaskState {
        self.handle.state()
    }

    /// Ends the process; the outcome is then `Cancelled`. Whether it was still there. See [`Handle::cancel`].
    pub fn cancel(&self) -> bool {
        self.handle.cancel()
    }

    /// Has `callback` called in this process with the outcome, once. See [`Handle::on_done`].
    pub fn on_done(&self, callback: impl FnOnce(&Outcome<T>) + Send + 'static) {
        self.handle.on_done(callback);
    }

    /// The outcome alone.
    pub fn into_handle(self) -> Handle<T> {
        self.handle
    }
}

/// Ready when there is an outcome, or it was taken.
impl<T: Payload> Waitable for Child<T> {
    fn watch(&self) -> wait::Watch<'_> {
        self.handle.watch()
    }
}

impl<T: Payload> Future for Child<T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        Pin::new(&mut self.handle).poll(context)
    }
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("pid", &self.body.proc.pid)
            .field("name", &self.body.name)
            .field("ended", &self.body.proc.ended().map(|ended| ended.status))
            .finish_non_exhaustive()
    }
}
