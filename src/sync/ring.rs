//! A bounded queue without locks: a ring of slots, each with a stamp that says whose turn it is (after Dmitry Vyukov).
//!
//! A position counts the items ever put (the tail) or taken (the head): `lap * one_lap + index * 2`. Its lowest bit is free. In
//! the tail it says that the ring is closed; in a stamp, that the slot is filled.
//!
//! | stamp of slot `index` | the slot is | who may touch it |
//! | --- | --- | --- |
//! | `position` | free for the item of that position | who moves the tail from `position` on |
//! | `position + 1` | filled with it | who moves the head from `position` on |
//! | `position + one_lap` | free for the item one lap later | who moves the tail from there on |
//!
//! Moving a counter is a compare-and-swap, so one thread wins each position. It then works on the slot alone, and hands it on
//! by a Release store of the next stamp, which the next one reads by Acquire. Between the two it does nothing but copy the
//! item; who needs the slot meanwhile looks again.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use super::error::{GetError, Refused};
use super::primitive::atomic::{AtomicUsize, Ordering};
use super::primitive::{Backoff, Padded, UnsafeCell};

/// In the tail: nothing more is put.
const CLOSED: usize = 1;

/// In a stamp: the slot holds an item.
const FILLED: usize = 1;

struct Slot<T> {
    stamp: AtomicUsize,
    item: UnsafeCell<MaybeUninit<T>>,
}

pub(super) struct Ring<T> {
    /// The position that the next item is taken from.
    head: Padded<AtomicUsize>,
    /// The position that the next item is put at, and `CLOSED`.
    tail: Padded<AtomicUsize>,
    slots: Box<[Slot<T>]>,
    /// How many bits of a position the index and the lowest bit take.
    lap_bits: u32,
}

// SAFETY: an item is put in by one thread and taken out by another, so `T` must be `Send`; no two threads ever have it at
// once, since one alone wins each position (see the head of this file), so it need not be `Sync`.
unsafe impl<T: Send> Sync for Ring<T> {}

// SAFETY: as above; moving the ring moves its items.
unsafe impl<T: Send> Send for Ring<T> {}

/// A slot that the caller alone may fill, and must, or the queue stands still.
#[must_use]
pub(super) struct Room<'a, T> {
    slot: &'a Slot<T>,
    /// The stamp that says that it is filled.
    filled: usize,
}

/// A slot that the caller alone may take the item out of, and must, or the queue stands still.
#[must_use]
pub(super) struct Ready<'a, T> {
    slot: &'a Slot<T>,
    /// The stamp that says that it is free for the next lap.
    free: usize,
}

impl<T> Room<'_, T> {
    #[inline]
    pub(super) fn fill(self, item: T) {
        // SAFETY: `Ring::reserve`, which alone makes a `Room`, has found the slot free for its position and has moved the tail
        // from it, which one thread alone can. So nobody else touches the slot before the store below, and this is done once.
        self.slot.item.with_mut(|cell| unsafe { (*cell).write(item) });
        self.slot.stamp.store(self.filled, Ordering::Release);
    }
}

impl<T> Ready<'_, T> {
    #[inline]
    pub(super) fn take(self) -> T {
        // SAFETY: `Ring::claim`, which alone makes a `Ready`, has found the item of its position in the slot and has moved the
        // head from it, which one thread alone can. So the item is taken out once, and nobody else touches the slot before
        // the store below.
        let item = self.slot.item.with_mut(|cell| unsafe { (*cell).assume_init_read() });
        self.slot.stamp.store(self.free, Ordering::Release);
        item
    }
}

