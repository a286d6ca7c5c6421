//! A thread that was started: what the starter keeps of it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use super::registry::{self, Kind, Plan, Record};
use crate::error::{Error, ErrorKind, Outcome, Result, Scale};
use crate::task::catch::catch;
use crate::task::next_id;
use crate::vocab::outcome::Cell;
use crate::vocab::wait::Backend;
use crate::vocab::{Handle, TaskState};
use crate::wait::{Waitable, Watch};

/// A thread that was started with [`spawn`](super::spawn) or a [`Builder`](super::Builder).
///
/// Dropping it lets the thread go on, unobserved. It is a [`Future`] too, which async code awaits, on any runtime.
///
/// # Examples
///
/// ```
/// use fourfold::{ErrorKind, thread};
///
/// let child = thread::spawn(|text: &str| text.parse::<u32>().unwrap(), "seven")?;
/// let error = child.join().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Panicked);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Child<T> {
    handle: Handle<T>,
    record: Arc<Record>,
    thread: JoinHandle<()>,
}

/// Starts a thread that calls `f`.
pub(super) fn start<T: Send + 'static>(
    plan: Plan,
    task: String,
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<Child<T>> {
    static BACKEND: LazyLock<Arc<Alone>> = LazyLock::new(|| Arc::new(Alone));
    let cell = Cell::new(next_id(), BACKEND.clone());
    let handle = Handle::new(cell.clone());
    let (record, thread) = registry::start(plan, move |record| {
        let outcome = catch(f)
            .map_err(|panic| Error::panicked(panic).with_task(task).with_scale(Scale::Thread));
        // Before the outcome is known: who has joined the thread finds it ended.
        record.transition_to_ended();
        cell.complete(outcome);
    })?;
    Ok(Child { handle, record, thread })
}

/// Stands behind the handle of a thread that belongs to no executor.
struct Alone;

impl Backend for Alone {
    fn cancel(&self, _task: u64, _even_running: bool) -> bool {
        false
    }

    fn is_running(&self, _task: u64) -> bool {
        true
    }
}

impl<T: Send + 'static> Child<T> {
    /// The number of the thread, unique in this process. It is not the kernel's number.
    pub fn id(&self) -> u64 {
        self.record.id
    }

    /// The name it has now: given by the [`Builder`](super::Builder) or since, or that of its function.
    pub fn name(&self) -> String {
        self.record.name()
    }

    /// Gives it another name, which [`current`](super::current()), [`enumerate`](super::enumerate) and, cut at 15 bytes, the
    /// system's tools show from now on.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the name has a zero byte in it.
    pub fn rename(&self, name: impl Into<String>) -> Result<()> {
        self.record.rename(name.into())
    }

    /// The thread that started it.
    pub fn parent_id(&self) -> u64 {
        self.record.parent.expect("a thread that was started here has a parent")
    }

    /// The process it is a part of: this one.
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// Whether its function has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.record.is_alive()
    }

    /// Whether it is cut off when `main` ends, in place of being waited for.
    pub fn is_daemon(&self) -> bool {
        self.record.kind == Kind::Daemon
    }

    /// Waits until the thread has ended, the destructors of its thread-locals included, and takes the outcome.
    ///
    /// A coroutine is suspended until there is an outcome. While those destructors run, it holds up its thread: nothing is told of
    /// their end but by the system's join. One that must not wait for them takes the outcome by [`into_handle`](Child::into_handle).
    ///
    /// # Errors
    ///
    /// [`Panicked`](ErrorKind::Panicked) if its function panicked; [`AlreadyTaken`](ErrorKind::AlreadyTaken) if an earlier
    /// call gave the outcome; [`Deadlock`](ErrorKind::Deadlock) if the thread joins itself.
    #[track_caller]
    pub fn join(self) -> Outcome<T> {
        if !self.record.is_current() {
            let outcome = self.handle.join();
            // A panic is one of dropping the value, which nobody took: the panic hook has told of it.
            let _ = self.thread.join();
            return outcome;
        }
        if self.handle.is_finished() {
            // By a callback: told as such, or an outcome that was taken before.
            return self.handle.join();
        }
        Err(Error::new(ErrorKind::Deadlock)
            .with_task(self.record.name())
            .with_scale(Scale::Thread)
            .with_message("a thread cannot join itself"))
    }

    /// Waits for the outcome, at most this long. `None` if there is none by then: the thread goes on.
    ///
    /// # Errors
    ///
    /// As [`join`](Child::join).
    #[track_caller]
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Outcome<T>> {
        self.handle.join_timeout(timeout)
    }

    /// Takes the outcome if there is one.
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

    /// Does nothing, and returns `false`: a thread cannot be killed. See [`Handle::cancel`].
    pub fn cancel(&self) -> bool {
        self.handle.cancel()
    }

    /// The outcome alone.
    pub fn into_handle(self) -> Handle<T> {
        self.handle
    }

    /// Has `callback` called with the outcome, once, whatever it is: by the thread itself, at its end; by the caller, at
    /// once, if it has ended. A panic in a callback goes to the panic hook and harms nothing else.
    pub fn on_done(&self, callback: impl FnOnce(&Outcome<T>) + Send + 'static) {
        self.handle.on_done(callback);
    }
}

/// Ready when there is an outcome, or it was taken.
impl<T: Send + 'static> Waitable for Child<T> {
    fn watch(&self) -> Watch<'_> {
        self.handle.watch()
    }
}

impl<T: Send + 'static> Future for Child<T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        Pin::new(&mut self.handle).poll(context)
    }
}

impl<T: Send + 'static> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("alive", &self.is_alive())
            .finish()
    }
}
