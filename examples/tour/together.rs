//! Three that take 5, 3 and 2 units of time: together they take as long as the longest, in turn as long as their sum.

use std::time::Instant;

use fourfold::green;
use fourfold::prelude::*;

/// In a coroutine others run meanwhile; in a thread, of any process, it is a thread's sleep.
fn work(units: u32) -> u32 {
    green::sleep(units * Duration::from_millis(100));
    units
}

/// How much longer it takes in turn than together.
macro_rules! ratio {
    ($scale:ident) => {{
        let begin = Instant::now();
        let children = [5, 3, 2].map(|units| $scale::spawn(work, units));
        let together: u32 =
            children.into_iter().map(|child| child?.join()).sum::<fourfold::Result<_>>()?;
        let middle = Instant::now();
        let in_turn: u32 = [5, 3, 2]
            .into_iter()
            .map(|units| $scale::spawn(work, units)?.join())
            .sum::<fourfold::Result<_>>()?;
        assert_eq!((together, in_turn), (10, 10));
        middle.elapsed().as_secs_f64() / (middle - begin).as_secs_f64()
    }};
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let (coroutines, threads, processes) = (ratio!(green), ratio!(thread), ratio!(process));
    for (what, ratio) in
        [("coroutines", coroutines), ("threads", threads), ("processes", processes)]
    {
        println!("{what} take {} times as long in turn as together", ratio.round());
    }
    Ok(())
}
