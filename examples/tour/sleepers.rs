//! A hundred thousand coroutines that sleep at once, on one thread: what they cost, and that all wake.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;
use std::time::Instant;

use fourfold::green;
use fourfold::prelude::*;

const SLEEPERS: usize = 100_000;

/// How many have gone to sleep, and how many have slept.
#[derive(Default)]
struct Counts {
    asleep: Cell<usize>,
    awake: Cell<usize>,
}

fn sleep(counts: Rc<Counts>, nap: Duration) {
    let begin = Instant::now();
    counts.asleep.set(counts.asleep.get() + 1);
    green::sleep(nap);
    assert!(begin.elapsed() >= nap);
    counts.awake.set(counts.awake.get() + 1);
}

/// How many bytes of this process are in memory.
fn memory() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: usize = pages.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    pages * rustix::param::page_size()
}

fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").expect("Linux tells").lines().count()
}

/// What so many cost, as bytes and mappings for all of them. `None`: the first woke before the last had gone to sleep.
fn cost(sleepers: usize, nap: Duration) -> fourfold::Result<Option<(usize, usize)>> {
    let (memory_before, mappings_before) = (memory(), mappings());
    let counts = Rc::new(Counts::default());
    let begin = Instant::now();
    let mut children = Vec::with_capacity(sleepers);
    for _ in 0..sleepers {
        children.push(green::spawn_local(sleep, (counts.clone(), nap))?);
    }
    while counts.asleep.get() < sleepers {
        green::yield_now();
    }
    let cost = (memory() - memory_before, mappings() - mappings_before);
    let all_at_once = counts.awake.get() == 0;
    for child in children {
        child.join()?;
    }
    assert_eq!(counts.awake.get(), sleepers);
    // The sum of their naps is as many times longer.
    assert!(begin.elapsed() < nap * (sleepers / 100) as u32);
    Ok(all_at_once.then_some(cost))
}

fn all_at_once(sleepers: usize) -> fourfold::Result<(usize, usize)> {
    let mut nap = Duration::from_secs(1);
    loop {
        match cost(sleepers, nap)? {
            Some(cost) => return Ok(cost),
            None => nap *= 2,
        }
    }
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    green::run(|| {
        let (sleepers, (bytes, mappings), most) = match all_at_once(SLEEPERS) {
            Ok(cost) => (SLEEPERS, cost, 64),
            // Before Linux 6.13 each guard takes mappings, of which a process may have so many.
            Err(error) if error.to_string().contains("vm.max_map_count") => {
                (SLEEPERS / 10, all_at_once(SLEEPERS / 10)?, SLEEPERS / 10 * 2 + 64)
            }
            Err(error) => return Err(error),
        };
        let each = bytes as f64 / sleepers as f64;
        eprintln!("{sleepers} sleepers: {each:.0} bytes each, {mappings} mappings for all");
        println!("all slept at the same time, and all woke");
        println!(
            "a sleeper costs less than three pages: {}",
            each < 3.0 * rustix::param::page_size() as f64
        );
        println!("no more mappings than the kernel needs: {}", mappings <= most);
        println!("threads: {}", thread::active_count());
        Ok(())
    })?
}
