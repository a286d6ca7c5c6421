//! A connection between two Unix sockets.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream as Std};
use std::path::Path;
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix};

use super::super::hub::Direction;
use super::common::wait;
use super::connect::connect_stream;
use super::socket::Socket;

/// A connection between two Unix sockets: [`std::os::unix::net::UnixStream`], whose calls suspend a coroutine in place of blocking its
/// thread.
///
/// # Examples
///
/// ```
/// use fourfold::green::{self, net::UnixStream};
/// use std::io::{Read, Write};
///
/// green::run(|| -> Result<(), Box<dyn std::error::Error>> {
///     let (mut here, there) = UnixStream::pair()?;
///     let answer = green::spawn(
///         |mut there: UnixStream| {
///             let mut word = [0; 4];
///             there.read_exact(&mut word)?;
///             there.write_all(&word.map(|letter| letter.to_ascii_uppercase()))
///         },
///         there,
///     )?;
///     here.write_all(b"ping")?;
///     let mut text = String::new();
///     here.read_to_string(&mut text)?;
///     answer.join()??;
///     assert_eq!(text, "PING");
///     Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnixStream {
    socket: Socket<Std>,
}

impl UnixStream {
    pub(super) fn new(io: Std) -> UnixStream {
        UnixStream { socket: Socket::new(io) }
    }

    /// Connects with the socket that listens at this path.
    ///
    /// # Errors
    ///
    /// If there is none.
    #[track_caller]
    pub fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let address = SocketAddrUnix::new(path.as_ref())?;
        let wait = wait("UnixStream::connect");
        Ok(UnixStream { socket: connect_stream(AddressFamily::UNIX, &address, &wait, None)? })
    }

    /// Connects with the socket that listens at this address, which may be an abstract one.
    ///
    /// # Errors
    ///
    /// If there is none.
    #[track_caller]
    pub fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        let address = to_rustix(address)?;
        let wait = wait("UnixStream::connect_addr");
        Ok(UnixStream { socket: connect_stream(AddressFamily::UNIX, &address, &wait, None)? })
    }

    /// Two that are connected with each other.
    ///
    /// # Errors
    ///
    /// If there are no descriptors left.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (a, b) = Std::pair()?;
        Ok((UnixStream::new(a), UnixStream::new(b)))
    }

    forward! {
        /// The address of the other end.
        peer_addr() -> SocketAddr;
        /// The address of this end.
        local_addr() -> SocketAddr;
    }
}

pub(super) fn to_rustix(address: &SocketAddr) -> io::Result<SocketAddrUnix> {
    if let Some(path) = address.as_pathname() {
        return Ok(SocketAddrUnix::new(path)?);
    }
    match address.as_abstract_name() {
        Some(name) => Ok(SocketAddrUnix::new_abstract_name(name)?),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "an address without a name")),
    }
}

socket! { UnixStream, Std }
// Not whole: a read ends also where a message begins that came with descriptors or from another process.
stream! { UnixStream, "UnixStream", false }
