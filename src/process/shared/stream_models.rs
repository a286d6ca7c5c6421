//! Each order of events of a stream, with a death of its writer at each step, tried by loom: nobody sleeps for ever.

use std::sync::Arc;

use loom::sync::Notify;
use loom::sync::atomic::AtomicBool;
use loom::thread;

use super::atomic::Ordering;
use super::models::{World, check};
use super::stream::{End, Stream};

/// A stream, and what both sleep on: as a byte in a socket, a call is kept for who comes to sleep later.
struct Pair {
    world: World,
    stream: Stream<2>,
    reader: Notify,
    writer: Notify,
    /// The kernel says that the writer has ended.
    dead: AtomicBool,
}

impl Pair {
    fn new() -> Arc<Pair> {
        Arc::new(Pair {
            world: World::new(),
            stream: Stream::new(),
            reader: Notify::new(),
            writer: Notify::new(),
            dead: AtomicBool::new(false),
        })
    }

    /// Writes so many numbers, counted from 1, in messages of so many.
    fn write(&self, count: u64, many: usize) {
        let mut end = End::default();
        let numbers: Vec<u8> = (1..=count).flat_map(u64::to_ne_bytes).collect();
        for message in numbers.chunks(8 * many) {
            let mut left = message;
            loop {
                left = &left[self.stream.write(&mut end, left).unwrap()..];
                if self.stream.has_to_wake() {
                    self.reader.notify();
                }
                if left.is_empty() {
                    break;
                }
                if !self.stream.ask_for_room(&mut end).unwrap() {
                    self.writer.wait();
                }
            }
        }
    }

    /// Reads until it has so many numbers, or the writer is dead and there is nothing more.
    fn read(&self, count: u64) -> Vec<u64> {
        let (mut end, mut got) = (End::default(), Vec::new());
        while (got.len() as u64) < count {
            let dead = self.dead.load(Ordering::Acquire);
            let mut into = [0; 8];
            let some = self.stream.read(&mut end, &mut into).unwrap() > 0;
            if some {
                got.push(u64::from_ne_bytes(into));
                if self.stream.is_asked_for_room() {
                    self.writer.notify();
                }
            } else if dead {
                break;
            } else if !self.stream.fall_asleep(&end) {
                self.reader.wait();
                self.stream.stay_awake();
            }
        }
        got
    }
}

fn in_order(got: &[u64]) -> bool {
    got.iter().copied().eq(1..=got.len() as u64)
}

#[test]
fn who_reads_and_who_writes_wake_each_other() {
    for many in [1, 3] {
        check(3, move || {
            let pair = Pair::new();
            let other = pair.clone();
            let writer = thread::spawn(move || other.write(3, many));
            let got = pair.read(3);
            writer.join().unwrap();
            assert!(got.len() == 3 && in_order(&got), "{got:?}");
        });
    }
}

#[test]
fn of_a_writer_that_dies_what_it_wrote_is_read() {
    for steps in 0..24 {
        check(2, move || {
            let pair = Pair::new();
            let other = pair.clone();
            let writer = thread::spawn(move || {
                let lived = other.world.live(1, steps, || other.write(2, 1)).is_some();
                if !lived {
                    other.dead.store(true, Ordering::Release);
                    other.reader.notify();
                }
                lived
            });
            let got = pair.read(2);
            let lived = writer.join().unwrap();
            assert!(in_order(&got) && (!lived || got.len() == 2), "{steps}: {got:?}");
        });
    }
}
