//! Three that take 5, 3 and 2 units of time: together they take as long as the longest, in turn as long as their sum.

use std::time::Instant;

use fourfold::prelude::*;

fn work(units: u32) -> u32 {
    std::thread::sleep(units * Duration::from_millis(100));
    units
}

/// How much longer it takes in turn than together, and that all of it was done.
fn compare(
    together: impl FnOnce() -> fourfold::Result<u32>,
    in_turn: impl FnOnce() -> fourfold::Result<u32>,
) -> fourfold::Result<f64> {
    let begin = Instant::now();
    assert_eq!(together()?, 10);
    let middle = Instant::now();
    assert_eq!(in_turn()?, 10);
    Ok(middle.elapsed().as_secs_f64() / (middle - begin).as_secs_f64())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let threads = compare(
        || {
            let children = [5, 3, 2].map(|units| thread::spawn(work, units));
            children.into_iter().map(|child| child?.join()).sum()
        },
        || [5, 3, 2].into_iter().map(|units| thread::spawn(work, units)?.join()).sum(),
    )?;
    let processes = compare(
        || {
            let children = [5, 3, 2].map(|units| process::spawn(work, units));
            children.into_iter().map(|child| child?.join()).sum()
        },
        || [5, 3, 2].into_iter().map(|units| process::spawn(work, units)?.join()).sum(),
    )?;
    for (what, ratio) in [("threads", threads), ("processes", processes)] {
        println!("{what} take {} times as long in turn as together", ratio.round());
    }
    Ok(())
}
