//! Which connections there are, what each is at, and the thread that closes those over a limit of time.
//!
//! A handler says what it is at by relaxed stores into its connection's [`Entry`], which cost it nothing to speak of: no call
//! of the system, no look at the clock. One thread per process, the watch, looks at all entries in turn, and closes by
//! `shutdown(2)` those that are over a limit: whoever waits at the socket, as a thread, a coroutine or an event loop, is
//! woken by the kernel, and finds the verdict in the entry. So limits mean the same under each model.
//!
//! Times are those of the watch's own clock, which ticks each time it looks. An entry's `since` may therefore be a tick old: a
//! limit is over when so much and a tick has gone by, so it is never over early. No tick is longer than the time between two looks
//! is to be: to a process that was stopped, or had no processor, that time has not gone by, and its clients are where they were.
//!
//! A store that the watch misses, it sees at its next look; nobody waits for it in between. That is why no order is needed
//! among the stores: they are of one thread each, and each is looked at for itself.

use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::Address;
use super::model::stream::Stream;

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum At {
    /// Between turns: it waits for the client to begin one.
    Idle,
    /// It waits for more of a turn.
    Reading,
    /// It waits for the client to take an answer.
    Writing,
    /// The handler is at work.
    Working,
}

/// Why the watch has closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verdict {
    None,
    Idle,
    Read,
    Write,
    Handler,
    Deadline,
    /// At the end of the time for a shutdown.
    Cut,
}

const VERDICTS: [Verdict; 7] = [
    Verdict::None,
    Verdict::Idle,
    Verdict::Read,
    Verdict::Write,
    Verdict::Handler,
    Verdict::Deadline,
    Verdict::Cut,
];

/// How long a connection may be at something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Limits {
    pub(super) idle: Option<Duration>,
    pub(super) read: Option<Duration>,
    pub(super) write: Option<Duration>,
    pub(super) handler: Option<Duration>,
}

impl Limits {
    pub(super) fn are_any(&self) -> bool {
        *self != Limits::default()
    }
}

/// No time: of a turn that has not begun, a deadline that is not set.
const NEVER: u64 = u64::MAX;

/// A connection, as its handler and the watch see it.
///
/// In this order, and on cache lines of its own: with a thousand connections each line that a turn touches has to be fetched, and what
/// a turn touches is the first two.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Entry {
    at: AtomicU8,
    verdict: AtomicU8,
    /// When it began to be at that, by the watch's clock.
    since: AtomicU64,
    /// When the turn began, by the same clock; `NEVER` between turns.
    turn: AtomicU64,
    pub(super) turns: AtomicU64,
    pub(super) stream: Stream,
    pub(super) peer: Address,
    deadline: AtomicU64,
    /// Its place in the table.
    place: AtomicU64,
}

impl Entry {
    #[inline]
    pub(super) fn is_at(&self, at: At, ledger: &Ledger) {
        self.since.store(ledger.now.load(Relaxed), Relaxed);
        self.at.store(at as u8, Relaxed);
    }

    /// It goes on being at that, as of an earlier time.
    #[inline]
    pub(super) fn is_still_at(&self, at: At, since: u64) {
        self.since.store(since, Relaxed);
        self.at.store(at as u8, Relaxed);
    }

    pub(super) fn since(&self) -> u64 {
        self.since.load(Relaxed)
    }

    /// A turn begins with its first byte.
    #[inline]
    pub(super) fn turn_begins(&self, ledger: &Ledger) {
        if self.turn.load(Relaxed) == NEVER {
            self.turn.store(ledger.now.load(Relaxed), Relaxed);
        }
    }

    /// It ends when the handler, which has answered, wants to read again.
    #[inline]
    pub(super) fn turn_ends(&self) {
        if self.turn.load(Relaxed) != NEVER {
            self.turn.store(NEVER, Relaxed);
            // One thread writes it.
            self.turns.store(self.turns.load(Relaxed) + 1, Relaxed);
        }
    }

