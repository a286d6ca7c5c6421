//! A socket that is not wrapped.
//~ TcpListener` cannot cross to another process
//~ a socket, a file or a pipe crosses in a `fourfold::process::Fd`

use std::net::TcpListener;

use fourfold::process;
#[cfg(feature = "sound")]
use fourfold::process::Fd;

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    #[cfg(not(feature = "sound"))]
    drop(process::spawn(|listener: TcpListener| drop(listener.accept()), listener));
    #[cfg(feature = "sound")]
    drop(process::spawn(|Fd(listener): Fd<TcpListener>| drop(listener.accept()), Fd(listener)));
}
