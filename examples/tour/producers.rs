//! Producers and consumers: a slow consumer holds nobody up while there is room, and an end mark each ends them all.

use std::sync::Arc;

use fourfold::cluster::manager::{Address, Client, Key, QueueOptions, Server};
use fourfold::green;
use fourfold::prelude::*;
use fourfold::thread::{Event, Queue};

/// Puts its items, and says so.
fn produce(address: Address, key: String, items: Vec<u32>) -> fourfold::Result<()> {
    let client = Client::connect(address, Key::new(key))?;
    let queue = client.queue("queue")?;
    for item in items {
        queue.put(Some(item))?;
    }
    client.event("all are put")?.set()?;
    Ok(())
}

/// Takes one, and is slow: it takes the next when all are put. An end mark ends it.
fn consume_slowly(address: Address, key: String) -> fourfold::Result<Vec<u32>> {
    let client = Client::connect(address, Key::new(key))?;
    let (queue, all_are_put) = (client.queue("queue")?, client.event("all are put")?);
    let mut taken = Vec::new();
    while let Some(item) = queue.get()? {
        taken.push(item);
        all_are_put.wait()?;
    }
    Ok(taken)
}

fn consume(address: Address, key: String) -> fourfold::Result<Vec<u32>> {
    let queue = Client::connect(address, Key::new(key))?.queue("queue")?;
    let mut taken = Vec::new();
    while let Some(item) = queue.get()? {
        taken.push(item);
    }
    Ok(taken)
}

/// Serves a queue of so many places to a program.
fn with_queue(
    capacity: usize,
    program: impl FnOnce(Address, String, Client) -> fourfold::Result<()>,
) -> fourfold::Result<()> {
    let key = "the key to the queue";
    let server = Server::builder(Key::new(key))
        .queue_with("queue", QueueOptions::default().capacity(capacity))
        .event("all are put")
        .bind("127.0.0.1:0")?;
    let client = Client::connect(server.address(), Key::new(key))?;
    program(server.address().clone(), key.to_owned(), client)
}

/// What all of one process share.
struct Shared {
    queue: Queue<Option<u32>>,
    all_are_put: Event,
}

fn with_room(capacity: usize) -> Arc<Shared> {
    Arc::new(Shared { queue: Queue::bounded(capacity), all_are_put: Event::new() })
}

/// The same within this process.
fn produce_here(shared: Arc<Shared>, items: Vec<u32>) -> fourfold::Result<()> {
    for item in items {
        shared.queue.put(Some(item))?;
    }
    shared.all_are_put.set();
    Ok(())
}

fn consume_slowly_here(shared: Arc<Shared>) -> fourfold::Result<Vec<u32>> {
    let mut taken = Vec::new();
    while let Some(item) = shared.queue.get()? {
        taken.push(item);
        shared.all_are_put.wait();
    }
    Ok(taken)
}

fn consume_here(shared: Arc<Shared>) -> fourfold::Result<Vec<u32>> {
    let mut taken = Vec::new();
    while let Some(item) = shared.queue.get()? {
        taken.push(item);
    }
    Ok(taken)
}

macro_rules! producers_here {
    ($scale:ident) => {{
        println!("{}:", stringify!($scale));
        let shared = with_room(10);
        let consumer = $scale::spawn(consume_slowly_here, shared.clone())?;
        $scale::spawn(produce_here, (shared.clone(), (1..=10).collect()))?.join()??;
        println!("  the producer has put ten, and waited for nobody");
        shared.queue.put(None)?;
        println!("  the slow consumer took {:?}", consumer.join()??);

        let shared = with_room(5);
        let produce = |n: u32| {
            let items = (n * 100..n * 100 + 25).collect();
            $scale::spawn(produce_here, (shared.clone(), items))
        };
        let producers = [0, 1, 2, 3].map(produce);
        let consumers = [(); 3].map(|()| $scale::spawn(consume_here, shared.clone()));
        for producer in producers {
            producer?.join()??;
        }
        for _ in &consumers {
            shared.queue.put(None)?;
        }
        let mut taken = Vec::new();
        for consumer in consumers {
            taken.extend(consumer?.join()??);
        }
        tell(taken, shared.queue.len());
    }};
}

