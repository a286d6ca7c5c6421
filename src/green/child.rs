//! A coroutine that was started: what the starter keeps of it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::control::Control;
use super::hub;
use super::local::LocalTask;
use crate::error::{Error, ErrorKind, Outcome, Result, Scale};
use crate::sync::park::after;
use crate::vocab::wait::{Pending, for_a_task};
use crate::vocab::{Handle, TaskState};
use crate::wait::{Waitable, Watch};

/// A coroutine that was started with [`spawn`](super::spawn) or a [`Builder`](super::Builder).
///
/// Dropping it lets the coroutine go on, unobserved. It is a [`Future`] too, which async code awaits, on any runtime.
///
/// # Examples
///
/// ```
/// use fourfold::{ErrorKind, green};
///
/// let child = green::spawn(|text: &str| text.parse::<u32>().unwrap(), "seven")?;
/// let error = child.join().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Panicked);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Child<T> {
    pub(super) handle: Handle<T>,
}

/// A coroutine that was started with [`spawn_local`](super::spawn_local). Dropping it lets the coroutine go on, unobserved.
///
/// # Examples
///
/// ```
/// use fourfold::green;
/// use std::rc::Rc;
///
/// let shared = green::run(|| green::spawn_local(|| *Rc::new(7), ())?.join())??;
/// assert_eq!(shared, 7);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct LocalChild<T> {
    pub(super) task: Rc<LocalTask<T>>,
}

/// Who a coroutine is: the methods of all that stand for one, and have its control.
macro_rules! identity {
    () => {
        /// The number of the coroutine, unique in this process, among threads too.
        pub fn id(&self) -> u64 {
            self.control().id
        }

        /// The name it has now: given by the [`Builder`](super::Builder) or since, or that of its function.
        pub fn name(&self) -> String {
            self.control().name()
        }

        /// Gives it another name.
        ///
        /// # Errors
        ///
        /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the name has a zero byte in it.
        pub fn rename(&self, name: impl Into<String>) -> $crate::Result<()> {
            $crate::green::child::rename(self.control(), name.into())
        }

        /// The coroutine that started it; `None` if no coroutine did.
        pub fn parent_id(&self) -> Option<u64> {
            self.control().parent()
        }

        /// The process it is a part of: this one.
        pub fn pid(&self) -> u32 {
            std::process::id()
        }

        /// Whether its function has not ended yet.
        pub fn is_alive(&self) -> bool {
            self.control().is_alive()
        }

        /// Whether it is cancelled at the end of its hub, in place of being waited for.
        pub fn is_daemon(&self) -> bool {
            self.control().daemon
        }
    };
}

pub(super) use identity;

pub(super) fn rename(control: &Control, name: String) -> Result<()> {
    check_name(&name)?;
    control.rename(name);
    Ok(())
}

pub(super) fn check_name(name: &str) -> Result<()> {
    match name.contains('\0') {
        true => Err(Error::invalid("the name of a coroutine has a zero byte in it")),
        false => Ok(()),
    }
}

/// The error of a coroutine that waits for its own end.
#[inline]
fn refuse_self(control: &Control) -> Result<()> {
    if hub::current_id() != Some(control.id) || !control.is_alive() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Deadlock)
        .with_task(control.name())
        .with_scale(Scale::Green)
        .with_message("a coroutine cannot join itself"))
}

impl<T> Child<T> {
    fn control(&self) -> &Control {
        self.handle.known().downcast_ref().expect("the handle was made with a control behind it")
    }
}

