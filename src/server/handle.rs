//! A server that runs, as its owner has it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::accept::accept_all;
use super::address::Address;
use super::builder::Builder;
use super::core::Core;
use super::counters::Counters;
use super::listener::Listener;
use super::model::Crew;
use super::signals::Signals;
use crate::error::{Error, Result};

/// How long handlers that were cut have to notice it.
pub(super) const LAST: Duration = Duration::from_millis(500);

/// A server that runs. When it is dropped it ends: with no time for its connections, unless it was [shut down](Server::shutdown) before.
///
/// See the [module](super) for a whole program, and [`Builder`] for what it can be asked for.
pub struct Server {
    core: Arc<Core>,
    crew: Arc<dyn Crew>,
    addresses: Vec<Address>,
    /// The acceptor and the watch, until somebody joins them.
    threads: Mutex<Option<[JoinHandle<()>; 2]>>,
    /// Whose it is: a fork has a copy that is of no use.
    owner: u32,
    /// Until the end.
    listeners: Mutex<Option<Arc<[Listener]>>>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Connections that were cut, since the time for them was over.
    pub cut: usize,
    /// Of these, handlers that are at work all the same, on threads that cannot be ended. They find their connections closed.
    pub abandoned: usize,
    /// The signal that asked for it, where the server went by [signals](super::Signals).
    pub signal: Option<i32>,
}

impl Server {
    /// A server to be, that listens nowhere yet.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn begin(
        core: Arc<Core>,
        crew: Arc<dyn Crew>,
        listeners: Vec<Listener>,
        addresses: Vec<Address>,
    ) -> Result<Server> {
        let listeners: Arc<[Listener]> = listeners.into();
        let server = Server {
            core,
            crew,
            addresses,
            threads: Mutex::new(None),
            owner: std::process::id(),
            listeners: Mutex::new(Some(Arc::clone(&listeners))),
        };
        let (core, crew) = (Arc::clone(&server.core), Arc::clone(&server.crew));
        let watch = start("fourfold-watch", move || core.ledger.watch())?;
        let core = Arc::clone(&server.core);
        let accept = start("fourfold-accept", move || accept_all(&core, &listeners, &*crew))?;
        *server.threads() = Some([accept, watch]);
        Ok(server)
    }

    /// Where it listens, in the order it was asked to: with the ports that it was given for 0.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// What it has counted until now, over all its workers.
    pub fn counters(&self) -> Counters {
        let mut counters = self.core.tally.counters();
        counters.turns += self.core.ledger.turns();
        counters.active = self.core.seated() as u64;
        self.crew.count(&mut counters);
        counters
    }

    /// Replaces the worker processes, one after another: each is given no more connections as soon as the next one takes them, and ends
    /// when those that it has are over, or after [`Builder::drain_timeout`]. It returns when the last one is replaced. Without effect under a model
    /// that has none.
    pub fn renew(&self) {
        self.crew.renew();
    }

    /// Ends the server. It accepts no more at once; a connection between turns is over; a turn that has begun is read, answered, and the
    /// connection's last; a handler that asks [`Conn::draining`](super::Conn::draining) is told. What is there after `limit` is cut. The second
    /// call, from wherever, waits for the first, but for one from where [events](Builder::on_event) are heard: that returns at once. A handler that
    /// calls this is itself one that cannot end before `limit` is over. In a fork of its process it has no effect, and neither has dropping the server there; while the
    /// fork lives, clients do not see the end of connections that it has copies of.
    pub fn shutdown(&self, limit: Duration) -> Ended {
        if self.owner != std::process::id() {
            return Ended { cut: 0, abandoned: 0, signal: None };
        }
        let mut threads = match self.threads.try_lock() {
            Ok(threads) => threads,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The first call may wait for this thread.
            Err(TryLockError::WouldBlock) if self.core.is_telling() => {
                return Ended { cut: 0, abandoned: 0, signal: None };
            }
            Err(TryLockError::WouldBlock) => self.threads(),
        };
        let before = self.counters().cut;
        let deadline = Instant::now().checked_add(limit);
        self.core.stop();
        // Before the acceptor comes to it, which may be in a handler.
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).take();
        listeners.iter().flat_map(|listeners| listeners.iter()).for_each(Listener::refuse);
        drop(listeners);
        self.core.ledger.drain();
        self.crew.drain(limit);
        if !self.core.wait_empty(deadline) {
            self.core.ledger.kill();
            self.crew.kill();
            self.core.wait_cut(Instant::now() + LAST);
        }
        self.crew.close(self.core.seated() == 0);
        let abandoned = self.core.seated();
        self.core.ledger.close();
        if let Some([accept, watch]) = threads.take() {
            let _ = watch.join();
            // Under `Serial` the acceptor may be in a handler that goes on.
            if abandoned == 0 || accept.is_finished() {
                join(accept);
            }
        }
        self.core.tell_all();
        // Workers cut by themselves when the time is over; they have counted it.
        let cut = (self.counters().cut - before) as usize + abandoned;
        Ended { cut, abandoned, signal: None }
    }

    /// Serves until this process is asked to end, by SIGTERM or SIGINT (Ctrl-C), and shuts the server down then, with this limit; a second
    /// such signal ends the wait for connections. SIGHUP [renews](Server::renew) the workers. Once this returns, these signals end the
    /// process, as they do by default; before it is called, too: see [`Signals`].
    ///
    /// # Errors
    ///
    /// If the signals cannot be taken over.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use fourfold::server::{Conn, Prefork, Coroutines, Server};
    /// use std::time::Duration;
    ///
    /// fn echo(conn: &mut Conn) -> std::io::Result<()> {
    ///     std::io::copy(&mut &*conn, &mut &*conn).map(drop)
    /// }
    ///
    /// #[fourfold::main]
    /// fn main() -> fourfold::Result<()> {
    ///     let server = Server::builder().listen("127.0.0.1:7007")?.start(Prefork(4, Coroutines(1)), echo)?;
    ///     let ended = server.run_until_signal(Duration::from_secs(10))?;
    ///     eprintln!("{} connections were cut", ended.cut);
    ///     Ok(())
    /// }
    /// ```
    pub fn run_until_signal(&self, limit: Duration) -> Result<Ended> {
        Signals::take()?.run(self, limit)
    }

    /// Ends the time that a shutdown has.
    pub(super) fn cut_now(&self) {
        self.core.hurry();
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Option<[JoinHandle<()>; 2]>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread of the server's own.
pub(super) fn start(name: &str, f: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.into());
    builder.spawn(f).map_err(|error| {
        let what = format!("there is no thread for a server ({name})");
        Error::from(error).with_message(what)
    })
}

/// Joins a thread, unless it is this one: who hears of events may end the server.
pub(super) fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != std::thread::current().id() {
        let _ = thread.join();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.owner != std::process::id() {
            // The threads are the other process's, and so is what they use.
            std::mem::forget(Arc::clone(&self.crew));
            std::mem::forget(self.listeners.try_lock().ok().and_then(|mut all| all.take()));
            return;
        }
        self.shutdown(Duration::ZERO);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
