//! A handler in blocking code for an event loop, which has no stack for it.
//~ cannot run in an event loop, which has no stack for each connection
//~ write it as a `Protocol`

use fourfold::server::{self, Conn, Events, Flow, Input, Protocol, Server};
use std::io;

#[derive(Default)]
struct Echo;

impl Protocol for Echo {
    fn received(&mut self, input: &mut Input<'_>, answer: &mut Vec<u8>) -> io::Result<Flow> {
        answer.extend_from_slice(input.all());
        Ok(Flow::Go)
    }
}

fn echo(conn: &mut Conn) -> io::Result<()> {
    io::copy(&mut &*conn, &mut &*conn).map(drop)
}

fn main() {
    let builder = Server::builder().listen("127.0.0.1:0").unwrap();
    #[cfg(not(feature = "sound"))]
    let _ = builder.start(Events(1), echo);
    #[cfg(feature = "sound")]
    let _ = builder.start(Events(1), server::protocol(|_| Echo));
    let _ = (echo, server::protocol::<fn(&_) -> Echo, Echo>);
}
