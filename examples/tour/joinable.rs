//! A queue that can be joined: producers wait until all is processed, and the consumers are daemons.

use std::path::Path;

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::prelude::*;

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

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    println!("cluster:");
    let key = "the key to the queue";
    let server = Server::builder(Key::new(key))
        .queue("queue")
        .list("processed")
        .barrier("all have put", 3)
        .bind("127.0.0.1:0")?;
    let consumers =
        process::spawn(factory, (server.address().clone(), key.to_owned()))?.join()??;
    let left = consumers.iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).count();
    println!("  their process has ended: {left} consumers are left");

    let queue = Client::connect(server.address(), Key::new(key))?.queue::<u32>("queue")?;
    queue.join()?;
    println!("  one task_done too many: {}", queue.task_done().unwrap_err());
    Ok(())
}
