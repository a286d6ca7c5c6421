//! What a server listens on: bound by it, or given to it.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, Shutdown, SocketType, sockopt};

use super::address::Address;
use crate::error::{Error, Result};

/// A socket of std, of either kind.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// One that came from another process, as the kind that its peer's address is of.
    pub(crate) fn from_fd(fd: OwnedFd, peer: &Address) -> Socket {
        match peer {
            Address::Tcp(_) => Socket::Tcp(fd.into()),
            Address::Unix(_) => Socket::Unix(fd.into()),
        }
    }

    pub(crate) fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

/// A listening socket, in the mode that does not block.
#[derive(Debug)]
pub(super) enum Listener {
    /// And whether it was bound here.
    Tcp(TcpListener, bool),
    /// With the path that is ours to remove, if it was bound here.
    Unix(UnixListener, Option<Place>),
}

/// The path that a listener of ours has made, which goes with it.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Device and number of the file, so that nobody else's is removed.
    file: (u64, u64),
    /// The process that made it: a fork of it leaves it there.
    owner: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        let is_ours = self.owner == std::process::id();
        if is_ours && file_of(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn file_of(path: &Path) -> io::Result<(u64, u64)> {
    let data = fs::symlink_metadata(path)?;
    Ok((data.dev(), data.ino()))
}

impl Listener {
    pub(super) fn bind(address: &Address, backlog: u32) -> Result<Listener> {
        let result = match address {
            // std has the address be bound again at once (SO_REUSEADDR).
            Address::Tcp(address) => {
                TcpListener::bind(address).map(|listener| Listener::Tcp(listener, true))
            }
            Address::Unix(Some(path)) => bind_path(path),
            Address::Unix(None) => {
                return Err(Error::invalid("cannot listen on a path of no name"));
            }
        };
        let listener = result.map_err(|error| {
            let what = format!("cannot listen on {address}: {error}");
            Error::from(error).with_message(what)
        })?;
        listener.prepare(Some(backlog))?;
        Ok(listener)
    }

    /// A descriptor that listens already, inherited or received.
    pub(super) fn adopt(fd: OwnedFd) -> Result<Listener> {
        if !sockopt::socket_acceptconn(&fd).unwrap_or(false) {
            return Err(Error::invalid("the descriptor is no socket that listens"));
        }
        let kind = sockopt::socket_type(&fd).map_err(io::Error::from)?;
        let family = sockopt::socket_domain(&fd).map_err(io::Error::from)?;
        let listener = match (kind, family) {
            (SocketType::STREAM, AddressFamily::INET | AddressFamily::INET6) => {
                Listener::Tcp(fd.into(), false)
            }
            (SocketType::STREAM, AddressFamily::UNIX) => Listener::Unix(fd.into(), None),
            _ => return Err(Error::invalid("a server listens on TCP or on Unix stream sockets")),
        };
        listener.prepare(None)?;
        Ok(listener)
    }

    fn prepare(&self, backlog: Option<u32>) -> Result<()> {
        if let Some(backlog) = backlog {
            // A second `listen` changes the length of the queue.
            let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
            rustix::net::listen(self, backlog).map_err(io::Error::from)?;
        }
        match self {
            Listener::Tcp(listener, _) => listener.set_nonblocking(true)?,
            Listener::Unix(listener, _) => listener.set_nonblocking(true)?,
        }
        Ok(())
    }

    pub(super) fn address(&self) -> Result<Address> {
        Ok(match self {
            Listener::Tcp(listener, _) => listener.local_addr()?.into(),
            Listener::Unix(listener, _) => listener.local_addr()?.into(),
        })
    }

    /// Whoever wants to connect is refused from now on. Not at one that came from elsewhere: others may accept there.
    pub(super) fn refuse(&self) {
        let is_ours = match self {
            Listener::Tcp(_, is_ours) => *is_ours,
            Listener::Unix(_, place) => place.is_some(),
        };
        if is_ours {
            let _ = rustix::net::shutdown(self, Shutdown::Both);
        }
    }

    pub(super) fn accept(&self) -> io::Result<(Socket, Address)> {
        match self {
            Listener::Tcp(listener, _) => {
                listener.accept().map(|(socket, peer)| (Socket::Tcp(socket), peer.into()))
            }
            Listener::Unix(listener, _) => {
                listener.accept().map(|(socket, peer)| (Socket::Unix(socket), peer.into()))
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener, _) => listener.as_fd(),
            Listener::Unix(listener, _) => listener.as_fd(),
        }
    }
}

/// A socket that nobody listens at any more is in nobody's way.
fn bind_path(path: &Path) -> io::Result<Listener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        result => result?,
    };
    let place = Place { path: path.to_owned(), file: file_of(path)?, owner: std::process::id() };
    Ok(Listener::Unix(listener, Some(place)))
}

fn is_stale(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
        && UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
