//! A coroutine that hogs its thread: it is found, and the calls that it is in are told. With the feature `watch`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use fourfold::green;
use fourfold::prelude::*;
use fourfold::thread::Queue;

const LIMIT: Duration = Duration::from_millis(100);

/// Works, and never waits.
#[inline(never)]
fn crunch(stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        std::hint::spin_loop();
    }
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let hogs = Queue::new();
    let found = hogs.clone();
    let watch = green::watch_with(LIMIT, move |hog| drop(found.put(hog.clone())))?;

    let stop = Arc::new(AtomicBool::new(false));
    let (begin, seen) = (Arc::new(green::Event::new()), stop.clone());
    // Both are on the hub that all coroutines share which threads have started.
    let polite = green::Builder::new().name("polite").spawn(green::sleep, 4 * LIMIT)?;
    let own = begin.clone();
    let work = move || {
        own.wait();
        crunch(&seen);
    };
    let greedy = green::Builder::new().name("greedy").spawn(work, ())?;
    polite.join()?;
    println!("one that waits is nobody's concern: {} told of", hogs.len());

    begin.set();
    let hog = hogs.get()?;
    println!("{} does not wait", hog.name());
    println!("it has held its thread for longer than is allowed: {}", hog.held() >= LIMIT);
    println!("it is in `crunch`: {}", hog.calls().iter().any(|call| call.contains("crunch")));
    println!("it goes on, and is told of again: {}", hogs.get_timeout(2 * LIMIT).is_ok());
    stop.store(true, Relaxed);
    greedy.join()?;
    drop(watch);
    Ok(())
}
