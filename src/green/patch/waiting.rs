//! Waiting inside a function of the C library, which must not be unwound.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::time::{Duration, Instant};

use libc::c_int;

use super::super::hub::{Direction, Interrupt, may_suspend, poll_until, wait_for_any};
use super::super::time::sleep;
use crate::sync::park::Wait;

/// Whether this call, on this descriptor, is to suspend a coroutine if it has to wait.
pub(super) fn is_ours(fd: c_int) -> bool {
    fd >= 0 && may_suspend()
}

/// A descriptor of the caller's.
pub(super) fn borrow<'a>(fd: c_int) -> BorrowedFd<'a> {
    // SAFETY: not -1, as `is_ours` has seen. The caller keeps it open during the call; what is done to a number that is not is an error of
    // the kernel's.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Whether it is ready now. What cannot be asked is: the call itself will tell why.
pub(super) fn is_ready(fd: c_int, direction: Direction) -> bool {
    poll_until(&[(borrow(fd), direction)], Some(Instant::now())).unwrap_or(true)
}

/// Suspends the coroutine until one of them may be ready, or the deadline has passed: then false. The error is a number of the system's.
#[track_caller]
pub(super) fn wait(
    fds: &[(BorrowedFd<'_>, Direction)],
    what: &'static str,
    deadline: Option<Instant>,
) -> Result<bool, c_int> {
    let wait = Wait { what, place: Location::caller() };
    guarded(|| wait_for_any(fds, &wait, deadline))?
        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

/// Suspends the coroutine for a while. Whether to the end.
pub(super) fn pause(duration: Duration) -> Result<(), c_int> {
    guarded(|| sleep(duration))
}

/// Calls `f`, which may be unwound because its coroutine is to end.
pub(super) fn guarded<R>(f: impl FnOnce() -> R) -> Result<R, c_int> {
    // Unwind safe: nothing of it is used afterwards.
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match payload.downcast_ref() {
        Some(Interrupt::TimedOut(_)) => libc::ETIMEDOUT,
        Some(Interrupt::Stuck) => libc::EDEADLK,
        Some(Interrupt::Cancelled) | None => libc::ECANCELED,
    })
}
