//! A socket whose calls have a deadline.
//!
//! A timeout of the socket would begin anew with each call: who sends a byte now and then would hold us for ever.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};

use crate::cluster::manager::{Address, address};

/// Until when something is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    end: Option<Instant>,
    limit: Option<Duration>,
}

impl Deadline {
    pub(super) const NEVER: Deadline = Deadline { end: None, limit: None };

    /// So long from now. What the clock cannot say is never.
    pub(super) fn after(limit: Duration) -> Deadline {
        Deadline { end: Instant::now().checked_add(limit), limit: Some(limit) }
    }

    /// How long that was from the beginning, to tell of.
    pub(super) fn limit(self) -> Option<Duration> {
        self.limit
    }

    /// How long it still is, if it is not over.
    fn left(self) -> io::Result<Option<Duration>> {
        let Some(end) = self.end else { return Ok(None) };
        match end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

/// A connected socket.
pub(super) struct Stream {
    fd: OwnedFd,
}

impl Stream {
    pub(super) fn connect(address: &Address, deadline: Deadline) -> io::Result<Stream> {
        let fd = match address {
            Address::Tcp(address) => {
                let stream = match deadline.left()? {
                    Some(left) => TcpStream::connect_timeout(address, left)?,
                    None => TcpStream::connect(address)?,
                };
                stream.set_nodelay(true)?;
                address::keep_alive(&stream)?;
                stream.into()
            }
            Address::Unix(path) => connect_unix(&SocketAddrUnix::new(path.as_path())?, deadline)?,
            Address::Abstract(name) => {
                connect_unix(&SocketAddrUnix::new_abstract_name(name)?, deadline)?
            }
        };
        Ok(Stream { fd })
    }

    /// Reads if something is there.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.fd, buffer, RecvFlags::DONTWAIT)?.0)
    }

    /// Reads what is there, and waits for it.
    pub(super) fn read(&self, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
        let flags = match deadline.end {
            Some(_) => RecvFlags::DONTWAIT,
            None => RecvFlags::empty(),
        };
        self.when(PollFlags::IN, deadline, || Ok(recv(&self.fd, &mut *buffer, flags)?.0))
    }

    /// Writes as much as there is room for, and waits for room.
    pub(super) fn write(&self, bytes: &[u8], deadline: Deadline) -> io::Result<usize> {
        let flags = match deadline.end {
            Some(_) => SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            None => SendFlags::NOSIGNAL,
        };
        self.when(PollFlags::OUT, deadline, || send(&self.fd, bytes, flags))
    }

    fn when(
        &self,
        ready: PollFlags,
        deadline: Deadline,
        mut transfer: impl FnMut() -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match transfer() {
                Ok(n) => return Ok(n),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let left = deadline.left()?.and_then(|left| Timespec::try_from(left).ok());
                    let mut fds = [PollFd::new(&self.fd, ready)];
                    match poll(&mut fds, left.as_ref()) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Connects, and waits for a place among those that the server has not accepted yet: a Unix socket that does not wait
/// says `EAGAIN` there, and nothing tells when to try again. The limit on sending is what bounds the wait.
fn connect_unix(address: &SocketAddrUnix, deadline: Deadline) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    loop {
        // Less than the clock's tick would be none, which is for ever.
        let left = deadline.left()?.map(|left| left.max(Duration::from_millis(1)));
        set_socket_timeout(socket.as_fd(), Timeout::Send, left)?;
        match connect(&socket, address) {
            Ok(()) => break,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if deadline.end.is_some() => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    set_socket_timeout(socket.as_fd(), Timeout::Send, None)?;
    Ok(socket)
}
