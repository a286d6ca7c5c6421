//! What the kernel tells a hub: the bell of its remote, and which descriptors are ready.
//!
//! | | sockets of this crate | any other descriptor |
//! | --- | --- | --- |
//! | known as | a [`Source`], from the first wait on this hub until the socket is dropped | a [`Watch`], by its number |
//! | registered | once, by edges, for both directions | for one event at a time, anew for each wait |
//! | in | the hub's epoll | one of its own, which that one watches: the number may be that of a source too |
//!
//! A source remembers what it was ready for, until a call finds that it is so no more, which only the thread of the hub does,
//! and between two looks at the kernel: so an edge that comes later is seen later, and none is lost.
//!
//! A fork shares the parent's epoll, in which each would take the other's events. So in a child all is forgotten and begins with
//! a new one: who waits is woken, and registers again.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::{Ready, Remote, Slot, Why};
use crate::system::ready::Direction;
use crate::system::{count_forks, forks};

/// The tokens that are no source's: of the bell, and of the epoll of watches.
const BELL: u64 = u64::MAX;
const WATCHES: u64 = u64::MAX - 1;

/// A sleep is no longer than this: kernels before 5.11 take milliseconds in an `int`.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// How many events are taken at once.
const EVENTS: usize = 256;

// What a source is known to be ready for.
const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
/// The other side will write no more, or all is over: what is left to be read is there already.
const READ_CLOSED: u8 = 4;
/// Nothing more can be written: an attempt says so at once.
const WRITE_CLOSED: u8 = 8;
/// Urgent data have been seen, at which a read stops short with more behind.
const URGENT: u8 = 16;

pub(super) struct Poller {
    epoll: OwnedFd,
    /// The count of forks that it was made at.
    made_at: u32,
    /// Of all pollers there ever were in this process.
    id: u64,
    events: Vec<epoll::Event>,
    sources: Vec<Source>,
    free: Vec<u32>,
    watched: Option<Watched>,
}

/// A socket as this hub sees it.
#[derive(Default)]
struct Source {
    /// How often its place was given away: part of the token.
    turn: u32,
    ready: u8,
    waiting: [Waiting; 2],
}

/// The descriptors that are watched for one event at a time.
struct Watched {
    epoll: OwnedFd,
    watches: HashMap<RawFd, Watch>,
    events: Vec<epoll::Event>,
}

#[derive(Default)]
struct Watch {
    waiting: [Waiting; 2],
}

/// The coroutines that wait: nearly always one at most.
#[derive(Default)]
struct Waiting {
    first: Option<&'static Slot>,
    more: Vec<&'static Slot>,
}

impl Waiting {
    #[inline]
    fn add(&mut self, slot: &'static Slot) {
        match &self.first {
            None => self.first = Some(slot),
            Some(_) => self.more.push(slot),
        }
    }

    #[inline]
    fn remove(&mut self, slot: &'static Slot) {
        let Some(first) = self.first else { return };
        if ptr::eq(first, slot) {
            self.first = self.more.pop();
        } else if let Some(index) = self.more.iter().position(|known| ptr::eq(*known, slot)) {
            self.more.swap_remove(index);
        }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Takes all out, and has them run: on the hub that they are of, so that no more than its queue is needed.
    #[inline]
    fn wake(&mut self, queue: &mut Queue) {
        if let Some(first) = self.first.take() {
            let ready = |slot: &Slot| Ready { index: slot.index, why: Why::Turn };
            queue.push_back(ready(first));
            if !self.more.is_empty() {
                queue.extend(self.more.drain(..).map(ready));
            }
        }
    }
}

/// Who runs next on the hub.
type Queue = VecDeque<Ready>;

impl Poller {
    pub(super) fn new(remote: &Remote) -> io::Result<Poller> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        count_forks();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // By edges: the counter is never read, and each ring is an edge.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, remote.bell(), epoll::EventData::new_u64(BELL), flags)?;
        Ok(Poller {
            epoll,
            made_at: forks(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            events: Vec::with_capacity(EVENTS),
            sources: Vec::new(),
            free: Vec::new(),
            watched: None,
        })
    }

    #[inline]
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether this process is a fork of the one that it was made in: then it is to be [`renew`](Poller::renew)ed.
    #[inline]
    pub(super) fn is_forked(&self) -> bool {
        self.made_at != forks()
    }

