//! A running server, as its own process sees it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::ServerBuilder;
use super::reactor::Bell;
use crate::cluster::manager::{Address, Key};
use crate::error::{Error, Result};

/// A server of words, running in a thread of this process. It ends when it is dropped, or when a client shuts it down.
///
/// # Examples
///
/// What a stock Python program gets with `QueueManager(address=('127.0.0.1', 5000), authkey=b'abc')`:
///
/// ```
/// use fourfold::cluster::manager::{HandBack, Key, QueueOptions, Server};
///
/// let tasks = QueueOptions::default().hand_back(HandBack::UntilNext);
/// let server = Server::builder(Key::new(*b"abc"))
///     .queue_with("get_task_queue", tasks)
///     .queue("get_result_queue")
///     .bind("127.0.0.1:0")?;
/// println!("serving at {}", server.address());
/// server.shutdown()?;
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a server ends when it is dropped"]
pub struct Server {
    address: Address,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// A server whose clients have to know this key.
    pub fn builder(key: Key) -> ServerBuilder {
        ServerBuilder::new(&key)
    }

    pub(super) fn new(
        address: Address,
        bell: Arc<Bell>,
        thread: JoinHandle<io::Result<()>>,
    ) -> Server {
        Server { address, bell, thread: Some(thread) }
    }

    /// Where it listens. A port of zero has become the one that the system chose.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it still serves. A client may have shut it down.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// What ends it from elsewhere: from another thread, while this one waits.
    pub fn stopper(&self) -> Stopper {
        Stopper { bell: self.bell.clone() }
    }

    /// Waits until a client shuts it down, or a [`Stopper`] does.
    ///
    /// # Errors
    ///
    /// The server failed.
    pub fn wait(mut self) -> Result<()> {
        self.join()
    }

    /// Ends it: connections are closed, and whoever waits is told so by that.
    ///
    /// # Errors
    ///
    /// The server had failed.
    pub fn shutdown(mut self) -> Result<()> {
        self.stopper().stop();
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        match thread.join() {
            Ok(result) => result.map_err(Error::from),
            Err(_) => Err(Error::from(io::Error::other("the thread of the server panicked"))),
        }
    }
}

/// Ends a [`Server`] from elsewhere.
#[derive(Clone, Debug)]
pub struct Stopper {
    bell: Arc<Bell>,
}

impl Stopper {
    /// Ends the server. Does not wait for that.
    pub fn stop(&self) {
        // A counter that is never read can be rung often enough.
        let _ = rustix::io::write(&self.bell.stop, &1u64.to_ne_bytes());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stopper().stop();
            let _ = self.join();
        }
    }
}
