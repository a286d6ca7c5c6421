//! The words between processes, beside what processes can do for each other at the least, and beside their peers.
//!
//! How long who waits looks before it sleeps decides what a round trip takes, so it is stated: the bare ping-pong is measured
//! with as many looks as ours, and with none.

mod many;
mod partner;
mod peers;
mod transfer;

use std::hint::black_box;

use fourfold::process::{self, Buffer};

use self::partner::{Partner, Work};
use self::peers::{C, Python};
use crate::Failure;
use crate::contest::{Contest, Verdict, each};
use crate::place::{self, Placing, Seats};
use crate::submit;

pub(crate) use self::peers::{IPC, ipc_partner};

/// How many measurements of each.
const ROUNDS: usize = 15;

/// How often one of our threads looks before it sleeps, about: the bare ping-pong does the same.
const LOOKS: u32 = 2000;

/// Round trips of a round, turns of a lock alone, and turns of each of two.
const TRIPS: u32 = 5_000;
const TURNS: u32 = 2_000_000;
const CONTENDED_TURNS: u32 = 400_000;

const OURS: &str = "fourfold";

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let (partner, mut c, mut python) = (Partner::start()?, C::start()?, Python::start()?);
    let mut verdicts = Vec::new();
    for seats in [Seats::Pinned, Seats::Free] {
        let measured = place::seated(seats, || {
            let mut verdicts = transfer::run(seats, &partner, &mut python)?;
            verdicts.push(ping_pong(seats, &partner, &mut c)?);
            verdicts.extend(locks(seats, &partner, &mut c)?);
            Ok(verdicts)
        });
        verdicts.extend(measured?);
    }
    verdicts.push(served(&partner, &mut c)?);
    verdicts.push(handed_over(&partner)?);
    for placing in [Placing::Pinned, Placing::Free] {
        verdicts.push(place::with(placing, || submit(placing, &mut c))?);
    }
    many::run()?;
    Ok(verdicts)
}

/// To the other process and back, one message at a time.
fn ping_pong(seats: Seats, partner: &Partner, c: &mut C) -> Result<Verdict, Failure> {
    let (bare, sleeping) = (format!("futex, {LOOKS} looks"), "futex, no looks");
    let c = &std::cell::RefCell::new(c);
    let words = partner.words();
    let mut contest =
        Contest::new(format!("To and fro between 2 processes, a round trip, {}", seats.name()));
    contest.entry(OURS, || {
        let trips = || {
            for n in 0..u64::from(TRIPS) {
                words.there.put(n)?;
                let back = words.back.get()?;
                if back != n {
                    return Err("another message came back".into());
                }
            }
            Ok(())
        };
        Ok(partner.round(seats, Work::Echo(TRIPS), trips)? / f64::from(TRIPS))
    });
    contest.entry(&*bare, || c.borrow_mut().futex(TRIPS, LOOKS, seats));
    contest.entry(sleeping, || c.borrow_mut().futex(TRIPS / 10, 0, seats));
    contest.entry("socketpair, 64 B", || c.borrow_mut().socket(TRIPS / 10, seats));
    Ok(contest.run(ROUNDS)?.at_most(1.3, OURS, &bare))
}