impl<T> Ring<T> {
    /// A ring for so many items, at least one.
    pub(super) fn new(capacity: usize) -> Ring<T> {
        assert!(capacity > 0, "a queue has room for at least one item");
        assert!(capacity <= usize::MAX >> 8, "a queue has room for too many items");
        let slot = |index| Slot {
            stamp: AtomicUsize::new(index << 1),
            item: UnsafeCell::new(MaybeUninit::uninit()),
        };
        Ring {
            head: Padded(AtomicUsize::new(0)),
            tail: Padded(AtomicUsize::new(0)),
            slots: (0..capacity).map(slot).collect(),
            lap_bits: capacity.next_power_of_two().trailing_zeros() + 1,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    fn one_lap(&self) -> usize {
        1 << self.lap_bits
    }

    fn index(&self, position: usize) -> usize {
        (position & (self.one_lap() - 1)) >> 1
    }

    fn following(&self, position: usize) -> usize {
        if self.index(position) + 1 < self.slots.len() {
            position + 2
        } else {
            // The first slot, one lap later.
            (position & !(self.one_lap() - 1)).wrapping_add(self.one_lap())
        }
    }

    /// How many positions come before this one.
    fn count(&self, position: usize) -> usize {
        (position >> self.lap_bits) * self.slots.len() + self.index(position)
    }

    #[inline]
    pub(super) fn reserve(&self) -> Result<Room<'_, T>, Refused> {
        let mut backoff = Backoff::new();
        let mut tail = self.tail.load(Ordering::Relaxed);
        loop {
            if tail & CLOSED != 0 {
                return Err(Refused::ShutDown);
            }
            let slot = &self.slots[self.index(tail)];
            // Acquire: the item that was in it has been taken out.
            let stamp = slot.stamp.load(Ordering::Acquire);
            if stamp == tail {
                // Release and Acquire: see `meet_putters`.
                match self.tail.compare_exchange_weak(
                    tail,
                    self.following(tail),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return Ok(Room { slot, filled: tail | FILLED }),
                    Err(now) => {
                        tail = now;
                        backoff.spin();
                    }
                }
            } else if stamp.wrapping_add(self.one_lap()) == tail | FILLED {
                // It holds the item of a lap before.
                let head = self.head.load(Ordering::Relaxed);
                if head.wrapping_add(self.one_lap()) == tail {
                    return Err(Refused::Full);
                }
                // Somebody is taking it out.
                backoff.pause();
                tail = self.tail.load(Ordering::Relaxed);
            } else {
                // The tail has moved on meanwhile.
                backoff.spin();
                tail = self.tail.load(Ordering::Relaxed);
            }
        }
    }

    #[inline]
    pub(super) fn claim(&self) -> Result<Ready<'_, T>, GetError> {
        let mut backoff = Backoff::new();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let slot = &self.slots[self.index(head)];
            // Acquire: the item has been written.
            let stamp = slot.stamp.load(Ordering::Acquire);
            if stamp == head | FILLED {
                // Release and Acquire: see `meet_getters`.
                match self.head.compare_exchange_weak(
                    head,
                    self.following(head),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        return Ok(Ready { slot, free: head.wrapping_add(self.one_lap()) });
                    }
                    Err(now) => {
                        head = now;
                        backoff.spin();
                    }
                }
            } else if stamp == head {
                // Nothing is there, or not yet. Acquire: who sees `CLOSED` sees what was done before it.
                let tail = self.tail.load(Ordering::Acquire);
                if tail & !CLOSED == head {
                    return Err(match tail & CLOSED {
                        0 => GetError::Empty,
                        _ => GetError::ShutDown,
                    });
                }
                // Somebody is putting it in.
                backoff.pause();
                head = self.head.load(Ordering::Relaxed);
            } else {
                // The head has moved on meanwhile.
                backoff.spin();
                head = self.head.load(Ordering::Relaxed);
            }
        }
    }

    /// After this, each item is in the ring for the caller to see, or who puts it in sees all that the caller did before.
    ///
    /// For it changes the tail as each put does, and of two changes one comes first; the later one reads the earlier one's
    /// value, so that Acquire meets Release. True if the ring was closed.
    pub(super) fn meet_putters(&self) -> bool {
        self.tail.fetch_or(0, Ordering::AcqRel) & CLOSED != 0
    }

    /// The same for the room that takers make.
    pub(super) fn meet_getters(&self) {
        self.head.fetch_or(0, Ordering::AcqRel);
    }

    /// Closes it: nothing more is put.
    pub(super) fn close(&self) {
        self.tail.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.tail.load(Ordering::Acquire) & CLOSED != 0
    }

    /// How many items were ever put.
    pub(super) fn puts(&self) -> usize {
        self.count(self.tail.load(Ordering::Acquire) & !CLOSED)
    }

    pub(super) fn len(&self) -> usize {
        loop {
            let tail = self.tail.load(Ordering::Acquire);
            let head = self.head.load(Ordering::Acquire);
            // As long as the tail stands still, both belong together.
            if self.tail.load(Ordering::Relaxed) == tail {
                return self.count(tail & !CLOSED).wrapping_sub(self.count(head));
            }
        }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        while let Ok(ready) = self.claim() {
            drop(ready.take());
        }
    }
}
