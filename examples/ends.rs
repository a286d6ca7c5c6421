//! How work can end in another process, and what is said of each end. `cargo xtask test` runs this under each profile.

use fourfold::prelude::*;
use fourfold::{ErrorKind, Outcome};

fn segfault() {
    // SAFETY: none; that is the point. The address is not mapped, and this process is there to be lost.
    unsafe { std::ptr::null_mut::<u32>().wrapping_add(4).write_volatile(1) }
}

#[allow(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + frame[0]
}

fn eat() {
    let mut eaten = Vec::new();
    loop {
        eaten.push(vec![1u8; 1 << 20]);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn ended<T: std::fmt::Debug>(what: &str, outcome: Outcome<T>, expected: ErrorKind) {
    let error = outcome.expect_err(what);
    assert_eq!(error.kind(), expected, "{what}: {error}");
    println!("{what:<16}{:?}", error.kind());
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let pool = process::Executor::builder()
        .workers(1)
        .task_timeout(Duration::from_secs(2))
        .memory_limit(200 << 20)
        .build()?;
    let value = pool.submit(|a: u32, b: u32| a + b, (1, 2)).join()?;
    println!("{:<16}{value}", "a value");
    let panic = pool.submit(|| -> u32 { panic!("oh no") }, ()).join();
    let message = panic.as_ref().unwrap_err().panic().map(|panic| panic.message().to_owned());
    assert_eq!(message.as_deref(), Some("oh no"));
    ended("a panic", panic, ErrorKind::Panicked);
    ended("a segfault", pool.submit(segfault, ()).join(), ErrorKind::Signaled(11));
    ended("a deep call", pool.submit(recurse, 0).join(), ErrorKind::StackOverflow);
    ended(
        "an abort",
        pool.submit(|| -> u32 { std::process::abort() }, ()).join(),
        ErrorKind::Signaled(6),
    );
    ended(
        "an exit",
        pool.submit(|| -> u32 { std::process::exit(3) }, ()).join(),
        ErrorKind::Exited(3),
    );
    ended(
        "too slow",
        pool.submit(std::thread::sleep, Duration::from_secs(60)).join(),
        ErrorKind::TimedOut,
    );
    ended("too big", pool.submit(eat, ()).join(), ErrorKind::OutOfMemory);
    Ok(())
}
