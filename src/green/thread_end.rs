//! Whether this thread is at its end, when thread-locals go.
//!
//! A coroutine may be suspended inside `LocalKey::with`, so it must not be unwound once that thread-local is gone. One that is kept
//! in another thread-local might be: so what is dropped by the destructor of a thread-local is leaked.
//!
//! Nothing tells a destructor who calls it, and the order of destructors is that of first uses, which says nothing either. But it is
//! one function of the C library that calls them all. Which one is learnt, once, from the end of a thread that is started for it;
//! whether it is among the callers is seen by walking the stack. The walk ends where the stack of a hub's coroutine begins, so a hub
//! remembers who called it.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Mutex, OnceLock};

use super::hub::{Hub, with_hub};

unsafe extern "C" {
    // Of the unwinder that std links.
    fn _Unwind_Backtrace(
        visit: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(frame: *mut c_void) -> usize;
    fn _Unwind_FindEnclosingFunction(address: *mut c_void) -> *mut c_void;
}

const GO_ON: c_int = 0;
const END: c_int = 5;

/// Where the functions begin that are being called, the innermost first.
fn callers(visit: &mut dyn FnMut(usize) -> bool) {
    addresses(&mut |address| visit(function_at(address)));
}

/// Where the function begins that this address is in; 0 if that is not known.
fn function_at(address: usize) -> usize {
    // SAFETY: the address is looked up, not used.
    unsafe { _Unwind_FindEnclosingFunction(ptr::without_provenance_mut(address)) }.addr()
}

/// Addresses in the functions that are being called, the innermost first.
fn addresses(visit: &mut dyn FnMut(usize) -> bool) {
    unsafe extern "C" fn step(frame: *mut c_void, argument: *mut c_void) -> c_int {
        // SAFETY: the argument is that which `callers` gives.
        let visit = unsafe { &mut *argument.cast::<&mut dyn FnMut(usize) -> bool>() };
        // SAFETY: the frame is the unwinder's.
        let address = unsafe { _Unwind_GetIP(frame) };
        // A return address is after the call, which may be the last of its function.
        if visit(address.saturating_sub(1)) { GO_ON } else { END }
    }
    let mut visit = visit;
    // SAFETY: `step` takes what it is given here, and does not unwind: those who visit look up, compare and push numbers.
    unsafe { _Unwind_Backtrace(step, ptr::from_mut(&mut visit).cast()) };
}

/// The function that calls the destructors of thread-locals. `None` if it could not be found out.
fn learn() -> Option<usize> {
    static AT_THE_END: Mutex<Vec<usize>> = Mutex::new(Vec::new());

    struct Probe;
    impl Drop for Probe {
        fn drop(&mut self) {
            let mut chain = Vec::new();
            callers(&mut |function| {
                chain.push(function);
                true
            });
            *AT_THE_END.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = chain;
        }
    }
    thread_local! {
        static PROBE: Probe = const { Probe };
    }

    let look = || {
        PROBE.with(|_| {});
        let mut before = Vec::new();
        callers(&mut |function| {
            before.push(function);
            true
        });
        before
    };
    let thread = std::thread::Builder::new().name("thread-end".into()).spawn(look).ok()?;
    let before = thread.join().ok()?;
    let chain = AT_THE_END.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // The outermost that does not call the thread's own function too.
    chain.iter().rev().copied().find(|function| *function != 0 && !before.contains(function))
}

/// Whether a destructor of a thread-local is at work. True if that cannot be found out.
pub(super) fn is_here() -> bool {
    static DESTROYER: OnceLock<Option<usize>> = OnceLock::new();
    let Some(destroyer) = *DESTROYER.get_or_init(learn) else { return true };
    let mut found = false;
    callers(&mut |function| {
        found = function == destroyer;
        !found
    });
    let is_of = |hub: &Hub| hub.callers().iter().any(|address| function_at(*address) == destroyer);
    found || with_hub(is_of).unwrap_or(false)
}

/// Who calls, for a hub to remember: addresses in the functions, those included that called the hub around this one.
pub(super) fn calling() -> Box<[usize]> {
    let mut all = Vec::new();
    addresses(&mut |address| {
        all.push(address);
        true
    });
    with_hub(|hub| all.extend(hub.callers()));
    all.into()
}
