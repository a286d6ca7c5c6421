//! One connection of the server: its socket, its conversation, and what it waits for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use fourfold_wire::talk;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::objects::ObjectId;
use crate::cluster::manager::item::Item;

pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    pub(super) session: talk::Server,
    /// The object it has called last.
    pub(super) called: ObjectId,
    /// What it waits for.
    pub(super) waits: Option<ObjectId>,
    /// Counts what may be waited for with a deadline: a deadline of an older count is void.
    pub(super) count: u64,
    /// Whether the call being carried out is told of a lock's dead owner.
    pub(super) told: bool,
    /// The words it has called, which hear of its end.
    pub(super) touched: Vec<ObjectId>,
    /// An item of a queue whose reply is not all sent yet.
    pub(super) unsent: Option<(ObjectId, Item, Option<Item>)>,
    /// Whether the poller looks for room to write.
    pub(super) wants_room: bool,
}

/// What became of reading.
pub(super) enum Read {
    /// Nothing more is there for now.
    Drained,
    /// The peer has closed, or the connection failed.
    Ended,
}

/// How much a peer may send ahead while its request is carried out, in bytes. Stock peers send nothing.
const AHEAD: usize = 1 << 20;

impl Connection {
    pub(super) fn new(socket: OwnedFd, session: talk::Server) -> Connection {
        Connection {
            socket,
            session,
            called: 0,
            waits: None,
            count: 0,
            told: false,
            touched: Vec::new(),
            unsent: None,
            wants_room: false,
        }
    }

    /// Reads what is there, through a buffer that all connections share.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Read {
        loop {
            match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Read::Ended,
                Ok((n, _)) => {
                    self.session.push(&buffer[..n]);
                    let ahead = self.session.pending() > AHEAD;
                    if self.session.is_busy() && ahead {
                        return Read::Ended;
                    }
                    // What is left is told again: others have their turn.
                    if n < buffer.len() || ahead {
                        return Read::Drained;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Read::Drained,
                Err(_) => return Read::Ended,
            }
        }
    }

    /// Writes what can be written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.session.output().is_empty() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::send(&self.socket, self.session.output(), flags) {
                Ok(n) => self.session.sent(n),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.unsent = None;
        Ok(())
    }

    /// Whether the peer is still there, as far as this side can know.
    pub(super) fn is_alive(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(self.socket.as_fd(), &mut [0u8; 1], flags) {
            Ok((n, _)) => n > 0,
            Err(error) => matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }

    pub(super) fn touch(&mut self, id: ObjectId) {
        if !self.touched.contains(&id) {
            self.touched.push(id);
        }
    }
}