/// What processes share.
type Words = (process::Queue<Option<u32>>, process::Event);

/// The same between processes.
fn produce_there((queue, all_are_put): Words, items: Vec<u32>) -> fourfold::Result<()> {
    for item in items {
        queue.put(Some(item))?;
    }
    all_are_put.set();
    Ok(())
}

fn consume_slowly_there(
    queue: process::Queue<Option<u32>>,
    all_are_put: process::Event,
) -> fourfold::Result<Vec<u32>> {
    let mut taken = Vec::new();
    while let Some(item) = queue.get()? {
        taken.push(item);
        all_are_put.wait();
    }
    Ok(taken)
}

fn consume_there(queue: process::Queue<Option<u32>>) -> fourfold::Result<Vec<u32>> {
    let mut taken = Vec::new();
    while let Some(item) = queue.get()? {
        taken.push(item);
    }
    Ok(taken)
}

fn between_processes() -> fourfold::Result<()> {
    let words: Words = (process::Queue::bounded(10)?, process::Event::new()?);
    let consumer = process::spawn(consume_slowly_there, words.clone())?;
    process::spawn(produce_there, (words.clone(), (1..=10).collect()))?.join()??;
    println!("  the producer has put ten, and waited for nobody");
    words.0.put(None)?;
    println!("  the slow consumer took {:?}", consumer.join()??);

    let (queue, put) = (process::Queue::bounded(5)?, process::Event::new()?);
    let produce = |n: u32| {
        let items = (n * 100..n * 100 + 25).collect();
        process::spawn(produce_there, ((queue.clone(), put.clone()), items))
    };
    let producers = [0, 1, 2, 3].map(produce);
    let consumers = [(); 3].map(|()| process::spawn(consume_there, queue.clone()));
    for producer in producers {
        producer?.join()??;
    }
    for _ in &consumers {
        queue.put(None)?;
    }
    let mut taken = Vec::new();
    for consumer in consumers {
        taken.extend(consumer?.join()??);
    }
    tell(taken, queue.len());
    Ok(())
}

/// What four producers have put is taken, each item once.
fn tell(mut taken: Vec<u32>, left: usize) {
    taken.sort_unstable();
    assert!(taken.iter().copied().eq((0..4).flat_map(|n| n * 100..n * 100 + 25)));
    println!("  four producers, three consumers: all {} once; left: {left}", taken.len());
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    producers_here!(green);
    producers_here!(thread);
    println!("process:");
    between_processes()?;
    println!("cluster:");
    with_queue(10, |address, key, client| {
        let consumer = process::spawn(consume_slowly, (address.clone(), key.clone()))?;
        process::spawn(produce, (address, key, (1..=10).collect()))?.join()??;
        println!("  the producer has put ten, and waited for nobody");
        client.queue("queue")?.put(None::<u32>)?;
        println!("  the slow consumer took {:?}", consumer.join()??);
        Ok(())
    })?;
    with_queue(5, |address, key, client| {
        let produce = |n: u32| {
            let items = (n * 100..n * 100 + 25).collect();
            process::spawn(produce, (address.clone(), key.clone(), items))
        };
        let producers = [0, 1, 2, 3].map(produce);
        let consumers = [(); 3].map(|()| process::spawn(consume, (address.clone(), key.clone())));
        for producer in producers {
            producer?.join()??;
        }
        let queue = client.queue("queue")?;
        for _ in &consumers {
            queue.put(None::<u32>)?;
        }
        let mut taken = Vec::new();
        for consumer in consumers {
            taken.extend(consumer?.join()??);
        }
        tell(taken, queue.len()?);
        Ok(())
    })
}
