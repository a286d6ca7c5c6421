//! A connection's socket, whose calls block a thread or suspend a coroutine.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, send, sendmsg};

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

    /// Writes what there is room for, and waits only if there is none: each time it returns, the client has taken something.
    #[inline]
    pub(crate) fn write(&self, bytes: &[u8], limit: Option<Duration>) -> io::Result<usize> {
        match self {
            Stream::GreenTcp(socket) => (&mut &*socket).write(bytes),
            Stream::GreenUnix(socket) => (&mut &*socket).write(bytes),
            Stream::Tcp(_) | Stream::Unix(_) => {
                self.until_there_is_room(limit, || self.try_write(bytes))
            }
        }
    }

    pub(crate) fn write_vectored(
        &self,
        bytes: &[IoSlice<'_>],
        limit: Option<Duration>,
    ) -> io::Result<usize> {
        match self {
            Stream::GreenTcp(socket) => (&mut &*socket).write_vectored(bytes),
            Stream::GreenUnix(socket) => (&mut &*socket).write_vectored(bytes),
            Stream::Tcp(_) | Stream::Unix(_) => self.until_there_is_room(limit, || {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(sendmsg(self, bytes, &mut SendAncillaryBuffer::default(), flags)?)
            }),
        }
    }

    /// Writes what there is room for, and does not wait.
    #[inline]
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
    }

    #[inline]
    fn until_there_is_room(
        &self,
        limit: Option<Duration>,
        write: impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match write() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait_for_room(limit)?;
                }
                result => return result,
            }
        }
    }

    fn wait_for_room(&self, limit: Option<Duration>) -> io::Result<()> {
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            let rest = until.map(|until| until.saturating_duration_since(Instant::now()));
            let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
            let mut fds = [PollFd::new(self, PollFlags::OUT)];
            match poll(&mut fds, rest.as_ref()) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        each!(self, socket => socket.shutdown(how))
    }

    /// Takes what has come and nobody will read: a socket that is closed with such is reset, and answers on their way are lost with it.
    pub(crate) fn discard_unread(&self) {
        // Small, since it nearly always finds nothing: a process of one connection has no page of its stack yet for more.
        if matches!(rustix::net::recv(self, &mut [0; 64], RecvFlags::DONTWAIT), Ok((1.., _))) {
            let _ = self.shutdown(Shutdown::Write);
            self.discard_more();
        }
    }

    #[cold]
    fn discard_more(&self) {
        let mut chunk = [0; 4096];
        for _ in 0..64 {
            let result = rustix::net::recv(self, &mut chunk, RecvFlags::DONTWAIT);
            if !matches!(result, Ok((1.., _))) {
                return;
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
