//! A hundred thousand queues: what each costs.

use std::fs;
use std::time::Instant;

use fourfold::process::Queue;

use crate::Failure;
use crate::contest::time;

const QUEUES: usize = 100_000;

/// The least that a queue can be, and one of a common size.
const ROOMS: [usize; 2] = [1, 16];

pub(super) fn run() -> Result<(), Failure> {
    println!("{QUEUES} queues in one context");
    for room in ROOMS {
        let (shared, own, descriptors) = (kib("RssShmem:")?, kib("RssAnon:")?, descriptors()?);
        let began = Instant::now();
        let queues: Vec<Queue<u64>> =
            (0..QUEUES).map(|_| Queue::bounded(room)).collect::<Result<_, _>>()?;
        for queue in &queues {
            queue.put(1)?;
        }
        let took = began.elapsed().as_secs_f64() / QUEUES as f64;
        let now = self::descriptors()?;
        let each = |before: u64, after: u64| (after.saturating_sub(before) << 10) / QUEUES as u64;
        println!(
            "  room for {room:>2}: {} B each in shared memory, {} B of the process's own, {} descriptors in all, {} to make and put one",
            each(shared, kib("RssShmem:")?),
            each(own, kib("RssAnon:")?),
            now.saturating_sub(descriptors),
            time(took),
        );
    }
    println!();
    Ok(())
}

fn descriptors() -> Result<usize, Failure> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

/// A line of this process's status.
fn kib(name: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name)).ok_or("a line of it")?;
    Ok(line.split_whitespace().nth(1).ok_or("a number")?.parse()?)
}
