//! One protocol under every model: it greets before anything is said, answers each line with itself and `response`, and looks after a
//! client that has been silent for a while.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use fourfold::prelude::*;
use fourfold::server::{self, Flow, Input, Model, Protocol, Server};

/// One connection's conversation. It never waits: what it says is put in `answer`, and written when the client can take it.
#[derive(Default)]
struct Greeter {
    lines: usize,
    /// The client has asked to be looked after.
    looked_after: bool,
}

impl Protocol for Greeter {
    fn connected(&mut self, answer: &mut Vec<u8>) -> io::Result<Flow> {
        writeln!(answer, "hello")?;
        Ok(Flow::Go)
    }

    fn received(&mut self, input: &mut Input<'_>, answer: &mut Vec<u8>) -> io::Result<Flow> {
        let Some(line) = input.line() else { return Ok(Flow::Go) };
        self.lines += 1;
        match line {
            b"look after me" => self.looked_after = true,
            b"much" => answer.resize(answer.len() + MUCH, b'.'),
            b"bye" => {
                writeln!(answer, "bye, that was line {}", self.lines)?;
                return Ok(Flow::Close);
            }
            _ => {
                answer.extend_from_slice(line);
                answer.extend_from_slice(b" response\n");
            }
        }
        Ok(Flow::Go)
    }

    fn wake_after(&self) -> Option<Duration> {
        Some(Duration::from_millis(20))
    }

    fn quiet(&mut self, answer: &mut Vec<u8>) -> io::Result<Flow> {
        if std::mem::take(&mut self.looked_after) {
            writeln!(answer, "are you still there?")?;
        }
        Ok(Flow::Go)
    }
}

/// More than the buffers between the two hold.
const MUCH: usize = 8 << 20;

fn connect(server: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(BufReader::new(stream))
}

/// A few clients, one after another, and what each of them sees.
fn transcript(server: SocketAddr) -> io::Result<Vec<String>> {
    let mut seen = Vec::new();
    let line = |client: &mut BufReader<TcpStream>| -> io::Result<String> {
        let mut line = String::new();
        client.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };

    let mut client = connect(server)?;
    seen.push(format!("before a word is said: {}", line(&mut client)?));
    for word in ["one", "two"] {
        writeln!(client.get_mut(), "{word}")?;
        seen.push(line(&mut client)?);
    }
    client.get_mut().write_all(b"in par")?;
    client.get_mut().write_all(b"ts\nand two\nat once\n")?;
    seen.extend([line(&mut client)?, line(&mut client)?, line(&mut client)?]);
    writeln!(client.get_mut(), "look after me")?;
    seen.push(format!("after a silence: {}", line(&mut client)?));
    writeln!(client.get_mut(), "bye")?;
    seen.push(line(&mut client)?);
    seen.push(format!("then nothing: {:?}", line(&mut client)?));

    let mut slow = connect(server)?;
    line(&mut slow)?;
    slow.get_mut().write_all(b"much\nmuch\nthat was all\n")?;
    slow.get_ref().shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer)?;
    let rest = String::from_utf8_lossy(answer.get(2 * MUCH..).unwrap_or_default());
    let dots = answer.iter().take_while(|byte| **byte == b'.').count();
    seen.push(format!("one that reads late: {} MiB, and {}", dots >> 20, rest.trim_end()));

    drop(connect(server)?);
    let mut last = connect(server)?;
    seen.push(format!("one has left at once, the next: {}", line(&mut last)?));
    Ok(seen)
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let greeter = server::protocol(|_peer| Greeter::default());
    let models = [
        "serial",
        "events",
        "events:2",
        "coroutines",
        "coroutines:2",
        "threads",
        "pool:4",
        "processes",
        "prefork:2",
        "prefork:2:events",
        "prefork:2:threads",
    ];
    let mut first = None;
    for name in models {
        let server = Server::builder().listen("127.0.0.1:0")?;
        let server = server.start(name.parse::<Model>()?, greeter)?;
        let seen = transcript(server.addresses()[0].tcp().expect("a port"))?;
        let ended = server.shutdown(Duration::from_secs(60));
        match &first {
            None => {
                println!("{name}:\n  {}", seen.join("\n  "));
                first = Some(seen);
            }
            Some(first) => println!("{name}, the same: {}", seen == *first && ended.cut == 0),
        }
    }
    Ok(())
}
