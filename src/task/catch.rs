//! Catching a panic with its message, its place and its backtrace.
//!
//! Only the panic hook sees the place and can take the backtrace, and only `catch_unwind` sees that the panic came out of the
//! task. So a hook of ours notes each panic for its thread, where a catch is under way, and then calls the hook that was
//! there before.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use crate::error::Panic;

thread_local! {
    /// How many catches are under way in this thread, and the last panic that was seen meanwhile.
    static SEEN: RefCell<(usize, Option<Panic>)> = const { RefCell::new((0, None)) };
}

/// Calls `f`, and gives its panic as an error.
///
/// What `f` shares with others may be left in the middle of a change, as with a thread that panics: `join` tells of the
/// panic, and std's locks are poisoned.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    install_hook();
    SEEN.with_borrow_mut(|seen| {
        seen.0 += 1;
        seen.1 = None;
    });
    let result = catch_unwind(AssertUnwindSafe(f));
    let seen = SEEN.with_borrow_mut(|seen| {
        seen.0 -= 1;
        seen.1.take()
    });
    result.map_err(|payload| {
        // A `resume_unwind` calls no hook; and a hook of the user's may have replaced ours.
        let message = message_of(&*payload);
        // The drop of a payload may panic as well.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        seen.filter(|panic| panic.message == message).unwrap_or(Panic {
            message,
            location: None,
            backtrace: None,
        })
    })
}

fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            note(info);
            hook(info);
        }));
    });
}

fn note(info: &PanicHookInfo<'_>) {
    let wanted = SEEN.try_with(|seen| seen.try_borrow().is_ok_and(|seen| seen.0 > 0));
    if wanted == Ok(true) {
        let panic = describe(info);
        SEEN.with_borrow_mut(|seen| seen.1 = Some(panic));
    }
}

/// What a panic says, for who is told of it by a hook.
pub(crate) fn describe(info: &PanicHookInfo<'_>) -> Panic {
    let backtrace = Backtrace::capture();
    Panic {
        message: message_of(info.payload()),
        location: info.location().map(ToString::to_string),
        backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
    }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "Box<dyn Any>".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        let panic = catch(|| panic!("no {}", "luck")).unwrap_err();
        assert_eq!(panic.message(), "no luck");
        assert!(panic.location().unwrap().starts_with(file!()), "{panic:?}");
        assert_eq!(catch(|| 5), Ok(5));
    }

    #[test]
    fn a_payload_that_panics_when_dropped_does_no_harm() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let panic = catch(|| std::panic::resume_unwind(Box::new(Bomb))).unwrap_err();
        assert_eq!((panic.message(), panic.location()), ("Box<dyn Any>", None));
    }

    #[test]
    fn an_inner_panic_that_was_caught_is_not_the_outer_one() {
        let panic = catch(|| {
            let _ = catch_unwind(|| panic!("inner"));
            std::panic::resume_unwind(Box::new("outer"))
        });
        assert_eq!(panic.map(|(): ()| ()).unwrap_err().message(), "outer");
    }
}
