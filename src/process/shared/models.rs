//! Each order of events of small programs, with a death at each step, tried by loom: nobody waits for ever, and nothing is lost.
//!
//! The checker has no clock. A thread that sleeps wakes when it is woken, and once for each death, as if the time had ended
//! after which it asks: so a wake-up that is lost without a death is found, though in the world it would cost a moment only.

use std::cell::Cell as StdCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicU32, AtomicUsize};
use loom::sync::{Mutex, Notify};
use loom::thread;

use super::atomic::Ordering;
use super::gate::{Gate, Look, sleep_until};
use super::host::{Host, Member};
use super::lock_word::{LockWord, Taken};
use super::ring::{Cell, Distance, Left, Refusal, Ring, RingHead};

loom::thread_local! {
    /// How many steps the thread may still do; endless if negative.
    static STEPS: StdCell<i64> = StdCell::new(-1);
    /// Who the thread is.
    static ME: StdCell<usize> = StdCell::new(0);
    /// For how many deaths it has woken.
    static WOKEN: StdCell<usize> = StdCell::new(0);
}

/// How a thread dies: it goes no further.
struct Died;

/// The thread dies here, if it is to.
pub(super) fn step() {
    STEPS.with(|steps| match steps.get() {
        0 => resume_unwind(Box::new(Died)),
        left if left > 0 => steps.set(left - 1),
        _ => {}
    });
}

/// Some threads as participants.
pub(super) struct World {
    /// Bits of those who have died.
    dead: AtomicU32,
    deaths: AtomicUsize,
    /// Who sleeps, and where.
    sleepers: Mutex<Vec<(usize, Arc<Notify>)>>,
}

impl World {
    pub(super) fn new() -> World {
        World {
            dead: AtomicU32::new(0),
            deaths: AtomicUsize::new(0),
            sleepers: Mutex::new(Vec::new()),
        }
    }

    /// Does something as that participant, which dies before its step number `steps`. `None`: it has died.
    pub(super) fn live<R>(&self, me: usize, steps: i64, life: impl FnOnce() -> R) -> Option<R> {
        ME.with(|cell| cell.set(me));
        STEPS.with(|cell| cell.set(steps));
        let result = catch_unwind(AssertUnwindSafe(life));
        STEPS.with(|cell| cell.set(-1));
        match result {
            Ok(result) => Some(result),
            Err(died) if died.is::<Died>() => {
                self.dead.fetch_or(1 << me, Ordering::AcqRel);
                let mut sleepers = self.sleepers.lock().unwrap();
                self.deaths.fetch_add(1, Ordering::AcqRel);
                sleepers.drain(..).for_each(|(_, notify)| notify.notify());
                None
            }
            Err(panic) => resume_unwind(panic),
        }
    }

    fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::Acquire) as u64
    }
}

impl Host for World {
    fn me(&self) -> Member {
        Member::new(ME.with(StdCell::get), 1)
    }

    fn is_dead(&self, member: Member) -> bool {
        self.dead.load(Ordering::Acquire) & 1 << member.slot() != 0
    }

    fn is_dead_brief(&self, slot: usize, _life: u32, _bits: u32) -> bool {
        self.is_dead(Member::new(slot, 1))
    }

    fn sleep(&self, gate: &Gate, seen: u32, _limit: Duration) {
        step();
        let notify = {
            let mut sleepers = self.sleepers.lock().unwrap();
            let deaths = self.deaths.load(Ordering::Acquire);
            let asks = WOKEN.with(|woken| woken.replace(deaths) != deaths);
            // The kernel's look, under the same lock as a wake-up.
            let word = STEPS.with(|steps| steps.replace(-1));
            let now = gate.word.load(Ordering::SeqCst);
            STEPS.with(|steps| steps.set(word));
            if asks || now != seen {
                return;
            }
            let notify = Arc::new(Notify::new());
            sleepers.push((std::ptr::from_ref(gate) as usize, notify.clone()));
            notify
        };
        notify.wait();
        // It may have woken for no reason.
        self.sleepers.lock().unwrap().retain(|(_, other)| !Arc::ptr_eq(other, &notify));
    }

    fn wake(&self, gate: &Gate, count: u32) -> u32 {
        step();
        let mut sleepers = self.sleepers.lock().unwrap();
        let mut woken = 0;
        while woken < count {
            let here = |(at, _): &(usize, _)| *at == std::ptr::from_ref(gate) as usize;
            let Some(index) = sleepers.iter().position(here) else { break };
            sleepers.remove(index).1.notify();
            woken += 1;
        }
        woken
    }

    fn ring(&self, _who: u64) {}
}

pub(super) fn check(switches: usize, program: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.max_branches = 50_000;
    builder.check(program);
}

struct Locked {
    world: World,
    word: LockWord,
    /// How many are inside.
    inside: AtomicUsize,
    told: AtomicUsize,
}

impl Locked {
    fn new() -> Arc<Locked> {
        Arc::new(Locked {
            world: World::new(),
            word: LockWord::new(),
            inside: AtomicUsize::new(0),
            told: AtomicUsize::new(0),
        })
    }

