//! Squares numbers of a network queue until none has come for ten seconds, beside workers in Python.

use std::thread::sleep;
use std::time::Duration;

use fourfold::cluster::manager::{Client, GetError, read_key};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The port; none when it is run with all the examples.
    let Some(address) = std::env::args().nth(1) else {
        println!("usage: network_worker PORT, beside a file queue.key");
        return Ok(());
    };
    let client = Client::connect(&address, read_key("queue.key")?)?;
    let tasks = client.queue::<i64>("get_task_queue")?;
    let results = client.queue::<(i64, i64)>("get_result_queue")?;
    loop {
        match tasks.get_timeout(Duration::from_secs(10)) {
            Ok(n) => {
                println!("taken: {n}");
                sleep(Duration::from_millis(500));
                results.put((n, n * n))?;
            }
            Err(GetError::Empty) => break,
            Err(error) => return Err(error.into()),
        }
    }
    println!("no more");
    Ok(())
}
