//! Servers: one handler in plain blocking code, under the model of concurrency that one argument chooses.
//!
//! | model | who runs the handler of a connection | it can run |
//! | --- | --- | --- |
//! | [`Serial`] | one thread, one connection after another | any handler |
//! | [`Events`] | an event loop, with many others | a [`Protocol`] |
//! | [`Coroutines`] | a coroutine on one of a few threads | any handler |
//! | [`Threads`] | a thread of its own | any handler |
//! | [`ThreadPool`] | a thread of a pool | any handler |
//! | [`Processes`] | a process of its own | one that captures nothing |
//! | [`Prefork`] | one of a few worker processes, by a model of its own there | one that captures nothing |
//!
//! [`Model`] is all of them as one type, for a program that chooses when it runs.
//!
//! What a handler is, in which forms, is told at [`Handler`]; the limits of time and the rest that a server can be asked for at
//! [`Builder`]; its end at [`Server::shutdown`]. A handler that panics, or a client that floods, is slow, stops in the middle of
//! a line or goes away, costs that connection only, under every model.
//!
//! # Examples
//!
//! ```
//! use fourfold::server::{Conn, Coroutines, Processes, Server, Threads};
//! use std::io::{self, BufRead, BufReader, Write};
//! use std::net::TcpStream;
//!
//! /// Answers each line in upper case.
//! fn shout(conn: &mut Conn) -> io::Result<()> {
//!     for line in BufReader::new(&*conn).lines() {
//!         writeln!(&*conn, "{}", line?.to_uppercase())?;
//!     }
//!     Ok(())
//! }
//!
//! fn try_out(server: Server) -> io::Result<()> {
//!     let mut stream = TcpStream::connect(server.addresses()[0].tcp().unwrap())?;
//!     writeln!(stream, "hello")?;
//!     let mut answer = String::new();
//!     BufReader::new(stream).read_line(&mut answer)?;
//!     assert_eq!(answer, "HELLO\n");
//!     Ok(())
//! }
//!
//! try_out(Server::builder().listen("127.0.0.1:0")?.start(Threads, shout)?)?;
//! try_out(Server::builder().listen("127.0.0.1:0")?.start(Coroutines(1), shout)?)?;
//! try_out(Server::builder().listen("127.0.0.1:0")?.start(Processes, shout)?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod address;
mod attend;
mod builder;
mod conn;
mod core;
mod counters;
mod event;
mod handle;
mod handler;
mod ledger;
mod listener;
mod model;
mod protocol;
mod settings;
mod signals;

pub use self::address::{Address, IntoAddress};
pub use self::builder::Builder;
pub use self::conn::Conn;
pub use self::counters::{Counters, Latency};
pub use self::event::Event;
pub use self::handle::{Ended, Server};
pub use self::handler::{
    Conversations, Given, Handler, Plain, Portable, TurnByTurn, With, protocol, protocol_with, with,
};
pub use self::model::{
    Coroutines, Events, Model, Prefork, Processes, Serial, Serves, ThreadPool, Threads,
};
pub use self::protocol::{Flow, Input, Protocol};
pub use self::signals::Signals;
