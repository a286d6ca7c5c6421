//! A ticket office: ten buyers look how many tickets are left, then buy. There is one ticket.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::prelude::*;
use fourfold::process::Value;
use fourfold::thread::{Barrier, Lock};
use serde::{Deserialize, Serialize};

const BUYERS: usize = 10;

/// What is in the file of the office.
#[derive(Serialize, Deserialize)]
struct Tickets {
    left: u32,
}

fn read(file: &Path) -> fourfold::Result<Tickets> {
    Ok(serde_json::from_slice(&fs::read(file)?).map_err(std::io::Error::from)?)
}

fn write(file: &Path, tickets: Tickets) -> fourfold::Result<()> {
    Ok(fs::write(file, serde_json::to_vec(&tickets).map_err(std::io::Error::from)?)?)
}

/// Looks, buys, and says whether there was a ticket.
fn buy(address: Address, key: String, file: PathBuf, locked: bool) -> fourfold::Result<bool> {
    let office = Client::connect(address, Key::new(key))?;
    let (lookers, all, counter) =
        (office.list("lookers")?, office.barrier("all")?, office.lock("counter")?);
    lookers.push(&1)?;
    read(&file)?;
    all.wait()?.expect("everybody looks");
    lookers.push(&-1)?;

    let _guard = locked.then(|| counter.lock()).transpose()?;
    let left = read(&file)?.left;
    if !locked {
        // Nobody has written yet.
        all.wait()?.expect("everybody reads");
    }
    if left > 0 {
        // Printing it takes a moment, in which others read the same number, if they can.
        std::thread::sleep(Duration::from_millis(20));
        write(&file, Tickets { left: left - 1 })?;
    }
    Ok(left > 0)
}

/// What the buyers of one process share.
struct Office {
    lookers: Lock<Vec<i32>>,
    all: Barrier,
    counter: Lock,
    file: PathBuf,
}

/// The same within this process.
fn buy_here(office: Arc<Office>, locked: bool) -> fourfold::Result<bool> {
    office.lookers.lock().push(1);
    read(&office.file)?;
    office.all.wait().expect("everybody looks");
    office.lookers.lock().push(-1);

    let _guard = locked.then(|| office.counter.lock());
    let left = read(&office.file)?.left;
    if !locked {
        // Nobody has written yet.
        office.all.wait().expect("everybody reads");
    }
    if left > 0 {
        // Printing it takes a moment, in which others read the same number, if they can.
        std::thread::sleep(Duration::from_millis(20));
        write(&office.file, Tickets { left: left - 1 })?;
    }
    Ok(left > 0)
}

/// As `sell`, to threads.
fn sell_here(locked: bool, in_turn: bool) -> fourfold::Result<(i32, usize)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tickets.json");
    write(&file, Tickets { left: 1 })?;
    let at_a_time = if in_turn { 1 } else { BUYERS };
    let office = Arc::new(Office {
        lookers: Lock::default(),
        all: Barrier::new(at_a_time),
        counter: Lock::new(()),
        file,
    });
    let mut sold = 0;
    for _ in 0..BUYERS / at_a_time {
        let start = |_| thread::spawn(buy_here, (office.clone(), locked));
        let buyers = (0..at_a_time).map(start).collect::<fourfold::Result<Vec<_>>>()?;
        for buyer in buyers {
            sold += usize::from(buyer.join()??);
        }
    }
    assert_eq!(read(&office.file)?.left, 0);
    Ok((most(&office.lookers.lock()), sold))
}

/// What the buyers in processes share: as many meetings as there are, each the number of those who came and that all have.
#[derive(Clone, Serialize, Deserialize)]
struct Words {
    lookers: process::Queue<i32>,
    meetings: [(Value<usize>, process::Event); 2],
    counter: process::Lock,
    file: PathBuf,
}

/// Waits until all have come.
fn meet((count, all): &(Value<usize>, process::Event), of: usize) -> fourfold::Result<()> {
    if count.update(|count| std::mem::replace(count, *count + 1) + 1 == of)? {
        all.set();
    }
    all.wait();
    Ok(())
}

