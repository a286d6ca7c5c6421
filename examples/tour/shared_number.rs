//! A hundred workers take one from a shared number: they read, wait and write, without a lock and with one.

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::prelude::*;

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
    println!("cluster, a hundred take one each from a hundred:");
    println!("  without a lock {} are left", left(false)?);
    println!("  with a lock    {} are left", left(true)?);
    Ok(())
}
