//! The ends of a pipe between processes that goes both ways.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeTuple, Serializer};

use super::super::queue_error::{GetError, PutError};
use super::ends::{Receiver, Sender};
use crate::task::Payload;

/// An end of a pipe that goes both ways: it sends `A`, and receives `B`. Dropping it closes it.
///
/// It travels, and can be waited for, as a [`Receiver`].
pub struct Duplex<A, B = A> {
    out: Sender<A>,
    into: Receiver<B>,
}

impl<A, B> Duplex<A, B> {
    pub(super) fn new(out: Sender<A>, into: Receiver<B>) -> Duplex<A, B> {
        Duplex { out, into }
    }

    /// What a fork of this process may be kept from having.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.out.descriptor(), self.into.as_fd()]
    }

    /// The two ends on their own: where this one sends, and where it receives.
    pub fn split(self) -> (Sender<A>, Receiver<B>) {
        (self.out, self.into)
    }
}

impl<A: Payload, B: Payload> Duplex<A, B> {
    /// As [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As there, here and below.
    #[track_caller]
    pub fn send(&self, message: A) -> Result<(), PutError<A>> {
        self.out.send(message)
    }

    /// As [`Sender::try_send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_send(&self, message: A) -> Result<(), PutError<A>> {
        self.out.try_send(message)
    }

    /// As [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn recv(&self) -> Result<B, GetError> {
        self.into.recv()
    }

    /// As [`Receiver::try_recv`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_recv(&self) -> Result<B, GetError> {
        self.into.try_recv()
    }

    /// As [`Receiver::recv_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn recv_timeout(&self, limit: Duration) -> Result<B, GetError> {
        self.into.recv_timeout(limit)
    }
}

/// That of its receiving side.
impl<A, B> AsFd for Duplex<A, B> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.into.as_fd()
    }
}

impl<A, B> Serialize for Duplex<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut both = serializer.serialize_tuple(2)?;
        both.serialize_element(&self.out)?;
        both.serialize_element(&self.into)?;
        both.end()
    }
}

impl<'de, A, B> Deserialize<'de> for Duplex<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duplex<A, B>, D::Error> {
        let (out, into) = Deserialize::deserialize(deserializer)?;
        Ok(Duplex { out, into })
    }
}

impl<A, B> fmt::Debug for Duplex<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duplex").field("out", &self.out).field("into", &self.into).finish()
    }
}
