//! Event loops: one thread for many conversations, none of which has a stack.
//!
//! A loop waits with epoll, level-triggered. A conversation that may be read from is read from once, hands what has come to its
//! protocol, and is written to until the client takes no more; while an answer waits it is not read from, so a client that only
//! talks is held up by itself. Whatever the watch does to a connection, its socket becomes ready, and the loop finds the verdict.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::mem;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use serde::{Deserialize, Serialize};

use super::super::accept::Refused;
use super::super::core::{Accepted, Core, Seat};
use super::super::handle::start;
use super::super::handler::{Handler, TurnByTurn};
use super::super::ledger::{At, Entry, Verdict};
use super::super::listener::Socket;
use super::super::protocol::{Buffers, CHUNK, Flow, Protocol};
use super::stream::Stream;
use super::{Begin, Crew};
use crate::error::{Error, ErrorKind, Result, shield};

/// So many event loops, each a thread. They run [protocols](super::super::Protocol) only, which need no stack of their own: of all models it
/// takes the least memory for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events(pub usize);

#[allow(private_interfaces)]
impl<H: TurnByTurn> Begin<H> for Events {
    fn crew(&self, core: &Arc<Core>, handler: H) -> Result<Box<dyn Crew>> {
        crew(self.0, core, handler)
    }
}

/// For a handler that is a protocol, as its caller has seen to.
pub(super) fn crew<H: Handler>(
    loops: usize,
    core: &Arc<Core>,
    handler: H,
) -> Result<Box<dyn Crew>> {
    if loops == 0 {
        return Err(Error::invalid("events need a loop: Events(1) at least"));
    }
    let handler = Arc::new(handler);
    let mut crew =
        Loops { doors: Vec::new(), next: AtomicUsize::new(0), threads: Mutex::default() };
    for _ in 0..loops {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let door = Arc::new(Door { bell: bell.map_err(io::Error::from)?, inbox: Mutex::default() });
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io::Error::from)?;
        epoll::add(&epoll, &door.bell, EventData::new_u64(BELL), EventFlags::IN)
            .map_err(io::Error::from)?;
        crew.doors.push(Arc::clone(&door));
        let (core, handler) = (Arc::clone(core), Arc::clone(&handler));
        let run = move || Loop::new(core, epoll, door).run_to_end(&*handler);
        let thread = start("fourfold-loop", run)?;
        crew.threads().push(thread);
    }
    Ok(Box::new(crew))
}

/// The bell's number among the conversations.
const BELL: u64 = u64::MAX;

/// Where a loop gets its connections.
struct Door {
    bell: OwnedFd,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    accepted: Vec<Accepted>,
    is_closed: bool,
}

