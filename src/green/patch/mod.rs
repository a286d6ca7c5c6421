//! With the feature `patch`: blocking calls of std, made in a coroutine, suspend it, in place of blocking the thread.
//!
//! The functions of the C library that std calls are defined by this crate in its place, for the whole program. Called in a coroutine they
//! wait as [`net`](super::net) does; anywhere else, they make the same system call as before. The mode of a descriptor stays what it is:
//! one that does not block is left alone. There is nothing to call here.
//!
//! | in a coroutine | suspends it | by |
//! | --- | --- | --- |
//! | `std::thread::sleep`, `sleep_until` | yes | `nanosleep`, `clock_nanosleep` |
//! | `TcpStream`: `read`, `peek`, `write`, vectored too, `connect`, `connect_timeout` | yes | `recv`, `send`, `readv`, `writev`, `connect`, `poll` |
//! | `TcpListener`, `UnixListener`: `accept`, `incoming` | yes | `accept`, `accept4` |
//! | `UdpSocket`, `UnixDatagram`: `recv`, `recv_from`, `peek_from`, `send`, `send_to` | yes | `recv`, `recvfrom`, `recvmsg`, `send`, `sendto`, `sendmsg` |
//! | `UnixStream`: as `TcpStream` | yes | |
//! | `set_read_timeout`, `set_write_timeout` of these | hold | as std's: `WouldBlock` |
//! | names: `("localhost", 80).to_socket_addrs()` | yes | `getaddrinfo`, by [`offload`](super::offload()) |
//! | pipes, of children too: `read`, `write` | yes | `read`, `write`, `readv`, `writev` |
//! | `std::io::copy` between these | yes | `sendfile` and `splice` decline, std reads and writes |
//! | `Command::output` | while it reads | `poll`; the wait for the child's end blocks |
//!
//! # What it cannot cover
//!
//! - Standard input, output and error block: std holds locks of its own while it uses them.
//! - Files: the kernel does not say when they are ready. Take [`offload`](super::offload()).
//! - Locks and channels of std, `thread::park`, `JoinHandle::join`, the wait for a child process: there is no descriptor behind these. Take
//!   the words of this crate.
//! - Calls that the C library makes inside of itself, and system calls made without it, as by rustix and by `io_uring`; `select`,
//!   `epoll_wait`, and whatever else is not in the table.
//! - Programs and libraries that are linked statically with their own copy of the C library.
//! - A race: several that accept from one listener, or read from one pipe, across threads or processes. Who finds nothing left blocks its
//!   thread until there is more. Sockets of [`net`](super::net) have no such race.
//! - A write to a terminal that takes nothing blocks.
//!
//! # Cancelling
//!
//! Code of the C library cannot be unwound. So a call during which its coroutine is cancelled fails, with `ECANCELED`, or, at the end of a
//! [`timeout`](super::timeout), with `ETIMEDOUT`; a sleep ends early. The coroutine is unwound from its next wait that is one of this crate's.
//!
//! # Examples
//!
//! ```
//! use fourfold::green;
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//! use std::time::Duration;
//!
//! green::run(|| -> Result<(), Box<dyn std::error::Error>> {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     let server = move || {
//!         let (mut stream, _) = listener.accept()?;
//!         std::thread::sleep(Duration::from_millis(1));
//!         stream.write_all(b"hello")
//!     };
//!     let server = green::spawn(server, ())?;
//!     let mut text = String::new();
//!     TcpStream::connect(address)?.read_to_string(&mut text)?;
//!     server.join()??;
//!     assert_eq!(text, "hello");
//!     Ok(())
//! })??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod files;
mod names;
mod raw;
mod sockets;
mod time;
mod waiting;
