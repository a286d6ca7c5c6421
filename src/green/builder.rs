//! Starting a coroutine.

use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use super::body::{Body, Done};
use super::child::{Child, LocalChild, check_name};
use super::control::{Control, Name, Place, Record};
use super::hub::{self, with_hub};
use super::local::{LocalCell, LocalTask};
use super::shared_hub;
use super::stack::{Class, DEFAULT_SIZE};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::task::{Call, name_of};
use crate::vocab::Handle;
use crate::vocab::outcome::Core;

/// Starts a coroutine that calls `f` with `args`: on the hub of this thread if it has one, else on the hub that all such calls
/// share, on a thread of its own. The end of the hub it is on waits for it; for the shared hub, the end of `main` does.
///
/// A function of several parameters takes them as one tuple; of one parameter, the value itself; of none, `()`. Any value
/// with a `run` method goes as `spawn(Type::run, value)`.
///
/// # Errors
///
/// [`NotStarted`](ErrorKind::NotStarted) if the system gives no memory for a stack, or no thread for the shared hub;
/// [`ShutDown`](ErrorKind::ShutDown) if the hub of this thread is ending.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// let child = green::spawn(|a: u32, b: u32| a + b, (1, 2))?;
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

/// Starts a coroutine on the hub of this thread, which it never leaves: so nothing of it need be [`Send`].
///
/// # Errors
///
/// [`NotStarted`](ErrorKind::NotStarted) if this thread has no hub (see [`run`](super::run)) or the system gives no memory for a
/// stack.
///
/// # Examples
///
/// ```
/// use fourfold::green;
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// let sum = green::run(|| -> fourfold::Result<_> {
///     let sum = Rc::new(Cell::new(0));
///     let add = |sum: Rc<Cell<u32>>, n: u32| sum.set(sum.get() + n);
///     let children: Vec<_> =
///         (1..=3).map(|n| green::spawn_local(add, (sum.clone(), n))).collect::<Result<_, _>>()?;
///     for child in children {
///         child.join()?;
///     }
///     Ok(sum.get())
/// })??;
/// assert_eq!(sum, 6);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn spawn_local<F, A, M>(f: F, args: A) -> Result<LocalChild<F::Output>>
where
    F: Call<A, M> + 'static,
    F::Output: 'static,
    A: 'static,
{
    Builder::new().spawn_local(f, args)
}

/// How a coroutine is to be started. The same builder may start many.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// let child = green::Builder::new()
///     .name("reader")
///     .stack_size(256 << 10)
///     .daemon(true)
///     .spawn(|| green::current().name(), ())?;
/// assert_eq!(child.join()?, "reader");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `spawn`"]
pub struct Builder {
    name: Option<String>,
    stack_size: usize,
    guard_size: usize,
    daemon: bool,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder { name: None, stack_size: DEFAULT_SIZE, guard_size: 1, daemon: false }
    }
}

impl Builder {
    /// A foreground coroutine, with the name of its function and a stack of 64 KiB.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// The name of the coroutine.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// The size of the stack, in bytes, rounded up to pages: from 16 KiB to 1 GiB. It is address space: memory is used page by
    /// page, as the stack is touched. The default is 64 KiB.
    ///
    /// Code that runs over it ends the process, with a line on standard error that names the coroutine.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.stack_size = bytes;
        self
    }

    /// The size of the guard below the stack, in bytes, rounded up to pages: at most 1 GiB. The default is one page, which is enough for
    /// code made by the Rust compiler. C code without stack probes may have frames that jump over a page.
    pub fn guard_size(mut self, bytes: usize) -> Builder {
        self.guard_size = bytes;
        self
    }

    /// Whether the coroutine is cancelled at the end of its hub, in place of being waited for.
    pub fn daemon(mut self, daemon: bool) -> Builder {
        self.daemon = daemon;
        self
    }

    /// Starts a coroutine that calls `f` with `args`. Where it runs, see [`spawn`].
    ///
    /// # Errors
    ///
    /// As [`spawn`]; and [`InvalidInput`](ErrorKind::InvalidInput) if a size is out of bounds or the name has a zero byte in it.
    pub fn spawn<F, A, M>(&self, f: F, args: A) -> Result<Child<F::Output>>
    where
        F: Call<A, M> + Send + 'static,
        F::Output: Send + 'static,
        A: Send + 'static,
    {
        let class = self.class()?;
        let slot = with_hub(|hub| hub.free_slot());
        let place = slot.map_or_else(|| Place::Elsewhere(OnceLock::new()), Place::Here);
        let record = Record::with_outcome(self.control::<F>(place));
        let child = Child { handle: Handle::new(record.clone()) };
        let tell = |record: Arc<Record<Core<F::Output>>>, outcome| record.complete(outcome);
        let done = Done::new(record.clone(), name_of::<F>, tell);
        let body = Body { done, call: move || f.call(args) };
        if let Some(slot) = slot {
            with_hub(|hub| hub.start(slot, record, class, move || body.run()))
                .expect("a slot is of this thread's hub")?;
        } else {
            shared_hub::start(record, class, body)?;
        }
        Ok(child)
    }

    /// Starts a coroutine on the hub of this thread: see [`spawn_local`].
    ///
    /// # Errors
    ///
    /// As [`spawn_local`]; and [`InvalidInput`](ErrorKind::InvalidInput) if a size is out of bounds or the name has a zero byte in it.
    pub fn spawn_local<F, A, M>(&self, f: F, args: A) -> Result<LocalChild<F::Output>>
    where
        F: Call<A, M> + 'static,
        F::Output: 'static,
        A: 'static,
    {
        let class = self.class()?;
        let slot = with_hub(|hub| hub.free_slot()).ok_or_else(no_hub)?;
        let control = Record::alone(self.control::<F>(Place::Here(slot)));
        let task = Rc::new(LocalTask { control: control.clone(), cell: LocalCell::new() });
        let tell = |task: Rc<LocalTask<_>>, outcome| task.cell.complete(outcome);
        let done = Done::new(task.clone(), name_of::<F>, tell);
        let body = Body { done, call: move || f.call(args) };
        with_hub(|hub| hub.start(slot, control, class, move || body.run()))
            .expect("a slot is of this thread's hub")?;
        Ok(LocalChild { task })
    }

    pub(super) fn class(&self) -> Result<Class> {
        self.name.as_deref().map_or(Ok(()), check_name)?;
        if self.stack_size == DEFAULT_SIZE && self.guard_size == 1 {
            return Ok(Class::usual());
        }
        Class::new(self.stack_size, self.guard_size)
    }

    pub(super) fn control<F>(&self, place: Place) -> Control {
        let name = match &self.name {
            Some(name) => Name::Given(name.clone()),
            None => Name::Of(name_of::<F>, std::any::type_name::<F>),
        };
        Control::new(name, hub::current_id(), self.daemon, place)
    }
}

pub(super) fn no_hub() -> Error {
    Error::new(ErrorKind::NotStarted)
        .with_scale(Scale::Green)
        .with_message("this thread has no hub for coroutines: call this inside `green::run`")
}
