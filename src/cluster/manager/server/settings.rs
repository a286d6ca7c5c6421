//! What a server is, in words that can be told to another process.

use std::sync::Arc;
use std::time::Duration;

use fourfold_wire::pickle::{Globals, Limits, Reader, Value};
use fourfold_wire::talk::ServerOptions;
use serde::{Deserialize, Serialize};

use super::QueueOptions;
use super::listener::Listener;
use super::objects::Objects;
use super::reactor::{Bell, Reactor};
use super::thing::Thing;
use crate::cluster::manager::item::Item;
use crate::cluster::manager::{Address, Key};
use crate::error::{Error, Result};
use crate::words::{Barrier, Condition, Dict, Event, List, Lock, Queue, RLock, Semaphore};

/// All that is set about a server but where it listens.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    key: Vec<u8>,
    pub(super) allow_md5: bool,
    /// Within which a peer has to have proved that it knows the key.
    pub(super) handshake: Duration,
    /// The longest message, in bytes.
    pub(super) limit: u64,
    globals: Option<Vec<(String, String)>>,
    pub(super) registered: Vec<(String, Kind)>,
    pub(super) creation: bool,
}

/// What is served under a name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Kind {
    Queue(QueueOptions),
    Lock,
    RLock,
    Semaphore {
        permits: usize,
        bounded: bool,
    },
    Event,
    Condition,
    Barrier {
        parties: usize,
    },
    List,
    Dict,
    Namespace,
    /// The pickle of its first value.
    Value(Vec<u8>),
}

impl Settings {
    pub(super) fn new(key: &Key) -> Settings {
        let ServerOptions { policy, limit, .. } = ServerOptions::new(key.clone());
        Settings {
            key: key.expose().to_vec(),
            allow_md5: policy.allow_md5,
            handshake: Duration::from_secs(10),
            limit,
            globals: None,
            registered: Vec::new(),
            creation: true,
        }
    }

    pub(super) fn allow(&mut self, globals: &Globals) {
        let owned = |(module, name): (&str, &str)| (module.to_owned(), name.to_owned());
        self.globals = globals.list().map(|list| list.map(owned).collect());
    }

    /// What serves at a socket.
    pub(super) fn reactor(
        self,
        listener: Listener,
        address: &Address,
        bell: Arc<Bell>,
    ) -> Result<Reactor> {
        let mut limits = Limits::default();
        limits.bytes = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let globals = self.globals.map_or_else(Globals::any, Globals::only);
        let mut options = ServerOptions::new(Key::new(self.key));
        options.policy.allow_md5 = self.allow_md5;
        options.reader = Reader::new().limits(limits).globals(globals);
        options.limit = self.limit;
        let registered = self.registered.into_iter().map(|(name, kind)| Ok((name, kind.make()?)));
        let objects = Objects::new(registered.collect::<Result<_>>()?, self.creation);
        let wire = address.to_wire();
        Ok(Reactor::new(listener, bell, options, self.handshake, wire, objects)?)
    }
}

impl Kind {
    fn make(self) -> Result<Thing> {
        Ok(match self {
            Kind::Queue(QueueOptions { order, capacity, hand_back }) => {
                Thing::Queue(Box::new(Queue::new(order, capacity, hand_back.into())), order)
            }
            Kind::Lock => Thing::Lock(Lock::default()),
            Kind::RLock => Thing::RLock(RLock::default()),
            Kind::Semaphore { permits, bounded: false } => {
                Thing::Semaphore(Semaphore::new(permits))
            }
            Kind::Semaphore { permits, bounded: true } => {
                Thing::Semaphore(Semaphore::bounded(permits))
            }
            Kind::Event => Thing::Event(Event::default()),
            Kind::Condition => Thing::Condition(Condition::default()),
            Kind::Barrier { parties } => Thing::Barrier(Barrier::new(parties), None),
            Kind::List => Thing::List(List::new(Vec::new())),
            Kind::Dict => Thing::Dict(Dict::default()),
            Kind::Namespace => Thing::Namespace(Dict::default()),
            Kind::Value(pickle) => {
                let value = Value::read(&pickle).map_err(|error| {
                    Error::invalid("the value of a word cannot be read").with_source(error)
                })?;
                Thing::Value { code: "i".to_owned(), value: Item::new(value) }
            }
        })
    }
}
