//! Where a queue keeps its items: in a ring, in rings that grow, on a stack or in a heap.

use super::error::{GetError, Refused};
use super::growing::Growing;
use super::primitive::{Mutex, MutexGuard, lock};
use super::ring::{Ready, Ring, Room};

/// Items, without waiting.
pub(super) trait Store {
    /// What is put: the item, with what it is ordered by.
    type Put;

    type Item;

    /// The item, if there is no room for it.
    fn back(put: Self::Put) -> Self::Item;

    /// Room for one item, which is then filled at once.
    type Room<'a>
    where
        Self: 'a;

    /// An item that is there, which is then taken at once.
    type Ready<'a>
    where
        Self: 'a;

    fn reserve(&self) -> Result<Self::Room<'_>, Refused>;

    fn fill(room: Self::Room<'_>, item: Self::Put);

    fn claim(&self) -> Result<Self::Ready<'_>, GetError>;

    fn take(ready: Self::Ready<'_>) -> Self::Item;

    /// After this, an item is there for the caller to see, or who puts it sees all that the caller did before.
    fn meet_putters(&self);

    /// The same for the room that is made by who gets an item.
    fn meet_getters(&self);

    /// Nothing more is put.
    fn close(&self);

    /// Whether nothing more is put.
    fn is_closed(&self) -> bool;

    /// How many items were ever put.
    fn puts(&self) -> usize;

    fn len(&self) -> usize;

    /// `None` if there is no limit.
    fn capacity(&self) -> Option<usize>;
}

/// First in, first out.
#[expect(
    clippy::large_enum_variant,
    reason = "the ring is where its queue is: one pointer less on the fast path"
)]
pub(super) enum Fifo<T> {
    Bounded(Ring<T>),
    Unbounded(Box<Growing<T>>),
}

impl<T> Store for Fifo<T> {
    type Put = T;
    type Item = T;

    #[inline]
    fn back(item: T) -> T {
        item
    }

    type Room<'a>
        = Room<'a, T>
    where
        T: 'a;

    type Ready<'a>
        = Ready<'a, T>
    where
        T: 'a;

    #[inline]
    fn reserve(&self) -> Result<Room<'_, T>, Refused> {
        match self {
            Fifo::Bounded(ring) => ring.reserve(),
            Fifo::Unbounded(rings) => rings.reserve(),
        }
    }

    #[inline]
    fn fill(room: Room<'_, T>, item: T) {
        room.fill(item);
    }

    #[inline]
    fn claim(&self) -> Result<Ready<'_, T>, GetError> {
        match self {
            Fifo::Bounded(ring) => ring.claim(),
            Fifo::Unbounded(rings) => rings.claim(),
        }
    }

    #[inline]
    fn take(ready: Ready<'_, T>) -> T {
        ready.take()
    }

    fn meet_putters(&self) {
        match self {
            Fifo::Bounded(ring) => drop(ring.meet_putters()),
            Fifo::Unbounded(rings) => rings.meet_putters(),
        }
    }

    fn meet_getters(&self) {
        match self {
            Fifo::Bounded(ring) => ring.meet_getters(),
            // There always is room.
            Fifo::Unbounded(_) => {}
        }
    }

    fn close(&self) {
        match self {
            Fifo::Bounded(ring) => ring.close(),
            Fifo::Unbounded(rings) => rings.close(),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Fifo::Bounded(ring) => ring.is_closed(),
            Fifo::Unbounded(rings) => rings.is_closed(),
        }
    }

    fn puts(&self) -> usize {
        match self {
            Fifo::Bounded(ring) => ring.puts(),
            Fifo::Unbounded(rings) => rings.puts(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Fifo::Bounded(ring) => ring.len(),
            Fifo::Unbounded(rings) => rings.len(),
        }
    }

    fn capacity(&self) -> Option<usize> {
        match self {
            Fifo::Bounded(ring) => Some(ring.capacity()),
            Fifo::Unbounded(_) => None,
        }
    }
}

/// How items are kept in an order of their own.
pub(super) trait Pile: Default {
    type Put;
    type Item;

    /// The item, with what it is ordered by.
    type Entry;

    fn back(put: Self::Put) -> Self::Item;

    /// `number` counts the items in the order of arrival.
    fn push(&mut self, item: Self::Put, number: usize);

    fn pop(&mut self) -> Option<Self::Entry>;

    /// Drops what it was ordered by: code of the user's, for which the pile is not locked.
    fn item(entry: Self::Entry) -> Self::Item;

    fn len(&self) -> usize;
}

impl<T> Pile for Vec<T> {
    type Put = T;
    type Item = T;
    type Entry = T;

    fn back(item: T) -> T {
        item
    }

    fn push(&mut self, item: T, _: usize) {
        Vec::push(self, item);
    }

    fn pop(&mut self) -> Option<T> {
        Vec::pop(self)
    }

    fn item(item: T) -> T {
        item
    }

    fn len(&self) -> usize {
        Vec::len(self)
    }
}

/// A pile under a lock.
pub(super) struct Guarded<P> {
    state: Mutex<State<P>>,
    capacity: Option<usize>,
}

pub(super) struct State<P> {
    pile: P,
    puts: usize,
    is_closed: bool,
}

impl<P: Pile> Guarded<P> {
    pub(super) fn new(capacity: Option<usize>) -> Guarded<P> {
        assert!(capacity != Some(0), "a queue has room for at least one item");
        let state = State { pile: P::default(), puts: 0, is_closed: false };
        Guarded { state: Mutex::new(state), capacity }
    }
}

impl<P: Pile> Store for Guarded<P> {
    type Put = P::Put;
    type Item = P::Item;

    fn back(put: P::Put) -> P::Item {
        P::back(put)
    }

    type Room<'a>
        = MutexGuard<'a, State<P>>
    where
        P: 'a;

    /// The pile is not empty.
    type Ready<'a>
        = MutexGuard<'a, State<P>>
    where
        P: 'a;

    fn reserve(&self) -> Result<MutexGuard<'_, State<P>>, Refused> {
        let state = lock(&self.state);
        if state.is_closed {
            return Err(Refused::ShutDown);
        }
        match self.capacity {
            Some(capacity) if state.pile.len() >= capacity => Err(Refused::Full),
            _ => Ok(state),
        }
    }

    fn fill(mut state: MutexGuard<'_, State<P>>, item: P::Put) {
        let number = state.puts;
        // Counted first: an order of the user's may panic, with the item in the pile.
        state.puts += 1;
        state.pile.push(item, number);
    }

    fn claim(&self) -> Result<MutexGuard<'_, State<P>>, GetError> {
        let state = lock(&self.state);
        match state.pile.len() {
            0 if state.is_closed => Err(GetError::ShutDown),
            0 => Err(GetError::Empty),
            _ => Ok(state),
        }
    }

    fn take(mut state: MutexGuard<'_, State<P>>) -> P::Item {
        let entry = state.pile.pop().expect("the pile is not empty");
        drop(state);
        P::item(entry)
    }

    // Here and below, the lock does it: of two who take it one comes first, and what that one did before, the other sees.
    fn meet_putters(&self) {}

    fn meet_getters(&self) {}

    fn close(&self) {
        lock(&self.state).is_closed = true;
    }

    fn is_closed(&self) -> bool {
        lock(&self.state).is_closed
    }

    fn puts(&self) -> usize {
        lock(&self.state).puts
    }

    fn len(&self) -> usize {
        lock(&self.state).pile.len()
    }

    fn capacity(&self) -> Option<usize> {
        self.capacity
    }
}
