//! A bounded queue in shared memory that survives those who use it.
//!
//! The protocol is told in `README.md`, under *The ring*.
#![allow(unsafe_code)]

use super::atomic::{Number64, Ordering, fence};
use super::gate::Gate;
use super::host::{Host, Member};

/// Bytes of an item that lie in its cell.
pub(super) const INLINE: usize = 104;

/// As many as are on the cell's first line of the cache.
pub(super) const FIRST_LINE: usize = 40;
const _: () = assert!(std::mem::offset_of!(Cell, bytes) + FIRST_LINE == 64);
const _: () = assert!(INLINE <= crate::task::codec::ROOM);

/// What all users of a ring share, before its cells.
#[repr(C, align(64))]
pub(super) struct RingHead {
    pub(super) capacity: Number64,
    /// What becomes of what a dead taker had: see `queue.rs`.
    pub(super) on_death: Number64,
    /// [`OPEN`], [`CLOSED`] or [`EMPTIED`].
    state: Number64,
    /// How often an item was handed back, and how often that had been at the end of a search that found none.
    handed_back: Number64,
    none_left: Number64,
    /// How many participants had been found dead when the cells were last searched for what they had.
    searched: Number64,
    _unused: [u64; 2],
    tail: Line,
    head: Line,
    pub(super) not_empty: GateLine,
    pub(super) not_full: GateLine,
}

/// A number on lines of the cache of its own; blocks lie at multiples of 64 only.
#[repr(C, align(64))]
struct Line(Number64, [u64; 15]);

#[repr(C, align(64))]
pub(super) struct GateLine(pub(super) Gate);

/// One place of the ring.
#[repr(C, align(64))]
pub(super) struct Cell {
    /// A [`State`].
    state: Number64,
    /// Bytes of the item, and above them what else is known of it: see `queue.rs`.
    pub(super) len: Number64,
    /// The block that the item is in, if it is too long for the cell.
    pub(super) block: Number64,
    pub(super) bytes: std::cell::UnsafeCell<[u8; INLINE]>,
}

// Numbers of the model checker are larger.
#[cfg(not(all(loom, test)))]
const _: () = assert!(size_of::<Cell>() == 128);

#[cfg(test)]
impl RingHead {
    pub(super) fn new(capacity: u64) -> RingHead {
        let number = || Number64::new(0);
        RingHead {
            capacity: Number64::new(capacity),
            on_death: number(),
            state: number(),
            handed_back: number(),
            none_left: number(),
            searched: number(),
            _unused: [0; 2],
            tail: Line(number(), [0; 15]),
            head: Line(number(), [0; 15]),
            not_empty: GateLine(Gate::new()),
            not_full: GateLine(Gate::new()),
        }
    }
}

#[cfg(test)]
impl Cell {
    pub(super) fn new() -> Cell {
        let number = || Number64::new(0);
        Cell { state: number(), len: number(), block: number(), bytes: [0; INLINE].into() }
    }
}

// SAFETY: `bytes` is touched by who has the cell, one thread of one process at a time: its state says who.
unsafe impl Sync for Cell {}

const OPEN: u64 = 0;
/// Nothing more is put.
const CLOSED: u64 = 1;
/// What is in it is dropped, too.
const EMPTIED: u64 = 3;

/// Nothing in it, for its turn to be put into.
const EMPTY: u64 = 0;
/// Somebody writes an item.
const CLAIMED: u64 = 1;
/// An item.
const FULL: u64 = 2;
/// Somebody reads the item.
const TAKEN: u64 = 3;
/// An item that was taken by one who died.
const BACK: u64 = 4;

/// The state of a cell in one number: what it is (3 bits), who has it (32 bits: the slot, and the end of its life's number), and
/// the lap that it is for (29 bits).
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u64);

const LAPS: u64 = 1 << 29;
const SLOT_BITS: u32 = 12;

impl State {
    fn new(lap: u64, what: u64, who: u32) -> State {
        State((lap % LAPS) << 35 | u64::from(who) << 3 | what)
    }

