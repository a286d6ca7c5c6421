//! One eats for two units of time, two plays for one, on one thread: the whole takes as long as the longest, not as the sum.

use std::time::Instant;

use fourfold::green;
use fourfold::prelude::*;

const UNIT: Duration = Duration::from_millis(200);

fn spend(name: u32, doing: String, units: u32) -> u32 {
    println!("  {name} begins to {doing}");
    green::sleep(units * UNIT);
    println!("  {name} has done: {doing}");
    units
}

/// Starts both, waits for both as it is asked to, and tells how long that took, in whole units.
fn both(
    wait: impl FnOnce([green::Child<u32>; 2]) -> fourfold::Result<u32>,
) -> fourfold::Result<()> {
    let begin = Instant::now();
    let eat = green::spawn(spend, (1, "eat".into(), 2))?;
    let play = green::spawn(spend, (2, "play".into(), 1))?;
    let sum = wait([eat, play])?;
    let (whole, thread) = (begin.elapsed(), thread::active_count());
    assert!(whole >= 2 * UNIT && whole < sum * UNIT, "{whole:?}");
    println!("  {sum} units of naps in the time of the longest, on {thread} thread");
    Ok(())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    green::run(|| {
        println!("join each:");
        both(|[eat, play]| Ok(eat.join()? + play.join()?))?;
        println!("join all:");
        both(|children| green::join_all(children.map(green::Child::into_handle)).into_iter().sum())
    })?
}