impl Door {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

struct Loops {
    doors: Vec<Arc<Door>>,
    next: AtomicUsize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Loops {
    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crew for Loops {
    fn take(&self, accepted: Accepted) -> Result<(), Refused> {
        // Relaxed: which one it is does not matter.
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.doors.len();
        let door = &self.doors[index];
        let mut inbox = door.inbox();
        if inbox.is_closed {
            drop(inbox);
            let Accepted { socket, peer, seat } = accepted;
            drop((socket, seat));
            return Err((peer, Error::new(ErrorKind::ShutDown)));
        }
        inbox.accepted.push(accepted);
        drop(inbox);
        door.ring();
        Ok(())
    }

    fn close(&self, are_idle: bool) {
        for door in &self.doors {
            door.inbox().is_closed = true;
            door.ring();
        }
        for thread in self.threads().drain(..) {
            if are_idle {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.close(false);
    }
}

/// How a conversation ended: with what its handler says, `None` for a panic.
type End = Option<io::Result<()>>;

/// One connection of a loop.
struct Talk {
    entry: Arc<Entry>,
    protocol: Box<dyn Protocol>,
    buffers: Buffers,
    /// What epoll looks for.
    interest: EventFlags,
    /// How it ends, once all is written.
    end: Option<io::Result<()>>,
    /// It has answered in this turn.
    answered: bool,
    /// It has been told of the shutdown.
    told: bool,
    began: Option<Instant>,
    wake: Option<Duration>,
    heard: Instant,
    /// The same by the watch's clock.
    silent: u64,
    /// Which conversation of the loop it is.
    number: u64,
    _seat: Seat,
}

/// What is left to do with a conversation.
enum Step {
    Wait,
    Over(End),
}

struct Loop {
    core: Arc<Core>,
    epoll: OwnedFd,
    door: Arc<Door>,
    talks: Vec<Option<Talk>>,
    /// Places that are free. Those of this round are not used before the next: its events may still name them.
    free: Vec<usize>,
    freed: Vec<usize>,
    /// When to look whether a client is quiet: the earliest first.
    wakes: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    next: u64,
    chunk: Vec<u8>,
}

impl Loop {
    fn new(core: Arc<Core>, epoll: OwnedFd, door: Arc<Door>) -> Loop {
        Loop {
            core,
            epoll,
            door,
            talks: Vec::new(),
            free: Vec::new(),
            freed: Vec::new(),
            wakes: BinaryHeap::new(),
            next: 0,
            chunk: vec![0; 4 * CHUNK],
        }
    }

    /// Whatever ends it: what is left is closed, and nothing comes any more.
    fn run_to_end<H: Handler>(mut self, handler: &H) {
        let result = catch_unwind(AssertUnwindSafe(|| self.run(handler)));
        let mut inbox = self.door.inbox();
        inbox.is_closed = true;
        let accepted = mem::take(&mut inbox.accepted);
        drop(inbox);
        drop(accepted);
        for place in 0..self.talks.len() {
            self.close(place, Some(Ok(())));
        }
        if let Err(payload) = result {
            shield(move || drop(payload));
            crate::system::tell(format_args!("fourfold server: a loop has ended by a panic"));
        }
    }

    fn run<H: Handler>(&mut self, handler: &H) {
        let mut events = Vec::with_capacity(256);
        loop {
            self.free.append(&mut self.freed);
            events.clear();
            let limit = self.wakes.peek().map(|Reverse((at, ..))| {
                let rest = at.saturating_duration_since(Instant::now());
                // The next millisecond: not before its time.
                Duration::from_millis(rest.as_millis() as u64 + 1).try_into().unwrap_or_default()
            });
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                limit.as_ref(),
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    let error = io::Error::from(error);
                    crate::system::tell(format_args!("fourfold server: a loop ends: {error}"));
                    return;
                }
            }
            for event in &events {
                let (data, flags) = (event.data, event.flags);
                match data.u64() {
                    BELL => {
                        if !self.take_in(handler) {
                            return;
                        }
                    }
                    place => self
                        .attend(place as usize, |talk, chunk, core| talk.ready(flags, chunk, core)),
                }
            }
            self.wake();
        }
    }

    /// New connections. False once the door is closed and nobody is there.
    fn take_in<H: Handler>(&mut self, handler: &H) -> bool {
        let _ = rustix::io::read(&self.door.bell, &mut [0; 8]);
        let mut inbox = self.door.inbox();
        let accepted = mem::take(&mut inbox.accepted);
        let is_closed = inbox.is_closed;
        drop(inbox);
        for accepted in accepted {
            self.admit(handler, accepted);
        }
        !is_closed
    }

    fn admit<H: Handler>(&mut self, handler: &H, accepted: Accepted) {
        let Accepted { socket, peer, seat } = accepted;
        let result = match &socket {
            Socket::Tcp(socket) => socket.set_nonblocking(true),
            Socket::Unix(socket) => socket.set_nonblocking(true),
        };
        if let Err(error) = result {
            return self.core.reject(peer, error.into());
        }
        let made = catch_unwind(AssertUnwindSafe(|| {
            let protocol = handler.converse(&peer)?;
            let least = Duration::from_millis(1);
            let wake = protocol.wake_after().map(|wake| wake.max(least));
            Some((protocol, wake))
        }));
        if matches!(made, Ok(None)) {
            return self.core.reject(peer, Error::invalid("the handler is no protocol"));
        }
        let entry = self.core.ledger.enter(Stream::blocking(socket), peer);
        let (protocol, wake) = match made {
            Ok(made) => made.expect("just looked at"),
            Err(payload) => {
                shield(move || drop(payload));
                self.core.leave(&entry);
                return self.core.note(entry.verdict(), None);
            }
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.talks.push(None);
            self.talks.len() - 1
        });
        let data = EventData::new_u64(place as u64);
        if let Err(error) = epoll::add(&self.epoll, entry.stream.as_fd(), data, EventFlags::IN) {
            self.free.push(place);
            self.core.leave(&entry);
            shield(move || drop(protocol));
            return self.core.reject(entry.peer.clone(), io::Error::from(error).into());
        }
        let heard = Instant::now();
        self.next += 1;
        let talk = Talk {
            entry,
            wake,
            silent: self.core.ledger.now(),
            number: self.next,
            protocol,
            buffers: Buffers::default(),
            interest: EventFlags::IN,
            end: None,
            answered: false,
            told: false,
            began: None,
            heard,
            _seat: seat,
        };
        if let Some(at) = talk.wake.and_then(|wake| heard.checked_add(wake)) {
            self.wakes.push(Reverse((at, place, self.next)));
        }
        talk.entry.is_at(At::Working, &self.core.ledger);
        self.talks[place] = Some(talk);
        self.attend(place, |talk, _, core| {
            let result = talk.protocol.connected(&mut talk.buffers.answer);
            talk.follow(result);
            talk.write(core)
        });
    }

    /// Takes a conversation a step further. A panic is its end.
    fn attend(&mut self, place: usize, step: impl FnOnce(&mut Talk, &mut [u8], &Core) -> Step) {
        // It may have ended in this round.
        let Some(talk) = self.talks.get_mut(place).and_then(Option::as_mut) else { return };
        let (core, chunk) = (&*self.core, &mut self.chunk[..]);
        // Unwind safe: a conversation whose step panicked is dropped.
        let result = catch_unwind(AssertUnwindSafe(|| step(talk, chunk, core)));
        let step = result.unwrap_or_else(|payload| {
            shield(move || drop(payload));
            Step::Over(None)
        });
        match step {
            Step::Wait => {
                let interest = talk.interest();
                if interest != talk.interest {
                    talk.interest = interest;
                    let data = EventData::new_u64(place as u64);
                    let _ = epoll::modify(&self.epoll, talk.entry.stream.as_fd(), data, interest);
                }
            }
            Step::Over(end) => self.close(place, end),
        }
    }

    fn close(&mut self, place: usize, end: End) {
        let Some(talk) = self.talks[place].take() else { return };
        let _ = epoll::delete(&self.epoll, talk.entry.stream.as_fd());
        self.freed.push(place);
        let Talk { entry, protocol, end: unsaid, _seat, .. } = talk;
        shield(move || drop((protocol, unsaid)));
        let verdict = entry.verdict();
        self.core.leave(&entry);
        drop(entry);
        shield(|| self.core.note(verdict, end));
    }

    /// Tells protocols of the silence of their clients.
    fn wake(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, place, number))) = self.wakes.peek().copied() {
            if at > now {
                return;
            }
            self.wakes.pop();
            // It may be of another one that had the place before.
            let talk = self.talks[place].as_ref().filter(|talk| talk.number == number);
            let Some((talk, wake)) = talk.and_then(|talk| Some((talk, talk.wake?))) else {
                continue;
            };
            // It was heard of since.
            let due = talk.heard.checked_add(wake);
            if let Some(due) = due.filter(|due| *due > now) {
                self.wakes.push(Reverse((due, place, number)));
                continue;
            }
            // Nothing is said to a client that takes nothing.
            if talk.buffers.unwritten().is_empty() && talk.end.is_none() {
                self.attend(place, |talk, _, core| {
                    talk.heard = now;
                    let result = talk.protocol.quiet(&mut talk.buffers.answer);
                    talk.follow(result);
                    talk.say(core)
                });
            }
            if self.talks[place].as_ref().is_some_and(|talk| talk.number == number)
                && let Some(due) = now.checked_add(wake)
            {
                self.wakes.push(Reverse((due, place, number)));
            }
        }
    }
}

