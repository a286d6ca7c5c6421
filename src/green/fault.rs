//! A stack overflow in a coroutine is told with its name.
//!
//! The guard below a stack takes the fault. The handler sees that the address lies in the guard of the coroutine that this
//! thread runs, writes its name to standard error, and passes the signal on to who handled it before, which ends the process.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

use super::hub;
use crate::system::SignalStack;

/// How far below the start of a guard a fault still counts as one of the stack above it: a frame may jump the guard by its own size
/// where code has no stack probes.
const NEAR: usize = 64 << 10;

/// Installed before: by std, or by a child's crash record.
static PREVIOUS: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Has overflows of the coroutines of this thread told, as long as the value lives.
pub(super) fn watch_over_this_thread() -> Option<SignalStack> {
    PREVIOUS.get_or_init(|| {
        // SAFETY: a `sigaction` of zeroes is valid: no handler, no flags, an empty mask.
        let mut previous: [libc::sigaction; 2] = unsafe { MaybeUninit::zeroed().assume_init() };
        for (signal, previous) in SIGNALS.into_iter().zip(&mut previous) {
            // SAFETY: as above; and reads the present action into a place of its type.
            unsafe { libc::sigaction(signal, ptr::null(), previous) };
        }
        previous
    });
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // SAFETY: `on_fault` is async-signal-safe: it reads a few cells, writes to a descriptor, and calls the action that was there
        // before, which is in `PREVIOUS` by now.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            for signal in SIGNALS {
                libc::sigaction(signal, &action, ptr::null_mut());
            }
        }
    });
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
    let index = usize::from(signal == libc::SIGBUS);
    let Some(previous) = PREVIOUS.get().map(|previous| &previous[index]) else { return };
    let handler = previous.sa_sigaction;
    if code <= 0 || handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // SAFETY: the action was in place before ours. A fault happens again; what was sent is sent again, and comes when this
        // handler has returned.
        unsafe {
            libc::sigaction(signal, previous, ptr::null_mut());
            if code <= 0 {
                libc::raise(signal);
            }
        }
    } else if previous.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: with SA_SIGINFO the action is a function of this type, and gets what the kernel gave.
        unsafe {
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                std::mem::transmute(handler);
            handler(signal, info, context);
        }
    } else {
        // SAFETY: without SA_SIGINFO the action is a function of this type.
        unsafe {
            let handler: extern "C" fn(c_int) = std::mem::transmute(handler);
            handler(signal);
        }
    }
}

fn tell(text: &[u8]) {
    // SAFETY: writes bytes that are there.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}
