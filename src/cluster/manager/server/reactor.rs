//! The thread that serves all connections of a manager.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fourfold_wire::talk;
use rustix::event::epoll;
use rustix::event::{Timespec, epoll::EventFlags};

use super::connection::{Connection, Read};
use super::deadlines::{Deadlines, What, timeout};
use super::listener::Listener;
use super::objects::Objects;
use crate::process::patience::{Patience, look_for};
use crate::words::Participant;

/// What the poller says an event is of. Connections count on from the last.
const WAKE: u64 = 0;
const LISTENER: u64 = 1;
const FIRST: u64 = 2;

/// How long a server that stops waits for its last replies to go out.
const LAST: Duration = Duration::from_secs(1);
/// How long no connection is accepted when there are no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// How many connections are accepted before others have their turn.
const ACCEPTED: usize = 64;

/// How long to look for the next request where the last came within this time: that of a client which waits in the same way,
/// not of one that sleeps or runs Python, for which it would be spent in vain.
const NEXT: Duration = Duration::from_micros(20);

/// How long to look for the rest of a handshake or of a command. They come in short rows, with much to do at the other end,
/// but seldom.
const REST: Duration = Duration::from_micros(60);

/// What the thread and its handle both see.
#[derive(Debug)]
pub(super) struct Bell {
    /// An eventfd: the handle asks the thread to stop.
    pub(super) stop: OwnedFd,
}

impl Bell {
    pub(super) fn new() -> std::io::Result<Bell> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Bell { stop: eventfd(0, EventfdFlags::CLOEXEC)? })
    }
}

pub(super) struct Reactor {
    pub(super) epoll: OwnedFd,
    listener: Listener,
    bell: Arc<Bell>,
    options: talk::ServerOptions,
    /// Within which a peer has to have proved that it knows the key.
    handshake: Duration,
    pub(super) address: talk::Address,
    pub(super) objects: Objects,
    pub(super) connections: HashMap<u64, Connection>,
    next: u64,
    pub(super) deadlines: Deadlines,
    /// Until when no connection is accepted.
    paused: Option<Instant>,
    buffer: Vec<u8>,
    /// Connections that may have requests here which nothing else leads to.
    pub(super) again: Vec<u64>,
    pub(super) stopping: bool,
    patience: Patience,
    /// Whether somebody who has just said something goes on with it at once: a handshake, or a command.
    in_conversation: bool,
}