impl<T: Send + 'static> Child<T> {
    identity!();

    /// Waits until the coroutine has ended, and takes the outcome.
    ///
    /// # Errors
    ///
    /// [`Panicked`](ErrorKind::Panicked) if its function panicked; [`Cancelled`](ErrorKind::Cancelled) if it was cancelled, by
    /// the end of its hub too; [`AlreadyTaken`](ErrorKind::AlreadyTaken) if an earlier call gave the outcome;
    /// [`Deadlock`](ErrorKind::Deadlock) if the coroutine joins itself; [`NotStarted`](ErrorKind::NotStarted) in a
    /// [fork](crate::process::fork()) of the process, where it has no outcome, unless the fork was made on the thread that it is on.
    #[track_caller]
    pub fn join(self) -> Outcome<T> {
        let control = self.control();
        refuse_self(control)?;
        if control.is_left_behind() {
            return self.handle.join();
        }
        control.let_begin();
        self.handle.join_parked()
    }

    /// Waits for the outcome, at most this long. `None` if there is none by then: the coroutine goes on.
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

    /// Has the coroutine end at the wait that it is in, or at its next: it is unwound from there, so that its destructors run.
    /// Whether it will have no value because of this call or an earlier one.
    ///
    /// A program built with `panic = "abort"` cannot unwind: there it aborts.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::green;
    /// use std::time::Duration;
    ///
    /// let child = green::spawn(|| green::sleep(Duration::MAX), ())?;
    /// assert!(child.cancel());
    /// assert!(child.join().unwrap_err().is_cancelled());
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn cancel(&self) -> bool {
        self.handle.cancel()
    }

    /// Cancels it, and waits until it has ended.
    ///
    /// # Errors
    ///
    /// As [`join`](Child::join); most likely [`Cancelled`](ErrorKind::Cancelled).
    #[track_caller]
    pub fn kill(self) -> Outcome<T> {
        self.cancel();
        self.join()
    }

    /// The outcome alone.
    pub fn into_handle(self) -> Handle<T> {
        self.handle
    }

    /// Has `callback` called with the outcome, once, whatever it is: by the coroutine itself, at its end; by the caller, at
    /// once, if it has ended. A panic in a callback goes to the panic hook and harms nothing else.
    pub fn on_done(&self, callback: impl FnOnce(&Outcome<T>) + Send + 'static) {
        self.handle.on_done(callback);
    }
}

impl<T> LocalChild<T> {
    fn control(&self) -> &Control {
        &self.task.control
    }
}

impl<T: 'static> LocalChild<T> {
    identity!();

    /// Waits until the coroutine has ended, and takes the outcome.
    ///
    /// # Errors
    ///
    /// As [`Child::join`].
    #[track_caller]
    pub fn join(self) -> Outcome<T> {
        refuse_self(self.control())?;
        self.control().let_begin();
        let outcome = self.task.cell.wait(&for_a_task(), None);
        outcome.expect("a wait without a deadline ends with an outcome")
    }

    /// Waits for the outcome, at most this long. `None` if there is none by then: the coroutine goes on.
    ///
    /// # Errors
    ///
    /// As [`Child::join`].
    #[track_caller]
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Outcome<T>> {
        self.task.cell.wait(&for_a_task(), after(timeout))
    }

    /// Takes the outcome if there is one.
    ///
    /// # Errors
    ///
    /// As [`Child::join`].
    pub fn try_join(&mut self) -> Option<Outcome<T>> {
        self.task.cell.take()
    }

    /// Whether there is an outcome.
    pub fn is_finished(&self) -> bool {
        self.task.cell.is_finished()
    }

    /// As [`Child::cancel`].
    pub fn cancel(&self) -> bool {
        self.task.control.transition_to_cancelled()
    }

    /// Cancels it, and waits until it has ended.
    ///
    /// # Errors
    ///
    /// As [`Child::join`]; most likely [`Cancelled`](ErrorKind::Cancelled).
    #[track_caller]
    pub fn kill(self) -> Outcome<T> {
        self.cancel();
        self.join()
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

impl<T: 'static> Future for LocalChild<T> {
    type Output = Outcome<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        if let Some(outcome) = self.task.cell.take() {
            return Poll::Ready(outcome);
        }
        self.task.cell.register(context.waker());
        Poll::Pending
    }
}

fn describe(name: &str, control: &Control, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(name)
        .field("id", &control.id)
        .field("name", &control.name())
        .field("alive", &control.is_alive())
        .finish()
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe("Child", self.control(), f)
    }
}

impl<T> fmt::Debug for LocalChild<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe("LocalChild", self.control(), f)
    }
}