    fn take(&self) {
        if self.word.lock(&self.world) == Taken::OwnerDied {
            // It may have died inside.
            self.inside.store(0, Ordering::Relaxed);
            self.told.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(self.inside.swap(1, Ordering::Relaxed), 0, "two are inside");
        self.inside.store(0, Ordering::Relaxed);
        self.word.unlock(&self.world);
    }
}

/// Threads that take the lock in turn, of which the first dies before that step.
fn lock_model(steps: i64, threads: usize, switches: usize) {
    check(switches, move || {
        let locked = Locked::new();
        let others: Vec<_> = (1..threads)
            .map(|me| {
                let locked = locked.clone();
                thread::spawn(move || locked.world.live(me, -1, || locked.take()).unwrap())
            })
            .collect();
        let lived = locked.world.live(0, steps, || locked.take());
        others.into_iter().for_each(|other| other.join().unwrap());
        // Whoever comes last finds what nobody has been told of yet.
        let last = locked
            .world
            .live(threads, -1, || locked.word.try_lock(&locked.world).expect("nobody has it"));
        let told =
            locked.told.load(Ordering::Relaxed) + usize::from(last == Some(Taken::OwnerDied));
        assert!(told <= usize::from(lived.is_none()), "told {told} times");
    });
}

#[test]
fn a_lock_is_had_by_all_who_wait() {
    lock_model(-1, 2, 3);
    lock_model(-1, 3, 1);
}

#[test]
fn a_death_at_each_step_leaves_the_lock_to_the_other() {
    for steps in 0..24 {
        lock_model(steps, 2, 3);
    }
}

#[test]
fn a_death_at_each_step_leaves_the_lock_to_two_others() {
    for steps in 0..16 {
        lock_model(steps, 3, 1);
    }
}

/// A ring, in whose cells `len` is the item.
struct Ringed {
    world: World,
    head: RingHead,
    cells: Vec<Cell>,
}

impl Ringed {
    fn new(capacity: usize) -> Arc<Ringed> {
        Arc::new(Ringed {
            world: World::new(),
            head: RingHead::new(capacity as u64),
            cells: (0..capacity).map(|_| Cell::new()).collect(),
        })
    }

    fn ring(&self) -> Ring<'_, World> {
        Ring { host: &self.world, head: &self.head, cells: &self.cells }
    }

    fn search(&self) -> bool {
        let (ring, deaths) = (self.ring(), self.world.deaths());
        if !ring.is_to_be_searched(deaths) {
            return false;
        }
        ring.search(self.world.me(), deaths, |left| match left {
            Left::Taken(hold) => ring.hand_back(hold),
            Left::Unfinished(hold) => ring.leave(hold),
        });
        self.head.not_empty.0.open_all(&self.world);
        self.head.not_full.0.open_all(&self.world);
        true
    }

    fn try_put(&self, item: u64, search: bool) -> Option<bool> {
        let (ring, me) = (self.ring(), self.world.me());
        let mut claimed = ring.claim(me, Distance::Unknown);
        if search && matches!(claimed, Err(Refusal::Not)) && self.search() {
            claimed = ring.claim(me, Distance::Unknown);
        }
        match claimed {
            Ok(hold) => {
                hold.cell.len.store(item, Ordering::Relaxed);
                ring.publish(hold, Ordering::SeqCst);
                self.head.not_empty.0.open_fenced(&self.world, 1);
                Some(true)
            }
            Err(Refusal::Closed) => {
                self.head.not_empty.0.open_all(&self.world);
                self.head.not_full.0.open_all(&self.world);
                Some(false)
            }
            Err(Refusal::Not | Refusal::Soon) => None,
        }
    }

    /// Whether it was put; not if the ring is closed.
    fn put(&self, item: u64) -> bool {
        let look = |now: Look| {
            let put = self.try_put(item, now.ask);
            if put.is_some() && now.slept && self.ring().len() < self.cells.len() {
                self.head.not_full.0.open_one(&self.world);
            }
            put
        };
        sleep_until(&self.world, &self.head.not_full.0, None, || (), look).unwrap()
    }

    fn try_get(&self, search: bool) -> Option<Option<u64>> {
        let (ring, me) = (self.ring(), self.world.me());
        loop {
            let mut taken = ring.take(me, Distance::Unknown);
            if search && taken.is_err() && self.search() {
                taken = ring.take(me, Distance::Unknown);
            }
            match taken {
                Ok(hold) => {
                    let item = hold.cell.len.load(Ordering::Relaxed);
                    hold.leave(Ordering::SeqCst);
                    self.head.not_full.0.open_fenced(&self.world, 1);
                    if ring.is_closed() {
                        self.head.not_empty.0.open_all(&self.world);
                    }
                    return Some(Some(item));
                }
                Err(Refusal::Closed) => {
                    if !self.search() {
                        return ring.is_over().then_some(None);
                    }
                }
                Err(Refusal::Not | Refusal::Soon) => return None,
            }
        }
    }

