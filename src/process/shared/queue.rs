//! The bounded queue between processes: values as bytes, in a ring.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::arena::Arena;
use super::atomic::{Ordering, fence, step};
use super::gate::{Gate, Look};
use super::host::Member;
use super::journal::Transaction;
use super::object::{Attached, ObjectKind, type_mark};
use super::ring::{Cell, Hold, INLINE, Left, Refusal, Ring, RingHead};
use super::wait::{self, Watch};
use crate::error::{Error, Result};
use crate::process::OnDeath;
use crate::process::queue_error::{GetError, PutError};
use crate::sync::park::{Wait, after};
use crate::task::{Payload, codec, ticket};

/// The most items that a queue has room for.
pub(crate) const MAX_CAPACITY: usize = 1 << 24;

/// In a cell's `len`: the item was taken, and its block given back.
const DONE: u64 = 1 << 63;
/// In a cell's `len`: bytes of the item.
const LEN: u64 = (1 << 40) - 1;

/// How often a thread looks for an item that somebody is putting at this moment.
const SOON: u32 = 1000;

/// A bounded ring of values.
pub(crate) struct Bounded<T> {
    attached: Arc<Attached>,
    head: &'static RingHead,
    cells: &'static [Cell],
    items: PhantomData<fn(T) -> T>,
}

/// Where the cells begin.
const CELLS: u64 = size_of::<RingHead>() as u64;

