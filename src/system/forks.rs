//! Whether this process is a fork of what it was: what belongs to the kernel's account of the parent must be made again.
#![allow(unsafe_code)]

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between this process and the first that asked. A child that is no fork but runs a program begins anew.
///
/// Forks by the C library's `fork` are counted, those by a bare system call are not.
#[inline]
pub(crate) fn forks() -> u32 {
    // Relaxed: the child has one thread when it is counted.
    FORKS.load(Ordering::Relaxed)
}

/// Counts forks from now on.
pub(crate) fn count_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler does nothing but add to an atomic number, and this library is never unloaded while it is set, since
        // it is linked into the program or library that calls this.
        unsafe { libc::pthread_atfork(None, None, Some(count)) };
    });
}

extern "C" fn count() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
