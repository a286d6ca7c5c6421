//! Where a server listens, and where a client calls from.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// An end of a connection: an address of TCP, or a path.
///
/// As a text it is `HOST:PORT` or `unix:PATH`.
///
/// # Examples
///
/// ```
/// use fourfold::server::Address;
///
/// let address: Address = "127.0.0.1:8080".parse()?;
/// assert_eq!(address.port(), Some(8080));
/// let address: Address = "unix:/run/echo.sock".parse()?;
/// assert_eq!(address.to_string(), "unix:/run/echo.sock");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Address {
    /// A host and a port.
    Tcp(SocketAddr),
    /// A path; `None` for an end that has none, as most clients.
    Unix(#[serde(with = "as_bytes")] Option<PathBuf>),
}

/// A path as the bytes that it is: it need not be a text.
mod as_bytes {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        path.as_ref().map(|path| path.as_os_str().as_bytes()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let bytes: Option<Vec<u8>> = Deserialize::deserialize(deserializer)?;
        Ok(bytes.map(|bytes| OsString::from_vec(bytes).into()))
    }
}

impl Address {
    /// The port, of TCP.
    pub fn port(&self) -> Option<u16> {
        match self {
            Address::Tcp(address) => Some(address.port()),
            Address::Unix(_) => None,
        }
    }

    /// The address of TCP, if it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Address::Unix(None) => f.write_str("unix"),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address, Error> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(Error::invalid("an address `unix:` needs a path: unix:/run/name.sock"));
            }
            return Ok(Address::Unix(Some(path.into())));
        }
        let mut found = text.to_socket_addrs().map_err(|error| {
            let what = format!("{text:?} is no address: give HOST:PORT or unix:PATH");
            Error::invalid(what).with_source(error)
        })?;
        let first = found.next();
        first.map(Address::Tcp).ok_or_else(|| Error::invalid(format!("{text:?} has no address")))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Tcp(address)
    }
}

impl From<net::SocketAddr> for Address {
    fn from(address: net::SocketAddr) -> Address {
        Address::Unix(address.as_pathname().map(PathBuf::from))
    }
}

/// What an address can be made of: a text, an [`Address`], a [`SocketAddr`].
pub trait IntoAddress {
    /// The address.
    ///
    /// # Errors
    ///
    /// If a text is no address, or names a host that is not known.
    fn into_address(self) -> Result<Address, Error>;
}

impl IntoAddress for Address {
    fn into_address(self) -> Result<Address, Error> {
        Ok(self)
    }
}

impl IntoAddress for SocketAddr {
    fn into_address(self) -> Result<Address, Error> {
        Ok(self.into())
    }
}

impl IntoAddress for &str {
    fn into_address(self) -> Result<Address, Error> {
        self.parse()
    }
}

impl IntoAddress for &String {
    fn into_address(self) -> Result<Address, Error> {
        self.parse()
    }
}