    /// Begins anew, and wakes who waits.
    pub(super) fn renew(&mut self, remote: &Remote, queue: &mut Queue) -> io::Result<()> {
        let mut old = std::mem::replace(self, Poller::new(remote)?);
        for source in &mut old.sources {
            source.waiting.iter_mut().for_each(|waiting| waiting.wake(queue));
        }
        for watch in old.watched.iter_mut().flat_map(|watched| watched.watches.values_mut()) {
            watch.waiting.iter_mut().for_each(|waiting| waiting.wake(queue));
        }
        Ok(())
    }

    /// Waits until something is ready, at most until the deadline: not at all, if it has passed. Wakes who waits for it.
    pub(super) fn wait(
        &mut self,
        deadline: Option<Instant>,
        queue: &RefCell<Queue>,
    ) -> io::Result<()> {
        let limit = deadline.map_or(LONGEST_SLEEP, |deadline| {
            deadline.saturating_duration_since(Instant::now()).min(LONGEST_SLEEP)
        });
        let mut events = std::mem::take(&mut self.events);
        fetch(&self.epoll, &mut events, limit)?;
        let mut queue = queue.borrow_mut();
        for event in &events {
            match event.data.u64() {
                BELL => {}
                WATCHES => self.look_at_watches(&mut queue)?,
                token => self.note(token, event.flags, &mut queue),
            }
        }
        self.events = events;
        Ok(())
    }

    #[inline]
    fn note(&mut self, token: u64, flags: epoll::EventFlags, queue: &mut Queue) {
        let Some(source) = self.source(token) else { return };
        let ready = readiness(flags);
        source.ready |= ready;
        let [readers, writers] = &mut source.waiting;
        if ready & (READABLE | READ_CLOSED) != 0 {
            readers.wake(queue);
        }
        if ready & (WRITABLE | WRITE_CLOSED) != 0 {
            writers.wake(queue);
        }
    }

