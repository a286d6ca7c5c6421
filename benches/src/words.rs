//! The words between threads: queues beside crossbeam-channel, locks beside parking_lot.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crossbeam_channel as crossbeam;
use fourfold::thread::{Lock, Queue};

use crate::Failure;
use crate::contest::{Contest, Verdict};

const ROUNDS: usize = 41;

/// Items of a round, over all producers.
const ITEMS: usize = 400_000;

/// Room of the bounded queues.
const ROOM: usize = 1024;

/// Turns of a round without contention, and of each thread with it.
const TURNS: u32 = 2_000_000;
const CONTENDED_TURNS: u32 = 400_000;

/// As large as a cache line.
type Item = [u64; 8];

const OURS: &str = "fourfold";
const THEIRS: &str = "crossbeam-channel";
const LOCKS: &str = "parking_lot";

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let mut verdicts = Vec::new();
    for (pairs, name) in [(1, "1 to 1"), (2, "2 to 2")] {
        for (room, kind) in [(Some(ROOM), "room for 1,024"), (None, "unbounded")] {
            let mut contest =
                Contest::new(format!("Queue between threads, 64 B, {name}, {kind}, per item"));
            contest.entry(OURS, move || ours(pairs, room));
            contest.entry(THEIRS, move || theirs(pairs, room));
            verdicts.push(contest.run(ROUNDS)?.at_most(1.1, OURS, THEIRS));
        }
    }
    verdicts.push(uncontended()?);
    verdicts.push(contended()?);
    Ok(verdicts)
}

fn ours(pairs: usize, room: Option<usize>) -> Result<f64, Failure> {
    let queue = match room {
        Some(room) => Queue::<Item>::bounded(room),
        None => Queue::new(),
    };
    let put = |n| queue.put([n; 8]).is_ok();
    let get = || queue.get().map_or(0, |item| item[7]);
    transfer(pairs, &put, &get)
}

fn theirs(pairs: usize, room: Option<usize>) -> Result<f64, Failure> {
    let (sender, receiver) = match room {
        Some(room) => crossbeam::bounded::<Item>(room),
        None => crossbeam::unbounded(),
    };
    let put = |n| sender.send([n; 8]).is_ok();
    let get = || receiver.recv().map_or(0, |item| item[7]);
    transfer(pairs, &put, &get)
}

/// So many producers and as many consumers: seconds for one item.
fn transfer(
    pairs: usize,
    put: &(impl Fn(u64) -> bool + Sync),
    get: &(impl Fn() -> u64 + Sync),
) -> Result<f64, Failure> {
    let each = ITEMS / pairs;
    let start = Barrier::new(2 * pairs);
    let (start, mut sum) = (&start, 0);
    let mut times = Vec::new();
    thread::scope(|scope| {
        let producer = move || timed(start, || (0..each as u64).all(|n| put(black_box(n))));
        let consumer = move || timed(start, || (0..each).map(|_| black_box(get())).sum::<u64>());
        let producers: Vec<_> = (0..pairs).map(|_| scope.spawn(producer)).collect();
        let consumers: Vec<_> = (0..pairs).map(|_| scope.spawn(consumer)).collect();
        for producer in producers {
            times.push(producer.join().map_err(|_| "a producer panicked")?.1);
        }
        for consumer in consumers {
            let (part, time) = consumer.join().map_err(|_| "a consumer panicked")?;
            times.push(time);
            sum += part;
        }
        Ok::<(), Failure>(())
    })?;
    let expected = pairs as u64 * (0..each as u64).sum::<u64>();
    match sum == expected {
        true => Ok(span(&times) / ITEMS as f64),
        false => Err("items were lost".into()),
    }
}

/// Does this when all are ready, and tells when it began and ended.
fn timed<R>(start: &Barrier, run: impl FnOnce() -> R) -> (R, (Instant, Instant)) {
    start.wait();
    let began = Instant::now();
    let value = run();
    (value, (began, Instant::now()))
}

/// Seconds from the first begin to the last end.
fn span(times: &[(Instant, Instant)]) -> f64 {
    let began = times.iter().map(|(began, _)| began).min();
    let ended = times.iter().map(|(_, ended)| ended).max();
    began.zip(ended).map_or(f64::NAN, |(began, ended)| (*ended - *began).as_secs_f64())
}

fn uncontended() -> Result<Verdict, Failure> {
    let (ours, theirs) = (Lock::new(0_u64), parking_lot::Mutex::new(0_u64));
    let mut contest = Contest::new("Lock, uncontended, per turn");
    contest.entry(OURS, || Ok(turns(TURNS, || *black_box(&ours).lock() += 1)));
    contest.entry(LOCKS, || Ok(turns(TURNS, || *black_box(&theirs).lock() += 1)));
    Ok(contest.run(ROUNDS)?.at_most(1.1, OURS, LOCKS))
}

fn contended() -> Result<Verdict, Failure> {
    let (ours, theirs) = (Lock::new(0_u64), parking_lot::Mutex::new(0_u64));
    let mut contest = Contest::new("Lock, contended by 2 threads, per turn");
    contest.entry(OURS, || by_two(&|| *ours.lock() += 1));
    contest.entry(LOCKS, || by_two(&|| *theirs.lock() += 1));
    Ok(contest.run(ROUNDS)?.at_most(1.25, OURS, LOCKS))
}

/// Seconds for a turn.
fn turns(count: u32, turn: impl Fn()) -> f64 {
    let began = Instant::now();
    for _ in 0..count {
        turn();
    }
    began.elapsed().as_secs_f64() / f64::from(count)
}

/// Two threads at once: seconds for a turn of either.
fn by_two(turn: &(impl Fn() + Sync)) -> Result<f64, Failure> {
    let start = &Barrier::new(2);
    let times: Vec<_> = thread::scope(|scope| {
        let run = move || timed(start, || turns(CONTENDED_TURNS, turn)).1;
        let threads = [scope.spawn(run), scope.spawn(run)];
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    match times.len() {
        2 => Ok(span(&times) / f64::from(2 * CONTENDED_TURNS)),
        _ => Err("a thread panicked".into()),
    }
}
