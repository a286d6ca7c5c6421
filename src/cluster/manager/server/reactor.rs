//! The thread that serves all connections of a manager.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fourfold_wire::pickle::Value;
use fourfold_wire::talk::{self, Command, Exception, Reply, Request, Token};
use rustix::event::epoll;
use rustix::event::{Timespec, epoll::EventFlags};

use super::connection::{Connection, Read};
use super::listener::Listener;
use super::objects::{self, Objects};
use super::thing::{ACQUIRE_TOLD, Called, Due};
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

/// How long to look for the next request where the last came within this time: that of a client which waits in the same way,
/// not of one that sleeps or runs Python, for which it would be spent in vain.
const NEXT: Duration = Duration::from_micros(10);

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
    /// Held so that what the poller looks at stays open.
    _bell: Arc<Bell>,
    options: talk::ServerOptions,
    /// Within which a peer has to have proved that it knows the key.
    handshake: Duration,
    address: talk::Address,
    pub(super) objects: Objects,
    pub(super) connections: HashMap<u64, Connection>,
    next: u64,
    deadlines: BinaryHeap<Reverse<(Instant, u64, u64)>>,
    /// Until when no connection is accepted.
    paused: Option<Instant>,
    buffer: Vec<u8>,
    /// Connections whose next request came before the reply to the last.
    pub(super) again: Vec<u64>,
    stopping: bool,
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
            _bell: bell,
            options,
            handshake,
            address,
            objects,
            connections: HashMap::new(),
            next: FIRST,
            deadlines: BinaryHeap::new(),
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
            // Not where they are found: one could lead to the next, without end.
            while let Some(id) = self.again.pop() {
                self.pump(id);
            }
        }
        self.say_last_words();
        Ok(())
    }

    fn poll(&mut self, events: &mut Vec<epoll::Event>) -> std::io::Result<()> {
        let began = Instant::now();
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let look = || {
            let room = rustix::buffer::spare_capacity(&mut *events);
            !matches!(epoll::wait(&self.epoll, room, Some(&none)), Ok(0))
        };
        match std::mem::take(&mut self.in_conversation) {
            true => look_for(REST, look),
            false => self.patience.look(look),
        }
        if !events.is_empty() {
            self.patience.learn(began.elapsed());
            return Ok(());
        }
        let deadline = self.deadlines.peek().map(|Reverse((at, ..))| *at);
        let next = [deadline, self.paused].into_iter().flatten().min();
        let timeout = next.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
        });
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
        loop {
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
        self.deadlines.push(Reverse((Instant::now() + self.handshake, id, 0)));
        self.connections.insert(id, Connection::new(socket, session));
        self.in_conversation = true;
        self.flush(id);
    }

    fn ready(&mut self, id: u64, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.flush(id);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            self.in_conversation |= !connection.session.is_for_calls();
            match connection.read(&mut self.buffer) {
                Read::Drained => self.pump(id),
                Read::Ended => self.close(id),
            }
        }
    }

    /// Carries out the requests that have come, as far as it goes without waiting.
    pub(super) fn pump(&mut self, id: u64) {
        loop {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            match connection.session.next_request() {
                Ok(Some(request)) => self.carry_out(id, request),
                Ok(None) => break,
                Err(_) => {
                    // What is left says why; nobody else needs to hear of it.
                    let _ = connection.flush();
                    return self.close(id);
                }
            }
        }
        self.flush(id);
    }

    fn carry_out(&mut self, id: u64, request: Request) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        for identity in request.arguments.identities() {
            self.objects.keep(&identity);
        }
        if !connection.session.is_command() {
            return self.call(id, request);
        }
        let result = request.into_command().and_then(|command| self.command(id, command));
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match result {
            Ok(Some(reply)) => connection.session.reply(&reply),
            Ok(None) => connection.session.accept(),
            // As a stock server, which tells its own failures as text.
            Err(error) => connection.session.reply(&traceback(&error)),
        }
    }

    /// Carries out a request to the manager itself. `None`: calls may come.
    fn command(&mut self, _: u64, command: Command) -> Result<Option<Reply>, Exception> {
        Ok(Some(match command {
            Command::Dummy => Reply::none(),
            Command::Accept(_) => return Ok(None),
            Command::Create { typeid, arguments } => {
                let (object, exposed) = self.objects.create(&typeid, &arguments)?;
                let names = Value::tuple(exposed.iter().map(|&name| Value::from(name)));
                Reply::Return(Value::tuple([Value::from(objects::name(object)), names]))
            }
            Command::Incref(text) => self.objects.incref(&text).map(|()| Reply::none())?,
            Command::Decref(text) => self.objects.decref(&text).map(|()| Reply::none())?,
            Command::GetMethods(token) => {
                let missing = || Exception::new("builtins", "KeyError").with(token.id.as_str());
                let (_, object) = self.objects.find(&token.id).ok_or_else(missing)?;
                let names = object.thing.exposed().iter().map(|&name| Value::from(name));
                Reply::Return(Value::tuple(names))
            }
            Command::DebugInfo => Reply::Return(Value::from(self.objects.debug_info())),
            Command::NumberOfObjects => Reply::Return(Value::from(self.objects.count() as i64)),
            Command::Shutdown => {
                self.stopping = true;
                Reply::none()
            }
            _ => return Err(super::errors::type_error("this is not served here")),
        }))
    }

    fn call(&mut self, id: u64, request: Request) {
        let mut due = Vec::new();
        let reply = match request.into_call() {
            Err(_) => Some(traceback(&Exception::new("builtins", "KeyError").with(Value::none()))),
            Ok(call) => self.call_object(id, call, &mut due),
        };
        if let (Some(reply), Some(connection)) = (reply, self.connections.get_mut(&id)) {
            connection.session.reply(&reply);
        }
        self.deliver(due, Some(id));
    }

    /// Calls a method. The reply is given here, or is among those that are due, or the connection waits for it.
    fn call_object(&mut self, id: u64, call: talk::Call, due: &mut Vec<Due>) -> Option<Reply> {
        let Some((object_id, object)) = self.objects.find(&call.target) else {
            let error = Exception::new("builtins", "KeyError").with(call.target.as_str());
            return Some(traceback(&error));
        };
        let connection = self.connections.get_mut(&id)?;
        connection.touch(object_id);
        connection.called = object_id;
        connection.told = call.method == ACQUIRE_TOLD;
        let who = Participant(id);
        match object.thing.call(who, &call.method, call.arguments, due) {
            Ok(Called::Reply(reply)) => Some(reply),
            Ok(Called::Asked(limit)) => {
                // Replies are in order: its own is mostly the first.
                if !due.iter().any(|due| due.to == who) {
                    connection.waits = Some(object_id);
                    connection.count += 1;
                    object.waiting += 1;
                    if let Some(at) = limit.and_then(|limit| Instant::now().checked_add(limit)) {
                        self.deadlines.push(Reverse((at, id, connection.count)));
                    }
                }
                None
            }
            Ok(Called::New(typeid, thing)) => {
                let exposed = thing.exposed().iter().map(|&name| name.to_owned()).collect();
                let new = self.objects.add(*thing);
                self.objects.refer(new);
                let token = Token {
                    typeid: typeid.to_owned(),
                    address: self.address.clone(),
                    id: objects::name(new),
                };
                Some(Reply::Proxy { exposed, token })
            }
            Ok(Called::Unknown) => Some(match call.method.as_str() {
                "__str__" | "__repr__" => Reply::Return(object.thing.describe().into()),
                "#GETVALUE" => match object.thing.value() {
                    Some(value) => Reply::Return(value),
                    None => Reply::Unserializable(format!(
                        "TypeError: cannot pickle '{}' object\n",
                        object.thing.type_name()
                    )),
                },
                _ => traceback(&super::errors::attribute_error(format!(
                    "method '{}' of <class '{}'> object is not in exposed={:?}",
                    call.method,
                    object.thing.type_name(),
                    object.thing.exposed()
                ))),
            }),
            Err(error) => Some(Reply::Error(error)),
        }
    }

    /// Ends the waits whose time is over.
    fn expire(&mut self) {
        let now = Instant::now();
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
            let data = epoll::EventData::new_u64(LISTENER);
            let _ = epoll::add(&self.epoll, self.listener.as_fd(), data, EventFlags::IN);
        }
        while let Some(&Reverse((at, id, count))) = self.deadlines.peek()
            && at <= now
        {
            self.deadlines.pop();
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            if count == 0 {
                if !connection.session.is_authenticated() {
                    self.close(id);
                }
            } else if let Some(object_id) = connection.waits
                && count == connection.count
                && let Some(object) = self.objects.object(object_id)
            {
                let mut due = Vec::new();
                object.thing.time_out(Participant(id), &mut due);
                self.deliver(due, None);
            }
        }
    }

    /// Sends the replies that are still to be sent, for a short while.
    fn say_last_words(&mut self) {
        let until = Instant::now() + LAST;
        loop {
            self.connections.retain(|_, connection| {
                connection.flush().is_ok() && !connection.session.output().is_empty()
            });
            let left = until.saturating_duration_since(Instant::now());
            if self.connections.is_empty() || left.is_zero() {
                return;
            }
            let timeout = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
            let mut events = Vec::with_capacity(16);
            let room = rustix::buffer::spare_capacity(&mut events);
            let _ = epoll::wait(&self.epoll, room, Some(&timeout));
        }
    }
}

fn traceback(error: &Exception) -> Reply {
    Reply::Traceback(format!("{error}\n"))
}
