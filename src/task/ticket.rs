//! References that are under way in the bytes of a value.
//!
//! A handle to a word that is freed with its last handle writes a ticket into the bytes, for which whoever reads them gets a handle.
//! The ticket is kept beside the bytes by who sends them until they need it no more, and given back then, if nobody has
//! taken it.

use std::cell::{Cell, RefCell};
use std::fmt;

/// Something that was put aside for who reads a value.
pub(crate) trait Ticket: Send + Sync {
    /// Nobody will read the value that it is in, or somebody has.
    fn give_back(&self);

    /// What whoever keeps the bytes can give it back by. `None`: it needs nobody for that.
    fn number(&self) -> Option<Number>;
}

/// What is known of a ticket, to those who give tickets back that others made.
pub(crate) type Number = [u64; 3];

/// The tickets in the bytes of a value. Dropped, they are given back.
#[derive(Default)]
pub(crate) struct Tickets(Vec<Box<dyn Ticket>>);

impl Tickets {
    /// The bytes are somebody else's now, who takes the tickets or keeps them.
    #[inline]
    pub(crate) fn sent(mut self) {
        if !self.0.is_empty() {
            self.0.drain(..).for_each(drop);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What those are known by that whoever keeps the bytes is to give back.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = Number> + '_ {
        self.0.iter().filter_map(|ticket| ticket.number())
    }

    #[cold]
    fn give_back(&mut self) {
        for ticket in self.0.drain(..) {
            ticket.give_back();
        }
    }
}

impl Drop for Tickets {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_empty() {
            self.give_back();
        }
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tickets", self.0.len())
    }
}

thread_local! {
    /// Whether this thread is writing a value, and how many are in `KEPT`: all that a value without handles has to do with.
    static WRITING: Cell<Writing> = const { Cell::new(Writing { some: false, kept: 0 }) };
    /// The tickets of the values that this thread is writing, the innermost last; none at any other time.
    static KEPT: RefCell<Vec<Box<dyn Ticket>>> = const { RefCell::new(Vec::new()) };
}

#[derive(Clone, Copy)]
struct Writing {
    some: bool,
    kept: usize,
}

thread_local! {
    /// Whether the tickets of the value that this thread is reading are given back by who keeps its bytes.
    static STAY: Cell<bool> = const { Cell::new(false) };
}

/// Calls `read`, for a value whose tickets are to stay until it has been read: `kept`, or whose reader takes them.
pub(crate) fn reading<R>(kept: bool, read: impl FnOnce() -> R) -> R {
    /// Also when a user's `Deserialize` panics.
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            STAY.set(self.0);
        }
    }
    let _back = Back(STAY.replace(kept));
    read()
}

/// Whether the reader of the value that this thread is reading leaves its tickets where they are.
pub(crate) fn are_kept() -> bool {
    STAY.get()
}

/// Calls `write`, and gives the tickets of the handles that were met in the values it wrote.
#[inline]
pub(crate) fn collect<R>(write: impl FnOnce() -> R) -> (R, Tickets) {
    let outer = WRITING.get();
    WRITING.set(Writing { some: true, ..outer });
    let inner = Inner(outer);
    let result = write();
    (result, inner.end())
}

/// A value that is being written, maybe in the course of writing another. Dropped when a user's `Serialize` panics.
struct Inner(Writing);

impl Inner {
    #[inline]
    fn end(self) -> Tickets {
        let Writing { kept, .. } = WRITING.replace(self.0);
        let first = self.0.kept;
        std::mem::forget(self);
        if kept == first { Tickets::default() } else { taken(first) }
    }
}

impl Drop for Inner {
    #[cold]
    fn drop(&mut self) {
        let Writing { kept, .. } = WRITING.replace(self.0);
        if kept != self.0.kept {
            drop(taken(self.0.kept));
        }
    }
}

/// The tickets from that on.
#[cold]
fn taken(first: usize) -> Tickets {
    Tickets(KEPT.with_borrow_mut(|kept| kept.split_off(first)))
}

/// Whether this thread writes a value with which tickets can go.
pub(crate) fn is_writing() -> bool {
    WRITING.get().some
}

/// Keeps a ticket of the value that this thread writes.
pub(crate) fn keep(ticket: impl Ticket + 'static) {
    let writing = WRITING.get();
    if !writing.some {
        return ticket.give_back();
    }
    // Boxed before anything is borrowed.
    let boxed: Box<dyn Ticket> = Box::new(ticket);
    KEPT.with_borrow_mut(|kept| kept.push(boxed));
    WRITING.set(Writing { kept: writing.kept + 1, ..writing });
}

/// What to say of a handle in a value that is not going anywhere.
pub(crate) const NOWHERE: &str = "a word can travel in the arguments and the value of a task, and in an item of another word only";
