//! Two writers of addresses, and a reader that is ended when all are read: the queue works on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::green;
use fourfold::prelude::*;
use fourfold::thread::{Event, Queue};

const EACH: u32 = 10;

fn addresses(writer: u32) -> impl Iterator<Item = String> {
    (0..EACH).map(move |n| format!("https://example.org/{writer}/{n}"))
}

/// Puts its addresses.
fn write(address: Address, key: String, writer: u32) -> fourfold::Result<()> {
    let queue = Client::connect(address, Key::new(key))?.queue("addresses")?;
    for address in addresses(writer) {
        queue.put(address)?;
    }
    Ok(())
}

/// Reads for ever, and shows what it has read.
fn read(address: Address, key: String) -> fourfold::Result<()> {
    let client = Client::connect(address, Key::new(key))?;
    let (queue, seen) = (client.queue::<String>("addresses")?, client.queue("seen")?);
    loop {
        seen.put(queue.get()?)?;
    }
}

/// What all of one process share.
struct Shared {
    addresses: Queue<String>,
    seen: Queue<String>,
    end: Event,
}

/// The same within this process.
fn write_here(shared: Arc<Shared>, writer: u32) -> fourfold::Result<()> {
    for address in addresses(writer) {
        shared.addresses.put(address)?;
    }
    Ok(())
}

fn read_here(shared: Arc<Shared>) -> fourfold::Result<()> {
    loop {
        shared.seen.put(shared.addresses.get()?)?;
    }
}

/// A thread cannot be ended from outside: it waits for an address or its end, whichever is first.
fn read_until_the_end(shared: Arc<Shared>) -> fourfold::Result<()> {
    loop {
        let next: Pin<Box<dyn Future<Output = Option<_>>>> =
            Box::pin(async { Some(shared.addresses.get_async().await) });
        let end = Box::pin(async {
            shared.end.wait_async().await;
            None
        });
        match green::select(&mut [next, end]).1 {
            Some(address) => shared.seen.put(address?)?,
            None => return Ok(()),
        }
    }
}

macro_rules! here {
    ($scale:ident, $read:expr, $end:expr) => {{
        println!("{}:", stringify!($scale));
        let shared = Arc::new(Shared {
            addresses: Queue::bounded(3),
            seen: Queue::new(),
            end: Event::new(),
        });
        let reader = $scale::spawn($read, shared.clone())?;
        let writers = [0, 1].map(|writer| $scale::spawn(write_here, (shared.clone(), writer)));
        for writer in writers {
            writer?.join()??;
        }
        tell(|| Ok(shared.seen.get()?))?;
        println!("  the reader: {}", $end(&shared.end, reader));
        shared.addresses.put("one more".into())?;
        println!("  the queue works on: {:?}", shared.addresses.get()?);
    }};
}

/// The same between processes.
fn write_there(queue: process::Queue<String>, writer: u32) -> fourfold::Result<()> {
    for address in addresses(writer) {
        queue.put(address)?;
    }
    Ok(())
}

fn read_there(queue: process::Queue<String>, seen: process::Queue<String>) -> fourfold::Result<()> {
    loop {
        seen.put(queue.get()?)?;
    }
}

fn between_processes() -> fourfold::Result<()> {
    let (queue, seen) = (process::Queue::bounded(3)?, process::Queue::bounded(3)?);
    let reader = process::spawn(read_there, (queue.clone(), seen.clone()))?;
    let writers = [0, 1].map(|writer| process::spawn(write_there, (queue.clone(), writer)));
    tell(|| Ok(seen.get()?))?;
    for writer in writers {
        writer?.join()??;
    }
    reader.terminate();
    println!("  the reader: {}", reader.join().unwrap_err().kind());
    queue.put("one more".to_owned())?;
    println!("  the queue works on: {:?}", queue.get()?);
    Ok(())
}

/// All are read, and those of each writer in their order.
fn tell(mut next: impl FnMut() -> fourfold::Result<String>) -> fourfold::Result<()> {
    let seen = (0..2 * EACH).map(|_| next()).collect::<fourfold::Result<Vec<_>>>()?;
    for writer in [0, 1] {
        let of_one = |address: &&String| addresses(writer).any(|own| own == **address);
        assert!(seen.iter().filter(of_one).cloned().eq(addresses(writer)));
    }
    println!("  {} addresses of two writers are read", seen.len());
    Ok(())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    here!(green, read_here, |_: &Event, reader: green::Child<_>| {
        reader.kill().unwrap_err().kind().to_string()
    });
    here!(thread, read_until_the_end, |end: &Event, reader: thread::Child<_>| {
        end.set();
        format!("{:?}", reader.join())
    });

    println!("process:");
    between_processes()?;
    println!("cluster:");
    let key = "the key to the queue";
    let server = Server::builder(Key::new(key)).queue("addresses").queue("seen");
    let server = server.bind("127.0.0.1:0")?;
    let args = (server.address().clone(), key.to_owned());
    let reader = process::spawn(read, args.clone())?;
    let writers =
        [0, 1].map(|writer| process::spawn(write, (args.0.clone(), args.1.clone(), writer)));
    for writer in writers {
        writer?.join()??;
    }
    let client = Client::connect(server.address(), Key::new(key))?;
    let (queue, seen) = (client.queue("addresses")?, client.queue("seen")?);
    tell(|| Ok(seen.get()?))?;
    reader.terminate();
    println!("  the reader: {}", reader.join().unwrap_err().kind());
    queue.put("one more".to_owned())?;
    println!("  the queue works on: {:?}", queue.get()?);
    Ok(())
}
