//! What travels in a value beside its bytes and descriptors: handles to words that are kept elsewhere.
//!
//! A handle writes itself as a number, and leaves a [`Mark`] in the list of the value that this thread writes. Whoever sends
//! the value asks for a ticket for all marks of it: one descriptor that goes along behind those of the value. What is marked
//! stays as long as any copy of the ticket is open: on the way, in a task that waits for its worker or is tried again, in an
//! answer that nobody reads. Nothing has to be given back: a ticket ends when its last copy is closed, by whoever dies.
//!
//! Who keeps a value itself, as a word that is served, takes the marks instead of a ticket, and lends what is in them to whom
//! it gives the value.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use super::aside::{self, Kept, Scope};
use crate::error::{Error, ErrorKind, Result};

/// A word, by the number that all processes know it by.
pub(crate) type Mark = u64;

thread_local! {
    /// The marks of the value that this thread is writing or reading, if it has or may have any; none at any other time.
    static VALUE: RefCell<Option<Value>> = const { RefCell::new(None) };
}

/// The marks of a value that is being written or read.
#[derive(Default)]
pub(super) struct Open(Option<Value>);

/// Has this thread go on with others.
pub(super) fn exchange(open: Open) -> Open {
    Open(VALUE.replace(open.0))
}

enum Value {
    Writing(Vec<Mark>),
    /// These are the reader's already, each once.
    Granted(Vec<Mark>),
}

/// How a handle comes out of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It has to be asked for, while the ticket holds.
    ByTicket,
    /// It is this process's already.
    Granted,
}

/// Makes a ticket for marks.
type Ticket = fn(&[Mark]) -> Result<OwnedFd>;

static TICKET: OnceLock<Ticket> = OnceLock::new();

/// Has tickets made by this. All but the first call do nothing.
pub(crate) fn install(ticket: Ticket) {
    let _ = TICKET.set(ticket);
}

/// A ticket for these marks, if there are any.
pub(crate) fn ticket(marks: &[Mark]) -> Result<Option<OwnedFd>> {
    if marks.is_empty() {
        return Ok(None);
    }
    let ticket = TICKET.get().ok_or_else(|| Error::new(ErrorKind::Unsupported))?;
    ticket(marks).map(Some)
}

/// Puts the outer value back, also when a user's `Serialize` panics.
struct Restore(Kept, Option<Value>);

impl Restore {
    #[inline]
    fn of(marks: Kept) -> Restore {
        let scope = aside::scope();
        let outer = (scope.marks == Kept::Listed).then(|| VALUE.take()).flatten();
        aside::replace(Scope { marks, ..scope });
        Restore(scope.marks, outer)
    }

    fn with(value: Value) -> Restore {
        let restore = Restore::of(Kept::Listed);
        VALUE.set(Some(value));
        restore
    }
}

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        let scope = aside::scope();
        if self.0 == Kept::Listed || scope.marks == Kept::Listed {
            VALUE.set(self.1.take());
        }
        aside::replace(Scope { marks: self.0, ..scope });
    }
}

/// Calls `write`, and gives the marks that were left in the values it wrote.
#[inline]
pub(crate) fn collect<R>(write: impl FnOnce() -> R) -> (R, Vec<Mark>) {
    let restore = Restore::of(Kept::None);
    let result = write();
    let marks = match aside::scope().marks {
        Kept::Listed => listed(),
        _ => Vec::new(),
    };
    drop(restore);
    (result, marks)
}

/// What was written or is left of the marks of the innermost value.
#[cold]
fn listed() -> Vec<Mark> {
    match VALUE.take() {
        Some(Value::Writing(marks) | Value::Granted(marks)) => marks,
        None => unreachable!("a list is only exchanged here, and put back"),
    }
}

/// Calls `read`, for a value that came with its ticket.
#[inline]
pub(crate) fn receive<R>(read: impl FnOnce() -> R) -> R {
    let _restore = Restore::of(Kept::Unlisted);
    read()
}

/// Calls `read`, for a value whose marks are this process's already, and gives those that it had no use for.
pub(crate) fn receive_granted<R>(marks: Vec<Mark>, read: impl FnOnce() -> R) -> (R, Vec<Mark>) {
    let restore = Restore::with(Value::Granted(marks));
    let result = read();
    let left = listed();
    drop(restore);
    (result, left)
}

/// Leaves a mark in the value that is being written. False if none is that can carry it.
pub(crate) fn leave(mark: Mark) -> bool {
    let scope = aside::scope();
    if scope.marks == Kept::None {
        VALUE.set(Some(Value::Writing(Vec::new())));
        aside::replace(Scope { marks: Kept::Listed, ..scope });
    }
    VALUE.with_borrow_mut(|value| match value {
        Some(Value::Writing(marks)) => {
            marks.push(mark);
            true
        }
        _ => false,
    })
}

/// How what is marked comes out of the value that is being read, if one is that can carry it.
pub(crate) fn arrival(mark: Mark) -> Option<Arrival> {
    if aside::scope().marks == Kept::Unlisted {
        // Whoever sent it sent a ticket along for all that it marked.
        return Some(Arrival::ByTicket);
    }
    VALUE.with_borrow_mut(|value| match value {
        Some(Value::Granted(marks)) => {
            let at = marks.iter().position(|granted| *granted == mark)?;
            marks.swap_remove(at);
            Some(Arrival::Granted)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_left_in_the_innermost_value_only() {
        assert!(!leave(1));
        let ((), outer) = collect(|| {
            assert!(leave(1));
            let (_, inner) = collect(|| leave(2));
            assert_eq!(inner, [2]);
            assert!(leave(3));
        });
        assert_eq!(outer, [1, 3]);
        assert!(ticket(&[]).unwrap().is_none());
    }

    #[test]
    fn what_is_granted_is_taken_once_each() {
        let (taken, left) = receive_granted(vec![1, 2, 1], || [1, 1, 1, 3].map(arrival));
        assert_eq!(taken, [Some(Arrival::Granted), Some(Arrival::Granted), None, None]);
        assert_eq!(left, [2]);
        assert_eq!(arrival(1), None);
        assert_eq!(receive(|| arrival(1)), Some(Arrival::ByTicket));
    }
}
