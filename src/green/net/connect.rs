//! Connecting a stream.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::sockopt::socket_error;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::socket::{Socket, again_until};
use crate::sync::park::Wait;

/// A stream that is connected with this address, by the deadline.
pub(super) fn connect_stream<S: AsFd + From<OwnedFd>>(
    family: AddressFamily,
    address: &impl SocketAddrArg,
    wait: &Wait,
    deadline: Option<Instant>,
) -> io::Result<Socket<S>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family, SocketType::STREAM, flags, None)?;
    let socket = Socket::new(S::from(fd));
    match connect(socket.io(), address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS | Errno::INTR) => {
            if !socket.wait_writable(wait, deadline)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket_error(socket.io())??;
        }
        // A Unix socket whose queue of connections is full: nothing tells when there is room in it.
        Err(Errno::AGAIN) => again_until(wait, deadline, || Ok(connect(socket.io(), address)?))?,
        Err(error) => return Err(error.into()),
    }
    // As std's streams are: the calls made here ask for each that it does not block.
    rustix::io::ioctl_fionbio(socket.io(), false)?;
    Ok(socket)
}
