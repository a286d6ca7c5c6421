//! Calls what may panic without harm.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f`, whose panic harms nothing: the panic hook has told of it.
pub(crate) fn shield(f: impl FnOnce()) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { return };
    // What a panic carries may panic when it is dropped. What that panic carries is leaked.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}
