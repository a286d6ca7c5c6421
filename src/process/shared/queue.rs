//! The bounded queue between processes: values as bytes, in a ring.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::arena::Arena;
use super::atomic::{Ordering, fence, step};
use super::gate::{Gate, Look};
use super::host::Member;
use super::item::{
    DONE, LEN, TICKETS, Written, announce, append, finish, give_block, has_more, place, take_out,
};
use super::journal::Transaction;
use super::object::{Attached, ObjectKind, type_mark};
use super::ring::{self, Cell, Distance, FIRST_LINE, Hold, INLINE, Left, Refusal, Ring, RingHead};
use super::wait::{self, Watch};
use crate::error::{Error, Result};
use crate::process::OnDeath;
use crate::process::queue_error::{GetError, PutError};
use crate::sync::park::{self, Wait, after};
use crate::task::codec::{self, Short};
use crate::task::{Payload, ticket};

/// The most items that a queue has room for.
pub(crate) const MAX_CAPACITY: usize = 1 << 24;

/// How often a thread looks for an item that somebody is putting at this moment.
const SOON: u32 = 1000;

/// A bounded ring of values.
pub(crate) struct Bounded<T> {
    attached: Arc<Attached>,
    head: &'static RingHead,
    cells: &'static [Cell],
    items: PhantomData<fn(T) -> T>,
}

/// Bytes of room for items that are got together, to begin with.
const FIRST_ROOM: usize = 4096;

/// How often who finds a large queue full looks whether there is some room, with a pause in between.
const PATIENCE: usize = 32;

/// Where the cells begin.
const CELLS: u64 = size_of::<RingHead>() as u64;

impl<T> Bounded<T> {
    pub(super) fn of(attached: Arc<Attached>) -> Bounded<T> {
        let (arena, _) = attached.enter();
        let (head, cells) = parts(arena, attached.body());
        Bounded { attached, head, cells, items: PhantomData }
    }

    pub(super) fn attached(&self) -> &Arc<Attached> {
        &self.attached
    }

