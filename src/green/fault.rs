//! A stack overflow in a coroutine is told with its name.
//!
//! The guard below a stack takes the fault. The handler sees that the address lies in the guard of the coroutine that this
//! thread runs, writes its name to standard error, and passes the signal on to who handled it before, which ends the process.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use super::hub;
use crate::system::{Handlers, SignalStack};

/// How far below the start of a guard a fault still counts as one of the stack above it: a frame may jump the guard by its own size
/// where code has no stack probes.
const NEAR: usize = 64 << 10;

/// Those before are std's, or a child's crash record.
static HANDLERS: Handlers<2> = Handlers::of([libc::SIGSEGV, libc::SIGBUS]);

/// Has overflows of the coroutines of this thread told, as long as the value lives.
pub(super) fn watch_over_this_thread() -> Option<SignalStack> {
    // SAFETY: `on_fault` is async-signal-safe: it reads a few cells, writes to a descriptor, and passes the signal on.
    unsafe { HANDLERS.install(on_fault, 0) };
    SignalStack::ensure()
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a valid `info` to a handler with SA_SIGINFO.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if code > 0
        && let Some(running) = hub::running()
        && (running.guard.0.saturating_sub(NEAR)..running.guard.1).contains(&address)
    {
        // SAFETY: the control of a coroutine that runs, which is this thread, is alive.
        let control = unsafe { &*running.control };
        tell(b"\nfourfold: coroutine '");
        control.with_raw_name(|name| tell(name.as_bytes()));
        tell(b"' has overflowed its stack; `stack_size` of green::Builder gives a larger one\n");
    }
    let sent = code <= 0;
    // SAFETY: both are what the kernel gave.
    if sent || !unsafe { HANDLERS.pass_on(signal, info, context) } {
        // A fault happens again; what was sent is sent again, and comes when this handler has returned.
        HANDLERS.put_back(signal);
        if sent {
            // SAFETY: async-signal-safe.
            unsafe { libc::raise(signal) };
        }
    }
}

fn tell(text: &[u8]) {
    // SAFETY: writes bytes that are there.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}
