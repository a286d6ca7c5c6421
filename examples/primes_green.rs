//! Counts primes on a pool of workers, loses one task, and says where the work was done.

use fourfold::prelude::*;

fn count_primes(from: u64, to: u64) -> usize {
    assert!(from < to, "nothing from {from} to {to}");
    let has_divisor = |n: u64| (2..).take_while(|d| d * d <= n).any(|d| n.is_multiple_of(d));
    (from..to).filter(|n| *n > 1 && !has_divisor(*n)).count()
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let pool = green::Executor::builder().workers(2).build()?;
    let ranges = (0..4).map(|n| (n * 1000, (n + 1) * 1000));
    for (count, (from, to)) in pool.map(count_primes, ranges.clone()).zip(ranges) {
        println!("{from} to {to}: {} primes", count?);
    }
    let lost = pool.submit(count_primes, (9, 9)).join().unwrap_err();
    println!("9 to 9: {}", lost.panic().map_or("no panic", |panic| panic.message()));
    let place = match pool.submit(std::process::id, ()).join()? == std::process::id() {
        true => "this process",
        false => "another process",
    };
    println!("counted in {place}");
    Ok(())
}
