//! Where a queue keeps its items: in a ring, in rings that grow, on a stack or in a heap.

use super::error::{GetError, PutError};
use super::growing::Growing;
use super::primitive::{Mutex, lock};
use super::ring::Ring;

/// Items, without waiting.
pub(super) trait Store {
    type Item;

    fn put(&self, item: Self::Item) -> Result<(), PutError<Self::Item>>;

    fn get(&self) -> Result<Self::Item, GetError>;

    /// After this, an item is there for the caller to see, or who puts it sees all that the caller did before.
    fn meet_putters(&self);

    /// The same for the room that is made by who gets an item.
    fn meet_getters(&self);

    /// Nothing more is put. False if that was so before.
    fn close(&self) -> bool;

    /// How many items were ever put.
    fn puts(&self) -> usize;

    fn len(&self) -> usize;

    /// `None` if there is no limit.
    fn capacity(&self) -> Option<usize>;
}

/// First in, first out.
pub(super) enum Fifo<T> {
    Bounded(Ring<T>),
    Unbounded(Box<Growing<T>>),
}

impl<T> Store for Fifo<T> {
    type Item = T;

    #[inline]
    fn put(&self, item: T) -> Result<(), PutError<T>> {
        match self {
            Fifo::Bounded(ring) => ring.put(item),
            Fifo::Unbounded(rings) => rings.put(item),
        }
    }

    #[inline]
    fn get(&self) -> Result<T, GetError> {
        match self {
            Fifo::Bounded(ring) => ring.get(),
            Fifo::Unbounded(rings) => rings.get(),
        }
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

    fn close(&self) -> bool {
        match self {
            Fifo::Bounded(ring) => ring.close(),
            Fifo::Unbounded(rings) => rings.close(),
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
    type Item;

    /// `number` counts the items in the order of arrival.
    fn push(&mut self, item: Self::Item, number: usize);

    fn pop(&mut self) -> Option<Self::Item>;

    fn len(&self) -> usize;
}

impl<T> Pile for Vec<T> {
    type Item = T;

    fn push(&mut self, item: T, _: usize) {
        Vec::push(self, item);
    }

    fn pop(&mut self) -> Option<T> {
        Vec::pop(self)
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

struct State<P> {
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
    type Item = P::Item;

    fn put(&self, item: P::Item) -> Result<(), PutError<P::Item>> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(PutError::ShutDown(item));
        }
        if self.capacity.is_some_and(|capacity| state.pile.len() >= capacity) {
            return Err(PutError::Full(item));
        }
        let number = state.puts;
        // Counted first: an order of the user's may panic, with the item in the pile.
        state.puts += 1;
        state.pile.push(item, number);
        Ok(())
    }

    fn get(&self) -> Result<P::Item, GetError> {
        let mut state = lock(&self.state);
        match state.pile.pop() {
            Some(item) => Ok(item),
            None if state.is_closed => Err(GetError::ShutDown),
            None => Err(GetError::Empty),
        }
    }

    // Here and below, the lock does it: of two who take it one comes first, and what that one did before, the other sees.
    fn meet_putters(&self) {}

    fn meet_getters(&self) {}

    fn close(&self) -> bool {
        !std::mem::replace(&mut lock(&self.state).is_closed, true)
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
