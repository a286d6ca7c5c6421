//! The handle of a task: wait for it, look at it, cancel it, be called when it is done.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::outcome::{Core, Promise};
use super::wait::{self, Pending, for_a_task, park};
use crate::error::Outcome;
use crate::sync::park::{Wait, after};
use crate::wait::{Waitable, Watch};

/// A task that was submitted, and the outcome that it will have.
///
/// The same type at every scale. Dropping it lets the task go on, unobserved. It is a [`Future`] too, which async
/// code awaits, on any runtime.
///
/// # Scales
///
/// | | `green` | `thread` | `process` |
/// | --- | --- | --- | --- |
/// | [`cancel`](Handle::cancel) of a task that waits | it is dropped | it is dropped | it is dropped |
/// | `cancel` of a task that runs | it is unwound where it waits, or at its next wait | `false`: it goes on | its worker is killed, with all that it has started |
/// | [`on_done`](Handle::on_done) calls back | in the coroutine that ran it, or at once in the caller | in the worker that ran it, or at once in the calling thread | in this process, on one thread for all callbacks |
/// | the value is made | by the coroutine | by the worker | from bytes, by the thread that takes it, or the first callback's |
/// | [`join`](Handle::join) by a task of the same executor | it does not count as busy meanwhile | its worker counts as free meanwhile | likewise, from when it submits |
///
/// # Examples
///
/// ```
/// use fourfold::thread;
///
/// let pool = thread::Executor::builder().workers(2).build()?;
/// let sum = pool.submit(|a: u32, b: u32| a + b, (1, 2));
/// assert_eq!(sum.join()?, 3);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[must_use = "the outcome of the task is only told to who asks; `drop` the handle to let the task go on unobserved"]
pub struct Handle<T> {
    promise: Arc<dyn Promise<T>>,
}

/// How far a task has come.
///
/// # Examples
///
/// ```
/// use fourfold::{TaskState, thread};
///
/// let pool = thread::Executor::builder().workers(1).build()?;
/// let (release, held) = std::sync::mpsc::channel::<()>();
/// let first = pool.submit(move || held.recv().is_ok(), ());
/// let second = pool.submit(|| 2, ());
/// assert_eq!(second.state(), TaskState::Pending);
/// assert!(second.cancel());
/// assert_eq!(second.state(), TaskState::Cancelled);
/// release.send(()).unwrap();
/// assert!(first.join()?);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It waits for a worker.
    Pending,
    /// A worker runs it.
    Running,
    /// It has an outcome, a value or an error.
    Finished,
    /// It was cancelled.
    Cancelled,
}

impl<T> Handle<T> {
    /// What the task's scale knows of it.
    pub(crate) fn known(&self) -> &dyn Any {
        self.promise.known()
    }
}

