//! Starting a thread.

use super::child::{self, Child};
use super::registry::{Kind, Plan};
use crate::error::Result;
use crate::task::{Call, name_of};

/// Starts a thread that calls `f` with `args`. It is a foreground thread: the end of `main` waits for it.
///
/// A function of several parameters takes them as one tuple; of one parameter, the value itself; of none, `()`. Any value
/// with a `run` method goes as `spawn(Type::run, value)`.
///
/// # Errors
///
/// [`NotStarted`](crate::ErrorKind::NotStarted) if the system gives no thread.
///
/// # Examples
///
/// ```
/// use fourfold::thread;
///
/// let child = thread::spawn(|a: u32, b: u32| a + b, (1, 2))?;
/// assert_eq!(child.join()?, 3);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn spawn<F, A, M>(f: F, args: A) -> Result<Child<F::Output>>
where
    F: Call<A, M> + Send + 'static,
    F::Output: Send + 'static,
    A: Send + 'static,
{
    Builder::new().spawn(f, args)
}

/// How a thread is to be started. The same builder may start many.
///
/// # Examples
///
/// ```
/// use fourfold::thread;
///
/// let child = thread::Builder::new()
///     .name("reader")
///     .stack_size(1 << 20)
///     .daemon(true)
///     .spawn(|| thread::current().name(), ())?;
/// assert_eq!(child.join()?, "reader");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `spawn`"]
pub struct Builder {
    name: Option<String>,
    stack_size: Option<usize>,
    daemon: bool,
}

impl Builder {
    /// A foreground thread, with the name of its function and the stack size that std gives.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// The name of the thread. The system's tools show its first 15 bytes.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// The size of the stack, in bytes. The system may give more.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.stack_size = Some(bytes);
        self
    }

    /// Whether the thread is cut off when `main` ends, in place of being waited for. A thread that has started stays
    /// what it is.
    pub fn daemon(mut self, daemon: bool) -> Builder {
        self.daemon = daemon;
        self
    }

    /// Starts a thread that calls `f` with `args`.
    ///
    /// # Errors
    ///
    /// [`NotStarted`](crate::ErrorKind::NotStarted) if the system gives no thread, and
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the name has a zero byte in it.
    pub fn spawn<F, A, M>(&self, f: F, args: A) -> Result<Child<F::Output>>
    where
        F: Call<A, M> + Send + 'static,
        F::Output: Send + 'static,
        A: Send + 'static,
    {
        let (plan, task) = self.plan(name_of::<F>());
        child::start(plan, task, move || f.call(args))
    }

    /// What a thread for this task is to be; and the task again.
    pub(super) fn plan(&self, task: String) -> (Plan, String) {
        let kind = if self.daemon { Kind::Daemon } else { Kind::Foreground };
        let name = self.name.clone().unwrap_or_else(|| task.clone());
        (Plan { name, stack_size: self.stack_size, kind }, task)
    }
}
