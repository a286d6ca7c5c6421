//! A child changes a global: a thread's change is seen, a process's is not.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use fourfold::prelude::*;

static GLOBAL: AtomicU32 = AtomicU32::new(1);

fn add(n: u32) -> u32 {
    GLOBAL.fetch_add(n, Relaxed) + n
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    println!("in a process it became {}", process::spawn(add, 5)?.join()?);
    println!("and here it is {}", GLOBAL.load(Relaxed));
    println!("in a thread it became {}", thread::spawn(add, 5)?.join()?);
    println!("and here it is {}", GLOBAL.load(Relaxed));
    Ok(())
}
