//! Calls a function and, if it panics, tells what the panic said, and where.
//!
//! What `catch_unwind` gives is the payload alone. The place and the backtrace are known to the panic hook only, which runs
//! in the panicking thread, before the unwinding: ours leaves a note in a thread-local for the `catch` that the thread is
//! in, and then calls the hook that was there before it. A hook that somebody sets later in place of ours costs the place
//! and the backtrace, never the message.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;
use std::thread;

use crate::error::Panic;
pub(crate) use crate::error::shield;

/// Of the panics inside one `catch`, so many of the latest are kept: one of them is what comes out of it in the end, the
/// others were caught by the function itself, perhaps while the one was unwinding.
const NOTES: usize = 4;

/// The message of a panic whose payload is not a text, as std writes it.
const NO_TEXT: &str = "Box<dyn Any>";

thread_local! {
    /// Which notes are of the innermost `catch` that this thread is in. Without a destructor, and no more than this is touched
    /// as long as nothing panics.
    static SCOPE: Cell<Scope> = const { Cell::new(Scope { inside: false, first: 0, count: 0 }) };
    /// The notes of all of them, the innermost last.
    static NOTED: RefCell<Vec<Note>> = const { RefCell::new(Vec::new()) };
}

#[derive(Clone, Copy)]
struct Scope {
    /// Whether the thread is in a `catch`.
    inside: bool,
    /// The first note of the innermost, and how many there are of all.
    first: u32,
    count: u32,
}

struct Note {
    message: String,
    location: Option<String>,
    backtrace: Backtrace,
}

/// Calls `f`. A panic is an error that says what happened; it goes to the panic hook as any other.
#[inline]
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    install_hook();
    let outer = enter();
    // Unwind safe: `f` is consumed, and what it shares with others is as safe as it is between threads.
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    let notes = leave(outer);
    result.map_err(|payload| {
        let message = message_of(&*payload).to_owned();
        shield(move || drop(payload));
        find(message, notes)
    })
}

/// Has panics noted from now on, for [`explain`]: for coroutines, whose calls do not nest as those of `catch` must.
pub(crate) fn share() -> impl Drop {
    install_hook();
    Restore(enter())
}

/// What a panic said that was caught right where it came out, with no other code of the user's run since on this thread.
pub(crate) fn explain(payload: Box<dyn Any + Send>) -> Panic {
    let message = message_of(&*payload).to_owned();
    shield(move || drop(payload));
    let scope = SCOPE.get();
    let notes = leave(scope);
    find(message, notes)
}

/// Leaves what [`share`] has entered.
struct Restore(Scope);

impl Drop for Restore {
    fn drop(&mut self) {
        leave(self.0);
    }
}

/// Begins to note panics, and gives what was before.
#[inline]
fn enter() -> Scope {
    let outer = SCOPE.get();
    SCOPE.set(Scope { inside: true, first: outer.count, count: outer.count });
    outer
}

/// Goes on with what was before, and gives the notes that there are since.
#[inline]
fn leave(outer: Scope) -> Vec<Note> {
    let Scope { first, count, .. } = SCOPE.get();
    SCOPE.set(Scope { count: first.min(count), ..outer });
    if count == first { Vec::new() } else { notes_from(first) }
}

/// Nothing while the thread destroys its thread-locals: a panic is then told without its place.
#[cold]
fn notes_from(first: u32) -> Vec<Note> {
    let taken = NOTED.try_with(|noted| {
        let mut noted = noted.borrow_mut();
        let first = noted.len().min(first as usize);
        noted.split_off(first)
    });
    taken.unwrap_or_default()
}

/// The panic that came out of a `catch`. A `resume_unwind` calls no hook, and leaves no note.
fn find(message: String, mut notes: Vec<Note>) -> Panic {
    match notes.iter().rposition(|note| note.message == message) {
        Some(index) => notes.swap_remove(index).into_panic(),
        None => Panic { message, location: None, backtrace: None },
    }
}

