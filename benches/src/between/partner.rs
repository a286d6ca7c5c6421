//! The other process of our own measurements, which does its part of each round when it is told to.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use fourfold::process::{self, Lock, Queue};
use serde::{Deserialize, Serialize};

use super::transfer::{Bytes, Item, Struct};
use crate::Failure;
use crate::place::Seats;

/// A round ends within this time, on any machine.
const LIMIT: Duration = Duration::from_secs(120);

/// What both processes have.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Words {
    pub(super) structs: Queue<Struct>,
    pub(super) bytes: Queue<Bytes>,
    pub(super) there: Queue<u64>,
    pub(super) back: Queue<u64>,
    pub(super) lock: Lock<u64>,
    orders: Queue<(Seats, Work)>,
    done: Queue<u64>,
}

/// The other's part.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum Work {
    /// So many threads that get so many items each, one by one or up to so many at once.
    GetStructs(usize, usize, usize),
    GetBytes(usize, usize, usize),
    /// To give back so many messages.
    Echo(u32),
    /// So many turns of the lock.
    Turns(u32),
}

/// Gone when this is dropped.
pub(super) struct Partner {
    words: Words,
    child: Option<process::Child<()>>,
}

impl Partner {
    pub(super) fn start() -> Result<Partner, Failure> {
        let words = Words {
            structs: Queue::bounded(super::transfer::ROOM)?,
            bytes: Queue::bounded(super::transfer::ROOM)?,
            there: Queue::bounded(8)?,
            back: Queue::bounded(8)?,
            lock: Lock::new(0)?,
            orders: Queue::bounded(1)?,
            done: Queue::bounded(2)?,
        };
        let child = Some(process::spawn(follow, words.clone())?);
        Ok(Partner { words, child })
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    /// The other does its part, the caller its own: the seconds that both took.
    pub(super) fn round(
        &self,
        seats: Seats,
        work: Work,
        own: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<f64, Failure> {
        self.words.orders.put((seats, work)).map_err(|_| "the partner is gone")?;
        // It is about to begin.
        self.words.done.get_timeout(LIMIT)?;
        let began = Instant::now();
        own()?;
        let lost = self.words.done.get_timeout(LIMIT)?;
        let took = began.elapsed().as_secs_f64();
        match lost {
            0 => Ok(took),
            _ => Err("items were lost".into()),
        }
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        self.words.orders.shut_down(true);
        if let Some(child) = self.child.take() {
            let _ = child.join();
        }
    }
}

fn follow(words: Words) {
    for (seats, work) in words.orders.iter() {
        seats.sit(1).expect("a core");
        let ready = || words.done.put(0).expect("an order is followed by a wait");
        let lost = match work {
            Work::GetStructs(threads, count, most) => {
                get(&words.structs, seats, threads, count, most, ready)
            }
            Work::GetBytes(threads, count, most) => {
                get(&words.bytes, seats, threads, count, most, ready)
            }
            Work::Echo(count) => {
                ready();
                for _ in 0..count {
                    let message = words.there.get().expect("a message");
                    words.back.put(message).expect("room for it");
                }
                0
            }
            Work::Turns(count) => {
                ready();
                u64::from(turns(&words.lock, count).is_err())
            }
        };
        if words.done.put(lost).is_err() {
            return;
        }
    }
}

pub(super) fn turns(lock: &Lock<u64>, count: u32) -> Result<(), Failure> {
    for _ in 0..count {
        *lock.lock().map_err(|_| "a holder died")? += 1;
    }
    Ok(())
}

/// Gets so many items by each of so many threads, and gives by how much their sum is wrong.
fn get<T: Item>(
    queue: &Queue<T>,
    seats: Seats,
    threads: usize,
    count: usize,
    most: usize,
    ready: impl Fn(),
) -> u64 {
    let start = &Barrier::new(threads + 1);
    let sum: u64 = std::thread::scope(|scope| {
        let consumer = move |index: usize| {
            seats.sit(2 * index + 1).expect("a core");
            start.wait();
            let (mut left, mut sum) = (count, 0_u64);
            while left > 0 {
                if most == 1 {
                    sum = sum.wrapping_add(black_box(queue.get().expect("an item")).number());
                    left -= 1;
                } else {
                    let items = queue.get_many(most.min(left)).expect("items");
                    left -= items.len();
                    sum = black_box(items).iter().map(Item::number).fold(sum, u64::wrapping_add);
                }
            }
            sum
        };
        let consumers: Vec<_> =
            (0..threads).map(|index| scope.spawn(move || consumer(index))).collect();
        start.wait();
        ready();
        consumers.into_iter().map(|thread| thread.join().expect("a sum")).sum()
    });
    let expected = threads as u64 * (0..count as u64).sum::<u64>();
    sum.abs_diff(expected)
}
