//! Three connectors try three times, a unit of time each, while a check of the server takes one unit; then it takes five.

use std::sync::Arc;
use std::time::SystemTime;

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::green;
use fourfold::prelude::*;
use fourfold::process::Semaphore;
use fourfold::thread::{Barrier, Event};

const UNIT: Duration = Duration::from_millis(400);

/// Checks for so long, says that the server is up, and when it said so.
fn check(address: Address, key: String, units: u32) -> fourfold::Result<SystemTime> {
    let client = Client::connect(address, Key::new(key))?;
    let (begin, is_up) = (client.barrier("begin")?, client.event("is up")?);
    begin.wait()?.expect("all begin");
    std::thread::sleep(units * UNIT);
    let now = SystemTime::now();
    is_up.set()?;
    Ok(now)
}

/// Tries three times, and says when it connected, or in its absence how often it tried.
fn connect(address: Address, key: String) -> fourfold::Result<Result<SystemTime, u32>> {
    let client = Client::connect(address, Key::new(key))?;
    let (begin, is_up) = (client.barrier("begin")?, client.event("is up")?);
    begin.wait()?.expect("all begin");
    let mut tries = 0;
    while tries < 3 {
        tries += 1;
        if is_up.wait_timeout(UNIT)? {
            return Ok(Ok(SystemTime::now()));
        }
    }
    Ok(Err(tries))
}

/// What all of one process share.
struct Place {
    begin: Barrier,
    is_up: Event,
}

/// The same within this process.
fn check_here(place: Arc<Place>, units: u32) -> SystemTime {
    place.begin.wait().expect("all begin");
    green::sleep(units * UNIT);
    let now = SystemTime::now();
    place.is_up.set();
    now
}

fn connect_here(place: Arc<Place>) -> Result<SystemTime, u32> {
    place.begin.wait().expect("all begin");
    let mut tries = 0;
    while tries < 3 {
        tries += 1;
        if place.is_up.wait_timeout(UNIT) {
            return Ok(SystemTime::now());
        }
    }
    Err(tries)
}

macro_rules! run_here {
    ($scale:ident) => {{
        println!("{}:", stringify!($scale));
        for units in [1, 5] {
            println!("  a check of {units}");
            let place = Arc::new(Place { begin: Barrier::new(4), is_up: Event::new() });
            let check = $scale::spawn(check_here, (place.clone(), units))?;
            let connectors = [(); 3].map(|()| $scale::spawn(connect_here, place.clone()));
            let mut ends = Vec::new();
            for connector in connectors {
                ends.push(connector?.join()?);
            }
            let is_over = check.is_finished();
            tell(ends, check.join()?, is_over);
        }
    }};
}

/// The same in processes: each says that it is ready, and begins with the others.
fn check_there(is_up: process::Event, begin: Begin, units: u32) -> SystemTime {
    begin.0.release().expect("there is room for four");
    begin.1.wait();
    std::thread::sleep(units * UNIT);
    let now = SystemTime::now();
    is_up.set();
    now
}

fn connect_there(is_up: process::Event, begin: Begin) -> Result<SystemTime, u32> {
    begin.0.release().expect("there is room for four");
    begin.1.wait();
    let mut tries = 0;
    while tries < 3 {
        tries += 1;
        if is_up.wait_timeout(UNIT) {
            return Ok(SystemTime::now());
        }
    }
    Err(tries)
}

/// Those who are ready, and that all are.
type Begin = (Semaphore, process::Event);

fn run_there(units: u32) -> fourfold::Result<()> {
    let is_up = process::Event::new()?;
    let begin: Begin = (Semaphore::new(0)?, process::Event::new()?);
    let check = process::spawn(check_there, (is_up.clone(), begin.clone(), units))?;
    let args = (is_up, begin.clone());
    let connectors = [(); 3].map(|()| process::spawn(connect_there, args.clone()));
    (0..4).for_each(|_| begin.0.acquire());
    begin.1.set();
    let mut ends = Vec::new();
    for connector in connectors {
        ends.push(connector?.join()?);
    }
    let is_over = check.is_finished();
    tell(ends, check.join()?, is_over);
    Ok(())
}

fn run(units: u32) -> fourfold::Result<()> {
    let key = "the key to the event";
    let server = Server::builder(Key::new(key)).event("is up").barrier("begin", 4);
    let server = server.bind("127.0.0.1:0")?;
    let (address, key) = (server.address().clone(), key.to_owned());
    let check = process::spawn(check, (address.clone(), key.clone(), units))?;
    let connectors = [(); 3].map(|()| process::spawn(connect, (address.clone(), key.clone())));
    let mut ends = Vec::new();
    for connector in connectors {
        ends.push(connector?.join()??);
    }
    let is_over = check.is_finished();
    tell(ends, check.join()??, is_over);
    Ok(())
}

/// What became of the connectors, and whether the check was over when the last of them ended.
fn tell(ends: Vec<Result<SystemTime, u32>>, was_set: SystemTime, is_over: bool) {
    for end in ends {
        match end {
            Ok(connected) => {
                // An end of a try is up to a unit away.
                let late = connected.duration_since(was_set).expect("not before it was set");
                println!("    connects: at once? {}", late < UNIT / 2);
            }
            Err(tries) => {
                println!("    gives up after try {tries}: before the check ends? {}", !is_over)
            }
        }
    }
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    run_here!(green);
    run_here!(thread);
    println!("process:");
    for units in [1, 5] {
        println!("  a check of {units}");
        run_there(units)?;
    }
    println!("cluster:");
    for units in [1, 5] {
        println!("  a check of {units}");
        run(units)?;
    }
    Ok(())
}
