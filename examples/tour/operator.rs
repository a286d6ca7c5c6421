//! A server whose answers are typed by its operator, on a pool of threads: each conversation waits for its own, and none sees another's.
//!
//! Here the operator is a part of the program: it has each question with a place for the answer, and answers in the order that it likes.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use fourfold::prelude::*;
use fourfold::server::{Conn, Server, ThreadPool};
use fourfold::thread::Queue;

/// What lies on the operator's desk.
#[derive(Debug)]
struct Question {
    from: String,
    text: String,
    answer: Queue<String>,
}

/// One conversation: each line goes to the desk, and what is typed there comes back.
fn converse(conn: &mut Conn, desk: &Queue<Question>) -> io::Result<()> {
    let mut lines = BufReader::new(&*conn).lines();
    let Some(name) = lines.next().transpose()? else { return Ok(()) };
    for line in lines {
        let answer = Queue::new();
        let question = Question { from: name.clone(), text: line?, answer: answer.clone() };
        desk.put(question).map_err(io::Error::other)?;
        writeln!(&*conn, "{}", answer.get().map_err(io::Error::other)?)?;
    }
    Ok(())
}

/// A client that asks its questions, and what it is told.
fn ask(server: SocketAddr, name: &str, questions: &[&str]) -> io::Result<Vec<String>> {
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut lines = BufReader::new(&stream).lines();
    writeln!(&stream, "{name}")?;
    let mut told = Vec::new();
    for question in questions {
        writeln!(&stream, "{question}")?;
        told.extend(lines.next().transpose()?);
    }
    Ok(told)
}

fn main() -> fourfold::Result<()> {
    let desk = Queue::new();
    let for_clients = desk.clone();
    let server = Server::builder()
        .listen("127.0.0.1:0")?
        .start(ThreadPool(3), move |conn: &mut Conn| converse(conn, &for_clients))?;
    let address = server.addresses()[0].tcp().expect("a port");

    let clients = [("ann", ["how much?", "and when?"]), ("bob", ["where?", "which door?"])];
    let told = thread::scope(|scope| {
        let asked = clients
            .map(|(name, questions)| scope.spawn(move || ask(address, name, &questions), ()));
        // Two at a time, since each client waits for its answer; the last one by name is served first.
        for _ in 0..2 {
            let mut waiting = [desk.get()?, desk.get()?];
            waiting.sort_by(|one, other| other.from.cmp(&one.from));
            for Question { from, text, answer } in waiting {
                let typed = match &*text {
                    "how much?" => "ten, please",
                    "where?" => "in the station",
                    "and when?" => "at noon",
                    _ => "the third one",
                };
                println!("{from} asks: {text} The operator types: {typed}");
                answer.put(typed.into())?;
            }
        }
        asked.into_iter().map(|client| Ok(client?.join()??)).collect::<fourfold::Result<Vec<_>>>()
    })??;
    for ((name, _), told) in clients.iter().zip(told) {
        println!("{name} was told: {}", told.join(", "));
    }
    println!("cut: {}", server.shutdown(Duration::from_secs(60)).cut);
    Ok(())
}
