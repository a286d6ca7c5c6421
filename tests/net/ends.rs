//! Pairs of connected streams, and streams that take no more.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use fourfold::green::net::{TcpListener, TcpStream};

/// Two ends of a TCP connection.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (here, _) = listener.accept().unwrap();
    (here, there)
}

/// Fills what a stream can hold that nobody reads from. How much it was.
pub(crate) fn fill(mut stream: impl Write, set: impl Fn(Option<Duration>)) -> usize {
    set(Some(Duration::from_millis(20)));
    let mut total = 0;
    loop {
        match stream.write(&[7; 65536]) {
            Ok(count) => total += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                set(None);
                return total;
            }
        }
    }
}
