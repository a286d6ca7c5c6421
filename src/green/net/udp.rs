//! A UDP socket.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as Std};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};

use super::super::hub::Direction;
use super::ToSocketAddrs;
use super::common::wait;
use super::socket::Socket;
use super::tcp_stream::no_address;
use crate::sync::park::Wait;

/// A UDP socket: [`std::net::UdpSocket`], whose calls suspend a coroutine in place of blocking its thread.
///
/// # Examples
///
/// ```
/// use fourfold::green::{self, net::UdpSocket};
///
/// green::run(|| -> Result<(), Box<dyn std::error::Error>> {
///     let server = UdpSocket::bind("127.0.0.1:0")?;
///     let address = server.local_addr()?;
///     let answer = green::spawn(
///         move || {
///             let mut buffer = [0; 16];
///             let (count, from) = server.recv_from(&mut buffer)?;
///             server.send_to(&buffer[..count], from)
///         },
///         (),
///     )?;
///     let client = UdpSocket::bind("127.0.0.1:0")?;
///     client.connect(address)?;
///     client.send(b"hello")?;
///     let mut buffer = [0; 16];
///     assert_eq!(client.recv(&mut buffer)?, 5);
///     answer.join()??;
///     Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UdpSocket {
    socket: Socket<Std>,
}

impl UdpSocket {
    /// A socket at the first of the addresses that is free.
    ///
    /// # Errors
    ///
    /// That of the last address; [`InvalidInput`](io::ErrorKind::InvalidInput) if there is none.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        let addresses = addresses.to_socket_addrs()?;
        Ok(UdpSocket { socket: Socket::new(Std::bind(&*addresses)?) })
    }

    /// Has `send` send to this address, and `recv` receive from it alone.
    ///
    /// # Errors
    ///
    /// If none of the addresses can be reached.
    pub fn connect(&self, addresses: impl ToSocketAddrs) -> io::Result<()> {
        let addresses = addresses.to_socket_addrs()?;
        self.socket.io().connect(&*addresses)
    }

    /// Sends a message to the address that it is connected with.
    ///
    /// # Errors
    ///
    /// If there is none, or it has refused an earlier one.
    #[track_caller]
    pub fn send(&self, message: &[u8]) -> io::Result<usize> {
        self.socket.send(wait("UdpSocket::send"), message, false)
    }

    /// Receives a message from the address that it is connected with. What has no room in the buffer is lost.
    ///
    /// # Errors
    ///
    /// If there is no such address, or it has refused a message.
    #[track_caller]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(wait("UdpSocket::recv"), buffer, RecvFlags::empty(), false)
    }

    /// Receives a message that stays to be received again.
    ///
    /// # Errors
    ///
    /// As [`recv`](UdpSocket::recv).
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(wait("UdpSocket::peek"), buffer, RecvFlags::PEEK, false)
    }

    /// Sends a message to the first of the addresses.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be reached.
    #[track_caller]
    pub fn send_to(&self, message: &[u8], to: impl ToSocketAddrs) -> io::Result<usize> {
        let wait = wait("UdpSocket::send_to");
        let address = to.to_socket_addrs()?.into_iter().next().ok_or_else(no_address)?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        self.socket.call(Direction::Write, wait, |io| Ok(sendto(io, message, flags, &address)?))
    }

    /// Receives a message, and where it comes from. What has no room in the buffer is lost.
    ///
    /// # Errors
    ///
    /// If a message that was sent has been refused, on a connected socket.
    #[track_caller]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(wait("UdpSocket::recv_from"), buffer, RecvFlags::empty())
    }

    /// Receives a message that stays to be received again, and where it comes from.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    #[track_caller]
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(wait("UdpSocket::peek_from"), buffer, RecvFlags::PEEK)
    }

    fn receive_from(
        &self,
        wait: Wait,
        buffer: &mut [u8],
        flags: RecvFlags,
    ) -> io::Result<(usize, SocketAddr)> {
        let (count, from) = self.socket.call(Direction::Read, wait, |io| {
            let (count, _, from) = recvfrom(io, &mut *buffer, flags | RecvFlags::DONTWAIT)?;
            Ok((count, from))
        })?;
        let no_name = || io::Error::other("a message from no address");
        Ok((count, SocketAddr::try_from(from.ok_or_else(no_name)?)?))
    }

    forward! {
        /// The address that it is connected with.
        peer_addr() -> SocketAddr;
        /// Its own address.
        local_addr() -> SocketAddr;
        /// Whether it may send to broadcast addresses.
        set_broadcast(broadcast: bool) -> ();
        /// Whether it may send to broadcast addresses.
        broadcast() -> bool;
        /// How many hops a packet may go.
        set_ttl(ttl: u32) -> ();
        /// How many hops a packet may go.
        ttl() -> u32;
        /// Whether multicast packets come back to this machine.
        set_multicast_loop_v4(back: bool) -> ();
        /// Whether multicast packets come back to this machine.
        multicast_loop_v4() -> bool;
        /// How many hops a multicast packet may go.
        set_multicast_ttl_v4(ttl: u32) -> ();
        /// How many hops a multicast packet may go.
        multicast_ttl_v4() -> u32;
        /// Whether multicast packets come back to this machine.
        set_multicast_loop_v6(back: bool) -> ();
        /// Whether multicast packets come back to this machine.
        multicast_loop_v6() -> bool;
        /// Has it receive what is sent to a group.
        join_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
        /// Has it receive what is sent to a group.
        join_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
        /// Has it receive no more what is sent to a group.
        leave_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
        /// Has it receive no more what is sent to a group.
        leave_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
    }
}

socket! { UdpSocket, Std }
