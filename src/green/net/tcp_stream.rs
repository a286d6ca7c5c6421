//! A TCP connection.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as Std};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, RecvFlags};

use super::super::hub::Direction;
use super::ToSocketAddrs;
use super::common::{no_time, wait};
use super::connect::connect_stream;
use super::socket::Socket;
use crate::sync::park::{Wait, after};

/// A TCP connection: [`std::net::TcpStream`], whose calls suspend a coroutine in place of blocking its thread.
///
/// # Examples
///
/// ```
/// use fourfold::green::{self, net::{TcpListener, TcpStream}};
/// use std::io::{ErrorKind, Read, Write};
/// use std::time::Duration;
///
/// green::run(|| -> std::io::Result<()> {
///     let listener = TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0"))?;
///     let stream = TcpStream::connect(listener.local_addr()?)?;
///     let (peer, _) = listener.accept()?;
///     (&peer).write_all(b"first")?;
///     let mut buffer = [0; 5];
///     (&stream).read_exact(&mut buffer)?;
///     assert_eq!(&buffer, b"first");
///
///     stream.set_read_timeout(Some(Duration::from_millis(5)))?;
///     assert_eq!((&stream).read(&mut buffer).unwrap_err().kind(), ErrorKind::TimedOut);
///     drop(peer);
///     assert_eq!((&stream).read(&mut buffer)?, 0);
///     Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TcpStream {
    socket: Socket<Std>,
}

impl TcpStream {
    pub(super) fn new(io: Std) -> TcpStream {
        TcpStream { socket: Socket::new(io) }
    }

    /// Connects with the first of the addresses that can be reached.
    ///
    /// # Errors
    ///
    /// That of the last address; [`InvalidInput`](io::ErrorKind::InvalidInput) if there is none.
    #[track_caller]
    pub fn connect(addresses: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let wait = wait("TcpStream::connect");
        let mut last = None;
        for address in addresses.to_socket_addrs()? {
            match connect(&address, &wait, None) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_address))
    }

    /// Connects within this time.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) if there was no answer; [`InvalidInput`](io::ErrorKind::InvalidInput) if the limit is
    /// zero; else as [`connect`](TcpStream::connect).
    #[track_caller]
    pub fn connect_timeout(address: &SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        let wait = wait("TcpStream::connect_timeout");
        if limit.is_zero() {
            return Err(no_time());
        }
        connect(address, &wait, after(limit))
    }

    forward! {
        /// The address of the other end.
        peer_addr() -> SocketAddr;
        /// The address of this end.
        local_addr() -> SocketAddr;
        /// Whether small packets are sent at once, without waiting for more to send.
        set_nodelay(nodelay: bool) -> ();
        /// Whether small packets are sent at once.
        nodelay() -> bool;
        /// How many hops a packet may go.
        set_ttl(ttl: u32) -> ();
        /// How many hops a packet may go.
        ttl() -> u32;
    }
}

fn connect(address: &SocketAddr, wait: &Wait, deadline: Option<Instant>) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(TcpStream { socket: connect_stream(family, address, wait, deadline)? })
}

pub(super) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "there is no address to try")
}

socket! { TcpStream, Std }
stream! { TcpStream, "TcpStream", true }
