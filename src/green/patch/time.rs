//! Sleeping.
#![allow(unsafe_code)]

use std::time::Duration;

use libc::{c_int, c_long, clockid_t, timespec};

use super::super::hub::may_suspend;
use super::raw::{errno, system_call};
use super::waiting::pause;

#[unsafe(no_mangle)]
unsafe extern "C" fn nanosleep(request: *const timespec, left: *mut timespec) -> c_int {
    // SAFETY: the caller's, as the C library has it.
    match unsafe { duration(request) } {
        Some(time) if may_suspend() => {
            // One that is cut short has slept for as long as it could.
            let _ = pause(time);
            0
        }
        _ => system_call!(SYS_nanosleep, request, left) as c_int,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    request: *const timespec,
    left: *mut timespec,
) -> c_int {
    let known = matches!(clock, libc::CLOCK_MONOTONIC | libc::CLOCK_REALTIME);
    // SAFETY: the caller's, as the C library has it.
    match unsafe { duration(request) } {
        Some(time) if known && may_suspend() => {
            let time = match flags & libc::TIMER_ABSTIME {
                0 => time,
                _ => time.saturating_sub(now(clock)),
            };
            let _ = pause(time);
            0
        }
        // This one gives the error itself.
        _ => match system_call!(SYS_clock_nanosleep, c_long::from(clock), flags, request, left) {
            -1 => errno(),
            other => other as c_int,
        },
    }
}

/// What a valid request asks for.
///
/// # Safety
///
/// It is null, or there is one.
unsafe fn duration(request: *const timespec) -> Option<Duration> {
    // SAFETY: the caller's promise.
    let request = unsafe { request.as_ref() }?;
    let nanos = u32::try_from(request.tv_nsec).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(request.tv_sec).ok()?, nanos))
}

fn now(clock: clockid_t) -> Duration {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for the answer.
    unsafe { libc::clock_gettime(clock, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