thread_local! {
    /// Room to write an item in.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
/// Bytes of room that a thread keeps.
const KEPT: usize = 64 << 10;

impl<T: Payload> Bounded<T> {
    pub(crate) fn new(capacity: usize, on_death: OnDeath) -> Result<Bounded<T>> {
        Bounded::new_in(super::arena()?, capacity, on_death)
    }

    pub(super) fn new_in(
        arena: &'static Arena,
        capacity: usize,
        on_death: OnDeath,
    ) -> Result<Bounded<T>> {
        if capacity == 0 || capacity > MAX_CAPACITY {
            return Err(Error::invalid(format!(
                "a queue with room for {capacity} items; it can have room for 1 to {MAX_CAPACITY}"
            )));
        }
        let size = CELLS + (capacity * size_of::<Cell>()) as u64;
        let mark = type_mark::<T>();
        let attached = Attached::create(arena, ObjectKind::Queue, mark, size, |body| {
            let head = head_at(arena, body);
            head.capacity.store(capacity as u64, Ordering::Relaxed);
            head.on_death.store(on_death as u64, Ordering::Relaxed);
        })?;
        Ok(Bounded::of(attached))
    }

    pub(super) fn of(attached: Arc<Attached>) -> Bounded<T> {
        let (arena, _) = attached.enter();
        let (head, cells) = parts(arena, attached.body());
        Bounded { attached, head, cells, items: PhantomData }
    }

    pub(super) fn attached(&self) -> &Arc<Attached> {
        &self.attached
    }

    #[inline]
    fn ring(&self) -> (Ring<'static, Arena>, Member) {
        let (arena, me) = self.attached.enter();
        (Ring { host: arena, head: self.head, cells: self.cells }, me)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.cells.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.ring().0.len()
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.ring().0.is_closed()
    }

    /// Puts an item, if there is room.
    pub(crate) fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_bytes(item, |bytes| self.put_now(bytes, true))
    }

    /// Puts an item, and waits for room.
    pub(crate) fn put(
        &self,
        item: T,
        wait: &Wait,
        limit: Option<Duration>,
    ) -> Result<(), PutError<T>> {
        self.put_bytes(item, |bytes| match self.put_now(bytes, false) {
            Err(Refused::Full) => self.put_slowly(bytes, wait, limit),
            other => other,
        })
    }

    pub(crate) async fn put_async(&self, item: T) -> Result<(), PutError<T>> {
        let (written, tickets) = ticket::collect(|| codec::encode(&item, "item"));
        let bytes = match written {
            Ok(bytes) => bytes,
            Err(error) => return Err(PutError::Failed(item, error)),
        };
        let (ring, _) = self.ring();
        let mut watch = Watch::new(ring.host, self.not_full());
        let put =
            std::future::poll_fn(|context| watch.poll(context, |now| self.put_look(&bytes, now)));
        match put.await {
            Ok(()) => {
                tickets.sent();
                Ok(())
            }
            Err(refused) => Err(refused.with(item)),
        }
    }

    /// Puts as many of these items as there is room for at once, and waits for room for the rest.
    pub(crate) fn put_many(
        &self,
        items: impl IntoIterator<Item = T>,
        wait: &Wait,
    ) -> Result<(), PutError<T>> {
        let (ring, me) = self.ring();
        let batch = Batch { gate: self.not_empty(), arena: ring.host, some: false.into() };
        for item in items {
            self.put_bytes(item, |bytes| match ring.claim(me) {
                Ok(hold) => {
                    self.write(ring, hold, bytes)?;
                    ring.publish(hold, Ordering::Release);
                    batch.some.set(true);
                    Ok(())
                }
                Err(_) => {
                    batch.flush();
                    match self.put_now(bytes, false) {
                        Err(Refused::Full) => self.put_slowly(bytes, wait, None),
                        other => other,
                    }
                }
            })?;
        }
        Ok(())
    }

    /// Writes an item as bytes, and puts these.
    #[inline]
    fn put_bytes(
        &self,
        item: T,
        put: impl FnOnce(&[u8]) -> Result<(), Refused>,
    ) -> Result<(), PutError<T>> {
        // Out of its place meanwhile: an item's own `Serialize` may put another.
        let mut room = SPARE.try_with(RefCell::take).unwrap_or_default();
        room.clear();
        let (written, tickets) = ticket::collect(|| codec::encode_into(&mut room, &item, "item"));
        let done = match written {
            Ok(()) => put(&room).map_err(|refused| refused.with(item)),
            Err(error) => Err(PutError::Failed(item, error)),
        };
        if done.is_ok() {
            tickets.sent();
        }
        if room.capacity() <= KEPT {
            let _ = SPARE.try_with(|spare| spare.replace(room));
        }
        done
    }

    #[inline]
    fn put_now(&self, bytes: &[u8], search: bool) -> Result<(), Refused> {
        let (ring, me) = self.ring();
        let mut claimed = ring.claim(me);
        if search && matches!(claimed, Err(Refusal::Not)) && self.search(ring, me) {
            claimed = ring.claim(me);
        }
        match claimed {
            Ok(hold) => {
                self.write(ring, hold, bytes)?;
                ring.publish(hold, Ordering::SeqCst);
                self.not_empty().open_fenced(ring.host, 1);
                Ok(())
            }
            Err(Refusal::Closed) => {
                // For a moment a cell may have been ours, and others have waited for what becomes of it.
                self.not_empty().open_all(ring.host);
                self.not_full().open_all(ring.host);
                Err(Refused::ShutDown)
            }
            Err(Refusal::Not | Refusal::Soon) => Err(Refused::Full),
        }
    }

    #[cold]
    fn put_slowly(
        &self,
        bytes: &[u8],
        wait: &Wait,
        limit: Option<Duration>,
    ) -> Result<(), Refused> {
        let (ring, _) = self.ring();
        let deadline = limit.and_then(after);
        let look = |now| self.put_look(bytes, now);
        wait::wait(ring.host, self.not_full(), wait, deadline, look).unwrap_or(Err(Refused::Full))
    }

    fn put_look(&self, bytes: &[u8], now: Look) -> Option<Result<(), Refused>> {
        match self.put_now(bytes, now.ask) {
            Err(Refused::Full) => None,
            other => {
                let (ring, _) = self.ring();
                if now.slept && ring.len() < self.capacity() {
                    // As in `get_look`.
                    self.not_full().open_one(ring.host);
                }
                Some(other)
            }
        }
    }

    /// Writes an item into a cell that is ours. If there is no room for it, the cell is left.
    #[inline]
    fn write(
        &self,
        ring: Ring<'static, Arena>,
        hold: Hold<'static>,
        bytes: &[u8],
    ) -> Result<(), Refused> {
        let cell = hold.cell;
        if bytes.len() > INLINE {
            return self.write_block(ring, hold, bytes);
        }
        step();
        // SAFETY: the cell is ours alone until it is published, and has room for so many bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), cell.bytes.get().cast(), bytes.len());
        }
        cell.len.store(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    #[cold]
    fn write_block(
        &self,
        ring: Ring<'static, Arena>,
        hold: Hold<'static>,
        bytes: &[u8],
    ) -> Result<(), Refused> {
        let arena = ring.host;
        let len = bytes.len() as u64;
        let allocate = || {
            let mut transaction = arena.begin();
            let block = transaction.allocate_raw(len)?;
            transaction.set(&hold.cell.block, block);
            transaction.set(&hold.cell.len, len);
            transaction.end();
            Ok(block)
        };
        match allocate() {
            Ok(block) => {
                step();
                // SAFETY: the block is the cell's, which is ours alone until it is published, and is of this size.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        bytes.as_ptr(),
                        arena.at(block, bytes.len()),
                        bytes.len(),
                    );
                }
                Ok(())
            }
            Err(error) => {
                ring.leave(hold);
                self.not_full().open_fenced(arena, 1);
                // Who gets has waited for this cell, maybe, and goes on to the next.
                self.not_empty().open_all(arena);
                Err(Refused::NoRoom(error))
            }
        }
    }

    /// Takes an item, if there is one.
    pub(crate) fn try_get(&self) -> Result<T, GetError> {
        let mut looks = 0;
        loop {
            match self.get_now(true) {
                // Another has put one behind that which is on its way, maybe: so it is waited for, unless it is stopped.
                Got::Soon if looks < SOON => {
                    looks += 1;
                    if looks % 64 == 0 {
                        std::thread::yield_now();
                    }
                    std::hint::spin_loop();
                }
                Got::Soon | Got::Nothing => return Err(GetError::Empty),
                Got::Some(result) => return result,
            }
        }
    }

    /// Takes an item, and waits for one.
    #[inline]
    pub(crate) fn get(&self, wait: &Wait, limit: Option<Duration>) -> Result<T, GetError> {
        match self.get_now(false) {
            Got::Some(result) => result,
            Got::Soon | Got::Nothing => self.get_slowly(wait, limit),
        }
    }

    #[cold]
    fn get_slowly(&self, wait: &Wait, limit: Option<Duration>) -> Result<T, GetError> {
        let (ring, _) = self.ring();
        let deadline = limit.and_then(after);
        let found =
            wait::wait(ring.host, self.not_empty(), wait, deadline, |now| self.get_look(now));
        found.unwrap_or(Err(GetError::Empty))
    }

    pub(crate) async fn get_async(&self) -> Result<T, GetError> {
        let (ring, _) = self.ring();
        let mut watch = Watch::new(ring.host, self.not_empty());
        std::future::poll_fn(|context| watch.poll(context, |now| self.get_look(now))).await
    }

    /// Takes what there is, `most` items at most, and waits for the first of them.
    pub(crate) fn get_many(&self, most: usize, wait: &Wait) -> Result<Vec<T>, GetError> {
        let mut items = Vec::new();
        if most == 0 {
            return Ok(items);
        }
        let (ring, me) = self.ring();
        let batch = Batch { gate: self.not_full(), arena: ring.host, some: false.into() };
        while items.len() < most {
            let Ok(hold) = ring.take(me) else { break };
            if ring.is_emptied() {
                self.leave(ring, hold);
                continue;
            }
            batch.some.set(true);
            match self.read(ring, hold, Ordering::Release, items.is_empty()) {
                Ok(item) => items.push(item),
                // It was handed back, and comes out by itself; what was taken before it must not be lost.
                Err(_) if !items.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        drop(batch);
        if items.is_empty() {
            items.push(self.get(wait, None)?);
        }
        Ok(items)
    }

    fn get_look(&self, now: Look) -> Option<Result<T, GetError>> {
        match self.get_now(now.ask) {
            Got::Some(result) => {
                let (ring, _) = self.ring();
                if now.slept && ring.len() > 0 {
                    // We may have been woken for an item behind one that was not there yet, and have slept again.
                    self.not_empty().open_one(ring.host);
                }
                Some(result)
            }
            Got::Soon | Got::Nothing => None,
        }
    }

    #[inline]
    fn get_now(&self, search: bool) -> Got<T> {
        let (ring, me) = self.ring();
        loop {
            let mut taken = ring.take(me);
            if search && taken.is_err() && self.search(ring, me) {
                taken = ring.take(me);
            }
            match taken {
                Ok(hold) if ring.is_emptied() => self.leave(ring, hold),
                Ok(hold) => {
                    let item = self.read(ring, hold, Ordering::SeqCst, true);
                    self.not_full().open_fenced(ring.host, 1);
                    return Got::Some(item);
                }
                Err(Refusal::Closed) => {
                    // What the dead were taking comes first.
                    ring.host.look_after_all();
                    if !self.search(ring, me) {
                        return Got::Some(Err(GetError::ShutDown));
                    }
                }
                Err(Refusal::Not) => return Got::Nothing,
                Err(Refusal::Soon) => return Got::Soon,
            }
        }
    }

    /// Reads the item in a cell of ours, and leaves the cell, in whatever way reading ends. An error is for who is told of it
    /// `alone`: else the item is handed back.
    #[inline]
    fn read(
        &self,
        ring: Ring<'static, Arena>,
        hold: Hold<'static>,
        order: Ordering,
        alone: bool,
    ) -> Result<T, GetError> {
        struct Leave<'a, T: Payload>(&'a Bounded<T>, Ring<'static, Arena>, Hold<'static>, Ordering);
        impl<T: Payload> Drop for Leave<'_, T> {
            #[inline]
            fn drop(&mut self) {
                finish(self.1.host, self.2.cell);
                self.1.leave_with(self.2, self.3);
            }
        }
        let leave = Leave(self, ring, hold, order);
        let result = match leave.0.policy() == OnDeath::Report && hold.again {
            true => Err(GetError::TakerDied),
            false => self.decode(ring, hold),
        };
        if result.is_err() && !alone {
            std::mem::forget(leave);
            ring.hand_back(hold);
            self.not_empty().open_one(ring.host);
        }
        result
    }

    #[inline]
    fn decode(&self, ring: Ring<'static, Arena>, hold: Hold<'static>) -> Result<T, GetError> {
        let cell = hold.cell;
        let len = (cell.len.load(Ordering::Relaxed) & LEN) as usize;
        let start: *const u8 = match len <= INLINE {
            true => cell.bytes.get().cast(),
            false => ring.host.at(cell.block.load(Ordering::Relaxed), len),
        };
        // SAFETY: the cell, and its block, are ours alone, and have so many bytes, which were written before it was published.
        let bytes = unsafe { std::slice::from_raw_parts(start, len) };
        codec::decode(bytes, "item").map_err(GetError::Failed)
    }

    fn policy(&self) -> OnDeath {
        OnDeath::from_number(self.head.on_death.load(Ordering::Relaxed))
    }

    /// Drops the item in a cell of ours.
    fn leave(&self, ring: Ring<'static, Arena>, hold: Hold<'static>) {
        finish(ring.host, hold.cell);
        ring.leave(hold);
        self.not_full().open_fenced(ring.host, 1);
    }

    /// Looks what the dead had, if there are any who have not been looked for. Whether it did.
    #[cold]
    fn search(&self, ring: Ring<'static, Arena>, me: Member) -> bool {
        let arena = ring.host;
        arena.look_after_some();
        let deaths = arena.deaths();
        if !ring.is_to_be_searched(deaths) {
            return false;
        }
        ring.search(me, deaths, |left| {
            // It may have died as it gave the item its block, or gave that back.
            arena.settle();
            match left {
                Left::Taken(hold)
                    if self.policy() != OnDeath::Drop
                        && hold.cell.len.load(Ordering::Relaxed) & DONE == 0 =>
                {
                    ring.hand_back(hold);
                }
                Left::Unfinished(hold) | Left::Taken(hold) => {
                    finish(arena, hold.cell);
                    ring.leave(hold);
                }
            }
        });
        self.not_empty().open_all(arena);
        self.not_full().open_all(arena);
        true
    }

    pub(crate) fn shut_down(&self, immediate: bool) {
        let (ring, _) = self.ring();
        ring.close(immediate);
        self.not_empty().open_all(ring.host);
        self.not_full().open_all(ring.host);
        if immediate {
            // A look at an emptied queue drops all that it finds.
            let _ = self.get_now(true);
        }
    }

    fn not_empty(&self) -> &'static Gate {
        &self.head.not_empty.0
    }

    fn not_full(&self) -> &'static Gate {
        &self.head.not_full.0
    }
}

