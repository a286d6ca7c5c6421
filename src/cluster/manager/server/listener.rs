//! The listening socket, of either family.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use crate::cluster::manager::{Address, address};

#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    /// With the path that is removed at the end.
    Unix(UnixListener, Option<PathBuf>),
}

impl Listener {
    /// Listens, and says where: a port of zero has become one.
    pub(super) fn bind(address: &Address) -> io::Result<(Listener, Address)> {
        let (listener, address) = match address {
            Address::Tcp(wanted) => {
                let listener = TcpListener::bind(wanted)?;
                listener.set_nonblocking(true)?;
                let address = Address::Tcp(listener.local_addr()?);
                (Listener::Tcp(listener), address)
            }
            Address::Unix(path) => {
                let listener = UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                (Listener::Unix(listener, Some(path.clone())), address.clone())
            }
            Address::Abstract(name) => {
                let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
                listener.set_nonblocking(true)?;
                (Listener::Unix(listener, None), address.clone())
            }
        };
        // The standard library's 128 is what a thousand clients that come at once run over.
        rustix::net::listen(listener.as_fd(), 4096)?;
        Ok((listener, address))
    }

    /// The socket, to be handed to another process, and the path that whoever serves there removes.
    pub(super) fn into_parts(mut self) -> io::Result<(OwnedFd, Option<PathBuf>)> {
        // Copied, since what has a path to remove cannot be taken apart.
        let socket = self.as_fd().try_clone_to_owned()?;
        let path = match &mut self {
            Listener::Unix(_, path) => path.take(),
            Listener::Tcp(_) => None,
        };
        Ok((socket, path))
    }

    /// What another process listens at.
    pub(super) fn from_parts(socket: OwnedFd, address: &Address) -> Listener {
        match address {
            Address::Tcp(_) => Listener::Tcp(socket.into()),
            Address::Unix(path) => Listener::Unix(socket.into(), Some(path.clone())),
            Address::Abstract(_) => Listener::Unix(socket.into(), None),
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener, _) => listener.as_fd(),
        }
    }

    /// The next connection, if one has come.
    pub(super) fn accept(&self) -> io::Result<Option<OwnedFd>> {
        loop {
            let accepted = match self {
                Listener::Tcp(listener) => listener.accept().map(|(stream, _)| {
                    // What cannot be set on one that came and went is of no matter.
                    let _ = stream.set_nodelay(true).and_then(|()| address::keep_alive(&stream));
                    OwnedFd::from(stream)
                }),
                Listener::Unix(listener, _) => listener.accept().map(|(stream, _)| stream.into()),
            };
            match accepted {
                Ok(socket) => return Ok(Some(socket)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    // One that came and went.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, Some(path)) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_does_not_listen_any_more_is_an_error() {
        let any = Address::Tcp("127.0.0.1:0".parse().expect("an address"));
        let (listener, _) = Listener::bind(&any).expect("a socket");
        assert!(listener.accept().expect("it listens").is_none());
        rustix::net::shutdown(listener.as_fd(), rustix::net::Shutdown::Both).expect("a socket");
        assert!(listener.accept().is_err());
    }
}
