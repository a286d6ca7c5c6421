//! Where a manager listens.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use fourfold_wire::talk;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where a manager listens, or is to be reached.
///
/// As text it is `host:port`, a port alone on this machine, the path of a Unix socket with a `/` in it, or `@` and a name
/// in Linux's abstract namespace.
///
/// # Examples
///
/// ```
/// use fourfold::cluster::manager::Address;
///
/// assert!(matches!("127.0.0.1:5000".parse()?, Address::Tcp(address) if address.port() == 5000));
/// assert_eq!("5000".parse::<Address>()?, "127.0.0.1:5000".parse()?);
/// assert!(matches!("./queue.sock".parse()?, Address::Unix(path) if path.ends_with("queue.sock")));
/// assert!(matches!("@queue".parse()?, Address::Abstract(name) if name == b"queue"));
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Address {
    /// A TCP socket.
    Tcp(SocketAddr),
    /// A Unix socket by its path.
    Unix(PathBuf),
    /// A Unix socket by a name in the abstract namespace, without the zero byte in front.
    Abstract(Vec<u8>),
}

/// How long nothing may be heard before the other machine is asked whether it is there.
const IDLE: Duration = Duration::from_secs(60);
/// How often it is asked again, and how many times in vain: then it is gone.
const PROBES: (Duration, u32) = (Duration::from_secs(10), 6);

/// Has the system notice a machine that vanishes without a word, two minutes later at the latest.
pub(super) fn keep_alive(stream: impl AsFd) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, IDLE)?;
    sockopt::set_tcp_keepintvl(&stream, PROBES.0)?;
    Ok(sockopt::set_tcp_keepcnt(&stream, PROBES.1)?)
}

impl Address {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().is_loopback(),
            Address::Unix(_) | Address::Abstract(_) => true,
        }
    }

    /// As tokens have it.
    pub(super) fn to_wire(&self) -> talk::Address {
        match self {
            Address::Tcp(address) => talk::Address::Tcp(address.ip().to_string(), address.port()),
            Address::Unix(path) => talk::Address::Unix(path.as_os_str().as_bytes().to_vec()),
            Address::Abstract(name) => talk::Address::Abstract([b"\0", &name[..]].concat()),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// # Errors
    ///
    /// A host that has no address.
    fn from_str(text: &str) -> Result<Address> {
        if let Some(name) = text.strip_prefix('@') {
            return Ok(Address::Abstract(name.as_bytes().to_vec()));
        }
        if text.contains('/') {
            return Ok(Address::Unix(text.into()));
        }
        if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
            return Ok(Address::Tcp((Ipv4Addr::LOCALHOST, port).into()));
        }
        let mut addresses = text.to_socket_addrs().map_err(|error| {
            Error::invalid(format!("{text:?} is no address")).with_source(error)
        })?;
        let first = addresses.next();
        first.map(Address::Tcp).ok_or_else(|| Error::invalid(format!("{text:?} has no address")))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) if path.as_os_str().as_bytes().contains(&b'/') => {
                path.display().fmt(f)
            }
            Address::Unix(path) => write!(f, "./{}", path.display()),
            Address::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Tcp(address)
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Address {
        Address::Unix(path)
    }
}

/// What an address can be made of.
pub trait ToAddress {
    /// The address.
    ///
    /// # Errors
    ///
    /// It is a text that is none.
    fn to_address(&self) -> Result<Address>;
}

impl ToAddress for Address {
    fn to_address(&self) -> Result<Address> {
        Ok(self.clone())
    }
}

impl ToAddress for SocketAddr {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Tcp(*self))
    }
}

impl ToAddress for PathBuf {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Unix(self.clone()))
    }
}

impl ToAddress for std::path::Path {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Unix(self.to_owned()))
    }
}

impl ToAddress for str {
    fn to_address(&self) -> Result<Address> {
        self.parse()
    }
}

impl ToAddress for String {
    fn to_address(&self) -> Result<Address> {
        self.parse()
    }
}

impl<T: ToAddress + ?Sized> ToAddress for &T {
    fn to_address(&self) -> Result<Address> {
        (**self).to_address()
    }
}
