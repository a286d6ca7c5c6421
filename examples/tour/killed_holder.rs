//! The holder of a lock is killed: the next gets the lock, and is told so.

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::prelude::*;
use fourfold::process::{Event, Lock};

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

/// The same, with words in memory.
fn hold_here(lock: Lock<u32>, held: Event) -> fourfold::Result<()> {
    let mut guard = lock.lock()?;
    *guard = 7;
    held.set();
    std::thread::sleep(Duration::from_secs(3600));
    Ok(())
}

/// Takes the lock, and says whether its last holder died, and what that one left.
fn take_here(lock: Lock<u32>) -> (bool, u32) {
    match lock.lock() {
        Ok(guard) => (false, *guard),
        Err(told) => (true, *told.into_inner()),
    }
}

fn in_memory() -> fourfold::Result<()> {
    let (lock, held) = (Lock::new(0)?, Event::new()?);
    let holder = process::spawn(hold_here, (lock.clone(), held.clone()))?;
    held.wait();
    println!("  held by another: is it free? {}", lock.try_lock()?.is_some());
    let next = process::spawn(take_here, lock.clone())?;
    holder.kill();
    println!("  the holder: {}", holder.join().unwrap_err().kind());
    let (died, left) = next.join()?;
    println!("  the next has it: did its owner die? {died}, and left {left}");
    let (died, left) = process::spawn(take_here, lock)?.join()?;
    println!("  and the one after: did its owner die? {died}; there is {left}");
    Ok(())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    println!("process:");
    in_memory()?;
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