impl Reactor {
    pub(super) fn new(
        listener: Listener,
        bell: Arc<Bell>,
        options: talk::ServerOptions,
        handshake: Duration,
        address: talk::Address,
        objects: Objects,
    ) -> std::io::Result<Reactor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64;
        epoll::add(&epoll, &bell.stop, data(WAKE), EventFlags::IN)?;
        epoll::add(&epoll, listener.as_fd(), data(LISTENER), EventFlags::IN)?;
        Ok(Reactor {
            epoll,
            listener,
            bell,
            options,
            handshake,
            address,
            objects,
            connections: HashMap::new(),
            next: FIRST,
            deadlines: Deadlines::new(),
            paused: None,
            buffer: vec![0; 64 << 10],
            again: Vec::new(),
            stopping: false,
            patience: Patience::of(NEXT),
            in_conversation: false,
        })
    }

    /// Serves until it is told to stop, by its handle or by a client.
    pub(super) fn run(mut self) -> std::io::Result<()> {
        let mut events = Vec::with_capacity(256);
        while !self.stopping {
            self.poll(&mut events)?;
            for event in events.drain(..) {
                let event: epoll::Event = event;
                match event.data.u64() {
                    WAKE => self.stopping = true,
                    LISTENER => self.accept(),
                    id => self.ready(id, event.flags),
                }
            }
            self.expire();
            // Not where they are found, and those that this leads to in the next turn: there may be no end to it.
            for id in std::mem::take(&mut self.again) {
                self.pump(id);
            }
        }
        self.say_last_words();
        Ok(())
    }

    fn poll(&mut self, events: &mut Vec<epoll::Event>) -> std::io::Result<()> {
        let began = Instant::now();
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        if !self.again.is_empty() {
            return match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(events),
                Some(&none),
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        let look = || {
            let room = rustix::buffer::spare_capacity(&mut *events);
            !matches!(epoll::wait(&self.epoll, room, Some(&none)), Ok(0))
        };
        match std::mem::take(&mut self.in_conversation) {
            true => look_for(REST, look),
            false => drop(self.patience.look(look)),
        }
        if !events.is_empty() {
            self.patience.learn(began.elapsed());
            return Ok(());
        }
        let next = [self.deadlines.next(), self.paused].into_iter().flatten().min();
        let timeout = next.map(|at| timeout(at.saturating_duration_since(Instant::now())));
        // Older kernels know whole milliseconds only, and rustix rounds up for them.
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {
                self.patience.learn(began.elapsed());
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTED {
            match self.listener.accept() {
                Ok(Some(socket)) => self.welcome(socket),
                Ok(None) => return,
                Err(_) => {
                    // No descriptors, most likely: rest a while rather than spin.
                    let _ = epoll::delete(&self.epoll, self.listener.as_fd());
                    self.paused = Some(Instant::now() + PAUSE);
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, socket: OwnedFd) {
        let Ok(session) = talk::Server::random(&self.options) else { return };
        let id = self.next;
        self.next += 1;
        let data = epoll::EventData::new_u64(id);
        if epoll::add(&self.epoll, &socket, data, EventFlags::IN).is_err() {
            return;
        }
        // What is longer than the clock can tell is for ever.
        if let Some(at) = Instant::now().checked_add(self.handshake) {
            self.deadlines.add(at, id, What::Handshake);
        }
        self.connections.insert(id, Connection::new(socket, session));
        self.in_conversation = true;
        self.flush(id);
    }

    fn ready(&mut self, id: u64, flags: EventFlags) {
        let is_cut = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        if is_cut && let Some(connection) = self.connections.get_mut(&id) {
            connection.lose();
        }
        if is_cut || flags.contains(EventFlags::OUT) {
            self.flush(id);
        }
        if is_cut || flags.contains(EventFlags::IN) {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            // What came before is first; the poller tells of this again.
            if connection.queued {
                return;
            }
            self.in_conversation |= !connection.session.is_for_calls();
            if let Read::Ended = connection.read(&mut self.buffer) {
                // What it had sent before is carried out.
                connection.lose();
                connection.has_ended = true;
            }
            self.pump(id);
        }
    }

    /// Ends the waits whose time is over.
    fn expire(&mut self) {
        let now = Instant::now();
        let connections = &self.connections;
        self.deadlines.tidy(|id, what| connections.get(&id).is_some_and(|c| c.awaits(what)));
        if self.paused.is_some_and(|until| until <= now) {
            let data = epoll::EventData::new_u64(LISTENER);
            let is_back = epoll::add(&self.epoll, self.listener.as_fd(), data, EventFlags::IN);
            // It takes memory, which may be what is short.
            self.paused = is_back.is_err().then(|| now + PAUSE);
        }
        while let Some((id, what)) = self.deadlines.take(now) {
            let Some(connection) = self.connections.get(&id).filter(|c| c.awaits(what)) else {
                continue;
            };
            match (what, connection.waits) {
                (What::Wait(_), Some(object_id)) => {
                    let Some(object) = self.objects.object(object_id) else { continue };
                    let mut due = Vec::new();
                    object.thing.time_out(Participant::alone(id), &mut due);
                    self.deliver(due, None);
                }
                _ => self.close(id),
            }
        }
    }

    /// Sends the replies that are still to be sent, for a short while.
    fn say_last_words(&mut self) {
        let until = Instant::now() + LAST;
        // What is not read any more would wake the poller again and again.
        let _ = epoll::delete(&self.epoll, &self.bell.stop);
        let _ = epoll::delete(&self.epoll, self.listener.as_fd());
        let epoll = &self.epoll;
        self.connections.retain(|&id, connection| {
            let data = epoll::EventData::new_u64(id);
            connection.flush();
            !connection.session.output().is_empty()
                && epoll::modify(epoll, &connection.socket, data, EventFlags::OUT).is_ok()
        });
        let mut events = Vec::with_capacity(256);
        while !self.connections.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let room = rustix::buffer::spare_capacity(&mut events);
            let _ = epoll::wait(&self.epoll, room, Some(&timeout(left)));
            for event in events.drain(..) {
                let event: epoll::Event = event;
                let id = event.data.u64();
                let Some(connection) = self.connections.get_mut(&id) else { continue };
                connection.flush();
                let flags = event.flags;
                if flags.intersects(EventFlags::HUP | EventFlags::ERR)
                    || connection.session.output().is_empty()
                {
                    self.connections.remove(&id);
                }
            }
        }
    }
}