impl Note {
    fn of(info: &PanicHookInfo<'_>) -> Note {
        Note {
            message: info.payload_as_str().unwrap_or(NO_TEXT).to_owned(),
            location: info.location().map(ToString::to_string),
            backtrace: Backtrace::capture(),
        }
    }

    fn into_panic(self) -> Panic {
        // Made into text only here: looking up symbols takes milliseconds.
        let captured = self.backtrace.status() == BacktraceStatus::Captured;
        let backtrace = captured.then(|| self.backtrace.to_string());
        Panic { message: self.message, location: self.location, backtrace }
    }
}

/// What a panic says, for who is told of it by a hook.
pub(crate) fn describe(info: &PanicHookInfo<'_>) -> Panic {
    Note::of(info).into_panic()
}

fn message_of(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        NO_TEXT
    }
}

fn install_hook() {
    static INSTALL: Once = Once::new();
    // The hook cannot be changed by a thread that panics: whoever comes next does it then.
    if INSTALL.is_completed() || thread::panicking() {
        return;
    }
    INSTALL.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note(info);
            previous(info);
        }));
    });
}

/// Leaves a note for the `catch` that this thread is in. Runs in the hook, where a panic would abort.
fn note(info: &PanicHookInfo<'_>) {
    let scope = SCOPE.get();
    if !scope.inside {
        return;
    }
    let _ = NOTED.try_with(|noted| {
        let Ok(mut noted) = noted.try_borrow_mut() else { return };
        let first = noted.len().min(scope.first as usize);
        if noted.len() - first == NOTES {
            noted.remove(first);
        }
        noted.push(Note::of(info));
        SCOPE.set(Scope { count: noted.len() as u32, ..scope });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(panic: &Panic) -> (&str, u32) {
        let mut parts = panic.location().expect("a place").split(':');
        (parts.next().unwrap(), parts.next().unwrap().parse().unwrap())
    }

    #[test]
    fn a_value_comes_through() {
        assert_eq!(catch(|| 7), Ok(7));
    }

    #[test]
    fn a_panic_says_what_and_where() {
        let line = line!() + 1;
        let panic = catch(|| panic!("number {}", 7)).unwrap_err();
        assert_eq!(panic.message(), "number 7");
        assert_eq!(place(&panic), (file!(), line));
    }

    #[test]
    fn a_payload_that_is_no_text_is_told_as_such() {
        let panic = catch(|| panic::panic_any(7)).unwrap_err();
        assert_eq!(panic.message(), "Box<dyn Any>");
        assert_eq!(place(&panic).0, file!());
    }

    #[test]
    fn panics_that_the_function_catches_itself_do_not_mix_with_its_own() {
        struct PanicsAndCatches;

        impl Drop for PanicsAndCatches {
            fn drop(&mut self) {
                shield(|| panic!("inner"));
                catch(|| panic!("nested")).unwrap_err();
            }
        }

        let line = line!() + 4; // of the last panic
        let panic = catch(|| {
            shield(|| panic!("earlier"));
            let _guard = PanicsAndCatches;
            panic!("outer");
        });
        let panic = panic.unwrap_err();
        assert_eq!((panic.message(), place(&panic).1), ("outer", line));
    }

    #[test]
    fn a_panic_that_was_caught_before_is_not_told_in_place_of_one_without_a_note() {
        let panic = catch(|| {
            shield(|| panic!("inner"));
            panic::resume_unwind(Box::new("outer"))
        });
        let panic = panic.map(|(): ()| ()).unwrap_err();
        assert_eq!((panic.message(), panic.location()), ("outer", None));
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_harmless() {
        struct Bomb(u32);

        impl Drop for Bomb {
            fn drop(&mut self) {
                if self.0 > 0 {
                    panic::panic_any(Bomb(self.0 - 1));
                }
            }
        }

        let panic = catch(|| panic::panic_any(Bomb(3))).unwrap_err();
        assert_eq!(panic.message(), "Box<dyn Any>");
    }
}