    fn what(self) -> u64 {
        self.0 & 7
    }

    fn who(self) -> u32 {
        (self.0 >> 3) as u32
    }

    fn lap(self) -> u64 {
        self.0 >> 35
    }

    /// How many laps it is ahead of another, which is a few at most.
    fn ahead_of(self, lap: u64) -> i64 {
        let ahead = self.lap().wrapping_sub(lap) % LAPS;
        if ahead < LAPS / 2 { ahead as i64 } else { ahead as i64 - LAPS as i64 }
    }
}

/// A participant in 32 bits.
fn brief(member: Member) -> u32 {
    member.slot() as u32 | member.life() << SLOT_BITS
}

/// A place and a lap: where an item stands among all that were ever put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    lap: u64,
    index: u64,
}

impl Position {
    fn from_word(word: u64) -> Position {
        Position { lap: (word >> 32) % LAPS, index: word & 0xffff_ffff }
    }

    fn word(self) -> u64 {
        (self.lap % LAPS) << 32 | self.index
    }

    fn next(self, capacity: u64) -> Position {
        match self.index + 1 == capacity {
            true => Position { lap: self.lap + 1, index: 0 },
            false => Position { lap: self.lap, index: self.index + 1 },
        }
    }
}

/// A ring as its user sees it.
pub(super) struct Ring<'a, H> {
    pub(super) host: &'a H,
    pub(super) head: &'a RingHead,
    pub(super) cells: &'a [Cell],
}

impl<H> Clone for Ring<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Ring<'_, H> {}

/// A cell that is ours: to write an item into it, or to read the one in it.
#[derive(Clone, Copy)]
#[must_use = "others wait for what becomes of it"]
pub(super) struct Hold<'a> {
    pub(super) cell: &'a Cell,
    /// The lap, and below it one bit: the item had been taken before, by one who died. In one number, since bytes between fields are
    /// moved, too, and slowly.
    lap: u64,
}

impl<'a> Hold<'a> {
    #[inline(always)]
    fn new(cell: &'a Cell, lap: u64, again: bool) -> Hold<'a> {
        Hold { cell, lap: lap << 1 | u64::from(again) }
    }

    #[inline(always)]
    fn lap(self) -> u64 {
        self.lap >> 1
    }

    /// Whether the item had been taken before, by one who died.
    #[inline(always)]
    pub(super) fn again(self) -> bool {
        self.lap & 1 != 0
    }

    /// As [`Ring::leave`], with the order of the store. If it is not SeqCst, a fence comes before the gate is opened.
    #[inline(always)]
    pub(super) fn leave(self, order: Ordering) {
        let empty = State::new(self.lap() + 1, EMPTY, 0).0;
        match order {
            Ordering::SeqCst => drop(self.cell.state.swap(empty, Ordering::SeqCst)),
            _ => self.cell.state.store(empty, order),
        }
    }
}

/// Why there is no place to put an item, or nothing to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Full, or empty.
    Not,
    /// Somebody is at it, who lives as far as is known: it may be there in a moment.
    Soon,
    Closed,
}

/// What a dead participant had.
pub(super) enum Left<'a> {
    /// An item that it had not finished putting. The cell is ours.
    Unfinished(Hold<'a>),
    /// An item that it was taking. The cell is ours.
    Taken(Hold<'a>),
}

/// How many cells ahead of the one that is being used the next are fetched.
const AHEAD: usize = 6;

/// So many before that had not to wait say that the next will not have to: as many as the three highest bits of a hint count. Who
/// is at the heels of the other side would take from it, with what it fetches, the cells that it is about to use.
const RUN: u64 = 7;

/// A ring of so few cells is used to pass single items to and fro, which is faster with all of them fetched.
const FEW: usize = 16;

/// Where a run stands in a hint, above the position.
const RUN_AT: u32 = 61;

/// How far the other side is, for all that is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Distance {
    /// It was waited for.
    Near,
    /// The cell is there at once, or it is not: a run of such is far enough.
    Unknown,
    /// Whoever asks has seen it.
    Far,
}