/// Gives the block of a cell of ours back, if it has one.
#[inline]
fn finish(arena: &Arena, cell: &Cell) {
    if cell.block.load(Ordering::Relaxed) != 0 {
        let mut transaction = arena.begin();
        // Who dies after this has had the item: it should be at the end of its `get`.
        free_block(&mut transaction, cell, Transaction::free_fast);
        transaction.end();
    }
}

fn free_block<'a>(
    transaction: &mut Transaction<'a>,
    cell: &Cell,
    free: fn(&mut Transaction<'a>, u64, u64),
) {
    let block = cell.block.load(Ordering::Relaxed);
    free(transaction, block, cell.len.load(Ordering::Relaxed) & LEN);
    transaction.set(&cell.block, 0);
    // Who finds this of a dead one knows that the item is not there any more.
    transaction.set(&cell.len, DONE);
}

/// Gives back what the items of a queue have, as it is freed.
pub(super) fn take_apart(transaction: &mut Transaction<'_>, body: u64) {
    let arena = transaction.arena;
    let (_, cells) = parts(arena, body);
    for cell in cells {
        if cell.block.load(Ordering::Relaxed) != 0 {
            free_block(transaction, cell, Transaction::free);
            transaction.commit();
        }
    }
}

/// The blocks of a queue's items, and their lengths.
#[cfg(any(all(test, not(loom)), fourfold_steps))]
pub(super) fn blocks(arena: &Arena, body: u64) -> impl Iterator<Item = (u64, u64)> {
    let number = |number: &super::atomic::Number64| number.load(Ordering::Acquire);
    let blocks =
        parts(arena, body).1.iter().map(move |cell| (number(&cell.block), number(&cell.len)));
    blocks.filter(|(block, _)| *block != 0).map(|(block, len)| (block, len & LEN))
}

