//! Waiting for many things at once: sockets, pipes, queues, events, timers and children, whichever is ready first.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use fourfold::prelude::*;
use fourfold::process::Receiver;
use fourfold::thread::{Event, Queue};

/// A process that says each number, and then ends.
fn count(sender: process::Sender<u32>, go_on: Receiver<()>) -> String {
    for n in 0..3 {
        go_on.recv().unwrap();
        sender.send(n).unwrap();
    }
    "counted".to_owned()
}

/// What is ready, by name, step by step: so that each step has one thing to tell.
fn program() -> fourfold::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (reader, mut writer) = std::io::pipe()?;
    let (queue, stop) = (Queue::new(), Event::new());
    let (sender, numbers) = process::pipe()?;
    let (next, go_on) = process::pipe()?;
    let mut child = process::spawn(count, (sender, go_on))?;

    let mut set = WaitSet::new();
    let clients = set.add(&listener);
    let lines = set.add(&reader);
    let items = set.add(&queue);
    let stopped = set.add(&stop);
    let messages = set.add(&numbers);

    let client = TcpStream::connect(listener.local_addr()?)?;
    assert_eq!(set.wait()?, [clients]);
    let (server, _) = listener.accept()?;
    println!("  a client has come");

    writer.write_all(b"a line")?;
    assert_eq!(set.wait()?, [lines]);
    let mut line = [0; 6];
    (&reader).read_exact(&mut line)?;
    println!("  a pipe of the system has {:?}", String::from_utf8_lossy(&line));

    queue.put("an item")?;
    assert_eq!(set.wait()?, [items]);
    println!("  a queue has {:?}", queue.try_get()?);

    for _ in 0..3 {
        next.send(())?;
        assert_eq!(set.wait()?, [messages]);
        println!("  another process says {}", numbers.try_recv()?);
    }
    assert_eq!(set.wait()?, [messages]);
    println!("  and then: {:?}", numbers.try_recv().unwrap_err());
    set.remove(messages);

    let soon = set.add_timer(Duration::from_millis(10));
    assert_eq!(set.wait()?, [soon]);
    println!("  nothing for ten milliseconds: a timer");

    stop.set();
    queue.put("another")?;
    assert_eq!(set.wait()?, [items, stopped]);
    println!("  two things at once: a queue and an event");

    // A few things, once.
    assert_eq!(wait_any(&[&server, &child])?, [1]);
    println!("  a child has {:?}", child.try_join().expect("it has ended")?);
    drop(client);
    assert_eq!(wait_any(&[&server])?, [0]);
    println!("  the client has gone: {} bytes", (&server).read(&mut [0])?);
    Ok(())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    println!("thread:");
    program()?;
    println!("green:");
    green::run(program)?
}
