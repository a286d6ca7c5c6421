//! What is asked for of a server.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::address::IntoAddress;
use super::core::{Core, OnEvent};
use super::event::Event;
use super::handle::Server;
use super::handler::Handler;
use super::listener::Listener;
use super::model::Serves;
use super::settings::Settings;
use crate::error::{Error, Result};

/// Where a server listens, and its limits. Made by [`Server::builder`].
///
/// # Limits of time
///
/// They mean the same under every model. A **turn** begins with the first byte that is read after an answer, and ends when the
/// handler has answered and reads again; between turns a connection is idle.
///
/// | limit | how long |
/// | --- | --- |
/// | [`idle_timeout`](Builder::idle_timeout) | a client may be silent between turns, or before the first |
/// | [`read_timeout`](Builder::read_timeout) | the handler waits for more of a turn that has begun |
/// | [`write_timeout`](Builder::write_timeout) | the handler waits for the client to take more of an answer |
/// | [`handler_timeout`](Builder::handler_timeout) | a turn may take, from its first byte until it is answered |
///
/// One that is over closes the connection: the client sees its end, and the handler's reads and writes fail with
/// [`TimedOut`](std::io::ErrorKind::TimedOut). A handler that does not read or write then is not ended by it. None is over before its
/// time; on a machine that is not overloaded, all are within an eighth of the shortest of them, 10 ms at least. There are none by default.
///
/// # Examples
///
/// ```
/// use fourfold::server::{Conn, Coroutines, Server};
/// use std::io::{self, Read, Write};
/// use std::time::Duration;
///
/// fn echo(conn: &mut Conn) -> io::Result<()> {
///     io::copy(&mut &*conn, &mut &*conn).map(drop)
/// }
///
/// let server = Server::builder()
///     .listen("127.0.0.1:0")?
///     .max_connections(10_000)
///     .idle_timeout(Duration::from_secs(60))
///     .start(Coroutines(1), echo)?;
///
/// let mut stream = std::net::TcpStream::connect(server.addresses()[0].tcp().unwrap())?;
/// stream.write_all(b"hello")?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer)?;
/// assert_eq!(&answer, b"hello");
///
/// let ended = server.shutdown(Duration::from_secs(5));
/// assert_eq!((ended.cut, ended.abandoned), (0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Builder {
    listeners: Vec<Listener>,
    backlog: u32,
    settings: Settings,
    on_event: Box<OnEvent>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Builder { listeners, backlog, settings, .. } = self;
        let mut debug = f.debug_struct("Builder");
        debug.field("listeners", listeners).field("backlog", backlog);
        debug.field("settings", settings).finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new() -> Builder {
        Builder {
            listeners: Vec::new(),
            backlog: 1024,
            settings: Settings::default(),
            on_event: Box::new(|event| {
                if !matches!(event, Event::WorkerStarted { .. }) {
                    crate::system::tell(format_args!("fourfold server: {event}"));
                }
            }),
        }
    }

    /// Listens there too: `HOST:PORT`, or `unix:PATH`. Port 0 is any that is free: see [`Server::addresses`].
    ///
    /// The address can be bound again as soon as the server has ended, whatever its clients do. The file of a path is removed at
    /// the end; one that a server which was killed has left is replaced.
    ///
    /// # Errors
    ///
    /// If it is no address, is taken, or may not be bound.
    pub fn listen(mut self, address: impl IntoAddress) -> Result<Builder> {
        self.listeners.push(Listener::bind(&address.into_address()?, self.backlog)?);
        Ok(self)
    }

    /// Accepts at this descriptor too, which listens already: inherited from who started this process, or received.
    ///
    /// # Errors
    ///
    /// If it is no stream socket of TCP or Unix that listens.
    pub fn listen_on(mut self, listener: impl Into<OwnedFd>) -> Result<Builder> {
        self.listeners.push(Listener::adopt(listener.into())?);
        Ok(self)
    }

    /// How many connections may wait to be accepted, of each address that is bound after this. 1,024 by default; the kernel has a limit of its
    /// own (`net.core.somaxconn`).
    pub fn backlog(mut self, connections: u32) -> Builder {
        self.backlog = connections;
        self
    }

    /// How many connections there may be. One more waits to be accepted, in the backlog, until another has ended: it is not
    /// refused. Without a limit by default.
    ///
    /// # Panics
    ///
    /// If it is 0.
    pub fn max_connections(mut self, connections: usize) -> Builder {
        assert!(connections > 0, "a server has at least one connection");
        self.settings.max_connections = connections;
        self
    }

    /// Whether answers over TCP go out at once (`TCP_NODELAY`). They do by default.
    pub fn nodelay(mut self, nodelay: bool) -> Builder {
        self.settings.nodelay = nodelay;
        self
    }

    /// After how long a silence over TCP the kernel asks whether the peer is still there: three times, then the connection is broken.
    /// It counts in seconds, from 1 to 32,767 (nine hours). By default it never asks.
    pub fn keepalive(mut self, silence: Duration) -> Builder {
        self.settings.keepalive = Some(silence);
        self
    }

    /// How long a client may be silent between turns.
    pub fn idle_timeout(mut self, limit: Duration) -> Builder {
        self.settings.limits.idle = Some(limit);
        self
    }

    /// How long a client may be silent within a turn.
    pub fn read_timeout(mut self, limit: Duration) -> Builder {
        self.settings.limits.read = Some(limit);
        self
    }

    /// How long a client may take nothing of an answer.
    pub fn write_timeout(mut self, limit: Duration) -> Builder {
        self.settings.limits.write = Some(limit);
        self
    }

    /// How long a turn may take, until it is answered.
    pub fn handler_timeout(mut self, limit: Duration) -> Builder {
        self.settings.limits.handler = Some(limit);
        self
    }

    /// The longest message of a [`Protocol`](super::Protocol), in bytes: how much may have come without being taken. More closes the connection. 1 MiB
    /// by default.
    pub fn max_message(mut self, bytes: usize) -> Builder {
        self.settings.max_message = bytes;
        self
    }

    /// Measures how long turns take: see [`Counters::latency`](super::Counters::latency). It costs two looks at the clock a turn.
    pub fn measure_latency(mut self, measure: bool) -> Builder {
        self.settings.latency = measure;
        self
    }

    /// The stack of each thread or coroutine that runs a handler, in bytes. By default that of its scale.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.settings.stack_size = Some(bytes);
        self
    }

    /// Under [`Prefork`](super::Prefork): after how many connections a worker is replaced. It serves those that it has to their end.
    pub fn renew_after(mut self, connections: u64) -> Builder {
        self.settings.renew_after = Some(connections.max(1));
        self
    }

    /// Under [`Prefork`](super::Prefork): after how long a worker is replaced.
    pub fn renew_age(mut self, age: Duration) -> Builder {
        self.settings.renew_age = Some(age);
        self
    }

    /// Under [`Prefork`](super::Prefork): with how many bytes of resident memory a worker is replaced. It is looked at once a second.
    pub fn renew_memory(mut self, bytes: u64) -> Builder {
        self.settings.renew_memory = Some(bytes);
        self
    }

    /// How long a worker that is replaced has for the connections that it serves. Then those between turns are over, and the others are cut half a
    /// second later. 30 s by default.
    pub fn drain_timeout(mut self, limit: Duration) -> Builder {
        self.settings.drain = limit;
        self
    }

    /// Hears of what happens to the server itself, and to its workers, in place of a line on standard error. It is called by a thread for that, with
    /// one event after the other, and may shut the server down. The server does not wait for it, but at its end: then all has been told. If more than
    /// 1,024 events have come that it has not heard, what else comes is not told.
    pub fn on_event(mut self, hear: impl Fn(&Event) + Send + Sync + 'static) -> Builder {
        self.on_event = Box::new(move |event| hear(&event));
        self
    }

    /// Begins to serve: each connection by the handler, as the model says. It returns at once; the server runs until it is
    /// [shut down](Server::shutdown) or dropped.
    ///
    /// # Errors
    ///
    /// If it listens nowhere, the model has no workers or cannot run this handler, or there are no threads, processes or descriptors for it.
    pub fn start<M, H>(self, model: M, handler: H) -> Result<Server>
    where
        M: Serves<H>,
        H: Handler,
    {
        if self.listeners.is_empty() {
            return Err(Error::invalid(
                "the server listens nowhere: give Builder::listen an address",
            ));
        }
        let addresses = self.listeners.iter().map(Listener::address).collect::<Result<Vec<_>>>()?;
        let mut settings = self.settings;
        if let Some(most) = model.most_at_once() {
            settings.max_connections = settings.max_connections.min(most);
        }
        let core = Core::new(settings, self.on_event)?;
        let crew = Arc::from(model.crew(&core, handler)?);
        Server::begin(core, crew, self.listeners, addresses)
    }
}
