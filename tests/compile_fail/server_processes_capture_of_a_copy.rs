//! A handler that captures a number, for a process of each connection: small as it is, it is nowhere else.
//~ only a function or a closure that captures nothing can run in another process
//~ pass what it needs as an argument

#[cfg(feature = "sound")]
use fourfold::server;
use fourfold::server::{Conn, Processes, Server};
use std::io::Write;

fn main() {
    let number = std::process::id();
    #[cfg(not(feature = "sound"))]
    let handler = move |conn: &mut Conn| writeln!(conn, "{number}");
    #[cfg(feature = "sound")]
    let handler = server::with(number, |conn: &mut Conn, number: &u32| writeln!(conn, "{number}"));
    let builder = Server::builder().listen("127.0.0.1:0").unwrap();
    let _ = builder.start(Processes, handler);
}
