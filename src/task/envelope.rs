//! A value on its way: its bytes, and the descriptors and tickets in it.

use std::os::fd::OwnedFd;

use super::ticket::{self, Tickets};
use super::{Payload, codec, fd, travel};
use crate::error::Result;

/// A value as bytes, descriptors and tickets.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    pub(crate) body: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) tickets: Tickets,
}

impl Envelope {
    /// Writes a value. `what` names it in the error: "argument", "value".
    pub(crate) fn pack<T: Payload>(value: &T, what: &str) -> Result<Envelope> {
        let (written, tickets) =
            ticket::collect(|| fd::collect(|| travel::collect(|| codec::encode(value, what))));
        let ((body, marks), mut fds) = written;
        let body = body?;
        // Behind all others, so that nobody in the value takes it: it is closed once the value has been read.
        fds.extend(travel::ticket(&marks)?);
        Ok(Envelope { body, fds, tickets })
    }

    /// Reads the value back.
    pub(crate) fn unpack<T: Payload>(self, what: &str) -> Result<T> {
        let read = || travel::receive(|| codec::decode(&self.body, what));
        fd::provide(self.fds, || ticket::reading(false, read))
    }
}
