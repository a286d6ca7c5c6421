//! The holder of a lock is killed: the next gets the lock, and is told so.

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::prelude::*;

/// Takes the lock, says so, and stays.
fn hold(address: Address, key: String) -> fourfold::Result<()> {
    let client = Client::connect(address, Key::new(key))?;
    let lock = client.lock("lock")?;
    let _guard = lock.lock()?;
    client.event("held")?.set()?;
    std::thread::sleep(Duration::from_secs(3600));
    Ok(())
}

/// Takes the lock, gives it back, and says whether its last holder died.
fn take(address: Address, key: String) -> fourfold::Result<bool> {
    let lock = Client::connect(address, Key::new(key))?.lock("lock")?;
    Ok(lock.lock()?.owner_died())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    println!("cluster:");
    let key = "the key to the lock";
    let server = Server::builder(Key::new(key)).lock("lock").event("held").bind("127.0.0.1:0")?;
    let args = (server.address().clone(), key.to_owned());
    let client = Client::connect(server.address(), Key::new(key))?;

    let holder = process::spawn(hold, args.clone())?;
    client.event("held")?.wait()?;
    println!("  held by another: is it free? {}", client.lock("lock")?.try_lock()?.is_some());
    let next = process::spawn(take, args.clone())?;
    holder.kill();
    println!("  the holder: {}", holder.join().unwrap_err().kind());
    println!("  the next has it: did its owner die? {}", next.join()??);
    println!("  and the one after: did its owner die? {}", process::spawn(take, args)?.join()??);
    Ok(())
}
