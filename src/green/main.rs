//! Making a thread a hub.

use super::control::Name;
use super::hub;
use super::stack::Class;
use crate::error::Result;

/// The stack of a hub's first coroutine: as much as that of a thread of std.
const STACK: usize = 2 << 20;

/// Makes this thread a hub and runs `f` in it, as the first coroutine, until it and all coroutines that it has started have
/// ended; those that are daemons are then cancelled. In a coroutine it just calls `f`.
///
/// # Errors
///
/// [`NotStarted`](crate::ErrorKind::NotStarted) if the system gives no memory for a stack or no descriptors;
/// [`Deadlock`](crate::ErrorKind::Deadlock) if no coroutine can ever go on: each waits for another, none for time or a
/// descriptor, and this is the only thread of the process. The error says who waits for what, and where. All coroutines are
/// unwound by then.
///
/// # Panics
///
/// If `f` does: the panic goes on in the caller.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// let mut log = Vec::new(); // `f` may borrow
/// green::run(|| -> fourfold::Result<_> {
///     let child = green::spawn(|| 2, ())?;
///     log.push(1);
///     log.push(child.join()?);
///     Ok(())
/// })??;
/// assert_eq!(log, [1, 2]);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn run<R>(f: impl FnOnce() -> R) -> Result<R> {
    if hub::current_id().is_some() {
        return Ok(f());
    }
    hub::run(Name::Given("main".into()), Class::new(STACK, 1)?, f)
}
