//! Names of hosts.

use std::io;
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::super::offload::offload;

/// What stands for addresses of sockets: as [`std::net::ToSocketAddrs`], but that the lookup of a name does not hold up the thread of a
/// coroutine.
///
/// # Examples
///
/// ```
/// use fourfold::green::net::ToSocketAddrs;
///
/// assert_eq!("[::1]:80".to_socket_addrs()?, ("::1", 80).to_socket_addrs()?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait ToSocketAddrs {
    /// The addresses, in the order in which they are to be tried.
    ///
    /// # Errors
    ///
    /// If there is no such name, or it is not of the form that a name has.
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>>;
}

/// The addresses of a host, such as `"localhost:80"`. In a coroutine, others run while it is looked up.
///
/// # Errors
///
/// If there is no such name, or it has no port.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// let found = green::run(|| green::lookup_host("localhost:80"))??;
/// assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lookup_host(host: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    host.to_socket_addrs()
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        (**self).to_socket_addrs()
    }
}

/// Those whose addresses are known without a lookup.
macro_rules! known {
    ($($type:ty,)+) => {$(
        impl ToSocketAddrs for $type {
            fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
                Ok(net::ToSocketAddrs::to_socket_addrs(self)?.collect())
            }
        }
    )+};
}

known! {
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16),
}

impl ToSocketAddrs for [SocketAddr] {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.to_vec())
    }
}

impl ToSocketAddrs for (&str, u16) {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        match self.0.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![(ip, self.1).into()]),
            Err(_) => look_up((self.0.to_owned(), self.1)),
        }
    }
}

impl ToSocketAddrs for (String, u16) {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        (&*self.0, self.1).to_socket_addrs()
    }
}

impl ToSocketAddrs for str {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        match self.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => look_up(self.to_owned()),
        }
    }
}

impl ToSocketAddrs for String {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_socket_addrs()
    }
}

fn look_up<H: net::ToSocketAddrs + Send + 'static>(host: H) -> io::Result<Vec<SocketAddr>> {
    let look = move || Ok(host.to_socket_addrs()?.collect());
    offload(look, ()).map_err(io::Error::other)?
}
