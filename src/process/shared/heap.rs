//! Blocks of the arena, under its lock and its journal.
//!
//! A block has one of [`CLASSES`] sizes, four to a power of two, so at most a fifth of it is not used. A block that is freed
//! goes on the list of its size, linked through its first eight bytes, and is used for that size again. Blocks of [`LARGE`] bytes and
//! more are whole pages, which the kernel gives memory for when the block is taken, and gets back when it is freed;
//! smaller ones are cut from such blocks. Memory that was never in a block costs nothing.
//!
//! What is in a block is not in the journal. So pages are given back only once the block is free for good, and one that
//! was taken by somebody who died before that was for good is free again with what was written into it: a free
//! block of pages says in its second number whether there may be something, and the header to where blocks have ever been
//! taken.

use super::arena::{Arena, CLASSES, HEAP};
use super::atomic::{Ordering, step};
use super::journal::Transaction;
use crate::error::{Error, ErrorKind, Result};

/// Bytes from which a block is of pages of its own.
pub(super) const LARGE: u64 = 32 << 10;
/// Bytes of a large block that small ones are cut from.
const CHUNK: u64 = 128 << 10;
/// Bytes from which a block's pages are always given back.
const HUGE: u64 = 1 << 20;
const PAGE: u64 = 4096;

/// In the second number of a free block of pages: all but its first page reads as zero.
const CLEAN: u64 = 0;
/// Something may have been written there.
const DIRTY: u64 = 1;

/// The size of the blocks of a class.
pub(super) fn size_of_class(class: usize) -> u64 {
    match class {
        0 => 32,
        1..=3 => class as u64 * 64,
        _ => (4 + (class as u64 - 4) % 4) << ((class - 4) / 4 + 6),
    }
}

/// The class of the smallest blocks that hold so many bytes; none if there is none.
pub(super) fn class_of(size: u64) -> Option<usize> {
    let class = match size {
        0..=32 => 0,
        33..=256 => size.div_ceil(64) as usize,
        _ => {
            // Below a power of two, in quarters of it.
            let power = (size - 1).ilog2();
            let quarter = 1 << (power - 2);
            let quarters = size.div_ceil(quarter) as usize;
            4 + (power as usize - 8) * 4 + quarters - 4
        }
    };
    (class < CLASSES && size_of_class(class) < 1 << 40).then_some(class)
}

