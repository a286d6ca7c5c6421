//! A closure that captures a number, as a task of a pool of processes.
//~ only a function or a closure that captures nothing can run in another process

use fourfold::process::Executor;

fn main() {
    let pool = Executor::new().unwrap();
    let limit = 3;
    #[cfg(not(feature = "sound"))]
    drop(pool.submit(move |n: u32| n < limit, 2));
    #[cfg(feature = "sound")]
    drop(pool.submit(|n: u32, limit: u32| n < limit, (2, limit)));
}
