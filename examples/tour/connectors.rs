//! Three connectors try three times, a unit of time each, while a check of the server takes one unit; then it takes five.

use std::time::SystemTime;

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::prelude::*;

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
    let was_set = check.join()??;
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
    Ok(())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    println!("cluster:");
    for units in [1, 5] {
        println!("  a check of {units}");
        run(units)?;
    }
    Ok(())
}
