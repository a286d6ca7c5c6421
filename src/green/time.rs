//! Waiting for a while, giving way, and limits of time.

use std::panic::Location;
use std::time::Duration;

use super::hub::{self, with_hub};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::sync::park::{Parker, Wait, after};

/// Waits at least this long: the coroutine is suspended, while others run. In a thread it is std's.
///
/// # Examples
///
/// ```
/// use fourfold::green;
/// use std::time::{Duration, Instant};
///
/// let began = Instant::now();
/// green::run(|| -> fourfold::Result<_> {
///     let nap = |units: u64| green::sleep(Duration::from_millis(10 * units));
///     let naps: Vec<_> = (1..=3).map(|units| green::spawn(nap, units)).collect::<Result<_, _>>()?;
///     naps.into_iter().try_for_each(green::Child::join)
/// })??;
/// assert!(began.elapsed() >= Duration::from_millis(30)); // the longest, not the sum of them
/// # Ok::<(), fourfold::Error>(())
/// ```
#[track_caller]
pub fn sleep(duration: Duration) {
    let wait = Wait { what: "green::sleep", place: Location::caller() };
    if hub::current_id().is_none() {
        return std::thread::sleep(duration);
    }
    let deadline = after(duration);
    let parker = Parker::current();
    while parker.park(&wait, deadline) {}
}

/// Lets the other coroutines of this hub run that can, and goes on in turn. In a thread it is std's.
///
/// # Examples
///
/// ```
/// use fourfold::green;
/// use std::sync::{Arc, Mutex};
///
/// let order = Arc::new(Mutex::new(Vec::new()));
/// let each = |name: char, order: Arc<Mutex<Vec<char>>>| {
///     for _ in 0..2 {
///         order.lock().unwrap().push(name);
///         green::yield_now();
///     }
/// };
/// green::run(|| -> fourfold::Result<_> {
///     let (a, b) = (green::spawn(each, ('a', order.clone()))?, green::spawn(each, ('b', order.clone()))?);
///     a.join().and(b.join())
/// })??;
/// assert_eq!(*order.lock().unwrap(), ['a', 'b', 'a', 'b']);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[inline(always)]
pub fn yield_now() {
    if with_hub(|hub| hub.yield_now()).is_none() {
        std::thread::yield_now();
    }
}

/// Calls `f`, and ends it at the wait that it is in when the time is over: it is unwound from there, so that its destructors
/// run. Code that does not wait is not interrupted.
///
/// A [`Coroutine`](super::Coroutine) or [`Greenlet`](super::Greenlet) that is left in the middle of `f` leaves the limit with the
/// coroutine that was running it: that one is ended when the time is over, if it still waits then.
///
/// # Errors
///
/// [`TimedOut`](ErrorKind::TimedOut); [`Unsupported`](ErrorKind::Unsupported) in a thread, outside of any coroutine: a thread's
/// waits have limits of their own, such as `get_timeout`.
///
/// # Examples
///
/// ```
/// use fourfold::green;
/// use std::time::Duration;
///
/// let slow = || green::timeout(Duration::from_millis(5), || green::sleep(Duration::MAX));
/// assert!(green::run(slow)?.unwrap_err().is_timeout());
/// let quick = || green::timeout(Duration::from_secs(60), || 1 + 1);
/// assert_eq!(green::run(quick)??, 2);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn timeout<R>(limit: Duration, f: impl FnOnce() -> R) -> Result<R> {
    if hub::current_id().is_none() {
        return Err(Error::new(ErrorKind::Unsupported).with_scale(Scale::Thread).with_message(
            "green::timeout ends waits of coroutines only: call it inside `green::run`",
        ));
    }
    let Some(deadline) = after(limit) else { return Ok(f()) };
    hub::limited(deadline, f).ok_or_else(|| {
        Error::new(ErrorKind::TimedOut)
            .with_scale(Scale::Green)
            .with_message(format!("not done within {limit:?}"))
    })
}

/// Calls `f`, in which waiting is an error of the program: for code that must not see the world change.
///
/// Between two waits no other coroutine of the thread runs. This states, and checks, that `f` is such a stretch.
///
/// # Panics
///
/// If `f` would suspend the coroutine. In a thread it only calls `f`.
///
/// # Examples
///
/// ```
/// use fourfold::green;
/// use std::time::Duration;
///
/// assert_eq!(green::run(|| green::no_suspend(|| 1 + 1))?, 2);
/// let waits = || green::no_suspend(|| green::sleep(Duration::from_secs(1)));
/// assert!(green::run(|| green::spawn(waits, ())?.join())?.unwrap_err().panic().is_some());
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn no_suspend<R>(f: impl FnOnce() -> R) -> R {
    if hub::current_id().is_none() {
        return f();
    }
    hub::without_suspension(f)
}
