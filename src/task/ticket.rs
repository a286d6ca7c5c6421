//! References that are under way in the bytes of a value.
//!
//! A handle to a word that is freed with its last handle writes a ticket into the bytes, for which whoever reads them gets a handle.
//! The ticket is kept beside the bytes by who sends them until they need it no more, and given back then, if nobody has
//! taken it.

use std::cell::RefCell;
use std::fmt;

use super::aside::{self, Scope};

/// Something that was put aside for who reads a value.
pub(crate) trait Ticket: Send + Sync {
    /// Nobody will read the value that it is in, or somebody has.
    fn give_back(&self);

    /// The value is on its way for good.
    fn sent(&self);

    /// What whoever keeps the bytes can give it back by. `None`: it needs nobody for that.
    fn number(&self) -> Option<Number>;
}

/// What is known of a ticket, to those who give tickets back that others made.
pub(crate) type Number = [u64; 3];

/// The tickets in the bytes of a value. Dropped, they are given back.
///
/// Most values have none: then it is one word, which costs nothing to move.
#[derive(Default)]
pub(crate) struct Tickets(Option<Box<Kept>>);

struct Kept(Vec<Box<dyn Ticket>>);

impl Tickets {
    /// The bytes are somebody else's now, who takes the tickets or keeps them.
    #[inline]
    pub(crate) fn sent(self) {
        if !self.is_empty() {
            self.announce();
            self.forget();
        }
    }

    /// The bytes are about to be somebody else's: from now on the tickets outlive this process.
    #[cold]
    pub(crate) fn announce(&self) {
        self.0.iter().flat_map(|kept| &kept.0).for_each(|ticket| ticket.sent());
    }

    /// Those that were announced are with who has the bytes.
    #[inline]
    pub(crate) fn forget(mut self) {
        drop(self.0.take());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Those of another value as well, which goes where this one goes.
    pub(crate) fn join(&mut self, mut other: Tickets) {
        let Some(more) = other.0.take() else { return };
        match &mut self.0 {
            Some(kept) => kept.0.extend(more.0),
            None => self.0 = Some(more),
        }
    }

    /// What those are known by that whoever keeps the bytes is to give back.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = Number> + '_ {
        self.0.iter().flat_map(|kept| &kept.0).filter_map(|ticket| ticket.number())
    }

    #[cold]
    fn give_back(kept: &Kept) {
        kept.0.iter().for_each(|ticket| ticket.give_back());
    }
}

impl Drop for Tickets {
    #[inline]
    fn drop(&mut self) {
        if let Some(kept) = &self.0 {
            Tickets::give_back(kept);
        }
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tickets", self.0.as_ref().map_or(0, |kept| kept.0.len()))
    }
}

thread_local! {
    /// The tickets of the values that this thread is writing, the innermost last; none at any other time.
    static KEPT: RefCell<Open> = const { RefCell::new(Vec::new()) };
}

/// The tickets of values that are being written.
pub(super) type Open = Vec<Box<dyn Ticket>>;

/// Has this thread go on with others.
pub(super) fn exchange(open: Open) -> Open {
    KEPT.replace(open)
}

/// Calls `read`, for a value whose tickets are to stay until it has been read: `kept`, or whose reader takes them.
pub(crate) fn reading<R>(kept: bool, read: impl FnOnce() -> R) -> R {
    /// Also when a user's `Deserialize` panics.
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            aside::replace(Scope { stay: self.0, ..aside::scope() });
        }
    }
    let outer = aside::scope();
    aside::replace(Scope { stay: kept, ..outer });
    let _back = Back(outer.stay);
    read()
}

/// Whether the reader of the value that this thread is reading leaves its tickets where they are.
pub(crate) fn are_kept() -> bool {
    aside::scope().stay
}

/// Calls `write`, and gives the tickets of the handles that were met in the values it wrote.
#[inline]
pub(crate) fn collect<R>(write: impl FnOnce() -> R) -> (R, Tickets) {
    let outer = aside::scope();
    aside::replace(Scope { writes: true, ..outer });
    let inner = Inner(outer);
    let result = write();
    (result, inner.end())
}

/// A value that is being written, maybe in the course of writing another. Dropped when a user's `Serialize` panics.
struct Inner(Scope);

