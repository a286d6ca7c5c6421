//! Twenty tasks, and the ways to take their results. One word changes from scale to scale.

use std::sync::mpsc::channel;

use fourfold::green;
use fourfold::prelude::*;

fn square(n: u64) -> u64 {
    n * n
}

macro_rules! program {
    ($scale:ident) => {{
        println!("{}:", stringify!($scale));
        let pool = $scale::Executor::builder().workers(3).build()?;

        let mut sum = 0;
        for n in 0..20 {
            sum += pool.submit(square, n).join()?;
        }
        println!("  each before the next is submitted: {sum}");

        let tasks: Vec<_> = (0..20).map(|n| pool.submit(square, n)).collect();
        let squares: Vec<u64> = tasks.into_iter().map(Handle::join).collect::<Result<_, _>>()?;
        println!("  all submitted, then gathered: {squares:?}");

        // Lazy on both sides, so the numbers may be endless.
        let squares: Vec<u64> = pool.map(square, 0..).take(5).collect::<Result<_, _>>()?;
        println!("  mapped, in order, as far as they are wanted: {squares:?}");

        let mut sum = 0;
        for (index, outcome) in as_completed((0..20).map(|n| pool.submit(square, n))) {
            let value = outcome?;
            assert_eq!(value, square(index as u64));
            sum += value;
        }
        println!("  as they finish, whichever is first: {sum}");

        let (sender, receiver) = channel();
        for n in 0..20 {
            let sender = sender.clone();
            pool.submit(|n: u64| 100 / n, n).on_done(move |outcome| {
                sender
                    .send(outcome.as_ref().map(|value| *value).map_err(|error| error.kind()))
                    .unwrap();
            });
        }
        drop(sender);
        let (values, errors): (Vec<_>, Vec<_>) = receiver.iter().partition(Result::is_ok);
        println!("  by a callback on each: {} values, and {errors:?}", values.len());
    }};
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    program!(green);
    program!(thread);
    program!(process);
    Ok(())
}
