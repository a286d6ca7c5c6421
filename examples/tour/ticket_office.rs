//! A ticket office: ten buyers look how many tickets are left, then buy. There is one ticket.

use std::fs;
use std::path::{Path, PathBuf};

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::prelude::*;
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
    let mut now = 0;
    let count = lookers.to_vec()?.into_iter().map(|change| {
        now += change;
        now
    });
    Ok((count.max().unwrap_or(0), sold))
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    println!("cluster, ten buyers, one ticket:");
    let ways = [("no lock", false, false), ("a lock", true, false), ("in turn", false, true)];
    for (way, locked, in_turn) in ways {
        let (looking, sold) = sell(locked, in_turn)?;
        println!("  {way:<8} {looking:>2} at a time looked, {sold:>2} got a ticket");
    }
    Ok(())
}
