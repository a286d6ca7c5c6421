//! Whether this thread is at its end, when thread-locals go.
//!
//! A coroutine may be suspended inside `LocalKey::with`, so it must not be unwound once that thread-local is gone. One that is
//! kept in another thread-local would be: so from the first destructor of a thread-local on, coroutines are leaked.
//!
//! std destroys all its thread-locals in one function that it has registered with `__cxa_thread_atexit_impl`, and the C library
//! calls what was registered there in reverse order. So what is registered after std's runs before it.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;

unsafe extern "C" {
    /// Of glibc, and of the Itanium C++ ABI, which names it without `_impl`.
    fn __cxa_thread_atexit_impl(
        destructor: unsafe extern "C" fn(*mut c_void),
        object: *mut c_void,
        dso: *mut c_void,
    ) -> c_int;
    static __dso_handle: u8;
}

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static ENDING: Cell<bool> = const { Cell::new(false) };
    /// Has std register its function.
    static STD: Registered = const { Registered };
}

struct Registered;

impl Drop for Registered {
    fn drop(&mut self) {}
}

/// To be called in each thread that makes coroutines, before it keeps one.
#[inline]
pub(super) fn watch() {
    if !WATCHED.replace(true) {
        register();
    }
}

#[cold]
fn register() {
    let _ = STD.try_with(|_| {});
    // SAFETY: `note` may be called with any pointer, and is there as long as this object of the program is, which the last argument
    // names.
    unsafe {
        __cxa_thread_atexit_impl(
            note,
            ptr::null_mut(),
            ptr::from_ref(&__dso_handle).cast_mut().cast(),
        );
    }
}

unsafe extern "C" fn note(_: *mut c_void) {
    ENDING.set(true);
}

/// Whether thread-locals may be gone.
pub(super) fn is_here() -> bool {
    ENDING.get()
}
