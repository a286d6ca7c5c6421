//! A closure that captures a number, mapped on a pool of processes.
//~ only a function or a closure that captures nothing can run in another process

use fourfold::process::Executor;

fn main() {
    let pool = Executor::new().unwrap();
    let offset = 3;
    #[cfg(not(feature = "sound"))]
    let sum = pool.map(move |n: u32| n + offset, 0..3).count();
    #[cfg(feature = "sound")]
    let sum = pool.map(|n: u32, offset: u32| n + offset, (0..3).map(|n| (n, offset))).count();
    println!("{sum}");
}
