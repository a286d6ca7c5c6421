//! A closure that captures a number, in a process of its own.
//~ only a function or a closure that captures nothing can run in another process
//~ pass what it needs as an argument

fn main() {
    let limit = 3;
    #[cfg(not(feature = "sound"))]
    drop(fourfold::process::spawn(move |n: u32| n < limit, 2));
    #[cfg(feature = "sound")]
    drop(fourfold::process::spawn(|n: u32, limit: u32| n < limit, (2, limit)));
}
