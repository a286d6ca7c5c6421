//! An unbounded queue: rings, each twice as large as the one before. Where one is full it is closed, and the next one begins.
//!
//! Who finds a ring closed and empty goes on to the next. Rings stay until the queue is dropped, so nobody can hold on to one
//! that is gone; as they double, all of them together take no more than twice the last.

use super::error::{GetError, Refused};
use super::primitive::atomic::{AtomicUsize, Ordering};
use super::primitive::{Once, Padded};
use super::ring::{Ready, Ring, Room};

/// How many items the first ring has room for.
const FIRST: usize = if cfg!(all(loom, test)) { 1 } else { 32 };

/// As many as memory could ever hold.
const RINGS: usize = if cfg!(all(loom, test)) { 4 } else { 44 };

/// In `put_at`: nothing more is put, and no ring is added.
const CLOSED: usize = 1;

pub(super) struct Growing<T> {
    rings: [Once<Box<Ring<T>>>; RINGS],
    /// Twice the number of the ring to put into, and `CLOSED`. Goes on from a ring after that is closed.
    put_at: Padded<AtomicUsize>,
    /// The number of the ring to take from. Goes on from a ring that is closed and empty, so nothing more comes from it.
    get_at: Padded<AtomicUsize>,
}

impl<T> Growing<T> {
    pub(super) fn new() -> Growing<T> {
        Growing {
            rings: std::array::from_fn(|_| Once::new()),
            put_at: Padded(AtomicUsize::new(0)),
            get_at: Padded(AtomicUsize::new(0)),
        }
    }

    #[inline]
    fn ring(&self, number: usize) -> &Ring<T> {
        match self.rings[number].get() {
            Some(ring) => ring,
            None => self.make(number),
        }
    }

    #[cold]
    fn make(&self, number: usize) -> &Ring<T> {
        self.rings[number].get_or_make(|| Box::new(Ring::new(FIRST << number)))
    }

    #[inline]
    pub(super) fn reserve(&self) -> Result<Room<'_, T>, Refused> {
        loop {
            let at = self.put_at.load(Ordering::Acquire);
            if at & CLOSED != 0 {
                return Err(Refused::ShutDown);
            }
            if let Ok(room) = self.ring(at >> 1).reserve() {
                return Ok(room);
            }
            self.ring(at >> 1).close();
            self.put_after(at);
        }
    }

    /// Has puts go on after a ring that is closed, unless the queue is.
    #[cold]
    fn put_after(&self, at: usize) {
        let next = at + 2;
        self.ring(next >> 1);
        let _ = self.put_at.compare_exchange(at, next, Ordering::AcqRel, Ordering::Acquire);
    }

    #[inline]
    pub(super) fn claim(&self) -> Result<Ready<'_, T>, GetError> {
        loop {
            let number = self.get_at.load(Ordering::Acquire);
            match self.ring(number).claim() {
                Err(GetError::ShutDown) => {}
                claimed => return claimed,
            }
            if !self.get_after(number) {
                return Err(GetError::ShutDown);
            }
        }
    }

    /// Goes on after a ring that is closed and empty. False if it is the last.
    fn get_after(&self, number: usize) -> bool {
        let at = self.put_at.load(Ordering::Acquire);
        if at >> 1 == number {
            if at & CLOSED != 0 {
                return false;
            }
            // Who closed it is about to go on.
            self.put_after(at);
        } else {
            let next = number + 1;
            let _ = self.get_at.compare_exchange(number, next, Ordering::AcqRel, Ordering::Acquire);
        }
        true
    }

    /// As [`Ring::meet_putters`], of each ring up to one that is open. Who puts into a later one has seen that one closed, and
    /// with it what the caller did before.
    pub(super) fn meet_putters(&self) {
        let mut number = self.get_at.load(Ordering::Acquire);
        while self.ring(number).meet_putters() {
            let at = self.put_at.load(Ordering::Acquire);
            if at >> 1 == number {
                if at & CLOSED != 0 {
                    return;
                }
                self.put_after(at);
            }
            number += 1;
        }
    }

    /// Closes it: nothing more is put.
    pub(super) fn close(&self) {
        // No ring is added after this, so that one is the last.
        let at = self.put_at.fetch_or(CLOSED, Ordering::AcqRel);
        self.ring(at >> 1).close();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.put_at.load(Ordering::Acquire) & CLOSED != 0
    }

    /// How many items were ever put. Later rings are begun after the earlier ones are closed, so what is read from one to
    /// the next was, all of it, at some moment while it was read.
    pub(super) fn puts(&self) -> usize {
        self.rings.iter().map_while(Once::get).map(|ring| ring.puts()).sum()
    }

    pub(super) fn len(&self) -> usize {
        let first = self.get_at.load(Ordering::Acquire);
        self.rings[first..].iter().map_while(Once::get).map(|ring| ring.len()).sum()
    }
}
