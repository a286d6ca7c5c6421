//! A connection's socket, whose calls block a thread or suspend a coroutine.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::RecvFlags;

use super::super::listener::Socket;
use crate::green::net;

/// A socket of std for a thread, one of the coroutines for a coroutine.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    GreenTcp(net::TcpStream),
    GreenUnix(net::UnixStream),
}

/// The same expression for the socket of each kind.
macro_rules! each {
    ($stream:expr, $socket:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($socket) => $call,
            Stream::Unix($socket) => $call,
            Stream::GreenTcp($socket) => $call,
            Stream::GreenUnix($socket) => $call,
        }
    };
}

impl Stream {
    /// For a thread.
    pub(crate) fn blocking(socket: Socket) -> Stream {
        match socket {
            Socket::Tcp(socket) => Stream::Tcp(socket),
            Socket::Unix(socket) => Stream::Unix(socket),
        }
    }

    /// For a coroutine.
    pub(crate) fn suspending(socket: Socket) -> Stream {
        match socket {
            Socket::Tcp(socket) => Stream::GreenTcp(socket.into()),
            Socket::Unix(socket) => Stream::GreenUnix(socket.into()),
        }
    }

    #[inline]
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        each!(self, socket => (&mut &*socket).read(buffer))
    }

    #[inline]
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, socket => (&mut &*socket).write(bytes))
    }

    pub(crate) fn write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, socket => (&mut &*socket).write_vectored(bytes))
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        each!(self, socket => socket.shutdown(how))
    }

    /// Takes what has come and nobody will read: a socket that is closed with such is reset, and answers on their way are lost with it.
    pub(crate) fn discard_unread(&self) {
        let mut chunk = [0; 4096];
        for round in 0..64 {
            let result = rustix::net::recv(self, &mut chunk, RecvFlags::DONTWAIT);
            if !matches!(result, Ok((1.., _))) {
                return;
            }
            if round == 0 {
                let _ = self.shutdown(Shutdown::Write);
            }
        }
    }

    pub(crate) fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        each!(self, socket => socket.set_read_timeout(limit))
    }

    pub(crate) fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        each!(self, socket => socket.set_write_timeout(limit))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        each!(self, socket => socket.as_fd())
    }
}
