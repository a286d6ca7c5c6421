//! What a server tells of itself.

use std::fmt;

use super::address::Address;
use crate::error::Error;

/// Something that the one who runs a server wants to know of: see [`Builder::on_event`](super::Builder::on_event).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection could not be accepted, for want of descriptors or memory. It is tried again until it can.
    AcceptFailed {
        /// What the kernel says.
        error: std::io::Error,
    },
    /// There was no thread or no process for a connection, which was closed.
    Rejected {
        /// Whose it was.
        peer: Address,
        /// Why.
        error: Error,
    },
    /// A worker process takes connections. Not told of those that have a process for each, under [`Processes`](super::Processes).
    WorkerStarted {
        /// Its process.
        pid: u32,
    },
    /// A worker process is gone that was to stay, and its connections with it. Another takes its place. Under
    /// [`Processes`](super::Processes) it may be that of one connection, which nothing takes the place of.
    WorkerLost {
        /// Its process; `None` if it did not start.
        pid: Option<u32>,
        /// How it ended.
        error: Error,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::AcceptFailed { error } => write!(f, "cannot accept: {error}"),
            Event::Rejected { peer, error } => {
                write!(f, "the connection of {peer} is closed: {error}")
            }
            Event::WorkerStarted { pid } => write!(f, "worker {pid} takes connections"),
            Event::WorkerLost { pid: Some(pid), error } => {
                write!(f, "worker {pid} is lost: {error}")
            }
            Event::WorkerLost { pid: None, error } => write!(f, "a worker did not start: {error}"),
        }
    }
}