fn head_at(arena: &Arena, body: u64) -> &RingHead {
    // SAFETY: a `RingHead` is atomics, and numbers that nobody reads.
    unsafe { arena.get(body) }
}

fn parts(arena: &Arena, body: u64) -> (&RingHead, &[Cell]) {
    let head = head_at(arena, body);
    let capacity = (head.capacity.load(Ordering::Relaxed) as usize).clamp(1, MAX_CAPACITY);
    let cells = arena.at(body + CELLS, capacity * size_of::<Cell>()).cast::<Cell>();
    // SAFETY: in the mapping, aligned, since blocks are to 64; a cell is atomics, and bytes in a cell of Rust's.
    (head, unsafe { std::slice::from_raw_parts(cells, capacity) })
}

/// Opens a gate once for several changes.
struct Batch<'a> {
    gate: &'a Gate,
    arena: &'a Arena,
    some: std::cell::Cell<bool>,
}

impl Batch<'_> {
    fn flush(&self) {
        if self.some.replace(false) {
            fence(Ordering::SeqCst);
            self.gate.open_fenced(self.arena, u32::MAX);
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What came of a look for an item.
enum Got<T> {
    Some(Result<T, GetError>),
    Nothing,
    Soon,
}

/// Why an item has no place.
enum Refused {
    Full,
    ShutDown,
    NoRoom(Error),
}

impl Refused {
    fn with<T>(self, item: T) -> PutError<T> {
        match self {
            Refused::Full => PutError::Full(item),
            Refused::ShutDown => PutError::ShutDown(item),
            Refused::NoRoom(error) => PutError::Failed(item, error),
        }
    }
}

impl<T> Clone for Bounded<T> {
    fn clone(&self) -> Bounded<T> {
        Bounded {
            attached: self.attached.clone(),
            head: self.head,
            cells: self.cells,
            items: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Bounded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attached.fmt(f)
    }
}
