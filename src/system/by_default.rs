//! Whether it is this process that goes by signals which others end by, or the one that it was forked from.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use signal_hook::flag::BorrowSignalSafe;

/// The process that goes by signals which others end by; 0 if none does.
///
/// A fork has the handlers of its parent from its first moment on, and signals may come to it before any code of its own: so the handlers ask
/// who they run in.
static BY_SIGNALS: AtomicU32 = AtomicU32::new(0);

/// Whether this process goes by signals from now on.
pub(crate) fn go_by_signals(does: bool) {
    let owner = if does { std::process::id() } else { 0 };
    BY_SIGNALS.store(owner, Ordering::SeqCst);
}

/// For a handler: whether signals do what they do by default, since this process does not go by them.
#[derive(Debug)]
pub(crate) struct ByDefault;

static YES: AtomicBool = AtomicBool::new(true);
static NO: AtomicBool = AtomicBool::new(false);

// SAFETY: an atomic load and `getpid`, which are async-signal-safe.
unsafe impl BorrowSignalSafe<AtomicBool> for ByDefault {
    fn borrow_signal_safe(&self) -> &AtomicBool {
        if BY_SIGNALS.load(Ordering::SeqCst) == std::process::id() { &NO } else { &YES }
    }
}
