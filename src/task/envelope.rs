//! A value on its way: its bytes, and the descriptors in it.

use std::os::fd::OwnedFd;

use super::{Payload, codec, fd, travel};
use crate::error::Result;

/// A value as bytes and descriptors.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    pub(crate) body: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

impl Envelope {
    /// Writes a value. `what` names it in the error: "argument", "value".
    pub(crate) fn pack<T: Payload>(value: &T, what: &str) -> Result<Envelope> {
        let ((body, marks), mut fds) =
            fd::collect(|| travel::collect(|| codec::encode(value, what)));
        let body = body?;
        // Behind all others, so that nobody in the value takes it: it is closed once the value has been read.
        fds.extend(travel::ticket(&marks)?);
        Ok(Envelope { body, fds })
    }

    /// Reads the value back.
    pub(crate) fn unpack<T: Payload>(self, what: &str) -> Result<T> {
        fd::provide(self.fds, || travel::receive(|| codec::decode(&self.body, what)))
    }
}
