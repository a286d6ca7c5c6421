//! Sockets whose calls suspend the coroutine that makes them, and block a thread, as those of std do.
//!
//! The types have the names and the methods of [`std::net`] and [`std::os::unix::net`], and are made from them and into them. A
//! socket may be used by several coroutines, hubs and plain threads at once.
//!
//! | | std | here |
//! | --- | --- | --- |
//! | a call that would block | blocks the thread | in a coroutine, suspends it; else blocks the thread |
//! | a read or write over its time limit | `WouldBlock` | [`TimedOut`](std::io::ErrorKind::TimedOut) |
//! | a call interrupted by a signal handler | `Interrupted`, of most | goes on |
//! | names of hosts | looked up in place | looked up by [`offload`](super::offload()), in a coroutine: see [`ToSocketAddrs`] |
//! | `set_nonblocking` | | is not there: see [`wait_readable`] |
//!
//! A call that is cancelled, or whose [`timeout`](super::timeout) is over, unwinds from its wait; it has read or written nothing then. One
//! that need not wait is no place where a coroutine is ended, but for every hundredth or so, which lets the others run first.
//!
//! # Examples
//!
//! An echo server and its client, on one thread:
//!
//! ```
//! use fourfold::green::{self, net::{TcpListener, TcpStream}};
//! use std::io::{Read, Write};
//!
//! fn serve(stream: TcpStream) -> std::io::Result<u64> {
//!     std::io::copy(&mut &stream, &mut &stream)
//! }
//!
//! green::run(|| -> Result<(), Box<dyn std::error::Error>> {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     let server = green::spawn(move || serve(listener.accept()?.0), ())?;
//!
//!     let mut stream = TcpStream::connect(address)?;
//!     stream.write_all(b"hello")?;
//!     stream.shutdown(std::net::Shutdown::Write)?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer)?;
//!     assert_eq!(answer, "hello");
//!     assert_eq!(server.join()??, 5);
//!     Ok(())
//! })??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[macro_use]
mod common;
mod connect;
mod lookup;
mod ready;
mod socket;
mod tcp_listener;
mod tcp_stream;
mod udp;
mod unix_datagram;
mod unix_listener;
mod unix_stream;

pub use self::lookup::{ToSocketAddrs, lookup_host};
pub use self::ready::{wait_readable, wait_writable};
pub use self::tcp_listener::{Incoming, TcpListener};
pub use self::tcp_stream::TcpStream;
pub use self::udp::UdpSocket;
pub use self::unix_datagram::UnixDatagram;
pub use self::unix_listener::{IncomingUnix, UnixListener};
pub use self::unix_stream::UnixStream;
