//! A handler that captures something, for worker processes, which do not share it.
//~ captures something, which a worker process does not share
//~ pass what it needs as an argument: `server::with

#[cfg(feature = "sound")]
use fourfold::server;
use fourfold::server::{Conn, Coroutines, Prefork, Server};
use std::io::Write;

fn main() {
    let greeting = String::from("hello");
    #[cfg(not(feature = "sound"))]
    let handler = move |conn: &mut Conn| conn.write_all(greeting.as_bytes());
    #[cfg(feature = "sound")]
    let handler = server::with(greeting, |conn: &mut Conn, greeting: &String| {
        conn.write_all(greeting.as_bytes())
    });
    let builder = Server::builder().listen("127.0.0.1:0").unwrap();
    let _ = builder.start(Prefork(2, Coroutines(1)), handler);
}
