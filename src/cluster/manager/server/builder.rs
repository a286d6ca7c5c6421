//! What a server is to serve, and where.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fourfold_wire::pickle::{Globals, Limits, Reader};
use fourfold_wire::talk::ServerOptions;

use super::listener::Listener;
use super::objects::Objects;
use super::reactor::{Bell, Reactor};
use super::thing::Thing;
use super::{HandBack, QueueOptions, Server};
use crate::cluster::manager::address::ToAddress;
use crate::cluster::manager::item::Item;
use crate::cluster::manager::{Address, Key, Value};
use crate::error::{Error, Result};
use crate::words::{Barrier, Condition, Dict, Event, List, Lock, Order, Queue, RLock, Semaphore};

/// What a [`Server`] is to serve, and where. Made by [`Server::builder`].
pub struct ServerBuilder {
    options: ServerOptions,
    registered: Vec<(String, Thing)>,
    creation: bool,
    plaintext: bool,
    handshake: Duration,
    reader: Reader,
    limits: Limits,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.registered.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ServerBuilder").field("registered", &names).finish_non_exhaustive()
    }
}

impl ServerBuilder {
    pub(super) fn new(key: Key) -> ServerBuilder {
        ServerBuilder {
            options: ServerOptions::new(key),
            registered: Vec::new(),
            creation: true,
            plaintext: false,
            handshake: Duration::from_secs(10),
            reader: Reader::new(),
            limits: Limits::default(),
        }
    }

    fn register(mut self, name: &str, thing: Thing) -> ServerBuilder {
        self.registered.retain(|(other, _)| other != name);
        self.registered.push((name.to_owned(), thing));
        self
    }

    /// Serves an unbounded queue, first in first out, under a name: what a Python program has as
    /// `register(name, callable=lambda: queue)`.
    pub fn queue(self, name: &str) -> ServerBuilder {
        self.queue_with(name, QueueOptions::default())
    }

    /// Serves a queue with options under a name.
    pub fn queue_with(self, name: &str, options: QueueOptions) -> ServerBuilder {
        let QueueOptions { order, capacity, hand_back } = options;
        let queue = Queue::new(order, capacity, hand_back.into());
        self.register(name, Thing::Queue(queue, order))
    }

    /// Serves a lock under a name. Anybody may release it; it is free when its holder's connection ends.
    pub fn lock(self, name: &str) -> ServerBuilder {
        self.register(name, Thing::Lock(Lock::default()))
    }

    /// Serves a lock under a name that its holder may take again.
    pub fn rlock(self, name: &str) -> ServerBuilder {
        self.register(name, Thing::RLock(RLock::default()))
    }

    /// Serves a semaphore under a name. With `bounded`, it never has more permits than it begins with.
    pub fn semaphore(self, name: &str, permits: usize, bounded: bool) -> ServerBuilder {
        let semaphore = if bounded { Semaphore::bounded(permits) } else { Semaphore::new(permits) };
        self.register(name, Thing::Semaphore(semaphore))
    }

    /// Serves an event under a name.
    pub fn event(self, name: &str) -> ServerBuilder {
        self.register(name, Thing::Event(Event::default()))
    }

    /// Serves a condition under a name.
    pub fn condition(self, name: &str) -> ServerBuilder {
        self.register(name, Thing::Condition(Condition::default()))
    }

    /// Serves a barrier under a name, for so many participants, one at least.
    pub fn barrier(self, name: &str, parties: usize) -> ServerBuilder {
        self.register(name, Thing::Barrier(Barrier::new(parties.max(1))))
    }

    /// Serves an empty list under a name.
    pub fn list(self, name: &str) -> ServerBuilder {
        self.register(name, Thing::List(List::new(Vec::new())))
    }

    /// Serves an empty dict under a name.
    pub fn dict(self, name: &str) -> ServerBuilder {
        self.register(name, Thing::Dict(Dict::default()))
    }

    /// Serves a namespace without names in it under a name.
    pub fn namespace(self, name: &str) -> ServerBuilder {
        self.register(name, Thing::Namespace(Dict::default()))
    }

    /// Serves one value under a name.
    pub fn value(self, name: &str, value: impl Into<Value>) -> ServerBuilder {
        let value = Item::new(value.into());
        self.register(name, Thing::Value { code: "i".to_owned(), value })
    }

    /// Whether clients may create objects of their own (`Queue`, `list`, `Lock` and so on). Default: yes.
    pub fn creation(mut self, allowed: bool) -> ServerBuilder {
        self.creation = allowed;
        self
    }

    /// Whether the server may listen where other machines can reach it. Default: no.
    ///
    /// The protocol has no encryption: who can read the network reads every value, and who can change what goes over
    /// it can take over a connection after its handshake.
    pub fn plaintext(mut self, allowed: bool) -> ServerBuilder {
        self.plaintext = allowed;
        self
    }

    /// Whether peers may authenticate by HMAC-MD5, which is all that CPython before 3.12 has. Default: yes.
    pub fn allow_md5(mut self, allowed: bool) -> ServerBuilder {
        self.options.policy.allow_md5 = allowed;
        self
    }

    /// Within which time a peer has to prove that it knows the key. Default: ten seconds.
    pub fn handshake_timeout(mut self, limit: Duration) -> ServerBuilder {
        self.handshake = limit;
        self
    }

    /// The longest message, in bytes. Default: 64 MiB.
    pub fn message_limit(mut self, bytes: u64) -> ServerBuilder {
        self.options.limit = bytes;
        self.limits.bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self
    }

    /// Which classes and functions values may name, for the sake of the Python programs behind the words. Default: any.
    pub fn globals(mut self, globals: Globals) -> ServerBuilder {
        self.reader = self.reader.globals(globals);
        self
    }

    /// Listens, and serves from a thread of its own.
    ///
    /// # Errors
    ///
    /// The address cannot be listened at, is none, or is one that other machines can reach without
    /// [`plaintext`](ServerBuilder::plaintext).
    pub fn bind(self, address: impl ToAddress) -> Result<Server> {
        let address = address.to_address()?;
        if !address.is_local() && !self.plaintext {
            return Err(Error::invalid(format!(
                "{address} can be reached by other machines, and this protocol has no encryption: \
                 say plaintext if that is meant"
            )));
        }
        let told = |error| Error::invalid(format!("cannot listen at {address}")).with_source(error);
        let (listener, address) = Listener::bind(&address).map_err(told)?;
        self.serve(listener, address)
    }

    fn serve(mut self, listener: Listener, address: Address) -> Result<Server> {
        use rustix::event::{EventfdFlags, eventfd};
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
        let bell = Arc::new(Bell { stop });
        self.options.reader = self.reader.limits(self.limits);
        let objects = Objects::new(self.registered, self.creation);
        let reactor = Reactor::new(
            listener,
            bell.clone(),
            self.options,
            self.handshake,
            address.to_wire(),
            objects,
        )?;
        let thread = std::thread::Builder::new()
            .name("fourfold-manager".to_owned())
            .spawn(move || reactor.run())?;
        Ok(Server::new(address, bell, thread))
    }
}

impl From<HandBack> for crate::words::HandBack {
    fn from(hand_back: HandBack) -> Self {
        match hand_back {
            HandBack::Never => crate::words::HandBack::Never,
            HandBack::UntilDone => crate::words::HandBack::UntilDone,
            HandBack::UntilNext => crate::words::HandBack::UntilNext,
        }
    }
}

impl Default for QueueOptions {
    fn default() -> Self {
        QueueOptions { order: Order::Fifo, capacity: 0, hand_back: HandBack::default() }
    }
}
