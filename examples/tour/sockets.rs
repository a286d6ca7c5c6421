//! Sockets and files as arguments and values: the child answers the client on that very socket. And a queue, a lock, an event.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use fourfold::prelude::*;
use fourfold::process::{Event, Fd, Lock, Queue};

/// Answers a client that somebody else has accepted.
fn answer(Fd(mut client): Fd<TcpStream>) {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    client.write_all(text.to_uppercase().as_bytes()).unwrap();
}

/// Accepts one client, and greets it.
fn greet(Fd(listener): Fd<TcpListener>) {
    let (mut client, _) = listener.accept().unwrap();
    client.write_all(process::current().name().as_bytes()).unwrap();
}

fn write_in(mut file: Fd<File>, text: String) -> Fd<File> {
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Counts what comes, until it is told.
fn count(items: Queue<String>, sum: Lock<u64>, counted: Event) -> Event {
    for item in items.iter() {
        *sum.lock().unwrap() += item.len() as u64;
    }
    counted.set();
    counted
}

fn ask(client: &mut TcpStream, text: &str) -> std::io::Result<String> {
    client.write_all(text.as_bytes())?;
    client.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let pool = process::Executor::builder().workers(2).name("greeter").build()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;

    let mut client = TcpStream::connect(address)?;
    let child = process::spawn(answer, Fd(listener.accept()?.0))?;
    println!("a child answers: {}", ask(&mut client, "good day")?);
    child.join()?;

    let mut client = TcpStream::connect(address)?;
    let task = pool.submit(answer, Fd(listener.accept()?.0));
    println!("a worker answers: {}", ask(&mut client, "good evening")?);
    task.join()?;

    let task = pool.submit(greet, Fd(listener.try_clone()?));
    println!("a worker accepts: {}", ask(&mut TcpStream::connect(address)?, "")?);
    task.join()?;

    let (mut reader, writer) = std::io::pipe()?;
    let child = process::spawn(
        write_in,
        (File::from(std::os::fd::OwnedFd::from(writer)).into(), "a child, ".into()),
    )?;
    let file = pool.submit(write_in, (child.join()?, "a worker".into())).join()?;
    drop(file);
    println!("one file, there and back and there: {}", {
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        text
    });

    let (items, sum, counted) = (Queue::bounded(2)?, Lock::new(0)?, Event::new()?);
    let child = process::spawn(count, (items.clone(), sum.clone(), counted.clone()))?;
    let task = pool.submit(count, (items.clone(), sum.clone(), counted.clone()));
    for item in ["a child", "and", "a worker", "share", "these"] {
        items.put(item.into())?;
    }
    items.shut_down(false);
    let events = [child.join()?, task.join()?];
    let are_set = counted.is_set() && events.iter().all(Event::is_set);
    println!("a queue, a lock and an event: {} bytes counted; told? {are_set}", *sum.lock()?);
    Ok(())
}