impl<T: Send + 'static> Handle<T> {
    pub(crate) fn new(promise: Arc<dyn Promise<T>>) -> Handle<T> {
        Handle { promise }
    }

    /// The number of the task, unique among the tasks of this process.
    pub fn id(&self) -> u64 {
        self.core().id
    }

    /// Waits for the outcome, and takes it.
    ///
    /// Callbacks left with [`on_done`](Handle::on_done) have been called when it returns. A worker that joins a task of
    /// its own executor does not count as busy while it waits, so this cannot use up the workers.
    ///
    /// # Errors
    ///
    /// What kept the task from giving a value: see [`ErrorKind`](crate::ErrorKind).
    #[track_caller]
    pub fn join(self) -> Outcome<T> {
        self.wait(&for_a_task(), None).expect("a wait without a deadline ends with an outcome")
    }

    /// As [`join`](Handle::join), of a task that is waited for by parking and in no other way.
    #[track_caller]
    pub(crate) fn join_parked(self) -> Outcome<T> {
        let wait = for_a_task();
        loop {
            if let Some(outcome) = self.core().take() {
                return outcome;
            }
            park(&self, &wait, None);
        }
    }

    /// Waits for the outcome, at most this long. `None` if the task has not finished by then: it goes on.
    ///
    /// # Errors
    ///
    /// As [`join`](Handle::join); and `AlreadyTaken` if an earlier call gave the outcome.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::thread;
    /// use std::time::Duration;
    ///
    /// let pool = thread::Executor::builder().workers(1).build()?;
    /// let (release, held) = std::sync::mpsc::channel();
    /// let mut handle = pool.submit(move || held.recv().unwrap(), ());
    /// assert!(handle.join_timeout(Duration::from_millis(1)).is_none());
    /// release.send(7).unwrap();
    /// assert_eq!(handle.join()?, 7);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    #[track_caller]
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Outcome<T>> {
        self.wait(&for_a_task(), after(timeout))
    }

    /// Takes the outcome if the task has finished.
    ///
    /// # Errors
    ///
    /// As [`join_timeout`](Handle::join_timeout).
    pub fn try_join(&mut self) -> Option<Outcome<T>> {
        self.core().take().or_else(|| self.settle().then(|| self.core().take())?)
    }

    /// Whether the task has an outcome, whatever it is.
    pub fn is_finished(&self) -> bool {
        if !self.core().is_finished() {
            self.settle();
        }
        self.core().is_finished()
    }

    /// How far the task has come.
    pub fn state(&self) -> TaskState {
        // Looked at again at the end, since the task may have finished after the first look: it must not seem to wait
        // for a worker once more.
        if !self.is_finished() && self.promise.is_running() {
            TaskState::Running
        } else if !self.core().is_finished() {
            TaskState::Pending
        } else if self.core().is_cancelled() {
            TaskState::Cancelled
        } else {
            TaskState::Finished
        }
    }

    /// Cancels the task. Returns whether it will have no value because of this call or an earlier one.
    ///
    /// A task that waits is dropped at every scale. A task that runs: at the process scale its worker is killed; at the green scale
    /// it is unwound at the wait that it is in, or at its next; at the thread scale it goes on, since a thread cannot be killed,
    /// and `false` is returned.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::process;
    ///
    /// let pool = process::Executor::builder().workers(1).build()?;
    /// let handle: fourfold::Handle<()> = pool.submit(|| loop { std::thread::park() }, ());
    /// assert!(handle.cancel());
    /// assert!(handle.join().unwrap_err().is_cancelled());
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn cancel(&self) -> bool {
        self.cancel_if(true)
    }

    /// As `cancel`, but a task that runs goes on.
    pub(super) fn cancel_waiting(&self) -> bool {
        self.cancel_if(false)
    }

    fn cancel_if(&self, even_running: bool) -> bool {
        if self.is_finished() {
            return self.core().is_cancelled();
        }
        // Looked at again at the end, since another thread may be cancelling it too.
        self.promise.cancel(even_running) || self.core().is_cancelled()
    }

    /// Has `callback` called with the outcome, once, whatever it is; at once if the task has finished.
    ///
    /// At the green and the thread scale it is called by who ran the task (or by the caller, if the task has finished), at
    /// the process scale in this process, by a thread of the executor's own: never in the worker process. Callbacks of one
    /// executor may delay each other. A panic in a callback goes to the panic hook and harms nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::process;
    ///
    /// let pool = process::Executor::builder().workers(1).build()?;
    /// let (sender, outcomes) = std::sync::mpsc::channel();
    /// let handle = pool.submit(|| 3, ());
    /// handle.on_done(move |outcome| sender.send(outcome.as_ref().is_ok()).unwrap());
    /// assert!(outcomes.recv().unwrap());
    /// assert_eq!(handle.join()?, 3); // a callback looks; the value is still there
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn on_done(&self, callback: impl FnOnce(&Outcome<T>) + Send + 'static) {
        if let Some(due) = self.core().on_done(Box::new(callback)) {
            self.promise.clone().call(due);
        }
        self.settle();
    }

    fn wait(&self, wait: &Wait, deadline: Option<Instant>) -> Option<Outcome<T>> {
        loop {
            if let Some(outcome) = self.core().take() {
                return Some(outcome);
            }
            if self.settle() {
                continue;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return None;
            }
            self.promise.clone().wait(self, wait, deadline);
        }
    }

    /// In a fork of the process that the task is in, puts the outcome that it has none here. Whether this call did.
    fn settle(&self) -> bool {
        let Some(error) = self.promise.lost() else { return false };
        let (put, due) = self.core().finish_lost(error);
        if let Some(due) = due {
            self.promise.clone().call(due);
        }
        put
    }

    pub(super) fn promise(&self) -> &Arc<dyn Promise<T>> {
        &self.promise
    }

    fn core(&self) -> &Core<T> {
        self.promise.core()
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        self.promise.abandon();
    }
}

impl<T: Send + 'static> Future for Handle<T> {
    type Output = Outcome<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        if let Some(outcome) = self.core().take() {
            return Poll::Ready(outcome);
        }
        self.settle();
        // A registration on a finished task wakes at once, so an outcome that came in between is not missed.
        self.core().register(context.waker());
        Poll::Pending
    }
}

/// Ready when there is an outcome, or it was taken.
impl<T: Send + 'static> Waitable for Handle<T> {
    fn watch(&self) -> Watch<'_> {
        wait::watch(self)
    }
}

/// That there is an outcome for who waits. Also where a fork lies between two looks, so that there will be none: then it is put.
impl<T: Send + 'static> Pending for Handle<T> {
    fn is_done(&self) -> bool {
        self.core().is_done() || (self.settle() && self.core().is_done())
    }

    fn register(&self, waker: &Waker) {
        self.core().register(waker);
    }

    fn forget(&self, waker: &Waker) {
        self.core().forget(waker);
    }

    fn task(&self) -> Option<u64> {
        self.core().task()
    }

    fn is_of(&self, task: u64) -> bool {
        self.core().is_of(task)
    }
}

impl<T: Send + 'static> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("id", &self.id()).field("state", &self.state()).finish()
    }
}
