//! A queue that can be joined: producers wait until all is processed, and the consumers are daemons.

use std::path::Path;
use std::sync::{Arc, Weak};

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::green;
use fourfold::prelude::*;
use fourfold::thread::{Barrier, Lock, Queue};

/// Puts five, and says how many were processed when the join is over: those of the others, too, who all have put theirs.
fn produce(address: Address, key: String) -> fourfold::Result<usize> {
    let client = Client::connect(address, Key::new(key))?;
    let queue = client.queue("queue")?;
    for n in 0..5 {
        queue.put(n)?;
    }
    client.barrier("all have put")?.wait()?.expect("all do");
    queue.join()?;
    Ok(client.list::<u32>("processed")?.len()?)
}

/// Processes for ever.
fn consume(address: Address, key: String) -> fourfold::Result<()> {
    let client = Client::connect(address, Key::new(key))?;
    let (queue, processed) = (client.queue::<u32>("queue")?, client.list("processed")?);
    loop {
        processed.push(&queue.get()?)?;
        queue.task_done()?;
    }
}

/// The same with the words between processes.
fn produce_between(
    queue: process::JoinableQueue<u32>,
    processed: process::List<u32>,
    all_have_put: process::Barrier,
) -> fourfold::Result<usize> {
    queue.put_many(0..5)?;
    all_have_put.wait()?.expect("all do");
    queue.join()?;
    processed.len()
}

fn consume_between(
    queue: process::JoinableQueue<u32>,
    processed: process::List<u32>,
) -> fourfold::Result<()> {
    loop {
        processed.push(&queue.get()?)?;
        queue.task_done()?;
    }
}

fn factory_between(queue: process::JoinableQueue<u32>) -> fourfold::Result<Vec<u32>> {
    let (processed, all_have_put) = (process::List::new()?, process::Barrier::new(3)?);
    let daemon = || {
        let args = (queue.clone(), processed.clone());
        process::Builder::new().daemon(true).spawn(consume_between, args)
    };
    let consumers = [daemon()?, daemon()?];
    let args = (queue.clone(), processed.clone(), all_have_put);
    let producers = [(); 3].map(|()| process::spawn(produce_between, args.clone()));
    for producer in producers {
        println!("  a producer waited until {} were processed", producer?.join()??);
    }
    let alive = consumers.iter().filter(|consumer| consumer.is_alive()).count();
    println!("  the producers have ended: {alive} consumers wait for more");
    Ok(consumers.iter().map(process::Child::pid).collect())
}

/// How many of these processes there are.
fn left(pids: &[u32]) -> usize {
    pids.iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).count()
}

/// Has three producers and two consumers, which it does not wait for. Says who they are.
fn factory(address: Address, key: String) -> fourfold::Result<Vec<u32>> {
    let args = (address, key);
    let daemon = || process::Builder::new().daemon(true);
    let consumers =
        [daemon().spawn(consume, args.clone())?, daemon().spawn(consume, args.clone())?];
    let producers = [(); 3].map(|()| process::spawn(produce, args.clone()));
    for producer in producers {
        println!("  a producer waited until {} were processed", producer?.join()??);
    }
    let alive = consumers.iter().filter(|consumer| consumer.is_alive()).count();
    println!("  the producers have ended: {alive} consumers wait for more");
    Ok(consumers.iter().map(process::Child::pid).collect())
}

/// What all of one process share.
struct Shared {
    queue: Queue<u32>,
    processed: Lock<Vec<u32>>,
    all_have_put: Barrier,
}

/// The same within this process.
fn produce_here(shared: Arc<Shared>) -> fourfold::Result<usize> {
    for n in 0..5 {
        shared.queue.put(n)?;
    }
    shared.all_have_put.wait().expect("all do");
    shared.queue.join();
    Ok(shared.processed.lock().len())
}

fn consume_here(shared: Arc<Shared>) -> fourfold::Result<()> {
    loop {
        let item = shared.queue.get()?;
        shared.processed.lock().push(item);
        shared.queue.task_done()?;
    }
}

/// Gives what the consumers hold, and nobody else.
macro_rules! factory_here {
    ($scale:ident) => {{
        let shared = Arc::new(Shared {
            queue: Queue::new(),
            processed: Lock::default(),
            all_have_put: Barrier::new(3),
        });
        let start = || $scale::Builder::new().daemon(true).spawn(consume_here, shared.clone());
        let consumers = [start()?, start()?];
        let producers = [(); 3].map(|()| $scale::spawn(produce_here, shared.clone()));
        for producer in producers {
            println!("  a producer waited until {} were processed", producer?.join()??);
        }
        let alive = consumers.iter().filter(|consumer| consumer.is_alive()).count();
        println!("  the producers have ended: {alive} consumers wait for more");
        println!("  one task_done too many: {}", shared.queue.task_done().unwrap_err());
        Ok(Arc::downgrade(&shared))
    }};
}

fn coroutines() -> fourfold::Result<Weak<Shared>> {
    factory_here!(green)
}

fn threads() -> fourfold::Result<Weak<Shared>> {
    factory_here!(thread)
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    println!("green:");
    let shared = green::run(coroutines)??;
    println!("  their hub has ended: {} consumers are left", shared.strong_count());
    println!("thread:");
    let shared = threads()?;
    // The end of this process cuts them off.
    println!("  {} consumers are left to the end of main", shared.strong_count());
    println!("process:");
    let queue = process::JoinableQueue::new()?;
    let consumers = process::spawn(factory_between, queue.clone())?.join()??;
    println!("  their process has ended: {} consumers are left", left(&consumers));
    println!("  one task_done too many: {}", queue.task_done().unwrap_err());
    println!("cluster:");
    let key = "the key to the queue";
    let server = Server::builder(Key::new(key))
        .queue("queue")
        .list("processed")
        .barrier("all have put", 3)
        .bind("127.0.0.1:0")?;
    let consumers =
        process::spawn(factory, (server.address().clone(), key.to_owned()))?.join()??;
    println!("  their process has ended: {} consumers are left", left(&consumers));

    let queue = Client::connect(server.address(), Key::new(key))?.queue::<u32>("queue")?;
    queue.join()?;
    println!("  one task_done too many: {}", queue.task_done().unwrap_err());
    Ok(())
}
