//! References that are under way in the bytes of a value.
//!
//! A handle to a word that is freed with its last handle writes a ticket into the bytes, for which whoever reads them gets a handle.
//! The ticket is kept beside the bytes by who sends them until they need it no more, and given back then, if nobody has
//! taken it.

use std::cell::RefCell;
use std::fmt;

/// Something that was put aside for who reads a value.
pub(crate) trait Ticket: Send + Sync {
    /// Nobody will read the value that it is in, or somebody has.
    fn give_back(&self);

    /// The value is on its way for good.
    fn sent(&self);
}

/// The tickets in the bytes of a value. Dropped, they are given back.
#[derive(Default)]
pub(crate) struct Tickets(Vec<Box<dyn Ticket>>);

impl Tickets {
    /// The bytes are somebody else's now, who takes the tickets or keeps them.
    pub(crate) fn sent(mut self) {
        self.0.drain(..).for_each(|ticket| ticket.sent());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Tickets {
    fn drop(&mut self) {
        for ticket in self.0.drain(..) {
            ticket.give_back();
        }
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tickets", self.0.len())
    }
}

thread_local! {
    /// The tickets of the value that this thread is writing; none at any other time.
    static WRITING: RefCell<Option<Tickets>> = const { RefCell::new(None) };
}

/// Calls `write`, and gives the tickets of the handles that were met in the values it wrote.
pub(crate) fn collect<R>(write: impl FnOnce() -> R) -> (R, Tickets) {
    let restore = Restore(WRITING.replace(Some(Tickets::default())));
    let result = write();
    let tickets = WRITING.take().unwrap_or_default();
    drop(restore);
    (result, tickets)
}

/// Puts the outer ones back, also when a user's `Serialize` panics.
struct Restore(Option<Tickets>);

impl Drop for Restore {
    fn drop(&mut self) {
        let inner = WRITING.replace(self.0.take());
        drop(inner);
    }
}

/// Whether this thread writes a value with which tickets can go.
pub(crate) fn is_writing() -> bool {
    WRITING.with_borrow(Option::is_some)
}

/// Keeps a ticket of the value that this thread writes.
pub(crate) fn keep(ticket: impl Ticket + 'static) {
    // Boxed and pushed with nothing borrowed but for the push: giving it back may be a call of any length.
    let boxed: Box<dyn Ticket> = Box::new(ticket);
    let unkept = WRITING.with_borrow_mut(|writing| match writing {
        Some(tickets) => {
            tickets.0.push(boxed);
            None
        }
        None => Some(boxed),
    });
    if let Some(ticket) = unkept {
        ticket.give_back();
    }
}

/// What to say of a handle in a value that is not going anywhere.
pub(crate) const NOWHERE: &str = "a word can travel in the arguments and the value of a task, and in an item of another word only";
