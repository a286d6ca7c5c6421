//! A TCP socket that listens.

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::net::{SocketAddr, TcpListener as Std};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::super::hub::Direction;
use super::common::wait;
use super::socket::Socket;
use super::{TcpStream, ToSocketAddrs};

/// A TCP socket that listens: [`std::net::TcpListener`], whose `accept` suspends a coroutine in place of blocking its thread.
///
/// It is in the mode that does not block as long as it is of this type, and so are all copies of its descriptor; when it is made
/// into one of std, it blocks again.
///
/// # Examples
///
/// ```
/// use fourfold::green::{self, net::{TcpListener, TcpStream}};
///
/// green::run(|| -> Result<(), Box<dyn std::error::Error>> {
///     let listener = TcpListener::bind(("localhost", 0))?;
///     let address = listener.local_addr()?;
///     let accept = green::spawn(move || listener.incoming().next().unwrap(), ())?;
///     let stream = TcpStream::connect(address)?;
///     assert_eq!(accept.join()??.peer_addr()?, stream.local_addr()?);
///     Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TcpListener {
    socket: Socket<Std>,
}

impl TcpListener {
    /// Listens at the first of the addresses that is free.
    ///
    /// # Errors
    ///
    /// That of the last address; [`InvalidInput`](io::ErrorKind::InvalidInput) if there is none.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
        let addresses = addresses.to_socket_addrs()?;
        let io = Std::bind(&*addresses)?;
        io.set_nonblocking(true)?;
        Ok(TcpListener { socket: Socket::new(io) })
    }

    /// The next connection, and where it comes from.
    ///
    /// # Errors
    ///
    /// If it has gone again, or there are no descriptors left for it: then it waits to be accepted still.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let wait = wait("TcpListener::accept");
        let (stream, address) = self.socket.call(Direction::Read, wait, Std::accept)?;
        Ok((TcpStream::new(stream), address))
    }

    /// All connections to come, one after the other.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Another handle on the same socket.
    ///
    /// # Errors
    ///
    /// If there are no descriptors left.
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        Ok(TcpListener { socket: self.socket.clone_as(self.socket.io().try_clone()?) })
    }

    forward! {
        /// The address at which it listens.
        local_addr() -> SocketAddr;
        /// How many hops a packet may go.
        set_ttl(ttl: u32) -> ();
        /// How many hops a packet may go.
        ttl() -> u32;
    }
}

impl From<Std> for TcpListener {
    fn from(io: Std) -> TcpListener {
        // Refused only for what is no open descriptor.
        let _ = io.set_nonblocking(true);
        TcpListener { socket: Socket::new(io) }
    }
}

impl From<TcpListener> for Std {
    fn from(listener: TcpListener) -> Std {
        let io = listener.socket.into_io();
        let _ = io.set_nonblocking(false);
        io
    }
}

descriptor! { TcpListener, Std }

/// The connections to come. Made by [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}
