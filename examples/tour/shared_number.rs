//! A hundred workers take one from a shared number: they read, wait and write, without a lock and with one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::green;
use fourfold::prelude::*;
use fourfold::process::Value;
use fourfold::thread::{Barrier, Lock};
use serde::{Deserialize, Serialize};

const WORKERS: usize = 100;

fn take_one(address: Address, key: String, locked: bool) -> fourfold::Result<()> {
    let client = Client::connect(address, Key::new(key))?;
    let (number, lock) = (client.value::<i64>("number")?, client.lock("lock")?);
    let _guard = locked.then(|| lock.lock()).transpose()?;
    let n = number.get()?;
    if locked {
        // A moment, in which others read the same number, if they can.
        std::thread::sleep(Duration::from_millis(1));
    } else {
        // The moment that does most harm: until all have read.
        client.barrier("all")?.wait()?.expect("everybody reads");
    }
    number.set(&(n - 1))?;
    Ok(())
}

/// What workers of one process share: a number that is whole at each read and write, and nothing more.
struct Shared {
    number: AtomicI64,
    lock: Lock,
    all: Barrier,
}

/// The same within this process.
fn take_one_here(shared: Arc<Shared>, locked: bool) {
    let _guard = locked.then(|| shared.lock.lock());
    let n = shared.number.load(Relaxed);
    if locked {
        // Of the same thread other coroutines run in this moment.
        green::sleep(Duration::from_millis(1));
    } else {
        shared.all.wait().expect("everybody reads");
    }
    shared.number.store(n - 1, Relaxed);
}

macro_rules! left_here {
    ($scale:ident, $locked:expr) => {{
        let shared = Arc::new(Shared {
            number: AtomicI64::new(WORKERS as i64),
            lock: Lock::new(()),
            all: Barrier::new(WORKERS),
        });
        let start = |_| $scale::spawn(take_one_here, (shared.clone(), $locked));
        let workers = (0..WORKERS).map(start).collect::<fourfold::Result<Vec<_>>>()?;
        for worker in workers {
            worker.join()?;
        }
        shared.number.load(Relaxed)
    }};
}

/// What workers in processes share. Each read and each write of the number is whole.
#[derive(Clone, Serialize, Deserialize)]
struct Words {
    number: Value<i64>,
    lock: process::Lock,
    readers: Value<usize>,
    all_have_read: process::Event,
}

/// The same in a process.
fn take_one_there(words: Words, locked: bool) -> fourfold::Result<()> {
    let _guard = locked.then(|| words.lock.lock()).transpose()?;
    let n = words.number.get()?;
    if locked {
        std::thread::sleep(Duration::from_millis(1));
    } else {
        let before = words.readers.update(|readers| std::mem::replace(readers, *readers + 1))?;
        if before + 1 == WORKERS {
            words.all_have_read.set();
        }
        words.all_have_read.wait();
    }
    words.number.set(n - 1)?;
    Ok(())
}

fn left_there(locked: bool) -> fourfold::Result<i64> {
    let words = Words {
        number: Value::new(WORKERS as i64)?,
        lock: process::Lock::new(())?,
        readers: Value::new(0)?,
        all_have_read: process::Event::new()?,
    };
    let start = |_| process::spawn(take_one_there, (words.clone(), locked));
    let workers = (0..WORKERS).map(start).collect::<fourfold::Result<Vec<_>>>()?;
    for worker in workers {
        worker.join()??;
    }
    Ok(words.number.get()?)
}

/// What is left of a hundred.
fn left(locked: bool) -> fourfold::Result<i64> {
    let key = "the key to the number";
    let server = Server::builder(Key::new(key))
        .value("number", WORKERS as i64)
        .lock("lock")
        .barrier("all", WORKERS)
        .bind("127.0.0.1:0")?;
    let start = |_| process::spawn(take_one, (server.address().clone(), key.to_owned(), locked));
    let workers = (0..WORKERS).map(start).collect::<fourfold::Result<Vec<_>>>()?;
    for worker in workers {
        worker.join()??;
    }
    Ok(Client::connect(server.address(), Key::new(key))?.value("number")?.get()?)
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    for (scale, without, with) in [
        ("green", left_here!(green, false), left_here!(green, true)),
        ("thread", left_here!(thread, false), left_here!(thread, true)),
        ("process", left_there(false)?, left_there(true)?),
        ("cluster", left(false)?, left(true)?),
    ] {
        println!("{scale}, a hundred take one each from a hundred:");
        println!("  without a lock {without} are left");
        println!("  with a lock    {with} are left");
    }
    Ok(())
}