    #[inline]
    pub(super) fn in_turn(&self) -> bool {
        self.turn.load(Relaxed) != NEVER
    }

    pub(super) fn verdict(&self) -> Verdict {
        VERDICTS[usize::from(self.verdict.load(Relaxed))]
    }

    fn judge(&self, verdict: Verdict) {
        // The first one stands.
        let none = Verdict::None as u8;
        let _ = self.verdict.compare_exchange(none, verdict as u8, Relaxed, Relaxed);
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// What is over, now by a clock that ticks so often, and at this time for the deadline.
    fn over(&self, limits: &Limits, [now, tick]: [u64; 2], time: u64) -> Option<Verdict> {
        let after = |limit: Option<Duration>, since: u64| {
            limit.is_some_and(|limit| {
                now.saturating_sub(since) >= micros(limit).saturating_add(tick)
            })
        };
        let at = self.at.load(Relaxed);
        let since = self.since.load(Relaxed);
        let turn = self.turn.load(Relaxed);
        if time >= self.deadline.load(Relaxed) {
            Some(Verdict::Deadline)
        } else if at == At::Idle as u8 && after(limits.idle, since) {
            Some(Verdict::Idle)
        } else if at == At::Reading as u8 && after(limits.read, since) {
            Some(Verdict::Read)
        } else if at == At::Writing as u8 && after(limits.write, since) {
            Some(Verdict::Write)
        } else if turn != NEVER && after(limits.handler, turn) {
            Some(Verdict::Handler)
        } else {
            None
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(NEVER)
}

/// All connections of this process, with the watch's clock.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    began: Instant,
    /// Microseconds by the watch's clock, at the last tick.
    now: AtomicU64,
    draining: AtomicBool,
    table: Mutex<Table>,
    /// Rung to have the watch look: at the first entry, at a deadline, at a shutdown, at the end.
    bell: Condvar,
}

#[derive(Debug)]
struct Table {
    /// When the watch last looked, once it has begun.
    looked: Option<Instant>,
    entries: Vec<Option<Arc<Entry>>>,
    free: Vec<usize>,
    /// Deadlines have been set.
    has_deadlines: bool,
    is_killed: bool,
    is_over: bool,
    news: bool,
}

/// While connections are drained it looks this often.
const DRAIN: Duration = Duration::from_millis(10);

impl Ledger {
    pub(super) fn new(limits: Limits) -> Ledger {
        Ledger {
            limits,
            began: Instant::now(),
            now: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            table: Mutex::new(Table {
                looked: None,
                // The process of one connection needs no more, and has them before it is forked.
                entries: Vec::with_capacity(1),
                free: Vec::with_capacity(1),
                has_deadlines: false,
                is_killed: false,
                is_over: false,
                news: false,
            }),
            bell: Condvar::new(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, stream: Stream, peer: Address) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            stream,
            peer,
            at: AtomicU8::new(At::Working as u8),
            since: AtomicU64::new(0),
            turn: AtomicU64::new(NEVER),
            deadline: AtomicU64::new(NEVER),
            verdict: AtomicU8::new(Verdict::None as u8),
            turns: AtomicU64::new(0),
            place: AtomicU64::new(0),
        });
        let mut table = self.table();
        let is_first = table.entries.len() == table.free.len();
        if is_first {
            // The watch slept; its clock has stood still.
            if let Some(looked) = &mut table.looked {
                *looked = Instant::now();
            }
            table.news = true;
            self.bell.notify_one();
        }
        entry.since.store(self.now.load(Relaxed), Relaxed);
        let place = table.free.pop().unwrap_or_else(|| {
            table.entries.push(None);
            table.entries.len() - 1
        });
        entry.place.store(place as u64, Relaxed);
        table.entries[place] = Some(Arc::clone(&entry));
        if table.is_killed {
            entry.judge(Verdict::Cut);
        }
        drop(table);
        entry
    }

    pub(super) fn leave(&self, entry: &Entry) {
        let mut table = self.table();
        let place = entry.place.load(Relaxed) as usize;
        // Dropped outside of the lock.
        let _gone = table.entries[place].take();
        table.free.push(place);
        drop(table);
    }

    pub(super) fn set_deadline(&self, entry: &Entry, deadline: Option<Instant>) {
        let at = deadline.map_or(NEVER, |at| {
            // The next microsecond: not before its time.
            micros(at.saturating_duration_since(self.began)).saturating_add(1)
        });
        entry.deadline.store(at, Relaxed);
        let mut table = self.table();
        if !table.has_deadlines {
            table.has_deadlines = true;
            table.news = true;
            self.bell.notify_one();
        }
    }

    /// By the watch's clock.
    pub(super) fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// From now on, whoever is between turns is at the end of its connection.
    pub(super) fn drain(&self) {
        self.draining.store(true, Relaxed);
        self.table().news = true;
        self.bell.notify_one();
    }

    /// Closes all that are there, and that come.
    pub(super) fn kill(&self) {
        let mut table = self.table();
        table.is_killed = true;
        table.entries.iter().flatten().for_each(|entry| entry.judge(Verdict::Cut));
    }

    /// Turns of the connections that are there.
    pub(super) fn turns(&self) -> u64 {
        self.table().entries.iter().flatten().map(|entry| entry.turns.load(Relaxed)).sum()
    }

    /// Ends the watch.
    pub(super) fn close(&self) {
        self.table().is_over = true;
        self.bell.notify_one();
    }

    /// Lets the clock go on, by one period at most.
    fn tick(&self, table: &mut Table, period: Duration) -> u64 {
        let time = Instant::now();
        let looked = table.looked.replace(time).unwrap_or(time);
        let gone = time.saturating_duration_since(looked).min(period);
        let now = self.now.load(Relaxed).saturating_add(micros(gone));
        self.now.store(now, Relaxed);
        now
    }

    /// How often to look: a sixteenth of the shortest limit, within bounds. `None` without limits.
    fn period(&self, has_deadlines: bool) -> Option<Duration> {
        let Limits { idle, read, write, handler } = self.limits;
        let deadlines = has_deadlines.then_some(DRAIN * 16);
        let shortest = [idle, read, write, handler, deadlines].into_iter().flatten().min()?;
        Some((shortest / 16).clamp(Duration::from_millis(5), Duration::from_millis(250)))
    }

    /// The watch: until `close`.
    pub(super) fn watch(&self) {
        let mut table = self.table();
        table.looked = Some(Instant::now());
        loop {
            if table.is_over {
                return;
            }
            let is_empty = table.entries.len() == table.free.len();
            let period = match self.period(table.has_deadlines) {
                _ if is_empty => None,
                _ if self.is_draining() => Some(DRAIN),
                period => period,
            };
            if !std::mem::take(&mut table.news) {
                table = match period {
                    Some(period) => {
                        let woken = self.bell.wait_timeout(table, period);
                        woken.unwrap_or_else(PoisonError::into_inner).0
                    }
                    None => self.bell.wait(table).unwrap_or_else(PoisonError::into_inner),
                };
            }
            let tick = period.unwrap_or_default();
            let now = self.tick(&mut table, tick);
            let time = micros(self.began.elapsed());
            let draining = self.is_draining();
            for entry in table.entries.iter().flatten() {
                if entry.verdict() != Verdict::None {
                    continue;
                }
                if let Some(verdict) = entry.over(&self.limits, [now, micros(tick)], time) {
                    entry.judge(verdict);
                } else if draining && entry.at.load(Relaxed) == At::Idle as u8 {
                    let _ = entry.stream.shutdown(Shutdown::Read);
                }
            }
        }
    }
}