    /// An item; none if the ring is closed and empty.
    fn get(&self) -> Option<u64> {
        let look = |now: Look| {
            let got = self.try_get(now.ask);
            if got.is_some() && now.slept && self.ring().len() > 0 {
                self.head.not_empty.0.open_one(&self.world);
            }
            got
        };
        sleep_until(&self.world, &self.head.not_empty.0, None, || (), look).unwrap()
    }

    fn close(&self) {
        self.ring().close(false);
        self.head.not_empty.0.open_all(&self.world);
        self.head.not_full.0.open_all(&self.world);
    }
}

fn as_another<R: 'static>(
    ring: &Arc<Ringed>,
    me: usize,
    steps: i64,
    life: impl FnOnce(&Ringed) -> R + 'static,
) -> thread::JoinHandle<Option<R>> {
    let ring = ring.clone();
    thread::spawn(move || ring.world.live(me, steps, || life(&ring)))
}

#[test]
fn what_is_put_is_got_in_its_order() {
    check(2, || {
        let ring = Ringed::new(1);
        let other = as_another(&ring, 1, -1, |ring| (ring.put(1), ring.put(2)));
        let got = ring.world.live(0, -1, || (ring.get(), ring.get()));
        assert_eq!(other.join().unwrap(), Some((true, true)));
        assert_eq!(got, Some((Some(1), Some(2))));
    });
}

#[test]
fn two_who_put_and_one_who_gets() {
    check(1, || {
        let ring = Ringed::new(2);
        let first = as_another(&ring, 1, -1, |ring| ring.put(1));
        let second = as_another(&ring, 2, -1, |ring| ring.put(2));
        let got = ring.world.live(0, -1, || [ring.get(), ring.get()]);
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (Some(true), Some(true)));
        let mut got = got.unwrap();
        got.sort();
        assert_eq!(got, [Some(1), Some(2)]);
    });
}

#[test]
fn two_who_get_and_one_who_puts() {
    check(1, || {
        let ring = Ringed::new(2);
        let first = as_another(&ring, 1, -1, |ring| ring.get());
        let second = as_another(&ring, 2, -1, |ring| ring.get());
        ring.world.live(0, -1, || (ring.put(1), ring.put(2)));
        let mut got = [first.join().unwrap().unwrap(), second.join().unwrap().unwrap()];
        got.sort();
        assert_eq!(got, [Some(1), Some(2)]);
    });
}

#[test]
fn who_waits_is_told_of_the_end() {
    check(2, || {
        let ring = Ringed::new(1);
        let putting = as_another(&ring, 1, -1, |ring| ring.put(1));
        let getting = as_another(&ring, 2, -1, |ring| (ring.get(), ring.get()));
        ring.world.live(0, -1, || ring.close());
        let put = putting.join().unwrap().unwrap();
        assert_eq!(getting.join().unwrap(), Some((put.then_some(1), None)));
    });
}

#[test]
fn a_death_in_a_put_leaves_the_ring_to_others() {
    for steps in 0..16 {
        check(1, move || {
            let ring = Ringed::new(1);
            let victim = as_another(&ring, 1, steps, |ring| ring.put(1));
            let other = as_another(&ring, 2, -1, |ring| ring.put(2));
            let first = ring.world.live(0, -1, || ring.get()).unwrap();
            let lived = victim.join().unwrap().is_some();
            // The other has come through, or does so now; then what is left is seen without a wait.
            let second = ring.world.live(0, -1, || match first {
                Some(2) => ring.try_get(true).flatten(),
                _ => ring.get(),
            });
            assert_eq!(other.join().unwrap(), Some(true));
            let got = [first, second.unwrap()];
            assert!(got.contains(&Some(2)), "{got:?}");
            assert!(!lived || first == Some(2) || got.contains(&Some(1)), "{got:?}");
        });
    }
}

#[test]
fn a_death_in_a_get_hands_back() {
    for steps in 0..16 {
        check(1, move || {
            let ring = Ringed::new(1);
            let victim = as_another(&ring, 1, steps, |ring| ring.get());
            let other = as_another(&ring, 2, -1, |ring| (ring.get(), ring.get()));
            ring.world.live(0, -1, || {
                assert!(ring.put(1) && ring.put(2));
                ring.close();
            });
            let lived = victim.join().unwrap();
            let (first, second) = other.join().unwrap().unwrap();
            let last = ring.world.live(0, -1, || [ring.get(), ring.get()]).unwrap();
            // Who is told of the end has seen all that comes out.
            assert!(second.is_some() || last == [None, None], "{second:?}, and then {last:?}");
            let mut all: Vec<u64> = [first, second].into_iter().chain(last).flatten().collect();
            all.extend(lived.flatten());
            all.sort();
            // It may die with what it has, as it returns.
            let may = usize::from(lived.is_none());
            assert!(all.len() + may >= 2 && all.len() <= 2, "{all:?}");
            assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "twice: {all:?}");
        });
    }
}
