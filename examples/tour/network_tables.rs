//! Two tables on the network, of work and of results: ten addresses are put, workers take and answer, and one is killed.

use std::collections::BTreeMap;

use fourfold::cluster::manager::{Address, Client, GetError, HandBack, Key, QueueOptions, Server};
use fourfold::prelude::*;

/// What a worker finds at an address.
fn answer(address: &str) -> usize {
    address.len()
}

/// Takes addresses and answers, until none comes for ten seconds or no more will come. Who gets stuck takes a fourth one,
/// and never answers.
fn work(at: Address, key: String, gets_stuck: bool) -> fourfold::Result<usize> {
    let client = Client::connect(at, Key::new(key))?;
    let (work, results) = (client.queue::<String>("work")?, client.queue("results")?);
    let mut count = 0;
    loop {
        match work.get_timeout(Duration::from_secs(10)) {
            Ok(_) if gets_stuck && count == 3 => {
                client.event("stuck")?.set()?;
                std::thread::sleep(Duration::from_secs(3600));
            }
            Ok(address) => {
                results.put((answer(&address), address))?;
                count += 1;
            }
            Err(GetError::Empty | GetError::ShutDown) => return Ok(count),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The machine that has the work.
fn have_it_done(at: &Address, key: &str) -> fourfold::Result<()> {
    let client = Client::connect(at, Key::new(key))?;
    let (work, results) =
        (client.queue::<String>("work")?, client.queue::<(usize, String)>("results")?);
    let addresses: Vec<_> = (1..=10).map(|n| format!("https://example.org/{n}")).collect();
    for address in &addresses {
        work.put(address.clone())?;
    }

    let worker = |gets_stuck| process::spawn(self::work, (at.clone(), key.to_owned(), gets_stuck));
    let first = worker(true)?;
    client.event("stuck")?.wait()?;
    println!("  a worker has answered {}, and taken one more", results.len()?);
    first.kill();
    println!("  it is {}", first.join().unwrap_err().kind());
    let others = [worker(false)?, worker(false)?];
    let mut answers = BTreeMap::new();
    for _ in &addresses {
        let (answer, address) = results.get()?;
        answers.insert(address, answer);
    }
    work.shut_down(false)?;
    let mut count = 0;
    for other in others {
        count += other.join()??;
    }
    println!("  two others have answered {count}");
    assert!(addresses.iter().all(|address| answers.get(address) == Some(&self::answer(address))));
    println!("  {} of ten addresses have their answer", answers.len());
    let error = Client::connect(at, Key::new("another key")).unwrap_err();
    assert!(error.to_string().ends_with("refused our key"), "{error}");
    println!("  with another key: refused");
    Ok(())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let key = "the key to the tables";
    // What a worker had in its hands goes back to the table when it dies.
    let tables = Server::builder(Key::new(key))
        .queue_with("work", QueueOptions::default().hand_back(HandBack::UntilNext))
        .queue("results")
        .event("stuck");
    println!("cluster, the server in this process:");
    let server = tables.clone().bind("127.0.0.1:0")?;
    have_it_done(server.address(), key)?;
    println!("cluster, the server in a child:");
    let server = tables.spawn("127.0.0.1:0")?;
    have_it_done(server.address(), key)
}
