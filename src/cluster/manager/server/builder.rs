//! What a server is to serve, and where.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use fourfold_wire::Dialect;
use fourfold_wire::pickle::Globals;

use super::listener::Listener;
use super::reactor::Bell;
use super::settings::{Kind, Settings};
use super::{HandBack, QueueOptions, Server, ServerProcess};
use crate::cluster::manager::address::ToAddress;
use crate::cluster::manager::{Address, Key, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::process::{self, Fd};
use crate::words::Order;

/// What a [`Server`] is to serve, and where. Made by [`Server::builder`].
#[derive(Clone)]
pub struct ServerBuilder {
    settings: Settings,
    plaintext: bool,
    /// What could not be taken as it was set, told when the server is to start.
    wrong: Option<String>,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("registered", &self.settings.registered)
            .finish_non_exhaustive()
    }
}

impl ServerBuilder {
    pub(super) fn new(key: &Key) -> ServerBuilder {
        ServerBuilder { settings: Settings::new(key), plaintext: false, wrong: None }
    }

    fn register(mut self, name: &str, kind: Kind) -> ServerBuilder {
        if self.settings.registered.iter().any(|(other, _)| other == name) {
            self.wrong = Some(format!("{name} is the name of two: each wants one of its own"));
        }
        self.settings.registered.push((name.to_owned(), kind));
        self
    }

    /// Serves an unbounded queue, first in first out, under a name: what a Python program has as
    /// `register(name, callable=lambda: queue)`.
    pub fn queue(self, name: &str) -> ServerBuilder {
        self.queue_with(name, QueueOptions::default())
    }

    /// Serves a queue with options under a name.
    pub fn queue_with(self, name: &str, options: QueueOptions) -> ServerBuilder {
        self.register(name, Kind::Queue(options))
    }

    /// Serves a lock under a name. Anybody may release it; it is free when its holder's connection ends.
    pub fn lock(self, name: &str) -> ServerBuilder {
        self.register(name, Kind::Lock)
    }

    /// Serves a lock under a name that its holder may take again.
    pub fn rlock(self, name: &str) -> ServerBuilder {
        self.register(name, Kind::RLock)
    }

    /// Serves a semaphore under a name. With `bounded`, it never has more permits than it begins with.
    pub fn semaphore(self, name: &str, permits: usize, bounded: bool) -> ServerBuilder {
        self.register(name, Kind::Semaphore { permits, bounded })
    }

    /// Serves an event under a name.
    pub fn event(self, name: &str) -> ServerBuilder {
        self.register(name, Kind::Event)
    }

    /// Serves a condition under a name.
    pub fn condition(self, name: &str) -> ServerBuilder {
        self.register(name, Kind::Condition)
    }

    /// Serves a barrier under a name, for so many participants, one at least.
    pub fn barrier(self, name: &str, parties: usize) -> ServerBuilder {
        self.register(name, Kind::Barrier { parties: parties.max(1) })
    }

    /// Serves an empty list under a name.
    pub fn list(self, name: &str) -> ServerBuilder {
        self.register(name, Kind::List)
    }

    /// Serves an empty dict under a name.
    pub fn dict(self, name: &str) -> ServerBuilder {
        self.register(name, Kind::Dict)
    }

    /// Serves a namespace without names in it under a name.
    pub fn namespace(self, name: &str) -> ServerBuilder {
        self.register(name, Kind::Namespace)
    }

    /// Serves one value under a name.
    pub fn value(mut self, name: &str, value: impl Into<Value>) -> ServerBuilder {
        match value.into().write(Dialect::Python3) {
            Ok(pickle) => self.register(name, Kind::Value(pickle)),
            Err(error) => {
                self.wrong = Some(format!("the value of {name}: {error}"));
                self
            }
        }
    }

    /// Whether clients may create objects of their own (`Queue`, `list`, `Lock` and so on). Default: yes.
    pub fn creation(mut self, allowed: bool) -> ServerBuilder {
        self.settings.creation = allowed;
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
        self.settings.allow_md5 = allowed;
        self
    }

    /// Within which time a peer has to prove that it knows the key. Default: ten seconds.
    pub fn handshake_timeout(mut self, limit: Duration) -> ServerBuilder {
        self.settings.handshake = limit;
        self
    }

    /// The longest message, in bytes. Default: 64 MiB.
    pub fn message_limit(mut self, bytes: u64) -> ServerBuilder {
        self.settings.limit = bytes;
        self
    }

    /// Which classes and functions values may name, for the sake of the Python programs behind the words. Default: any.
    pub fn globals(mut self, globals: Globals) -> ServerBuilder {
        self.settings.allow(&globals);
        self
    }

    /// Listens, and serves from a thread of its own.
    ///
    /// # Errors
    ///
    /// The address cannot be listened at, is none, or is one that other machines can reach without
    /// [`plaintext`](ServerBuilder::plaintext); two objects were given one name.
    pub fn bind(self, address: impl ToAddress) -> Result<Server> {
        let (listener, address) = self.listen(address)?;
        let bell = Arc::new(Bell::new()?);
        let reactor = self.settings.reactor(listener, &address, bell.clone())?;
        let thread = std::thread::Builder::new()
            .name("fourfold-manager".to_owned())
            .spawn(move || reactor.run())?;
        Ok(Server::new(address, bell, thread))
    }

    /// Listens, and serves from a child process, which ends with this one at the latest.
    ///
    /// # Errors
    ///
    /// As [`bind`](ServerBuilder::bind), or the process cannot be started.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::cluster::manager::{Client, Key, Server};
    ///
    /// let key = Key::new(*b"abc");
    /// let server = Server::builder(key.clone()).queue("jobs").spawn("127.0.0.1:0")?;
    /// let jobs = Client::connect(server.address(), key)?.queue::<u32>("jobs")?;
    /// jobs.put(1)?;
    /// assert_eq!(jobs.get()?, 1);
    /// server.shutdown();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn(self, address: impl ToAddress) -> Result<ServerProcess> {
        let (listener, address) = self.listen(address)?;
        let (socket, path) = listener.into_parts()?;
        let child = process::Builder::new()
            .name("fourfold-manager")
            .daemon(true)
            .spawn(serve, (self.settings, address.clone(), Fd(socket)))?;
        Ok(ServerProcess::new(address, child, path))
    }

    fn listen(&self, address: impl ToAddress) -> Result<(Listener, Address)> {
        if let Some(wrong) = &self.wrong {
            return Err(Error::invalid(wrong.as_str()));
        }
        let address = address.to_address()?;
        if !address.is_local() && !self.plaintext {
            return Err(Error::invalid(format!(
                "{address} can be reached from other machines, and this protocol encrypts nothing: \
                 allow plaintext if that is meant, or listen on this machine and use a tunnel"
            )));
        }
        let told = |error| Error::invalid(format!("cannot listen at {address}")).with_source(error);
        Listener::bind(&address).map_err(told)
    }
}

/// What the child process does.
fn serve(settings: Settings, address: Address, Fd(socket): Fd<OwnedFd>) -> Option<String> {
    let listener = Listener::from_parts(socket, &address);
    let bell = Bell::new().map_err(Error::from);
    bell.and_then(|bell| settings.reactor(listener, &address, Arc::new(bell)))
        .and_then(|reactor| Ok(reactor.run()?))
        .map_err(|error| error.to_string())
        .err()
}

/// What the child process told of its end.
pub(super) fn told(failure: Option<String>) -> Result<()> {
    match failure {
        None => Ok(()),
        Some(text) => Err(Error::new(ErrorKind::Io).with_message(text)),
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
