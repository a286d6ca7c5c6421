//! A Unix socket of datagrams.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as Std};
use std::path::Path;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, SocketAddrAny, SocketAddrUnix, recvfrom, sendto};

use super::super::hub::Direction;
use super::common::wait;
use super::socket::Socket;
use super::unix_stream::to_rustix;
use crate::sync::park::Wait;

/// A Unix socket of datagrams: [`std::os::unix::net::UnixDatagram`], whose calls suspend a coroutine in place of blocking its thread.
///
/// # Examples
///
/// ```
/// use fourfold::green::{self, net::UnixDatagram};
///
/// green::run(|| -> Result<(), Box<dyn std::error::Error>> {
///     let (here, there) = UnixDatagram::pair()?;
///     let sent = green::spawn(move || there.send(b"hello"), ())?;
///     let mut buffer = [0; 16];
///     assert_eq!(here.recv(&mut buffer)?, 5);
///     sent.join()??;
///     Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnixDatagram {
    socket: Socket<Std>,
}

impl UnixDatagram {
    /// A socket at this path, where there must be nothing yet.
    ///
    /// # Errors
    ///
    /// If there is something, or the path cannot be made.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        Ok(UnixDatagram { socket: Socket::new(Std::bind(path)?) })
    }

    /// A socket at this address, which may be an abstract one.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixDatagram::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixDatagram> {
        Ok(UnixDatagram { socket: Socket::new(Std::bind_addr(address)?) })
    }

    /// A socket without a name.
    ///
    /// # Errors
    ///
    /// If there are no descriptors left.
    pub fn unbound() -> io::Result<UnixDatagram> {
        Ok(UnixDatagram { socket: Socket::new(Std::unbound()?) })
    }

    /// Two that are connected with each other.
    ///
    /// # Errors
    ///
    /// If there are no descriptors left.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (a, b) = Std::pair()?;
        Ok((UnixDatagram { socket: Socket::new(a) }, UnixDatagram { socket: Socket::new(b) }))
    }

    /// Has `send` send to this path.
    ///
    /// # Errors
    ///
    /// If there is no socket.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.socket.io().connect(path)
    }

    /// Sends a message to the socket that it is connected with. Waits while that one's queue is full.
    ///
    /// # Errors
    ///
    /// If there is none, or it is gone.
    #[track_caller]
    pub fn send(&self, message: &[u8]) -> io::Result<usize> {
        self.socket.send(wait("UnixDatagram::send"), message, false)
    }

    /// Receives a message. What has no room in the buffer is lost.
    ///
    /// # Errors
    ///
    /// If the system says so.
    #[track_caller]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(wait("UnixDatagram::recv"), buffer, RecvFlags::empty(), false)
    }

    /// Sends a message to the socket at this path. While that one's queue is full, it tries again every now and then, since the
    /// system does not tell when there is room.
    ///
    /// # Errors
    ///
    /// If there is no socket.
    #[track_caller]
    pub fn send_to(&self, message: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let wait = wait("UnixDatagram::send_to");
        self.send_to_rustix(wait, message, &SocketAddrUnix::new(path.as_ref())?)
    }

    /// Sends a message to the socket at this address: see [`send_to`](UnixDatagram::send_to).
    ///
    /// # Errors
    ///
    /// If there is no socket.
    #[track_caller]
    pub fn send_to_addr(&self, message: &[u8], address: &SocketAddr) -> io::Result<usize> {
        self.send_to_rustix(wait("UnixDatagram::send_to_addr"), message, &to_rustix(address)?)
    }

    fn send_to_rustix(
        &self,
        wait: Wait,
        message: &[u8],
        address: &SocketAddrUnix,
    ) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        self.socket.call_again(wait, |io| Ok(sendto(io, message, flags, address)?))
    }

    /// Receives a message, and where it comes from. What has no room in the buffer is lost.
    ///
    /// # Errors
    ///
    /// If the system says so.
    #[track_caller]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let wait = wait("UnixDatagram::recv_from");
        let (count, from) = self.socket.call(Direction::Read, wait, |io| {
            let (count, _, from) = recvfrom(io, &mut *buffer, RecvFlags::DONTWAIT)?;
            Ok((count, from))
        })?;
        Ok((count, to_std(from)?))
    }

    /// Closes one direction, or both.
    ///
    /// # Errors
    ///
    /// If it is not connected.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.io().shutdown(how)
    }

    forward! {
        /// The address that it is connected with.
        peer_addr() -> SocketAddr;
        /// Its own address.
        local_addr() -> SocketAddr;
    }
}

/// A sender without a name is one whose path is empty.
fn to_std(address: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
    let Some(address) = address else { return SocketAddr::from_pathname("") };
    let address = SocketAddrUnix::try_from(address)?;
    match (address.path_bytes(), address.abstract_name()) {
        (Some(path), _) => SocketAddr::from_pathname(OsStr::from_bytes(path)),
        (None, Some(name)) => SocketAddr::from_abstract_name(name),
        (None, None) => SocketAddr::from_pathname(""),
    }
}

socket! { UnixDatagram, Std }
