//! Items of 64 bytes from one process to another, beside channels between threads and between processes.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use crossbeam_channel as crossbeam;
use fourfold::process::Queue;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ROUNDS;
use super::partner::{Partner, Work};
use super::peers::{Ipc, Python};
use crate::Failure;
use crate::contest::{Contest, Verdict};
use crate::place::Seats;

/// Room of all queues.
pub(super) const ROOM: usize = 1024;
/// Items of a round, over all who put; and of a round of the peers that take as long for fewer.
const ITEMS: usize = 200_000;
const IPC_ITEMS: usize = 20_000;
const PYTHON_ITEMS: usize = 2_000;
/// Items of a batch.
const BATCH: usize = 64;

/// What is transferred.
pub(super) trait Item: Serialize + for<'de> Deserialize<'de> + Send + 'static {
    fn new(number: u64) -> Self;
    fn number(&self) -> u64;
}

/// Eight numbers, each of which serde writes by its name.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Struct {
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    e: u64,
    f: u64,
    g: u64,
    h: u64,
}

impl Item for Struct {
    fn new(n: u64) -> Struct {
        Struct { a: n, b: n, c: n, d: n, e: n, f: n, g: n, h: n }
    }

    fn number(&self) -> u64 {
        self.h
    }
}

/// 64 bytes, which serde writes as bytes.
#[derive(Clone, Copy)]
pub(super) struct Bytes([u8; 64]);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("64 bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                bytes.try_into().map(Bytes).map_err(|_| E::invalid_length(bytes.len(), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
                let mut bytes = [0; 64];
                for (index, byte) in bytes.iter_mut().enumerate() {
                    let next = seq.next_element()?;
                    *byte = next.ok_or_else(|| A::Error::invalid_length(index, &self))?;
                }
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_bytes(Read)
    }
}

impl Item for Bytes {
    fn new(n: u64) -> Bytes {
        let mut bytes = [7; 64];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        Bytes(bytes)
    }

    fn number(&self) -> u64 {
        self.0[..8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

const STRUCT: &str = "fourfold, a struct of 8 u64";
const BYTES: &str = "fourfold, 64 bytes";
const CROSSBEAM: &str = "crossbeam bounded, threads";
const IPC_CHANNEL: &str = "ipc-channel, processes";
const CPYTHON: &str = "CPython's queue, processes";

pub(super) fn run(
    seats: Seats,
    partner: &Partner,
    python: &mut Python,
) -> Result<Vec<Verdict>, Failure> {
    let mut verdicts = Vec::new();
    let words = partner.words();
    let structs = |pairs, most| {
        let work = Work::GetStructs(pairs, ITEMS / pairs, most);
        ours(partner, &words.structs, seats, pairs, most, work)
    };
    let bytes = |pairs, most| {
        let work = Work::GetBytes(pairs, ITEMS / pairs, most);
        ours(partner, &words.bytes, seats, pairs, most, work)
    };
    for pairs in [1, 2] {
        let title =
            format!("Queue, 64 B, room for 1,024, {pairs} to {pairs}, an item, {}", seats.name());
        let mut contest = Contest::new(title);
        contest.entry(STRUCT, || structs(pairs, 1));
        contest.entry(BYTES, || bytes(pairs, 1));
        contest.entry(CROSSBEAM, || theirs(seats, pairs));
        if pairs == 1 {
            let mut ipc = Ipc::start()?;
            contest.entry(IPC_CHANNEL, move || ipc.send(seats, IPC_ITEMS));
        }
        contest.entry(CPYTHON, || python.transfer(PYTHON_ITEMS, pairs, seats));
        let results = contest.run(ROUNDS)?;
        for ours in [STRUCT, BYTES] {
            verdicts.push(results.at_most(1.5, ours, CROSSBEAM));
            if pairs == 1 {
                verdicts.push(results.ahead(10.0, ours, IPC_CHANNEL));
            }
            verdicts.push(results.ahead(40.0, ours, CPYTHON));
        }
    }
    let title = format!("put_many and get_many, batches of {BATCH}, an item, {}", seats.name());
    let mut contest = Contest::new(title);
    contest.entry(BYTES, || bytes(1, BATCH));
    contest.entry(STRUCT, || structs(1, BATCH));
    let results = contest.run(ROUNDS)?;
    verdicts.push(results.within(25e-9, BYTES));
    verdicts.push(results.within(25e-9, STRUCT));
    Ok(verdicts)
}

/// From threads here to as many threads there.
fn ours<T: Item>(
    partner: &Partner,
    queue: &Queue<T>,
    seats: Seats,
    pairs: usize,
    most: usize,
    work: Work,
) -> Result<f64, Failure> {
    let each = (ITEMS / pairs) as u64;
    let put = || match most {
        1 => (0..each).try_for_each(|n| queue.put(T::new(black_box(n))).map_err(drop)),
        _ => (0..each).step_by(most).try_for_each(|n| {
            queue.put_many((n..each.min(n + most as u64)).map(T::new)).map_err(drop)
        }),
    };
    let produce = || match pairs {
        1 => put().map_err(|()| Failure::from("the queue was shut down")),
        _ => std::thread::scope(|scope| {
            let producer = |index| {
                move || {
                    seats.sit(2 * index).map_err(drop)?;
                    put()
                }
            };
            let threads: Vec<_> = (0..pairs).map(|index| scope.spawn(producer(index))).collect();
            let failed = threads.into_iter().any(|thread| !matches!(thread.join(), Ok(Ok(()))));
            if failed { Err("a producer failed".into()) } else { Ok(()) }
        }),
    };
    Ok(partner.round(seats, work, produce)? / ITEMS as f64)
}

/// Between threads.
fn theirs(seats: Seats, pairs: usize) -> Result<f64, Failure> {
    let (sender, receiver) = crossbeam::bounded::<Struct>(ROOM);
    let each = ITEMS / pairs;
    let start = &Barrier::new(2 * pairs);
    // From the first begin to the last end.
    let timed = move |seat: usize, run: &dyn Fn() -> bool| {
        let sits = seats.sit(seat).is_ok();
        start.wait();
        let began = Instant::now();
        (sits && run()).then(|| (began, Instant::now()))
    };
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for pair in 0..pairs {
            let (sender, receiver) = (&sender, &receiver);
            threads.push(scope.spawn(move || {
                timed(2 * pair, &|| {
                    (0..each as u64).all(|n| sender.send(Struct::new(black_box(n))).is_ok())
                })
            }));
            threads.push(scope.spawn(move || {
                timed(2 * pair + 1, &|| (0..each).all(|_| receiver.recv().map(black_box).is_ok()))
            }));
        }
        let times: Option<Vec<_>> =
            threads.into_iter().map(|thread| thread.join().ok().flatten()).collect();
        let times = times.ok_or("items were lost")?;
        let began = times.iter().map(|(began, _)| *began).min().ok_or("nobody took part")?;
        let ended = times.iter().map(|(_, ended)| *ended).max().ok_or("nobody took part")?;
        Ok((ended - began).as_secs_f64() / ITEMS as f64)
    })
}