/// Has the processor fetch a cell to be written, which the other side had last. A hint: nothing is read or written.
#[inline(always)]
fn fetch(cell: &Cell) {
    let place = std::ptr::from_ref(cell);
    // SAFETY: the instruction accesses nothing, whatever the address is; where a processor does not know it, it does nothing.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("prefetchw [{0}]", "prefetchw [{0} + 64]", in(reg) place, options(nostack, preserves_flags, readonly));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{0}]", "prfm pstl1keep, [{0}, #64]", in(reg) place, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = place;
}

/// How often who finds that the hint is behind looks whether it comes along.
const LOST: u32 = if cfg!(all(loom, test)) { 0 } else { 4 };

/// Looks of who stands back, and the pauses between them: a few microseconds in all, and a quarter of that if nobody else is there.
pub(super) const LOOKS: u32 = 4;
pub(super) const PAUSES: u32 = 32;

/// After another was faster: it is left alone while it goes on, as the lines that it needs are its own then, so both are faster.
#[cold]
fn stand_back(hint: &Number64) -> Position {
    let mut word = hint.load(Ordering::Relaxed);
    if !cfg!(all(loom, test)) {
        for _ in 0..LOOKS {
            (0..PAUSES).for_each(|_| std::hint::spin_loop());
            let now = hint.load(Ordering::Relaxed);
            if std::mem::replace(&mut word, now) == now {
                break;
            }
        }
    }
    Position::from_word(word)
}

impl<'a, H: Host> Ring<'a, H> {
    #[inline]
    fn fetch_ahead(&self, index: u64) {
        let mut ahead = index as usize + AHEAD;
        if ahead >= self.cells.len() {
            ahead = ahead.wrapping_sub(self.cells.len());
        }
        if let Some(cell) = self.cells.get(ahead) {
            fetch(cell);
        }
    }

