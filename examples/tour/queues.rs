//! A queue of three places for values of every kind; a stack; a queue in order, and one for what has no order.

use std::sync::Arc;
use std::time::Instant;

use fourfold::cluster::manager::{Address, Client, GetError, Key, PutError, QueueOptions, Server};
use fourfold::prelude::*;
use fourfold::thread::{Event, LifoQueue, PriorityQueue, Queue};
use fourfold::{green, thread::GetError as Got, thread::PutError as Put};
use serde_json::{Value, json};

const A_WHILE: Duration = Duration::from_millis(50);

/// Puts three and one more, for which there is room only when another takes one.
fn put_four(address: Address, key: String) -> fourfold::Result<()> {
    let client = Client::connect(address, Key::new(key))?;
    let queue = client.queue::<Value>("shelf")?;
    queue.put(json!("a text"))?;
    queue.try_put(json!({"a": "map", "of": 2}))?;
    queue.put_timeout(json!([1, 2.5, -3]), A_WHILE)?;

    let item = json!("one more");
    let Err(PutError::Full(item)) = queue.try_put(item) else { panic!("there is room") };
    let begin = Instant::now();
    let Err(PutError::Full(item)) = queue.put_timeout(item, A_WHILE) else { panic!("room") };
    assert!(begin.elapsed() >= A_WHILE);
    client.event("full")?.set()?;
    queue.put(item)?;
    Ok(())
}

/// Waits for an item.
fn get_one(address: Address, key: String) -> fourfold::Result<Value> {
    Ok(Client::connect(address, Key::new(key))?.queue("shelf")?.get()?)
}

/// Puts what the others are to take in another order.
fn put_mixed(address: Address, key: String) -> fourfold::Result<()> {
    let client = Client::connect(address, Key::new(key))?;
    let stack = client.queue("stack")?;
    for n in 1..=3 {
        stack.put(n)?;
    }
    let sorted = client.queue("sorted")?;
    for (n, text) in [(20, "b"), (3, "z"), (20, "a"), (-1, "y")] {
        sorted.put((n, text.to_owned()))?;
    }
    // Python knows no order of maps, so each comes with a priority.
    let jobs = client.queue("jobs")?;
    for (priority, name) in [(2, "second"), (1, "first"), (2, "third")] {
        jobs.put_at(priority, json!({"name": name}))?;
    }
    Ok(())
}

fn bounded(client: &Client, args: (Address, String)) -> fourfold::Result<()> {
    let shelf = client.queue::<Value>("shelf")?;
    let putter = process::spawn(put_four, args.clone())?;
    client.event("full")?.wait()?;
    println!("  {} items; full? {}; empty? {}", shelf.len()?, shelf.is_full()?, shelf.is_empty()?);
    println!("  {}", shelf.get()?);
    putter.join()??;
    println!("  there was room for the fourth: full? {}", shelf.is_full()?);
    println!("  {}\n  {}\n  {}", shelf.try_get()?, shelf.get_timeout(A_WHILE)?, shelf.get()?);
    println!("  full? {}; empty? {}", shelf.is_full()?, shelf.is_empty()?);

    let begin = Instant::now();
    assert!(matches!(shelf.try_get(), Err(GetError::Empty)));
    assert!(matches!(shelf.get_timeout(A_WHILE), Err(GetError::Empty)));
    assert!(begin.elapsed() >= A_WHILE);
    let getter = process::spawn(get_one, args)?;
    shelf.put(json!("worth the wait"))?;
    println!("  {}", getter.join()??);
    Ok(())
}

/// What all of one process share.
struct Shared {
    shelf: Queue<Value>,
    full: Event,
    stack: LifoQueue<u32>,
    sorted: PriorityQueue<(i32, String)>,
    /// JSON has no order, so each comes with a priority.
    jobs: PriorityQueue<Value, i32>,
}

/// The same within this process.
fn put_four_here(shared: Arc<Shared>) -> fourfold::Result<()> {
    let queue = &shared.shelf;
    queue.put(json!("a text"))?;
    queue.try_put(json!({"a": "map", "of": 2}))?;
    queue.put_timeout(json!([1, 2.5, -3]), A_WHILE)?;

    let item = json!("one more");
    let Err(Put::Full(item)) = queue.try_put(item) else { panic!("there is room") };
    let begin = Instant::now();
    let Err(Put::Full(item)) = queue.put_timeout(item, A_WHILE) else { panic!("room") };
    assert!(begin.elapsed() >= A_WHILE);
    shared.full.set();
    queue.put(item)?;
    Ok(())
}

fn put_mixed_here(shared: Arc<Shared>) -> fourfold::Result<()> {
    for n in 1..=3 {
        shared.stack.put(n)?;
    }
    for (n, text) in [(20, "b"), (3, "z"), (20, "a"), (-1, "y")] {
        shared.sorted.put((n, text.to_owned()))?;
    }
    for (priority, name) in [(2, "second"), (1, "first"), (2, "third")] {
        shared.jobs.put_at(priority, json!({"name": name}))?;
    }
    Ok(())
}

/// The same between processes.
fn put_four_there(queue: process::Queue<Value>, full: process::Event) -> fourfold::Result<()> {
    use process::PutError;
    queue.put(json!("a text"))?;
    queue.try_put(json!({"a": "map", "of": 2}))?;
    queue.put_timeout(json!([1, 2.5, -3]), A_WHILE)?;

    let item = json!("one more");
    let Err(PutError::Full(item)) = queue.try_put(item) else { panic!("there is room") };
    let begin = Instant::now();
    let Err(PutError::Full(item)) = queue.put_timeout(item, A_WHILE) else { panic!("room") };
    assert!(begin.elapsed() >= A_WHILE);
    full.set();
    queue.put(item)?;
    Ok(())
}

