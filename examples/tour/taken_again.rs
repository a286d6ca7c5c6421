//! A lock that its holder takes again, and again: it is free after as many releases, and no other may release it.

use std::sync::Arc;

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::green;
use fourfold::prelude::*;
use fourfold::thread::RLock;

/// Whether another gets the lock, and what it is told when it releases the lock without having it.
fn try_it(address: Address, key: String) -> fourfold::Result<(bool, String)> {
    let lock = Client::connect(address, Key::new(key))?.rlock("lock")?;
    let gets_it = lock.try_lock()?.is_some();
    let error = lock.release().expect_err("it does not have it");
    Ok((gets_it, error.to_string()))
}

/// The same within this process.
fn try_it_here(lock: Arc<RLock>) -> (bool, String) {
    let gets_it = lock.try_lock().is_some();
    (gets_it, lock.release().expect_err("it does not have it").to_string())
}

/// The same between processes.
fn try_it_between(lock: process::RLock) -> fourfold::Result<(bool, String)> {
    let gets_it = lock.try_lock()?.is_some();
    Ok((gets_it, lock.release().expect_err("it does not have it").to_string()))
}

fn between_processes() -> fourfold::Result<()> {
    let lock = process::RLock::new()?;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(lock.lock()?);
    }
    loop {
        let (gets_it, error) = process::spawn(try_it_between, lock.clone())?.join()??;
        println!("  held {} deep: does another get it? {gets_it}", held.len());
        println!("    its release: {error}");
        assert_eq!(gets_it, held.is_empty());
        if held.pop().is_none() {
            break;
        }
    }
    println!("  one release too many: {}", lock.release().unwrap_err());
    Ok(())
}

macro_rules! again_and_again {
    ($scale:ident) => {{
        let lock = Arc::new(RLock::new());
        let mut held: Vec<_> = (0..3).map(|_| lock.lock()).collect();
        loop {
            let (gets_it, error) = $scale::spawn(try_it_here, lock.clone())?.join()?;
            println!("  held {} deep: does another get it? {gets_it}", held.len());
            println!("    its release: {error}");
            assert_eq!(gets_it, held.is_empty());
            if held.pop().is_none() {
                break;
            }
        }
        println!("  one release too many: {}", lock.release().unwrap_err());
        Ok(())
    }};
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    println!("green, of coroutines of one thread:");
    green::run(|| -> fourfold::Result<()> { again_and_again!(green) })??;
    println!("thread:");
    (|| -> fourfold::Result<()> { again_and_again!(thread) })()?;
    println!("process:");
    between_processes()?;
    println!("cluster:");
    let key = "the key to the lock";
    let server = Server::builder(Key::new(key)).rlock("lock").bind("127.0.0.1:0")?;
    let another = || process::spawn(try_it, (server.address().clone(), key.to_owned()))?.join()?;

    let lock = Client::connect(server.address(), Key::new(key))?.rlock("lock")?;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(lock.lock()?);
    }
    loop {
        let (gets_it, error) = another()?;
        println!("  held {} deep: does another get it? {gets_it}", held.len());
        println!("    its release: {error}");
        assert_eq!(gets_it, held.is_empty());
        if held.pop().is_none() {
            break;
        }
    }
    println!("  one release too many: {}", lock.release().unwrap_err());
    Ok(())
}