fn locks(seats: Seats, partner: &Partner, c: &mut C) -> Result<Vec<Verdict>, Failure> {
    const MUTEX: &str = "robust pthread mutex";
    let c = &std::cell::RefCell::new(c);
    let lock = process::Lock::new(0_u64)?;
    let mut alone =
        Contest::new(format!("Lock between processes, uncontended, a turn, {}", seats.name()));
    alone.entry(OURS, || {
        each(TURNS, || {
            *black_box(&lock).lock().map_err(|_| "a holder died")? += 1;
            Ok(())
        })
    });
    alone.entry(MUTEX, || c.borrow_mut().alone(TURNS, seats));
    let alone = alone.run(ROUNDS)?;

    let words = partner.words();
    let mut both = Contest::new(format!("Lock contended by 2 processes, a turn, {}", seats.name()));
    both.entry(OURS, || {
        let began = *words.lock.lock().map_err(|_| "a holder died")?;
        let turns = || partner::turns(&words.lock, CONTENDED_TURNS);
        let took = partner.round(seats, Work::Turns(CONTENDED_TURNS), turns)?;
        let all = u64::from(2 * CONTENDED_TURNS);
        match *words.lock.lock().map_err(|_| "a holder died")? - began == all {
            true => Ok(took / all as f64),
            false => Err("turns were lost".into()),
        }
    });
    both.entry(MUTEX, || c.borrow_mut().mutex(CONTENDED_TURNS, seats));
    let both = both.run(ROUNDS)?;
    Ok(vec![alone.within(15e-9, OURS), both.at_most(1.0, OURS, MUTEX)])
}

/// A word that this process, the root, serves to another.
fn served(partner: &Partner, c: &mut C) -> Result<Verdict, Failure> {
    const CALLS: u32 = 2_000;
    const SOCKET: &str = "socketpair, 64 B";
    let mut contest = Contest::new("A word that the root serves, a call, not pinned");
    let calls = |work| Ok(partner.round(Seats::Free, work, || Ok(()))? / f64::from(CALLS));
    contest.entry(OURS, || calls(Work::Ask(CALLS)));
    contest.entry("fourfold, RLock taken and given back", || calls(Work::TurnsServed(CALLS)));
    contest.entry(SOCKET, || c.socket(CALLS, Seats::Free));
    Ok(contest.run(ROUNDS)?.at_most(2.0, OURS, SOCKET))
}

/// A buffer that goes to the other process, and comes back.
fn handed_over(partner: &Partner) -> Result<Verdict, Failure> {
    const SIZE: usize = 64 << 20;
    const TIMES: u32 = 500;
    let words = partner.words();
    let made = || -> Result<Option<Buffer>, Failure> {
        let mut buffer = Buffer::new(SIZE)?;
        buffer.fill(1);
        Ok(Some(buffer))
    };
    let mut buffer = made()?;
    let mut contest = Contest::new("Buffer of 64 MiB between 2 processes, a hand-over, not pinned");
    contest.entry(OURS, || {
        let times = || {
            for _ in 0..TIMES {
                words
                    .full
                    .put(buffer.take().ok_or("it has come back")?)
                    .map_err(|_| "shut down")?;
                buffer = Some(words.empty.get()?);
            }
            Ok(())
        };
        Ok(partner.round(Seats::Free, Work::Hand(TIMES), times)? / f64::from(2 * TIMES))
    });
    contest.entry("the first touch of its pages, by who gets it", || {
        let mut buffer = made()?;
        let hand = || {
            let buffer = buffer.take().ok_or("it was made")?;
            Ok(words.full.put(buffer).map_err(|_| "shut down")?)
        };
        partner.round(Seats::Free, Work::Touch, hand)
    });
    Ok(contest.run(ROUNDS)?.within(20e-6, OURS))
}

/// Submit and join on an idle pool of two. Where the kernel places them, caller and worker are on one core at one time, and on two at
/// another.
fn submit(placing: Placing, c: &mut C) -> Result<Verdict, Failure> {
    const CALLS: u32 = 500;
    let bare = format!("futex, {LOOKS} looks");
    let seats = match placing {
        Placing::Pinned => Seats::Pinned,
        Placing::Free => Seats::Free,
    };
    let pool = placing.place(submit::idle_pool)?;
    let title = format!("Submit and join a no-op, idle pool of 2 processes, {}", placing.name());
    let mut contest = Contest::new(title);
    contest.entry(OURS, || each(CALLS, || Ok(pool.submit(submit::nothing, ()).join()?)));
    contest.entry(&*bare, || c.futex(CALLS, LOOKS, seats));
    Ok(contest.run(ROUNDS)?.at_most(1.5, OURS, &bare))
}