    #[inline]
    fn cell(&self, position: Position) -> &'a Cell {
        // An index beyond was written by somebody who damages what all share.
        &self.cells[(position.index as usize).min(self.cells.len() - 1)]
    }

    fn capacity(&self) -> u64 {
        self.cells.len() as u64
    }

    /// After a put or a get at this position: where the next begins.
    #[inline(always)]
    fn advance(&self, hint: &Number64, position: Position, run: u64, other: Distance) {
        let run = match other {
            Distance::Near => 0,
            Distance::Unknown => (run + 1).min(RUN),
            Distance::Far => RUN,
        };
        if run == RUN || self.cells.len() <= FEW {
            self.fetch_ahead(position.index);
        }
        // A hint, which is never ahead: all before it have been claimed, or taken.
        hint.store(position.next(self.capacity()).word() | run << RUN_AT, Ordering::Relaxed);
    }

    /// Makes a cell ours to write into, with the other side at that distance.
    #[inline(always)]
    pub(super) fn claim(&self, me: Member, other: Distance) -> Result<Hold<'a>, Refusal> {
        if self.is_closed() {
            return Err(Refusal::Closed);
        }
        let hint = &self.head.tail.0;
        let word = hint.load(Ordering::Relaxed);
        let (mut position, run, mut lost) = (Position::from_word(word), word >> RUN_AT, 0);
        loop {
            let cell = self.cell(position);
            let state = State(cell.state.load(Ordering::Acquire));
            match state.ahead_of(position.lap) {
                0 if state.what() == EMPTY => {
                    let claimed = State::new(position.lap, CLAIMED, brief(me));
                    // SeqCst, with the look at the ring's own state: see `README.md`.
                    if cell.state.exchange(state.0, claimed.0, Ordering::SeqCst).is_err() {
                        position = stand_back(hint);
                        continue;
                    }
                    self.advance(hint, position, run, other);
                    let hold = Hold::new(cell, position.lap, false);
                    if self.is_closed() {
                        self.leave(hold);
                        return Err(Refusal::Closed);
                    }
                    return Ok(hold);
                }
                // It was claimed in this lap, a moment ago, or by one who was stopped before it could say so.
                0 if lost < LOST => {
                    lost += 1;
                    position = stand_back(hint);
                }
                0 => position = position.next(self.capacity()),
                // What was put a lap before is still there.
                -1 => return Err(Refusal::Not),
                // The hint is old, maybe by so many laps that it seems to be ahead: the cell's last lap is over.
                _ => {
                    position.lap = state.lap().wrapping_sub(1) % LAPS;
                    position = position.next(self.capacity());
                }
            }
        }
    }

    /// Whether so many more can be put, about. For who has looked in vain for one place.
    pub(super) fn has_room_for(&self, count: u64) -> bool {
        let mut position = Position::from_word(self.head.tail.0.load(Ordering::Relaxed));
        position.index += count.saturating_sub(1);
        if position.index >= self.capacity() {
            position.index -= self.capacity();
            position.lap += 1;
        }
        let state = State(self.cell(position).state.load(Ordering::Relaxed));
        state.ahead_of(position.lap % LAPS) >= 0
    }

    /// Lets others take what was written. Then open `not_empty`.
    #[inline(always)]
    pub(super) fn publish(&self, hold: Hold<'a>, order: Ordering) {
        let full = State::new(hold.lap(), FULL, 0).0;
        match order {
            // A store and a fence in one.
            Ordering::SeqCst => drop(hold.cell.state.swap(full, Ordering::SeqCst)),
            _ => hold.cell.state.store(full, order),
        }
    }

    /// Makes the next item's cell ours, with the other side at that distance.
    #[inline(always)]
    pub(super) fn take(&self, me: Member, other: Distance) -> Result<Hold<'a>, Refusal> {
        // Before the look at the cells: what was put before it was closed is found.
        let closed = self.is_closed();
        if closed {
            // With the exchange in `claim`: who has found it open has its cell marked as claimed.
            fence(Ordering::SeqCst);
        }
        if self.may_have_back()
            && let Some(hold) = self.take_back(me)
        {
            return Ok(hold);
        }
        let hint = &self.head.head.0;
        let word = hint.load(Ordering::Relaxed);
        let (mut position, run, mut lost) = (Position::from_word(word), word >> RUN_AT, 0);
        loop {
            let cell = self.cell(position);
            let state = State(cell.state.load(Ordering::Acquire));
            match (state.ahead_of(position.lap), state.what()) {
                (0, FULL) => {
                    let taken = State::new(position.lap, TAKEN, brief(me));
                    // Acquire: the item is seen.
                    if cell.state.exchange(state.0, taken.0, Ordering::AcqRel).is_err() {
                        position = stand_back(hint);
                        continue;
                    }
                    self.advance(hint, position, run, other);
                    return Ok(Hold::new(cell, position.lap, false));
                }
                (0, CLAIMED) => return Err(Refusal::Soon),
                (0, EMPTY) => return Err(if closed { Refusal::Closed } else { Refusal::Not }),
                (0, _) if lost < LOST => {
                    lost += 1;
                    position = stand_back(hint);
                }
                (0, _) => position = position.next(self.capacity()),
                // The item of the lap before is being read, or was handed back.
                (-1, _) => return Err(if closed { Refusal::Closed } else { Refusal::Not }),
                // The hint is old, as in `claim`.
                _ => {
                    position.lap = state.lap().wrapping_sub(1) % LAPS;
                    position = position.next(self.capacity());
                }
            }
        }
    }

    /// Whether there is something to take, or nothing comes any more: whether [`take`](Ring::take) would find something to do.
    pub(super) fn is_ready(&self) -> bool {
        let closed = self.is_closed();
        if closed {
            // As in `take`.
            fence(Ordering::SeqCst);
        }
        if self.may_have_back() {
            return true;
        }
        let mut position = Position::from_word(self.head.head.0.load(Ordering::Relaxed));
        loop {
            let state = State(self.cell(position).state.load(Ordering::Acquire));
            match (state.ahead_of(position.lap), state.what()) {
                (0, FULL) => return true,
                (0, CLAIMED) => return false,
                (0, EMPTY) | (-1, _) => return closed && self.is_over(),
                (0, _) => {}
                // The hint is old, as in `claim`.
                _ => position.lap = state.lap().wrapping_sub(1) % LAPS,
            }
            position = position.next(self.capacity());
        }
    }

    /// Whether nothing comes out of it any more, for who has found it closed and nothing to take: nobody living is taking an
    /// item, which comes back if it dies. Nothing is put any more, and an item stays in its cell; so what one look through the cells
    /// does not find is nowhere.
    #[cold]
    pub(super) fn is_over(&self) -> bool {
        let is_left = |cell: &Cell| {
            matches!(State(cell.state.load(Ordering::Acquire)).what(), TAKEN | BACK | FULL)
        };
        // From the last that was taken backwards: there it is, if anything is.
        let head = Position::from_word(self.head.head.0.load(Ordering::Relaxed)).index as usize;
        let (before, behind) = self.cells.split_at(head.min(self.cells.len()));
        let mut cells = before.iter().rev().chain(behind.iter().rev());
        self.is_emptied() || !cells.any(is_left)
    }

    /// Makes an item that was handed back ours.
    #[cold]
    fn take_back(&self, me: Member) -> Option<Hold<'a>> {
        let before = self.head.handed_back.load(Ordering::Acquire);
        for cell in self.cells {
            let state = State(cell.state.load(Ordering::Acquire));
            if state.what() == BACK {
                let taken = State::new(state.lap(), TAKEN, brief(me));
                if cell.state.exchange(state.0, taken.0, Ordering::AcqRel).is_ok() {
                    return Some(Hold::new(cell, state.lap(), true));
                }
            }
        }
        self.head.none_left.store(before, Ordering::Release);
        None
    }

    /// Empties a cell that is ours, for its next lap: its item has been read, or is not to be. Then open `not_full`.
    pub(super) fn leave(&self, hold: Hold<'a>) {
        hold.leave(Ordering::SeqCst);
    }

    /// Hands the item in a cell of ours to others. Then open `not_empty`.
    pub(super) fn hand_back(&self, hold: Hold<'a>) {
        hold.cell.state.store(State::new(hold.lap(), BACK, 0).0, Ordering::Release);
        // Who dies before this is itself found dead, and the cells are searched once more.
        self.head.handed_back.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether the cells are to be searched, since somebody has been found dead after the last search.
    pub(super) fn is_to_be_searched(&self, deaths: u64) -> bool {
        self.head.searched.load(Ordering::Relaxed) != deaths
    }

    /// Finds what the dead had, makes it ours, and shows it. `deaths` was read before.
    #[cold]
    pub(super) fn search(&self, me: Member, deaths: u64, mut show: impl FnMut(Left<'a>)) {
        let mut back = 0;
        for cell in self.cells {
            let state = State(cell.state.load(Ordering::Acquire));
            let what = state.what();
            back += u64::from(what == BACK);
            if !matches!(what, CLAIMED | TAKEN) || !self.is_dead(state.who()) {
                continue;
            }
            // As what it was, so that our own death in it is no other case.
            let ours = State::new(state.lap(), what, brief(me));
            if cell.state.exchange(state.0, ours.0, Ordering::AcqRel).is_ok() {
                let hold = Hold::new(cell, state.lap(), what == TAKEN);
                show(if what == CLAIMED { Left::Unfinished(hold) } else { Left::Taken(hold) });
            }
        }
        if back > 0 {
            // Whoever handed them back may have died before it said so.
            self.head.handed_back.fetch_add(1, Ordering::SeqCst);
        }
        self.head.searched.store(deaths, Ordering::Release);
    }

    fn is_dead(&self, who: u32) -> bool {
        let (slot, life) = (who & ((1 << SLOT_BITS) - 1), who >> SLOT_BITS);
        self.host.is_dead_brief(slot as usize, life, 32 - SLOT_BITS)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.head.state.load(Ordering::SeqCst) != OPEN
    }

    /// Whether what is in it is to be dropped.
    pub(super) fn is_emptied(&self) -> bool {
        self.head.state.load(Ordering::SeqCst) == EMPTIED
    }

    /// Closes it. Then open both gates.
    pub(super) fn close(&self, emptied: bool) {
        self.head.state.fetch_or(if emptied { EMPTIED } else { CLOSED }, Ordering::SeqCst);
    }

    /// How many items are in it, at this moment.
    pub(super) fn len(&self) -> usize {
        let settle = |hint: &Number64, is_behind: fn(i64, u64) -> bool| {
            let mut position = Position::from_word(hint.load(Ordering::Acquire));
            for _ in 0..=self.capacity() {
                let state = State(self.cell(position).state.load(Ordering::Acquire));
                let ahead = state.ahead_of(position.lap);
                if ahead > 0 {
                    position.lap = state.lap().wrapping_sub(1) % LAPS;
                } else if !is_behind(ahead, state.what()) {
                    break;
                }
                position = position.next(self.capacity());
            }
            position
        };
        let head =
            settle(&self.head.head.0, |ahead, what| ahead == 0 && matches!(what, TAKEN | BACK));
        let tail = settle(&self.head.tail.0, |ahead, what| ahead == 0 && what != EMPTY);
        let laps = State::new(tail.lap, EMPTY, 0).ahead_of(head.lap);
        let waiting = laps * self.capacity() as i64 + tail.index as i64 - head.index as i64;
        let back = match self.may_have_back() {
            true => self
                .cells
                .iter()
                .filter(|cell| State(cell.state.load(Ordering::Relaxed)).what() == BACK)
                .count(),
            false => 0,
        };
        (waiting.clamp(0, self.capacity() as i64) as usize + back).min(self.cells.len())
    }

    fn may_have_back(&self) -> bool {
        self.head.handed_back.load(Ordering::Relaxed) != self.head.none_left.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    //! Hints that are as old as hints can be.

    use super::super::gate::Gate;
    use super::*;

    /// One that nobody waits for.
    struct Alone;

    impl Host for Alone {
        fn me(&self) -> Member {
            Member::new(0, 1)
        }

        fn is_dead(&self, _: Member) -> bool {
            false
        }

        fn is_dead_brief(&self, _: usize, _: u32, _: u32) -> bool {
            false
        }

        fn sleep(&self, _: &Gate, _: u32, _: std::time::Duration) {}

        fn wake(&self, _: &Gate, _: u32) -> u32 {
            0
        }

        fn ring(&self, _: u64) {}
    }

    /// A ring whose second cell has an item of that lap, and whose hint has stayed at the beginning.
    fn with_old_hint(lap: u64, look: impl FnOnce(Ring<'_, Alone>)) {
        let (head, cells) = (RingHead::new(2), [Cell::new(), Cell::new()]);
        cells[0].state.store(State::new(lap + 1, EMPTY, 0).0, Ordering::Relaxed);
        cells[1].state.store(State::new(lap, FULL, 0).0, Ordering::Relaxed);
        look(Ring { host: &Alone, head: &head, cells: &cells });
    }

    #[test]
    fn an_item_is_seen_however_old_the_hint_is() {
        for lap in [0, 1, 5, LAPS / 2 - 2, LAPS / 2 - 1, LAPS / 2, LAPS / 2 + 5, LAPS - 9] {
            with_old_hint(lap, |ring| assert!(ring.is_ready(), "lap {lap}"));
            with_old_hint(lap, |ring| {
                let hold = ring
                    .take(Alone.me(), Distance::Unknown)
                    .unwrap_or_else(|_| panic!("lap {lap}"));
                assert!(!ring.is_ready(), "lap {lap}: it is taken");
                ring.close(false);
                assert!(!ring.is_ready(), "lap {lap}: it may come back");
                ring.leave(hold);
                assert!(
                    ring.is_ready() && ring.take(Alone.me(), Distance::Unknown).is_err(),
                    "lap {lap}"
                );
            });
        }
    }
}
