//! The models of concurrency: who runs a handler for each connection.
//!
//! Each is a type, so that what it cannot run is refused when the program is built, and a case of [`Model`], for programs that
//! choose when they run.

pub(super) mod aide;
mod coroutines;
mod events;
mod forker;
mod named;
mod pool;
mod prefork;
mod processes;
mod serial;
pub(super) mod stream;
mod team;
mod threads;
mod worker;

use std::sync::Arc;
use std::time::Duration;

pub use self::coroutines::Coroutines;
pub use self::events::Events;
pub use self::named::Model;
pub use self::prefork::Prefork;
pub use self::processes::Processes;
pub use self::serial::Serial;
pub use self::threads::{ThreadPool, Threads};

use super::accept::Refused;
use super::core::{Accepted, Core};
use super::counters::Counters;
use crate::error::{Error, Result};
use crate::task::catch::catch;

/// A model that can run handlers of the type `H`. There is nothing to implement by hand.
pub trait Serves<H>: Begin<H> {}

impl<M: Begin<H>, H> Serves<H> for M {}

/// What is behind [`Serves`].
pub trait Begin<H>: Send + 'static {
    /// Makes ready whoever will run the handler.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn crew(&self, core: &Arc<Core>, handler: H) -> Result<Box<dyn Crew>>;

    /// How many connections it can have at once, if it has a limit of its own.
    #[doc(hidden)]
    fn most_at_once(&self) -> Option<usize> {
        None
    }
}

/// Calls what has code of the user's in it: the `Clone` and the `Serialize` of what a handler is given.
fn guarded<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch(f).unwrap_or_else(|panic| Err(Error::panicked(panic)))
}

/// Those who run the handlers.
pub(super) trait Crew: Send + Sync {
    /// Takes a connection: called by the acceptor, which goes on when it returns.
    fn take(&self, accepted: Accepted) -> Result<(), Refused>;

    /// Whether somebody can take another connection. It rings the server's bell when that changes, or it is asked again soon.
    fn has_room(&self) -> bool {
        true
    }

    /// The server shuts down, and has so long: tells those who are not of this process.
    fn drain(&self, _limit: Duration) {}

    /// The time is over: ends those who can be ended.
    fn kill(&self) {}

    /// Replaces workers.
    fn renew(&self) {}

    /// Adds what others than this process have counted.
    fn count(&self, _counters: &mut Counters) {}

    /// No connection comes any more. Ends the threads, and joins them if none is in a handler.
    fn close(&self, _are_idle: bool) {}
}
