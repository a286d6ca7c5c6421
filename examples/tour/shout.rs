//! A server that answers in upper case, a process for each connection: what one client does to its process, it does to itself.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use fourfold::prelude::*;
use fourfold::server::{Conn, Processes, Server};

/// Plain blocking code. It may well die of what a client says.
fn shout(conn: &mut Conn) -> io::Result<()> {
    for line in BufReader::new(&*conn).lines() {
        match &*line? {
            "who are you?" => writeln!(&*conn, "{}", std::process::id())?,
            "die" => std::process::abort(),
            line => writeln!(&*conn, "{}", line.to_uppercase())?,
        }
    }
    Ok(())
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(server: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Client(BufReader::new(stream)))
    }

    fn ask(&mut self, line: &str) -> io::Result<String> {
        writeln!(self.0.get_mut(), "{line}")?;
        let mut answer = String::new();
        self.0.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }
}

/// One of several who talk at once.
fn talk(server: SocketAddr, name: &str) -> io::Result<Vec<String>> {
    let mut client = Client::connect(server)?;
    (1..=3).map(|n| client.ask(&format!("{name} says {n}"))).collect()
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let server = Server::builder().listen("127.0.0.1:0")?;
    // What is said of a process that dies is not for this terminal.
    let server = server.on_event(|_event| {}).start(Processes, shout)?;
    let address = server.addresses()[0].tcp().expect("a port");

    let said = thread::scope(|scope| {
        let clients =
            ["ann", "bob", "eve"].map(|name| scope.spawn(move || talk(address, name), ()));
        clients.into_iter().map(|client| Ok(client?.join()??)).collect::<fourfold::Result<Vec<_>>>()
    })??;
    for answers in said {
        println!("{}", answers.join(", "));
    }

    let (mut one, mut other) = (Client::connect(address)?, Client::connect(address)?);
    let processes = [one.ask("who are you?")?, other.ask("who are you?")?];
    println!("a process for each: {}", processes[0] != processes[1]);

    // Half a line, an answer that is not read, and away.
    let leaver = TcpStream::connect(address)?;
    (&leaver).write_all(b"a line\nhalf a li")?;
    drop(leaver);
    println!("one has left in the middle: {}", other.ask("still there?")?);

    let answer = one.ask("die").unwrap_or_default();
    println!("one has killed its process, and is answered {answer:?}: {}", other.ask("and you?")?);

    drop((one, other));
    let ended = server.shutdown(Duration::from_secs(60));
    let counters = server.counters();
    println!(
        "{} connections, {} process lost, {} cut",
        counters.accepted, counters.workers_lost, ended.cut
    );

    // At once, whatever its clients have left behind.
    let again = Server::builder().listen(address)?.start(Processes, shout)?;
    println!("at the same address again: {}", Client::connect(address)?.ask("hello")?);
    drop(again);
    Ok(())
}