    fn look_at_watches(&mut self, queue: &mut Queue) -> io::Result<()> {
        let Some(watched) = &mut self.watched else { return Ok(()) };
        // What does not fit is reported again, since the outer epoll has this one by its level.
        fetch(&watched.epoll, &mut watched.events, Duration::ZERO)?;
        for event in &watched.events {
            // A descriptor that was closed and has a copy elsewhere may still be reported, once.
            if let Some(watch) = watched.watches.get_mut(&(event.data.u64() as RawFd)) {
                watch.waiting.iter_mut().for_each(|waiting| waiting.wake(queue));
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn source(&mut self, token: u64) -> Option<&mut Source> {
        let (index, turn) = parts(token);
        self.sources.get_mut(index).filter(|source| source.turn == turn)
    }

    /// Registers a socket for good. Its token, which no other source has had.
    pub(super) fn register(&mut self, fd: BorrowedFd<'_>) -> io::Result<u64> {
        use epoll::EventFlags as Flags;
        let index = self.free.pop().unwrap_or_else(|| {
            self.sources.push(Source::default());
            u32::try_from(self.sources.len() - 1).expect("descriptors end before")
        });
        let token = u64::from(self.sources[index as usize].turn) << 32 | u64::from(index);
        let flags = Flags::IN | Flags::OUT | Flags::RDHUP | Flags::PRI | Flags::ET;
        match epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), flags) {
            Ok(()) => Ok(token),
            Err(error) => {
                self.free.push(index);
                Err(error.into())
            }
        }
    }

    /// Takes a socket out, with its descriptor if that is still open.
    pub(super) fn deregister(&mut self, token: u64, fd: Option<BorrowedFd<'_>>) {
        let Some(source) = self.source(token) else { return };
        // Those who wait borrow the socket.
        debug_assert!(source.waiting.iter().all(Waiting::is_empty));
        // The last of its turns is that of the bell and the watches: such a place is not used again.
        source.turn += 1;
        source.ready = 0;
        if source.turn < u32::MAX {
            self.free.push(token as u32);
        }
        if let Some(fd) = fd {
            // Closing the descriptor does this too, unless it has copies.
            let _ = epoll::delete(&self.epoll, fd);
        }
    }

    /// Whether a call may succeed at once: not, if nothing has come since one did not.
    #[inline]
    pub(super) fn is_ready(&self, token: u64, direction: Direction) -> bool {
        let bits = match direction {
            Direction::Read => READABLE | READ_CLOSED,
            Direction::Write => WRITABLE | WRITE_CLOSED,
        };
        let (index, turn) = parts(token);
        match self.sources.get(index) {
            Some(source) if source.turn == turn => source.ready & bits != 0,
            // A source of before a fork is tried.
            _ => true,
        }
    }

    /// Notes that a call had to wait, or had less to do than it could: nothing is left for the next one.
    #[inline]
    pub(super) fn used_up(&mut self, token: u64, direction: Direction, blocked: bool) {
        let Some(source) = self.source(token) else { return };
        let (usual, closed) = match direction {
            Direction::Read => (READABLE, READ_CLOSED),
            Direction::Write => (WRITABLE, WRITE_CLOSED),
        };
        if blocked {
            // Whatever it was, it was not for good: an error of a datagram socket, say.
            source.ready &= !(usual | closed);
        } else if direction == Direction::Write || source.ready & URGENT == 0 {
            source.ready &= !usual;
        }
    }

    #[inline]
    pub(super) fn add_waiter(&mut self, token: u64, direction: Direction, slot: &'static Slot) {
        if let Some(source) = self.source(token) {
            source.waiting[direction as usize].add(slot);
        }
    }

    #[inline]
    pub(super) fn remove_waiter(&mut self, token: u64, direction: Direction, slot: &'static Slot) {
        if let Some(source) = self.source(token) {
            source.waiting[direction as usize].remove(slot);
        }
    }

    /// Has a coroutine woken when the descriptor is ready, once.
    ///
    /// # Errors
    ///
    /// [`Errno::PERM`] if it is of a kind that is always ready.
    pub(super) fn watch(
        &mut self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        slot: &'static Slot,
    ) -> io::Result<()> {
        use epoll::EventFlags as Flags;
        let watched = match &mut self.watched {
            Some(watched) => watched,
            none => {
                let inner = epoll::create(epoll::CreateFlags::CLOEXEC)?;
                let token = epoll::EventData::new_u64(WATCHES);
                epoll::add(&self.epoll, &inner, token, Flags::IN)?;
                none.insert(Watched {
                    epoll: inner,
                    watches: HashMap::new(),
                    events: Vec::with_capacity(EVENTS),
                })
            }
        };
        let number = fd.as_raw_fd();
        let watch = watched.watches.entry(number).or_default();
        watch.waiting[direction as usize].add(slot);
        let mut flags = Flags::ONESHOT;
        for (waiting, more) in watch.waiting.iter().zip([Flags::IN | Flags::RDHUP, Flags::OUT]) {
            if !waiting.is_empty() {
                flags |= more;
            }
        }
        let data = epoll::EventData::new_u64(number as u64);
        // It is there if this number was watched before, and has not been closed since.
        let result = match epoll::modify(&watched.epoll, fd, data, flags) {
            Err(Errno::NOENT) => epoll::add(&watched.epoll, fd, data, flags),
            other => other,
        };
        result.inspect_err(|_| self.unwatch(number, direction, slot)).map_err(io::Error::from)
    }

    pub(super) fn unwatch(&mut self, number: RawFd, direction: Direction, slot: &'static Slot) {
        let Some(watched) = &mut self.watched else { return };
        if let Some(watch) = watched.watches.get_mut(&number) {
            watch.waiting[direction as usize].remove(slot);
            if watch.waiting.iter().all(Waiting::is_empty) {
                // What is still registered is reported once more at most, to nobody.
                watched.watches.remove(&number);
            }
        }
    }
}

/// The place of a source, and how often it had been given away before.
#[inline]
fn parts(token: u64) -> (usize, u32) {
    (token as u32 as usize, (token >> 32) as u32)
}

fn readiness(flags: epoll::EventFlags) -> u8 {
    use epoll::EventFlags as Flags;
    let is = |flag: Flags, bits: u8| if flags.intersects(flag) { bits } else { 0 };
    is(Flags::IN, READABLE)
        | is(Flags::OUT, WRITABLE)
        | is(Flags::RDHUP, READ_CLOSED)
        | is(Flags::HUP | Flags::ERR, READ_CLOSED | WRITE_CLOSED)
        | is(Flags::PRI, URGENT)
}

/// Fills `events`, which are emptied first. An interrupted wait gives none.
fn fetch(epoll: &OwnedFd, events: &mut Vec<epoll::Event>, limit: Duration) -> io::Result<()> {
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    events.clear();
    match epoll::wait(epoll, spare_capacity(events), Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