impl Transaction<'_> {
    /// Takes a block of `size` bytes at least, all of them zero. It lies at a multiple of 64, if it has as many bytes; at a
    /// multiple of the page's size, if it is large.
    pub(super) fn allocate(&mut self, size: u64) -> Result<u64> {
        self.take(size, true)
    }

    /// As `allocate`, of bytes that may be any.
    pub(super) fn allocate_raw(&mut self, size: u64) -> Result<u64> {
        self.take(size, false)
    }

    fn take(&mut self, size: u64, zeroed: bool) -> Result<u64> {
        let class = class_of(size).ok_or_else(|| self.full(size))?;
        let bytes = size_of_class(class);
        let header = self.arena.header();
        let reused = header.free[class].load(Ordering::Relaxed);
        let block = if reused != 0 {
            if bytes >= LARGE {
                let dirty = self.arena.number(reused + 8);
                let unclean = zeroed
                    && dirty.load(Ordering::Relaxed) != CLEAN
                    && !self.arena.give_back(reused + PAGE, bytes - PAGE);
                // Also if this is undone.
                dirty.store(DIRTY, Ordering::Release);
                self.arena
                    .commit(reused, bytes.min(size.next_multiple_of(PAGE)))
                    .map_err(|_| self.full(size))?;
                if unclean {
                    self.clear(reused + PAGE, size.next_multiple_of(PAGE).saturating_sub(PAGE));
                }
            }
            let next = self.arena.number(reused).load(Ordering::Relaxed);
            self.set(&header.free[class], next);
            reused
        } else if bytes >= LARGE {
            self.fresh_pages(bytes, size)?
        } else {
            self.cut(bytes, size)?
        };
        // The link goes by the journal, since it must be there again if this is undone.
        self.set_at(block, 0);
        if zeroed && (reused != 0 || bytes < LARGE) {
            // What large blocks had was given back, but for the page with the link.
            let used = bytes.min(if bytes >= LARGE { PAGE } else { bytes });
            self.clear(block + 8, used - 8);
        }
        self.add(&header.used, bytes as i64);
        Ok(block)
    }

    /// Gives a block back, that was taken for `size` bytes.
    pub(super) fn free(&mut self, block: u64, size: u64) {
        self.give(block, size, LARGE);
    }

    /// As `free`, but what is not huge keeps its pages, for the next: the caller has no time for the kernel.
    pub(super) fn free_fast(&mut self, block: u64, size: u64) {
        self.give(block, size, HUGE);
    }

    fn give(&mut self, block: u64, size: u64, pages_from: u64) {
        let Some(class) = class_of(size) else { return };
        let bytes = size_of_class(class);
        let header = self.arena.header();
        if bytes >= LARGE {
            self.set_at(block + 8, DIRTY);
        }
        if bytes >= pages_from {
            self.freed.push((block, bytes));
        }
        self.set_at(block, header.free[class].load(Ordering::Relaxed));
        self.set(&header.free[class], block);
        self.add(&header.used, -(bytes as i64));
    }

    /// Gives the pages of freed blocks back. The transaction is committed, and nobody else has the lock.
    pub(super) fn empty_freed(&mut self) {
        for (block, bytes) in std::mem::take(&mut self.freed) {
            if self.arena.give_back(block + PAGE, bytes - PAGE) {
                self.arena.number(block + 8).store(CLEAN, Ordering::Release);
            }
        }
    }

    fn fresh_pages(&mut self, bytes: u64, size: u64) -> Result<u64> {
        let header = self.arena.header();
        let top = header.top.load(Ordering::Relaxed);
        let block = HEAP + top;
        if block.checked_add(bytes).is_none_or(|end| end > self.arena.size) {
            return Err(self.full(size));
        }
        let unclean =
            top < header.touched.load(Ordering::Relaxed) && !self.arena.give_back(block, bytes);
        header
            .touched
            .store(header.touched.load(Ordering::Relaxed).max(top + bytes), Ordering::Release);
        self.arena.commit(block, size.next_multiple_of(PAGE)).map_err(|_| self.full(size))?;
        if unclean {
            self.clear(block, size.next_multiple_of(PAGE));
        }
        self.set(&header.top, top + bytes);
        Ok(block)
    }

    fn cut(&mut self, bytes: u64, size: u64) -> Result<u64> {
        let header = self.arena.header();
        let mut at = header.chunk.load(Ordering::Relaxed);
        if bytes >= 64 {
            at = at.next_multiple_of(64);
        }
        if at == 0 || at + bytes > header.chunk_end.load(Ordering::Relaxed) {
            // What is left of the old one stays unused.
            at = self.fresh_pages(CHUNK, CHUNK).map_err(|_| self.full(size))?;
            self.set(&header.chunk_end, at + CHUNK);
        }
        self.set(&header.chunk, at + bytes);
        Ok(at)
    }

    /// Sets bytes of a block that nobody else knows of to zero.
    fn clear(&self, offset: u64, len: u64) {
        step();
        for at in (offset..offset + len).step_by(8) {
            self.arena.number(at).inner().store(0, Ordering::Relaxed);
        }
    }

    fn full(&self, size: u64) -> Error {
        self.arena.full(size)
    }
}

impl Arena {
    /// There is no room for so many bytes.
    pub(super) fn full(&self, size: u64) -> Error {
        let header = self.header();
        let (used, top) = (header.used.load(Ordering::Relaxed), header.top.load(Ordering::Relaxed));
        Error::new(ErrorKind::OutOfMemory).with_message(format!(
            "no room for {size} bytes in the memory that processes share: of {} bytes {used} are in use, and {top} have been",
            self.size - HEAP,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_has_the_smallest_class_that_holds_it() {
        for class in 1..120 {
            let (below, size) = (size_of_class(class - 1), size_of_class(class));
            assert!(below < size, "{class}");
            assert_eq!(class_of(size), Some(class));
            assert_eq!(class_of(below + 1), Some(class));
            assert!(class <= 4 || size * 4 <= below * 5, "{class}");
            assert!(size.is_multiple_of(if size >= LARGE { PAGE } else { 64 }), "{class}");
        }
        assert_eq!(class_of(0), Some(0));
        assert_eq!(class_of(u64::MAX), None);
    }
}