impl Talk {
    /// It is read from unless it is ending or has an answer to write.
    fn interest(&self) -> EventFlags {
        let mut interest = EventFlags::empty();
        let waiting = self.buffers.unwritten().len();
        if self.end.is_none() && waiting == 0 {
            interest |= EventFlags::IN;
        }
        if waiting > 0 {
            interest |= EventFlags::OUT;
        }
        interest
    }

    fn ready(&mut self, flags: EventFlags, chunk: &mut [u8], core: &Core) -> Step {
        if self.entry.verdict() != Verdict::None {
            return Step::Over(Some(Ok(())));
        }
        if flags.intersects(EventFlags::OUT | EventFlags::ERR)
            && !self.buffers.unwritten().is_empty()
        {
            return self.write(core);
        }
        self.read(chunk, core)
    }

    fn read(&mut self, chunk: &mut [u8], core: &Core) -> Step {
        let (entry, ledger) = (&*self.entry, &core.ledger);
        let count = match entry.stream.read(chunk) {
            Ok(count) => count,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => return Step::Wait,
                _ => return Step::Over(Some(Err(error))),
            },
        };
        entry.is_at(At::Working, ledger);
        if count == 0 {
            if self.buffers.has_left() {
                let protocol = &mut *self.protocol;
                let result = self.buffers.feed(protocol, &[], true, usize::MAX);
                self.follow(result);
            }
            self.end.get_or_insert(Ok(()));
            return self.write(core);
        }
        entry.turn_begins(ledger);
        self.silent = ledger.now();
        self.heard_of(core);
        let most = core.settings.max_message;
        let result = self.buffers.feed(&mut *self.protocol, &chunk[..count], false, most);
        self.follow(result);
        self.write(core)
    }

    fn heard_of(&mut self, core: &Core) {
        if self.wake.is_some() {
            self.heard = Instant::now();
        }
        if core.settings.latency && self.began.is_none() {
            self.began = Some(Instant::now());
        }
    }

    /// What a step of the protocol says.
    fn follow(&mut self, result: io::Result<Flow>) {
        match result {
            Ok(Flow::Go) => {}
            Ok(Flow::Close) => self.end = Some(Ok(())),
            Err(error) => self.end = Some(Err(error)),
        }
    }

    /// Writes what is no answer to a turn.
    fn say(&mut self, core: &Core) -> Step {
        let step = self.write_some(core, true);
        // What the client has not taken yet is part of its next answer.
        step.unwrap_or_else(|| self.wait(core))
    }

    /// Writes what the client takes.
    fn write(&mut self, core: &Core) -> Step {
        if let Some(step) = self.write_some(core, false) {
            return step;
        }
        if mem::take(&mut self.answered) {
            if self.entry.in_turn() {
                self.silent = core.ledger.now();
            }
            self.entry.turn_ends();
            if let Some(began) = self.began.take() {
                core.tally.latency(began.elapsed());
            }
        }
        self.wait(core)
    }

    /// `None` once all is written.
    fn write_some(&mut self, core: &Core, is_aside: bool) -> Option<Step> {
        let (entry, ledger) = (&*self.entry, &core.ledger);
        while !self.buffers.unwritten().is_empty() {
            match entry.stream.try_write(self.buffers.unwritten()) {
                Ok(count) => {
                    self.answered |= !is_aside;
                    self.buffers.wrote(count);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => {
                        entry.is_at(At::Writing, ledger);
                        return Some(Step::Wait);
                    }
                    _ => return Some(Step::Over(Some(Err(error)))),
                },
            }
        }
        None
    }

    /// All is written: it waits for the client, or is over.
    fn wait(&mut self, core: &Core) -> Step {
        let (entry, ledger) = (&*self.entry, &core.ledger);
        if let Some(end) = self.end.take() {
            return Step::Over(Some(end));
        }
        if self.buffers.has_left() {
            entry.turn_begins(ledger);
        }
        if entry.in_turn() {
            entry.is_still_at(At::Reading, self.silent);
        } else {
            if ledger.is_draining() {
                // As a blocking read does: what had come before is a turn yet; it is the last.
                if mem::replace(&mut self.told, true) {
                    return Step::Over(Some(Ok(())));
                }
                let _ = entry.stream.shutdown(Shutdown::Read);
            }
            entry.is_still_at(At::Idle, self.silent);
        }
        Step::Wait
    }
}
