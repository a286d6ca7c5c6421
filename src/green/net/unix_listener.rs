//! A Unix socket that listens.

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{SocketAddr, UnixListener as Std};
use std::path::Path;

use super::super::hub::Direction;
use super::UnixStream;
use super::common::wait;
use super::socket::Socket;

/// A Unix socket that listens: [`std::os::unix::net::UnixListener`], whose `accept` suspends a coroutine in place of blocking its
/// thread.
///
/// It is in the mode that does not block as long as it is of this type, and so are all copies of its descriptor; when it is made
/// into one of std, it blocks again.
///
/// # Examples
///
/// ```
/// use fourfold::green::{self, net::{UnixListener, UnixStream}};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("socket");
/// green::run(|| -> Result<(), Box<dyn std::error::Error>> {
///     let listener = UnixListener::bind(&path)?;
///     let accept = green::spawn(move || listener.accept(), ())?;
///     let stream = UnixStream::connect(&path)?;
///     let (_peer, address) = accept.join()??;
///     assert!(address.is_unnamed());
///     assert_eq!(stream.peer_addr()?.as_pathname(), Some(&*path));
///     Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnixListener {
    socket: Socket<Std>,
}

impl UnixListener {
    /// Listens at this path, where there must be nothing yet.
    ///
    /// # Errors
    ///
    /// If there is something, or the path cannot be made.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::prepare(Std::bind(path)?)
    }

    /// Listens at this address, which may be an abstract one.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixListener::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::prepare(Std::bind_addr(address)?)
    }

    fn prepare(io: Std) -> io::Result<UnixListener> {
        io.set_nonblocking(true)?;
        Ok(UnixListener { socket: Socket::new(io) })
    }

    /// The next connection, and where it comes from: from nowhere that has a name, most often.
    ///
    /// # Errors
    ///
    /// If there are no descriptors left for it: then it waits to be accepted still.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let wait = wait("UnixListener::accept");
        let (stream, address) = self.socket.call(Direction::Read, wait, Std::accept)?;
        Ok((UnixStream::new(stream), address))
    }

    /// All connections to come, one after the other.
    pub fn incoming(&self) -> IncomingUnix<'_> {
        IncomingUnix { listener: self }
    }

    /// Another handle on the same socket.
    ///
    /// # Errors
    ///
    /// If there are no descriptors left.
    pub fn try_clone(&self) -> io::Result<UnixListener> {
        Ok(UnixListener { socket: self.socket.clone_as(self.socket.io().try_clone()?) })
    }

    forward! {
        /// The address at which it listens.
        local_addr() -> SocketAddr;
    }
}

impl From<Std> for UnixListener {
    fn from(io: Std) -> UnixListener {
        // Refused only for what is no open descriptor.
        let _ = io.set_nonblocking(true);
        UnixListener { socket: Socket::new(io) }
    }
}

impl From<UnixListener> for Std {
    fn from(listener: UnixListener) -> Std {
        let io = listener.socket.into_io();
        let _ = io.set_nonblocking(false);
        io
    }
}

descriptor! { UnixListener, Std }

/// The connections to come. Made by [`UnixListener::incoming`].
#[derive(Debug)]
pub struct IncomingUnix<'a> {
    listener: &'a UnixListener,
}

impl Iterator for IncomingUnix<'_> {
    type Item = io::Result<UnixStream>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for IncomingUnix<'_> {}
