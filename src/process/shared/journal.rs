//! Changes to several numbers of the arena that are made all or not at all, whenever the process that makes them dies.
//!
//! Under the arena's lock, what a number was is written to the journal before it is changed. The length of the journal
//! is the last thing written of an entry, and set to 0 when all is done. Who takes the lock of a process that died with it
//! writes back what the journal has, from its end, and sets the length to 0: it may die in that as well, and the next
//! does it again.

use std::sync::atomic::compiler_fence;

use super::arena::{Arena, JOURNAL, MEMBERS};
use super::atomic::{Number64, Ordering};
use super::lock_word::Taken;

/// How many numbers a transaction can change.
const ENTRIES: u64 = (MEMBERS - JOURNAL) / 16;

/// A transaction. It is undone unless it is committed.
pub(super) struct Transaction<'a> {
    pub(super) arena: &'a Arena,
    done: bool,
    /// Blocks of pages that are freed, and their bytes: what is in them goes once that cannot be undone any more.
    pub(super) freed: Vec<(u64, u64)>,
}

impl Arena {
    /// Waits for the arena's lock, and begins. The process takes part already.
    pub(super) fn begin(&self) -> Transaction<'_> {
        if self.header().lock.lock(self) == Taken::OwnerDied {
            self.roll_back();
        }
        Transaction { arena: self, done: false, freed: Vec::new() }
    }

    /// Begins if nobody living has the lock.
    pub(super) fn try_begin(&self) -> Option<Transaction<'_>> {
        if self.header().lock.try_lock(self)? == Taken::OwnerDied {
            self.roll_back();
        }
        Some(Transaction { arena: self, done: false, freed: Vec::new() })
    }

    /// Sees to it that of what somebody has died changing nothing shows.
    pub(super) fn settle(&self) {
        if self.header().journaled.load(Ordering::Acquire) != 0 {
            self.begin().end();
        }
    }

    fn roll_back(&self) {
        let header = self.header();
        // Acquire: entries are whole that the length counts.
        for index in (0..header.journaled.load(Ordering::Acquire).min(ENTRIES)).rev() {
            let offset = self.number(JOURNAL + index * 16).load(Ordering::Relaxed);
            let old = self.number(JOURNAL + index * 16 + 8).load(Ordering::Relaxed);
            self.number(offset).store(old, Ordering::Release);
        }
        header.journaled.store(0, Ordering::Release);
    }
}

impl Transaction<'_> {
    /// Changes a number.
    pub(super) fn set(&mut self, number: &Number64, value: u64) {
        let journaled = &self.arena.header().journaled;
        let index = journaled.load(Ordering::Relaxed);
        assert!(index < ENTRIES, "a transaction that changes too much");
        let entry = JOURNAL + index * 16;
        self.arena.number(entry).store(self.arena.offset_of(number), Ordering::Relaxed);
        self.arena.number(entry + 8).store(number.load(Ordering::Relaxed), Ordering::Relaxed);
        // Release, here and below: a death leaves a beginning of what this thread has done, in the program's order.
        journaled.store(index + 1, Ordering::Release);
        number.store(value, Ordering::Release);
    }

    /// As `set`, for the number at an offset.
    pub(super) fn set_at(&mut self, offset: u64, value: u64) {
        let arena = self.arena;
        self.set(arena.number(offset), value);
    }

    pub(super) fn add(&mut self, number: &Number64, delta: i64) {
        self.set(number, number.load(Ordering::Relaxed).wrapping_add_signed(delta));
    }

    /// Makes the changes last, and goes on: what follows is another transaction, under the same lock.
    pub(super) fn commit(&mut self) {
        self.arena.header().journaled.store(0, Ordering::Release);
        // No entry of what follows is written before.
        compiler_fence(std::sync::atomic::Ordering::SeqCst);
        self.empty_freed();
    }

    /// Makes the changes last, and gives the lock back.
    pub(super) fn end(mut self) {
        self.commit();
        self.done = true;
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.arena.roll_back();
        }
        self.arena.header().lock.unlock(self.arena);
    }
}
