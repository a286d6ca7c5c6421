//! One handler, under three models of concurrency.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

use fourfold::server::{Conn, Coroutines, Prefork, Server, Threads};

/// Answers each line in upper case: plain blocking code, whoever runs it.
fn shout(conn: &mut Conn) -> io::Result<()> {
    for line in BufReader::new(&*conn).lines() {
        writeln!(&*conn, "{}", line?.to_uppercase())?;
    }
    Ok(())
}

fn ask(server: Server) -> fourfold::Result<String> {
    let stream = TcpStream::connect(server.addresses()[0].tcp().expect("a port"))?;
    writeln!(&stream, "hello")?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let server = || Server::builder().listen("127.0.0.1:0");
    println!("a thread for each connection: {}", ask(server()?.start(Threads, shout)?)?);
    println!("coroutines on two threads: {}", ask(server()?.start(Coroutines(2), shout)?)?);
    let workers = Prefork(2, Coroutines(1));
    println!("two processes of coroutines: {}", ask(server()?.start(workers, shout)?)?);
    Ok(())
}