impl Inner {
    /// Goes on with the outer value, and gives how many tickets there are. What was met meanwhile of descriptors and marks stays with the
    /// value that has them: it may be the outer one.
    #[inline]
    fn leave(&self) -> u32 {
        let Scope { writes, kept, .. } = self.0;
        let inner = aside::scope();
        aside::replace(Scope { writes, kept, ..inner });
        inner.kept
    }

    #[inline]
    fn end(self) -> Tickets {
        let (kept, first) = (self.leave(), self.0.kept);
        std::mem::forget(self);
        if kept == first { Tickets::default() } else { taken(first) }
    }
}

impl Drop for Inner {
    #[cold]
    fn drop(&mut self) {
        if self.leave() != self.0.kept {
            drop(taken(self.0.kept));
        }
    }
}

/// The tickets from that on.
#[cold]
fn taken(first: u32) -> Tickets {
    let kept = KEPT.with_borrow_mut(|kept| kept.split_off(first as usize));
    Tickets(Some(Box::new(Kept(kept))))
}

/// Whether this thread writes a value with which tickets can go.
pub(crate) fn is_writing() -> bool {
    aside::scope().writes
}

/// Keeps a ticket of the value that this thread writes.
pub(crate) fn keep(ticket: impl Ticket + 'static) {
    if !is_writing() {
        return ticket.give_back();
    }
    // Boxed before anything is borrowed.
    let boxed: Box<dyn Ticket> = Box::new(ticket);
    KEPT.with_borrow_mut(|kept| kept.push(boxed));
    let scope = aside::scope();
    aside::replace(Scope { kept: scope.kept + 1, ..scope });
}

/// What to say of a handle in a value that is not going anywhere.
pub(crate) const NOWHERE: &str = "a word can travel in the arguments and the value of a task, and in an item of another word only";

#[cfg(test)]
mod tests {
    //! Each value has its own tickets, whatever becomes of the others.

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Counted(Arc<AtomicUsize>);

    impl Ticket for Counted {
        fn give_back(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn sent(&self) {}

        fn number(&self) -> Option<Number> {
            None
        }
    }

    #[test]
    fn tickets_of_values_in_values() {
        let (inner, outer) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let back = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let ((), tickets) = collect(|| {
            keep(Counted(outer.clone()));
            let ((), none) = collect(|| ());
            assert!(none.is_empty());
            let ((), given_back) = collect(|| keep(Counted(inner.clone())));
            drop(given_back);
            let ((), sent) = collect(|| keep(Counted(inner.clone())));
            sent.sent();
            keep(Counted(outer.clone()));
        });
        assert_eq!((back(&inner), back(&outer)), (1, 0));
        drop(tickets);
        assert_eq!((back(&inner), back(&outer)), (1, 2));
        assert!(!is_writing());
        keep(Counted(outer.clone()));
        assert_eq!(back(&outer), 3);
    }

    #[test]
    fn what_a_value_in_a_value_leaves_beside_its_tickets_is_the_outer_ones() {
        use super::super::travel;
        let ((), marks) = travel::collect(|| {
            let ((), _) = collect(|| assert!(travel::leave(1)));
            assert!(travel::leave(2));
        });
        assert_eq!(marks, [1, 2]);
        assert!(!travel::leave(3));
    }

    #[test]
    fn joined_ones_go_together() {
        let count = Arc::new(AtomicUsize::new(0));
        let one = || collect(|| keep(Counted(count.clone()))).1;
        let mut all = Tickets::default();
        all.join(Tickets::default());
        assert!(all.is_empty());
        all.join(one());
        all.join(one());
        all.join(Tickets::default());
        assert_eq!(count.load(Ordering::Relaxed), 0);
        drop(all);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_write_that_panics_gives_back_its_own() {
        let (inner, outer) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let ((), tickets) = collect(|| {
            keep(Counted(outer.clone()));
            let panicked = std::panic::catch_unwind(|| {
                collect(|| {
                    keep(Counted(inner.clone()));
                    std::panic::panic_any(());
                })
            });
            assert!(panicked.is_err() && is_writing());
        });
        assert_eq!(inner.load(Ordering::Relaxed), 1);
        assert_eq!(outer.load(Ordering::Relaxed), 0);
        tickets.sent();
        assert_eq!(outer.load(Ordering::Relaxed), 0);
    }
}