fn get_one_there(queue: process::Queue<Value>) -> fourfold::Result<Value> {
    Ok(queue.get()?)
}

fn put_mixed_there(
    stack: process::LifoQueue<u32>,
    sorted: process::PriorityQueue<(i32, String)>,
    jobs: process::PriorityQueue<Value, i32>,
) -> fourfold::Result<()> {
    for n in 1..=3 {
        stack.put(n)?;
    }
    for (n, text) in [(20, "b"), (3, "z"), (20, "a"), (-1, "y")] {
        sorted.put((n, text.to_owned()))?;
    }
    for (priority, name) in [(2, "second"), (1, "first"), (2, "third")] {
        jobs.put_at(priority, json!({"name": name}))?;
    }
    Ok(())
}

fn in_other_orders() -> fourfold::Result<()> {
    let stack = process::LifoQueue::new()?;
    let (sorted, jobs) = (process::PriorityQueue::new()?, process::PriorityQueue::new()?);
    let args = (stack.clone(), sorted.clone(), jobs.clone());
    process::spawn(put_mixed_there, args)?.join()??;
    println!("  last in, first out: {} {} {}", stack.get()?, stack.get()?, stack.get()?);
    for _ in 0..4 {
        println!("  the smallest first: {:?}", sorted.get()?);
    }
    for _ in 0..3 {
        println!("  by their priority: {}", jobs.get()?);
    }
    Ok(())
}

fn between_processes() -> fourfold::Result<()> {
    let (shelf, full) = (process::Queue::bounded(3)?, process::Event::new()?);
    let putter = process::spawn(put_four_there, (shelf.clone(), full.clone()))?;
    full.wait();
    println!("  {} items; full? {}; empty? {}", shelf.len(), shelf.is_full(), shelf.is_empty());
    println!("  {}", shelf.get()?);
    putter.join()??;
    println!("  there was room for the fourth: full? {}", shelf.is_full());
    println!("  {}\n  {}\n  {}", shelf.try_get()?, shelf.get_timeout(A_WHILE)?, shelf.get()?);
    println!("  full? {}; empty? {}", shelf.is_full(), shelf.is_empty());

    let begin = Instant::now();
    assert!(matches!(shelf.try_get(), Err(process::GetError::Empty)));
    assert!(matches!(shelf.get_timeout(A_WHILE), Err(process::GetError::Empty)));
    assert!(begin.elapsed() >= A_WHILE);
    let getter = process::spawn(get_one_there, shelf.clone())?;
    shelf.put(json!("worth the wait"))?;
    println!("  {}", getter.join()??);
    Ok(())
}

macro_rules! queues_here {
    ($scale:ident) => {{
        println!("{}:", stringify!($scale));
        let shared = Arc::new(Shared {
            shelf: Queue::bounded(3),
            full: Event::new(),
            stack: LifoQueue::new(),
            sorted: PriorityQueue::new(),
            jobs: PriorityQueue::new(),
        });
        let shelf = &shared.shelf;
        let putter = $scale::spawn(put_four_here, shared.clone())?;
        shared.full.wait();
        println!("  {} items; full? {}; empty? {}", shelf.len(), shelf.is_full(), shelf.is_empty());
        println!("  {}", shelf.get()?);
        putter.join()??;
        println!("  there was room for the fourth: full? {}", shelf.is_full());
        println!("  {}\n  {}\n  {}", shelf.try_get()?, shelf.get_timeout(A_WHILE)?, shelf.get()?);
        println!("  full? {}; empty? {}", shelf.is_full(), shelf.is_empty());

        let begin = Instant::now();
        assert_eq!(shelf.try_get(), Err(Got::Empty));
        assert_eq!(shelf.get_timeout(A_WHILE), Err(Got::Empty));
        assert!(begin.elapsed() >= A_WHILE);
        let own = shelf.clone();
        let getter = $scale::spawn(move || own.get(), ())?;
        shelf.put(json!("worth the wait"))?;
        println!("  {}", getter.join()??);

        $scale::spawn(put_mixed_here, shared.clone())?.join()??;
        let stack = &shared.stack;
        println!("  last in, first out: {} {} {}", stack.get()?, stack.get()?, stack.get()?);
        for _ in 0..4 {
            println!("  the smallest first: {:?}", shared.sorted.get()?);
        }
        for _ in 0..3 {
            println!("  by their priority: {}", shared.jobs.get()?);
        }
    }};
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    queues_here!(green);
    queues_here!(thread);
    println!("process:");
    between_processes()?;
    in_other_orders()?;
    println!("cluster:");
    let key = "the key to the queues";
    let options = QueueOptions::default();
    let server = Server::builder(Key::new(key))
        .queue_with("shelf", options.capacity(3))
        .queue_with("stack", options.lifo())
        .queue_with("sorted", options.priority())
        .queue_with("jobs", options.priority())
        .event("full")
        .bind("127.0.0.1:0")?;
    let args = (server.address().clone(), key.to_owned());
    let client = Client::connect(server.address(), Key::new(key))?;
    bounded(&client, args.clone())?;

    process::spawn(put_mixed, args)?.join()??;
    let stack = client.queue::<u32>("stack")?;
    println!("  last in, first out: {} {} {}", stack.get()?, stack.get()?, stack.get()?);
    let sorted = client.queue::<(i32, String)>("sorted")?;
    for _ in 0..4 {
        println!("  the smallest first: {:?}", sorted.get()?);
    }
    let jobs = client.queue::<Value>("jobs")?;
    for _ in 0..3 {
        println!("  by their priority: {}", jobs.get()?);
    }
    Ok(())
}