/// The same in a process.
fn buy_there(words: Words, locked: bool, at_a_time: usize) -> fourfold::Result<bool> {
    words.lookers.put(1)?;
    read(&words.file)?;
    meet(&words.meetings[0], at_a_time)?;
    words.lookers.put(-1)?;

    let _guard = locked.then(|| words.counter.lock()).transpose()?;
    let left = read(&words.file)?.left;
    if !locked {
        // Nobody has written yet.
        meet(&words.meetings[1], at_a_time)?;
    }
    if left > 0 {
        // Printing it takes a moment, in which others read the same number, if they can.
        std::thread::sleep(Duration::from_millis(20));
        write(&words.file, Tickets { left: left - 1 })?;
    }
    Ok(left > 0)
}

/// As `sell`, to processes of this machine, with words in memory.
fn sell_there(locked: bool, in_turn: bool) -> fourfold::Result<(i32, usize)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tickets.json");
    write(&file, Tickets { left: 1 })?;
    let at_a_time = if in_turn { 1 } else { BUYERS };
    let (lookers, counter) = (process::Queue::bounded(2 * BUYERS)?, process::Lock::new(())?);
    let mut sold = 0;
    for _ in 0..BUYERS / at_a_time {
        let meeting = || Ok::<_, fourfold::Error>((Value::new(0)?, process::Event::new()?));
        let words = Words {
            lookers: lookers.clone(),
            meetings: [meeting()?, meeting()?],
            counter: counter.clone(),
            file: file.clone(),
        };
        let start = |_| process::spawn(buy_there, (words.clone(), locked, at_a_time));
        let buyers = (0..at_a_time).map(start).collect::<fourfold::Result<Vec<_>>>()?;
        for buyer in buyers {
            sold += usize::from(buyer.join()??);
        }
    }
    assert_eq!(read(&file)?.left, 0);
    Ok((most(&lookers.try_iter().collect::<Vec<_>>()), sold))
}

/// How many were there at a time, from their comings and goings.
fn most(changes: &[i32]) -> i32 {
    let mut now = 0;
    let count = changes.iter().map(|change| {
        now += change;
        now
    });
    count.max().unwrap_or(0)
}

/// How many looked at the same time, and how many got a ticket.
fn sell(locked: bool, in_turn: bool) -> fourfold::Result<(i32, usize)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tickets.json");
    write(&file, Tickets { left: 1 })?;
    let key = "the key to the office";
    let at_a_time = if in_turn { 1 } else { BUYERS };
    let server = Server::builder(Key::new(key))
        .list("lookers")
        .barrier("all", at_a_time)
        .lock("counter")
        .bind("127.0.0.1:0")?;

    let mut sold = 0;
    for _ in 0..BUYERS / at_a_time {
        let args = (server.address().clone(), key.to_owned(), file.clone(), locked);
        let start = |_| process::spawn(buy, args.clone());
        let buyers = (0..at_a_time).map(start).collect::<fourfold::Result<Vec<_>>>()?;
        for buyer in buyers {
            sold += usize::from(buyer.join()??);
        }
    }
    assert_eq!(read(&file)?.left, 0);

    let lookers = Client::connect(server.address(), Key::new(key))?.list::<i32>("lookers")?;
    Ok((most(&lookers.to_vec()?), sold))
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let ways = [("no lock", false, false), ("a lock", true, false), ("in turn", false, true)];
    type Sell = fn(bool, bool) -> fourfold::Result<(i32, usize)>;
    let sales = [("thread", sell_here as Sell), ("process", sell_there), ("cluster", sell)];
    for (scale, sell) in sales {
        println!("{scale}, ten buyers, one ticket:");
        for (way, locked, in_turn) in ways {
            let (looking, sold) = sell(locked, in_turn)?;
            println!("  {way:<8} {looking:>2} at a time looked, {sold:>2} got a ticket");
        }
    }
    Ok(())
}