    #[inline(always)]
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
}

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

    /// Puts an item, if there is room.
    pub(crate) fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_bytes(&mut Short::new(), item, |bytes| {
            self.put_now(bytes, true, Distance::Unknown)
        })
    }

    /// Puts an item, and waits for room.
    pub(crate) fn put(
        &self,
        item: T,
        wait: &Wait,
        limit: Option<Duration>,
    ) -> Result<(), PutError<T>> {
        self.put_bytes(&mut Short::new(), item, |bytes| {
            match self.put_now(bytes, false, Distance::Unknown) {
                Err(Refused::Full) => self.put_slowly(bytes, wait, limit),
                other => other,
            }
        })
    }

    pub(crate) async fn put_async(&self, item: T) -> Result<(), PutError<T>> {
        let mut bytes = Short::new();
        let (written, tickets) = ticket::collect(|| codec::encode_into(&mut bytes, &item, "item"));
        if let Err(error) = written {
            return Err(PutError::Failed(item, error));
        }
        let len = append(&mut bytes, &tickets);
        let bytes = Written { bytes: &bytes, len, tickets: &tickets };
        let mut watch = Watch::new(&self.attached, self.not_full());
        let put =
            std::future::poll_fn(|context| watch.poll(context, |now| self.put_look(bytes, now)));
        match put.await {
            Ok(()) => {
                tickets.forget();
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
        let mut room = Short::new();
        for item in items {
            room.clear();
            self.put_bytes(&mut room, item, |bytes| match ring.claim(me, Distance::Unknown) {
                Ok(hold) => {
                    self.write(ring, hold, bytes)?;
                    ring.publish(hold, Ordering::Release);
                    batch.some.set(true);
                    // The next item may wait for who waits for this one. Threads look again by themselves.
                    if batch.gate.is_watched() {
                        batch.flush();
                    }
                    Ok(())
                }
                Err(_) => {
                    batch.flush();
                    match self.put_now(bytes, false, Distance::Unknown) {
                        Err(Refused::Full) => self.put_slowly(bytes, wait, None),
                        other => other,
                    }
                }
            })?;
        }
        Ok(())
    }

    /// Writes an item as bytes, in `room`, which is empty, and puts these.
    #[inline]
    fn put_bytes(
        &self,
        room: &mut Short,
        item: T,
        put: impl FnOnce(Written<'_>) -> Result<(), Refused>,
    ) -> Result<(), PutError<T>> {
        // Not into the cell itself: an item's own `Serialize` may take long, panic, or put another.
        let (written, tickets) = ticket::collect(|| codec::encode_into(room, &item, "item"));
        let done = match written {
            Ok(()) => {
                let len = append(room, &tickets);
                put(Written { bytes: room, len, tickets: &tickets })
                    .map_err(|refused| refused.with(item))
            }
            Err(error) => Err(PutError::Failed(item, error)),
        };
        if done.is_ok() {
            tickets.forget();
        }
        done
    }

    #[inline]
    fn put_now(&self, bytes: Written<'_>, search: bool, other: Distance) -> Result<(), Refused> {
        let (ring, me) = self.ring();
        let mut claimed = ring.claim(me, other);
        if search && matches!(claimed, Err(Refusal::Not)) && self.search(ring, me) {
            claimed = ring.claim(me, other);
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
        bytes: Written<'_>,
        wait: &Wait,
        limit: Option<Duration>,
    ) -> Result<(), Refused> {
        let (ring, _) = self.ring();
        let deadline = limit.and_then(after);
        self.let_room_grow(ring);
        let look = |now| self.put_look(bytes, now);
        wait::wait(&self.attached, self.not_full(), wait, deadline, look)
            .unwrap_or(Err(Refused::Full))
    }

    /// Waits for more room than for one, for a few microseconds, in a large queue that is full.
    ///
    /// Who comes back for each place that becomes free takes from those who get the lines that they are about to read; and they
    /// have a whole ring to go on with.
    fn let_room_grow(&self, ring: Ring<'static, Arena>) {
        let some = self.cells.len() / 8;
        if cfg!(all(loom, test)) || some < 2 || !park::may_spin() {
            return;
        }
        for _ in 0..PATIENCE {
            if ring.has_room_for(some as u64) {
                return;
            }
            (0..ring::PAUSES).for_each(|_| std::hint::spin_loop());
        }
    }

    fn put_look(&self, bytes: Written<'_>, now: Look) -> Option<Result<(), Refused>> {
        match self.put_now(bytes, now.ask, Distance::Near) {
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
    #[inline(always)]
    fn write(
        &self,
        ring: Ring<'static, Arena>,
        hold: Hold<'static>,
        Written { bytes, len, tickets }: Written<'_>,
    ) -> Result<(), Refused> {
        let cell = hold.cell;
        let (from, size) = match bytes.here() {
            Some((from, size)) if size <= INLINE => (from, size),
            _ => return self.write_long(ring, hold, bytes.bytes(), len, tickets),
        };
        step();
        let place = cell.bytes.get().cast();
        // Of a number that the compiler knows, since that takes a few instructions; and on one line of the cache, if they fit.
        // SAFETY: the cell is ours alone until it is published, and has room for INLINE bytes, as `from` has.
        unsafe {
            match size {
                0..=FIRST_LINE => from.as_ptr().copy_to_nonoverlapping(place, FIRST_LINE),
                _ => from.as_ptr().copy_to_nonoverlapping(place, INLINE),
            }
        }
        // Release: whoever finds us dead and the count of tickets finds their numbers.
        cell.len.store(len, Ordering::Release);
        announce(tickets);
        Ok(())
    }

    /// As `write`, of bytes that were not written where short ones are. They may be few: where an item lies is told by its length
    /// alone.
    #[cold]
    fn write_long(
        &self,
        ring: Ring<'static, Arena>,
        hold: Hold<'static>,
        bytes: &[u8],
        len: u64,
        tickets: &ticket::Tickets,
    ) -> Result<(), Refused> {
        let (arena, cell) = (ring.host, hold.cell);
        let place = match bytes.len() {
            ..=INLINE => Ok(cell.bytes.get().cast()),
            size => give_block(arena, cell, size, len).map(|block| arena.at(block, size)),
        };
        match place {
            Ok(place) => {
                step();
                // SAFETY: the cell and its block are ours alone until it is published, and have room for so many bytes.
                unsafe { bytes.as_ptr().copy_to_nonoverlapping(place, bytes.len()) };
                // Release: as in `write`.
                cell.len.store(len, Ordering::Release);
                announce(tickets);
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
            match self.get_now(true, Distance::Unknown) {
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
        match self.get_now(false, Distance::Unknown) {
            Got::Some(result) => result,
            Got::Soon | Got::Nothing => self.get_slowly(wait, limit),
        }
    }

    #[cold]
    fn get_slowly(&self, wait: &Wait, limit: Option<Duration>) -> Result<T, GetError> {
        let deadline = limit.and_then(after);
        let found =
            wait::wait(&self.attached, self.not_empty(), wait, deadline, |now| self.get_look(now));
        found.unwrap_or(Err(GetError::Empty))
    }

    /// What says that there is an item, or that it was shut down, and takes nothing.
    pub(crate) fn look(&self) -> impl FnMut(&mut Context<'_>) -> Poll<()> + Send + '_ {
        let (ring, me) = self.ring();
        let mut watch = Watch::new(&self.attached, self.not_empty());
        move |context| {
            watch.poll(context, |now| {
                if now.ask {
                    self.search(ring, me);
                }
                ring.is_ready().then_some(())
            })
        }
    }

    pub(crate) async fn get_async(&self) -> Result<T, GetError> {
        let mut watch = Watch::new(&self.attached, self.not_empty());
        std::future::poll_fn(|context| watch.poll(context, |now| self.get_look(now))).await
    }

    /// Takes what there is, `most` items at most, and waits for the first of them.
    pub(crate) fn get_many(&self, most: usize, wait: &Wait) -> Result<Vec<T>, GetError> {
        let mut items = Vec::new();
        if most == 0 {
            return Ok(items);
        }
        items.reserve_exact(most.min((FIRST_ROOM / size_of::<T>().max(1)).max(4)));
        self.gather(&mut items, most, Distance::Unknown)?;
        if items.is_empty() {
            items.push(self.get(wait, None)?);
            let other = self.let_items_come(most);
            self.gather(&mut items, most, other)?;
        }
        Ok(items)
    }

    /// Takes what there is, up to `most` items in all. Only if there was none before it, an item that cannot be read is an error.
    fn gather(&self, items: &mut Vec<T>, most: usize, other: Distance) -> Result<(), GetError> {
        let (ring, me) = self.ring();
        let batch = Batch { gate: self.not_full(), arena: ring.host, some: false.into() };
        let mut failed = Ok(());
        while items.len() < most {
            let Ok(hold) = ring.take(me, other) else { break };
            if ring.is_emptied() {
                self.leave(ring, hold);
                continue;
            }
            batch.some.set(true);
            let alone = items.is_empty();
            if let Err(error) =
                self.read(ring, hold, Ordering::Release, alone, |item| items.push(item))
            {
                // Else it was handed back, and comes out by itself; what was taken before it must not be lost.
                failed = if alone { Err(error) } else { Ok(()) };
                break;
            }
        }
        drop(batch);
        self.tell_of_the_end(ring);
        failed
    }

    /// Waits for more items than one, for as long as more come, and a few microseconds at most.
    ///
    /// Who comes back for each of them takes from those who put it the lines that they are writing to.
    fn let_items_come(&self, most: usize) -> Distance {
        let some = most.min(self.cells.len() / 8);
        if cfg!(all(loom, test)) || some < 2 || !park::may_spin() {
            return Distance::Unknown;
        }
        let (ring, _) = self.ring();
        let mut before = 0;
        for _ in 0..ring::LOOKS {
            (0..ring::PAUSES).for_each(|_| std::hint::spin_loop());
            let now = ring.len();
            match now {
                _ if now >= some => return Distance::Far,
                _ if now <= before => break,
                _ => before = now,
            }
        }
        Distance::Unknown
    }

    fn get_look(&self, now: Look) -> Option<Result<T, GetError>> {
        match self.get_now(now.ask, Distance::Near) {
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
    fn get_now(&self, search: bool, other: Distance) -> Got<T> {
        let (ring, me) = self.ring();
        loop {
            let mut taken = ring.take(me, other);
            if search && taken.is_err() && self.search(ring, me) {
                taken = ring.take(me, other);
            }
            match taken {
                Ok(hold) if ring.is_emptied() => self.leave(ring, hold),
                Ok(hold) => {
                    let item = self.read(ring, hold, Ordering::SeqCst, true, |item| item);
                    self.not_full().open_fenced(ring.host, 1);
                    self.tell_of_the_end(ring);
                    return Got::Some(item);
                }
                Err(Refusal::Closed) => {
                    // What the dead were taking comes first.
                    ring.host.look_after_all();
                    if self.search(ring, me) {
                        continue;
                    }
                    // What somebody living is taking comes back if that one dies. If not, we are told.
                    return match ring.is_over() {
                        true => Got::Some(Err(GetError::ShutDown)),
                        false => Got::Nothing,
                    };
                }
                Err(Refusal::Not) => return Got::Nothing,
                Err(Refusal::Soon) => return Got::Soon,
            }
        }
    }

    /// After a cell was left, by a store that is SeqCst or with a fence behind it: of a queue that was shut down it may have been the
    /// last, and then others have waited for what becomes of it.
    #[inline(always)]
    fn tell_of_the_end(&self, ring: Ring<'static, Arena>) {
        if ring.is_closed() {
            self.not_empty().open_all(ring.host);
        }
    }

    /// Reads the item in a cell of ours, and leaves the cell, in whatever way reading ends. An error is for who is told of it
    /// `alone`: else the item is handed back.
    #[inline(always)]
    fn read<R>(
        &self,
        ring: Ring<'static, Arena>,
        hold: Hold<'static>,
        order: Ordering,
        alone: bool,
        take: impl FnOnce(T) -> R,
    ) -> Result<R, GetError> {
        /// A user's `Deserialize` panics, and nobody else leaves the cell, or tells of the room, or of the end.
        struct Leave(Ring<'static, Arena>, Hold<'static>);
        impl Drop for Leave {
            #[cold]
            fn drop(&mut self) {
                let Leave(ring, hold) = *self;
                finish(ring.host, hold.cell);
                ring.leave(hold);
                ring.head.not_full.0.open_all(ring.host);
                ring.head.not_empty.0.open_all(ring.host);
            }
        }
        let leave = Leave(ring, hold);
        let result = match hold.again() && self.policy() == OnDeath::Report {
            true => Err(GetError::TakerDied),
            false => self.decode(ring, hold, take),
        };
        std::mem::forget(leave);
        if result.is_err() && !alone {
            ring.hand_back(hold);
            self.not_empty().open_one(ring.host);
        } else {
            finish(ring.host, hold.cell);
            hold.leave(order);
        }
        result
    }

    #[inline(always)]
    fn decode<R>(
        &self,
        ring: Ring<'static, Arena>,
        hold: Hold<'static>,
        take: impl FnOnce(T) -> R,
    ) -> Result<R, GetError> {
        let len = hold.cell.len.load(Ordering::Relaxed);
        let start = place(ring.host, hold.cell, len);
        // SAFETY: the cell, and its block, are ours alone, and have so many bytes, which were written before it was published.
        let bytes = unsafe { std::slice::from_raw_parts(start, (len & LEN) as usize) };
        let decode = || codec::decode_to(bytes, "item", take).map_err(GetError::Failed);
        if len & TICKETS == 0 {
            return decode();
        }
        // They go when the cell is left: until then another may have to read the item.
        ticket::reading(true, decode)
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
            let _ = self.get_now(true, Distance::Unknown);
        }
    }

    fn not_empty(&self) -> &'static Gate {
        &self.head.not_empty.0
    }

    fn not_full(&self) -> &'static Gate {
        &self.head.not_full.0
    }
}

/// Gives back what the items of a queue have, as it is freed.
pub(super) fn take_apart(transaction: &mut Transaction<'_>, body: u64) {
    let arena = transaction.arena;
    let (_, cells) = parts(arena, body);
    for cell in cells {
        if has_more(cell) {
            take_out(transaction, cell, Transaction::free);
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
    blocks
        .filter(|(block, _)| *block != 0)
        .map(|(block, len)| (block, super::item::total(len) as u64))
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
