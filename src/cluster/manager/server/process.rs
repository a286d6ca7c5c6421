//! A server in a child process, as its starter sees it.

use std::path::PathBuf;

use super::builder::told;
use crate::cluster::manager::Address;
use crate::error::Result;
use crate::process::Child;

/// A server in a child process. It ends when this is dropped, when a client shuts it down, and with this process.
#[derive(Debug)]
#[must_use = "a server ends when it is dropped"]
pub struct ServerProcess {
    address: Address,
    child: Option<Child<Option<String>>>,
    path: Option<PathBuf>,
}

impl ServerProcess {
    pub(super) fn new(
        address: Address,
        child: Child<Option<String>>,
        path: Option<PathBuf>,
    ) -> ServerProcess {
        ServerProcess { address, child: Some(child), path }
    }

    /// Where it listens. A port of zero has become the one that the system chose.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::pid)
    }

    /// Whether it still serves.
    pub fn is_running(&self) -> bool {
        self.child.as_ref().is_some_and(Child::is_alive)
    }

    /// Waits until a client shuts it down.
    ///
    /// # Errors
    ///
    /// The server failed, or its process was killed.
    pub fn wait(mut self) -> Result<()> {
        match self.child.take() {
            Some(child) => told(child.join()?),
            None => Ok(()),
        }
    }

    /// Ends it: connections are closed, and whoever waits is told so by that.
    pub fn shutdown(self) {}
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            child.kill();
            let _ = child.join();
        }
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}
