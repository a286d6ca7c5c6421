//! A value, an array and a large buffer that several processes use: with a lock where one is asked for, and with no copy.

use fourfold::prelude::*;
use fourfold::process::{Array, Buffer, Queue, SharedBuffer, Value};

const WORKERS: usize = 4;
const MIB: usize = 1 << 20;

/// Adds to what all share.
fn add(sum: Value<u64>, table: Array<u64>, worker: usize) -> fourfold::Result<()> {
    for n in 1..=1000 {
        sum.update(|sum| *sum += n)?;
        let mut table = table.lock()?;
        table[worker] += 1;
        table[WORKERS] += 1;
    }
    Ok(())
}

/// Fills what comes, and passes it on.
fn fill(empty: Queue<Buffer>, full: Queue<Buffer>, byte: u8) -> fourfold::Result<()> {
    let mut image = empty.get()?;
    image.fill(byte);
    full.put(image)?;
    Ok(())
}

/// What a part of the bytes sums up to.
fn sum(bytes: SharedBuffer, part: usize) -> u64 {
    let len = bytes.len() / WORKERS;
    bytes[part * len..][..len].iter().map(|byte| u64::from(*byte)).sum()
}

/// Bytes of this process that were read or written, in MiB.
fn resident() -> fourfold::Result<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let shared = pages.split(' ').nth(2).and_then(|pages| pages.parse::<usize>().ok());
    Ok(shared.expect("the kernel counts pages") * 4096 / MIB)
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let (total, table) = (Value::new(0)?, Array::new(WORKERS + 1, 0)?);
    let start = |worker| process::spawn(add, (total.clone(), table.clone(), worker));
    let workers = (0..WORKERS).map(start).collect::<fourfold::Result<Vec<_>>>()?;
    for worker in workers {
        worker.join()??;
    }
    println!("a value that {WORKERS} add to: {}", total.get()?);
    println!("an array, a place each and one for all: {:?}", table.lock()?);

    let (empty, full) = (Queue::bounded(1)?, Queue::bounded(1)?);
    let filler = process::spawn(fill, (empty.clone(), full.clone(), 3))?;
    empty.put(Buffer::new(64 * MIB)?)?;
    let image: Buffer = full.get()?;
    filler.join()??;
    println!("{} MiB there and back: touched here? {}", image.len() / MIB, resident()? >= 64);
    println!("  all are 3? {}", image.iter().all(|byte| *byte == 3));

    let image = image.share();
    let pool = process::Executor::builder().workers(2).build()?;
    let parts = (0..WORKERS).map(|part| (image.clone(), part));
    let sums = pool.map(sum, parts).collect::<fourfold::Result<Vec<u64>>>()?;
    println!("read by all of a pool: {}", sums.iter().sum::<u64>() == 3 * image.len() as u64);
    Ok(())
}
