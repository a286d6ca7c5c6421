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

use super::aside::List;
use crate::error::{Error, ErrorKind, Result};

/// A word, by the number that all processes know it by.
pub(crate) type Mark = u64;

thread_local! {
    /// The value that this thread is writing or reading; none at any other time.
    static VALUE: RefCell<Option<Value>> = const { RefCell::new(None) };
}

/// The marks of a value that is being written or read.
#[derive(Default)]
pub(super) struct Open(Option<Value>);

impl Open {
    #[cfg(test)]
    pub(super) fn writing() -> Open {
        Open(Some(Value::Writing(Vec::new())))
    }
}

/// Has this thread go on with others.
pub(super) fn exchange(open: Open) -> Open {
    Open(VALUE.replace(open.0))
}

enum Value {
    Writing(Vec<Mark>),
    /// A ticket came along.
    Reading,
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
struct Restore(Option<Value>, List);

impl Restore {
    fn of(value: Value) -> Restore {
        Restore(VALUE.replace(Some(value)), List::new())
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        VALUE.set(self.0.take());
    }
}

/// Calls `write`, and gives the marks that were left in the values it wrote.
pub(crate) fn collect<R>(write: impl FnOnce() -> R) -> (R, Vec<Mark>) {
    let restore = Restore::of(Value::Writing(Vec::new()));
    let result = write();
    let value = VALUE.take();
    drop(restore);
    match value {
        Some(Value::Writing(marks)) => (result, marks),
        _ => unreachable!("a list is only exchanged here, and put back"),
    }
}

/// Calls `read`, for a value that came with its ticket.
pub(crate) fn receive<R>(read: impl FnOnce() -> R) -> R {
    let _restore = Restore::of(Value::Reading);
    read()
}

/// Calls `read`, for a value whose marks are this process's already, and gives those that it had no use for.
pub(crate) fn receive_granted<R>(marks: Vec<Mark>, read: impl FnOnce() -> R) -> (R, Vec<Mark>) {
    let restore = Restore::of(Value::Granted(marks));
    let result = read();
    let value = VALUE.take();
    drop(restore);
    match value {
        Some(Value::Granted(left)) => (result, left),
        _ => unreachable!("a list is only exchanged here, and put back"),
    }
}

/// Leaves a mark in the value that is being written. False if none is that can carry it.
pub(crate) fn leave(mark: Mark) -> bool {
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
    VALUE.with_borrow_mut(|value| match value {
        Some(Value::Reading) => Some(Arrival::ByTicket),
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
