//! What an item of a queue is in its cell: its bytes, in the cell or in a block, and the numbers of its tickets behind them.
#![allow(unsafe_code)]

use super::arena::Arena;
use super::atomic::Ordering;
use super::journal::Transaction;
use super::ring::{Cell, INLINE};
use crate::error::Result;
use crate::task::codec::{Out, Short};
use crate::task::ticket;

/// In a cell's `len`: the item was taken, and its block given back.
pub(super) const DONE: u64 = 1 << 63;
/// In a cell's `len`: bytes of the item.
pub(super) const LEN: u64 = (1 << 40) - 1;
/// In a cell's `len`: how many tickets are in it, whose numbers lie behind its bytes.
pub(super) const TICKETS: u64 = (DONE - 1) & !LEN;
const ONE_TICKET: u64 = LEN + 1;
/// Bytes of a ticket's number.
const NUMBER: usize = size_of::<ticket::Number>();

/// Gives a cell of ours a block of that size, for an item whose `len` is that.
pub(super) fn give_block(arena: &Arena, cell: &Cell, size: usize, len: u64) -> Result<u64> {
    let mut transaction = arena.begin();
    let block = transaction.allocate_raw(size as u64)?;
    transaction.set(&cell.block, block);
    transaction.set(&cell.len, len);
    transaction.end();
    Ok(block)
}

/// An item as bytes, with the numbers of its tickets behind them, and what its cell is to say of it.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) bytes: &'a Short,
    pub(super) len: u64,
    pub(super) tickets: &'a ticket::Tickets,
}

/// Makes the tickets of an item the cell's, which says that it has them, before anybody else can take it.
#[inline]
pub(super) fn announce(tickets: &ticket::Tickets) {
    if !tickets.is_empty() {
        tickets.announce();
    }
}

/// Puts the numbers of the tickets behind the item's bytes, and gives what the cell is to say.
#[inline]
pub(super) fn append(bytes: &mut Short, tickets: &ticket::Tickets) -> u64 {
    let len = bytes.len() as u64;
    if tickets.is_empty() {
        return len;
    }
    let before = bytes.len();
    for number in tickets.numbers() {
        number.iter().for_each(|part| bytes.extend(&part.to_ne_bytes()));
    }
    len + ((bytes.len() - before) / NUMBER) as u64 * ONE_TICKET
}

#[inline(always)]
fn count(len: u64) -> usize {
    ((len & TICKETS) / ONE_TICKET) as usize
}

/// Bytes of an item and of the numbers behind it.
#[inline(always)]
pub(super) fn total(len: u64) -> usize {
    (len & LEN) as usize + count(len) * NUMBER
}

/// Where the item in a cell of ours begins, whose `len` says that.
#[inline(always)]
pub(super) fn place(arena: &Arena, cell: &Cell, len: u64) -> *const u8 {
    match total(len) {
        ..=INLINE => cell.bytes.get().cast(),
        total => arena.at(cell.block.load(Ordering::Relaxed), total),
    }
}

/// Gives back what the item in a cell of ours has beside its cell: a block, tickets.
#[inline]
pub(super) fn finish(arena: &Arena, cell: &Cell) {
    if has_more(cell) {
        finish_slowly(arena, cell);
    }
}

#[inline(always)]
pub(super) fn has_more(cell: &Cell) -> bool {
    cell.block.load(Ordering::Relaxed) != 0 || cell.len.load(Ordering::Relaxed) & TICKETS != 0
}

#[cold]
fn finish_slowly(arena: &Arena, cell: &Cell) {
    let mut transaction = arena.begin();
    // Who dies after this has had the item: it should be at the end of its `get`.
    take_out(&mut transaction, cell, Transaction::free_fast);
    transaction.commit();
    transaction.finish_condemned();
    transaction.end();
}

/// Gives back what an item has. It may condemn words that only the item referred to.
pub(super) fn take_out<'a>(
    transaction: &mut Transaction<'a>,
    cell: &Cell,
    free: fn(&mut Transaction<'a>, u64, u64),
) {
    let arena = transaction.arena;
    let len = cell.len.load(Ordering::Relaxed);
    if count(len) > 0 {
        // Who finds this of a dead one goes on here: the item is not whole any more. A ticket is given back once, by its number.
        transaction.set(&cell.len, len | DONE);
        transaction.commit();
        for index in 0..count(len) {
            let at = (len & LEN) as usize + index * NUMBER;
            let mut number = [[0; 8]; 3];
            // SAFETY: the cell, or its block, which is ours alone, has so many bytes, as has `number`.
            unsafe {
                let from = place(arena, cell, len).add(at);
                std::ptr::copy_nonoverlapping(from, number.as_mut_ptr().cast(), NUMBER);
            }
            transaction.take_ticket(number.map(u64::from_ne_bytes));
            transaction.commit();
        }
    }
    let block = cell.block.load(Ordering::Relaxed);
    if block != 0 {
        free(transaction, block, total(len) as u64);
        transaction.set(&cell.block, 0);
    }
    // As above.
    transaction.set(&cell.len, DONE);
}
