//! Deaths in locks, semaphores and events.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use fourfold::process::{Event, Lock, Semaphore};

use super::support::{Board, Case, Fork, HANG, Round, block_on, finished, fork, until};

type Add<'a> = &'a mut Vec<Case>;

pub(crate) fn case(cases: Add<'_>, name: &str, round: impl Fn(Round) -> bool + 'static) {
    cases.push(Case { name: name.into(), round: Box::new(round) });
}

pub(crate) fn cases(cases: Add<'_>) {
    case(cases, "lock", |round| free(round, true));
    case(cases, "lock, by one who registers", |round| free(round, false));
    case(cases, "lock, contended, with a thread", |round| contended(round, false));
    case(cases, "lock, contended, with a future", |round| contended(round, true));
    case(cases, "lock, with short limits", short_limits);
    case(cases, "lock, in vain", in_vain);
    case(cases, "lock, from one who died with it", from_the_dead);
    case(cases, "semaphore", |round| permits(round, true));
    case(cases, "semaphore, by one who registers", |round| permits(round, false));
    case(cases, "semaphore, contended, with a thread", |round| no_permits(round, false));
    case(cases, "semaphore, contended, with a future", |round| no_permits(round, true));
    case(cases, "semaphore, after one who died in it", permits_of_the_dead);
    case(cases, "semaphore, of one that is stopped as another dies", stopped_with_permits);
    case(cases, "semaphore, of one that is stopped with one of the dead's", stopped_at_a_burial);
    case(cases, "semaphore, unowned", unowned);
    case(cases, "event, set, with a thread", |round| set(round, false));
    case(cases, "event, set, with a future", |round| set(round, true));
    case(cases, "event, wait", waits);
}

/// Takes the lock, says so, and gives it back.
fn take(lock: &Lock<u64>, board: &Board) {
    board.is_at(1);
    let (mut guard, told) = match lock.lock() {
        Ok(guard) => (guard, false),
        Err(died) => (died.into_inner(), true),
    };
    board.got.store(u64::from(told), SeqCst);
    board.is_at(2);
    *guard += 1;
    board.is_at(3);
    drop(guard);
    board.is_at(4);
}

/// Takes the lock; whether a death was told.
fn told(lock: &Lock<u64>) -> bool {
    match lock.lock_timeout(HANG) {
        Ok(Some(_)) => false,
        Ok(None) => panic!("the lock is not to be had"),
        Err(_) => true,
    }
}

/// Nobody buries the victim, and nobody waits for long.
fn short_limits(round: Round) -> bool {
    let lock = Lock::new(0u64).unwrap();
    let ended = finished(round.victim(|| drop(lock.lock()), |board| take(&lock, board)));
    let held = lock.is_locked();
    let mut told = false;
    until("the lock is had", || match lock.lock_timeout(Duration::from_micros(300)) {
        Ok(guard) => guard.is_some(),
        Err(_) => {
            told = true;
            true
        }
    });
    assert_eq!(told, held);
    ended
}

fn held_by_the_dead(round: Round, ended: bool) -> Option<bool> {
    match round.stage() {
        // Between its first step and its return it may hold the lock, or not; so, too, as it gives it back.
        0 | 4 => Some(false),
        2 if !ended => Some(true),
        1 | 3 if !ended => None,
        _ => Some(false),
    }
}

fn free(round: Round, warm: bool) -> bool {
    let lock = Lock::new(0u64).unwrap();
    let warm = || {
        if warm {
            drop(lock.lock());
        }
    };
    let ended = finished(round.victim(warm, |board| take(&lock, board)));
    let held = lock.is_locked();
    let may = held_by_the_dead(round, ended);
    assert!(may.is_none_or(|may| may == held), "held: {held}, at stage {}", round.stage());
    assert_eq!(told(&lock), held);
    assert!(!told(&lock) && lock.try_lock().unwrap().is_some());
    ended
}

/// Waits for the lock in a fork, says whether a death was told, and gives it back.
fn bystander(lock: &Lock<u64>, future: bool) -> bool {
    match future {
        false => told(lock),
        true => block_on(lock.lock_async()).is_err(),
    }
}

fn contended(round: Round, future: bool) -> bool {
    let lock = Lock::new(0u64).unwrap();
    let deaths = Semaphore::new(0).unwrap();
    let guard = lock.lock().unwrap();
    let here = Semaphore::new(0).unwrap();
    let other = fork("who waits for the lock", || {
        here.release().unwrap();
        if bystander(&lock, future) {
            deaths.release().unwrap();
        }
        true
    });
    assert!(here.acquire_timeout(HANG));
    let victim = round.victim(|| _ = lock.is_locked(), |board| take(&lock, board));
    std::thread::sleep(round.moment());
    drop(guard);
    let ended = finished(victim);
    other.succeed();
    let count = deaths.permits() + usize::from(told(&lock));
    match held_by_the_dead(round, ended) {
        Some(held) => assert_eq!(count, usize::from(held), "at stage {}", round.stage()),
        None => assert!(count <= 1, "told {count} times"),
    }
    assert!(!told(&lock) && lock.try_lock().unwrap().is_some());
    // Its permits are not to come back as those of a dead one.
    drop((deaths, here));
    ended
}

fn in_vain(round: Round) -> bool {
    let lock = Lock::new(0u64).unwrap();
    let guard = lock.lock().unwrap();
    let other = fork("who waits for the lock", || !told(&lock));
    let victim = round.victim(
        || _ = lock.is_locked(),
        |_| assert!(lock.lock_timeout(Duration::from_millis(2)).unwrap().is_none()),
    );
    let ended = finished(victim);
    drop(guard);
    other.succeed();
    until("it can be tried", || lock.try_lock().unwrap().is_some());
    assert!(!told(&lock));
    ended
}

/// The one who takes the lock from the dead dies, too.
fn from_the_dead(round: Round) -> bool {
    let lock = Lock::new(0u64).unwrap();
    let first = fork("the first to die", || {
        std::mem::forget(lock.lock());
        true
    });
    first.succeed();
    let ended = finished(round.victim(|| _ = lock.is_locked(), |board| take(&lock, board)));
    assert!(!ended || round.got() == 1);
    let again = told(&lock);
    match (round.stage(), ended) {
        (4, _) | (_, true) => assert!(!again),
        (0..=2, _) => assert!(again, "the second death is not told"),
        _ => {}
    }
    assert!(!told(&lock));
    ended
}

fn permits(round: Round, warm: bool) -> bool {
    let semaphore = Semaphore::new(3).unwrap();
    semaphore.acquire();
    let warm = || {
        if warm {
            semaphore.acquire();
            semaphore.release().unwrap();
        }
    };
    let op = |_: &Board| {
        semaphore.acquire();
        assert!(semaphore.acquire_timeout(HANG));
        semaphore.release().unwrap();
    };
    let ended = finished(round.victim(warm, op));
    // What the dead had, and what one had that ended with a permit.
    assert!(semaphore.acquire_timeout(HANG) && semaphore.acquire_timeout(HANG));
    until("the permits are the others'", || {
        fourfold::process::steps::bury();
        !semaphore.try_acquire()
    });
    for _ in 0..3 {
        semaphore.release().unwrap();
    }
    assert_eq!(semaphore.permits(), 3);
    ended
}

fn no_permits(round: Round, future: bool) -> bool {
    let semaphore = Semaphore::bounded(1).unwrap();
    semaphore.acquire();
    let other = fork("who waits for a permit", || {
        match future {
            true => block_on(semaphore.acquire_async()),
            false => assert!(semaphore.acquire_timeout(HANG)),
        }
        semaphore.release().is_ok()
    });
    let op = |_: &Board| {
        semaphore.acquire();
        semaphore.release().unwrap();
    };
    let victim = round.victim(|| _ = semaphore.permits(), op);
    std::thread::sleep(round.moment());
    semaphore.release().unwrap();
    let ended = finished(victim);
    other.succeed();
    assert!(semaphore.acquire_timeout(HANG));
    assert!(!semaphore.try_acquire());
    ended
}

fn permits_of_the_dead(round: Round) -> bool {
    let semaphore = Semaphore::bounded(2).unwrap();
    let op = |_: &Board| {
        semaphore.acquire();
        semaphore.release().unwrap();
    };
    let first = (round.random % 120) as i64;
    finished(round.victim_at(first, || (), op));
    let ended = finished(round.victim(|| (), op));
    assert!(semaphore.acquire_timeout(HANG) && semaphore.acquire_timeout(HANG));
    assert!(!semaphore.try_acquire());
    ended
}

/// One that has two permits, until it is killed.
fn dies_with_permits(semaphore: &Semaphore, here: &Semaphore) -> Fork {
    fork("who dies with permits", || {
        semaphore.acquire();
        semaphore.acquire();
        here.release().unwrap();
        std::thread::sleep(2 * HANG);
        true
    })
}

/// Nobody who does not use the semaphore waits for one that is stopped in it, also when the dead have permits.
fn others_go_on() {
    let others = fork("who has nothing to do with it", || {
        fourfold::process::steps::bury();
        let event = Event::new().unwrap();
        event.set();
        event.wait_timeout(HANG)
    });
    others.succeed();
}

/// All three permits are there, and no more.
fn has_three(semaphore: &Semaphore) {
    for _ in 0..3 {
        assert!(semaphore.acquire_timeout(HANG), "a permit is lost");
    }
    until("no more permits than there were", || {
        fourfold::process::steps::bury();
        !semaphore.try_acquire()
    });
}

fn stopped_with_permits(round: Round) -> bool {
    let (semaphore, here) = (Semaphore::new(3).unwrap(), Semaphore::unowned(0).unwrap());
    let dying = dies_with_permits(&semaphore, &here);
    assert!(here.acquire_timeout(HANG));
    let op = |_: &Board| {
        semaphore.acquire();
        semaphore.release().unwrap();
    };
    // It takes part already: who is stopped making a reference has the lock for that.
    let warm = || {
        semaphore.acquire();
        semaphore.release().unwrap();
    };
    let stopped = round.stopped(warm, op);
    dying.die();
    others_go_on();
    stopped.signal(libc::SIGCONT);
    let ended = finished(stopped);
    has_three(&semaphore);
    ended
}

/// The stopped one is burying another, or puts right what that one has left.
fn stopped_at_a_burial(round: Round) -> bool {
    let (semaphore, here) = (Semaphore::new(3).unwrap(), Semaphore::unowned(0).unwrap());
    let first = (round.random % 120) as i64;
    finished(round.victim_at(
        first,
        || _ = semaphore.permits(),
        |_| {
            semaphore.acquire();
            semaphore.release().unwrap();
            semaphore.acquire();
        },
    ));
    let dying = dies_with_permits(&semaphore, &here);
    assert!(here.acquire_timeout(HANG));
    let op = |_: &Board| {
        if semaphore.acquire_timeout(HANG) {
            semaphore.release().unwrap();
        }
    };
    let stopped = round.stopped(|| _ = semaphore.permits(), op);
    dying.die();
    fourfold::process::steps::bury();
    stopped.signal(libc::SIGCONT);
    let ended = finished(stopped);
    has_three(&semaphore);
    ended
}

/// What the dead have taken stays taken, all or nothing of it.
fn unowned(round: Round) -> bool {
    let semaphore = Semaphore::unowned(3).unwrap();
    let op = |board: &Board| {
        semaphore.acquire();
        board.is_at(1);
        semaphore.acquire();
        board.is_at(2);
    };
    let ended = finished(round.victim(|| _ = semaphore.permits(), op));
    fourfold::process::steps::bury();
    let mut left = 0;
    while semaphore.try_acquire() {
        left += 1;
    }
    let taken = round.stage();
    let may = !ended && taken < 2 && left + taken == 2;
    assert!(left + taken == 3 || may, "{left} are left after {taken}");
    ended
}

fn set(round: Round, future: bool) -> bool {
    let event = Event::new().unwrap();
    let other = fork("who waits for the event", || match future {
        true => {
            block_on(event.wait_async());
            true
        }
        false => event.wait_timeout(HANG),
    });
    std::thread::sleep(round.moment());
    let ended = finished(round.victim(|| _ = event.is_set(), |_| event.set()));
    if !event.is_set() {
        assert!(!ended);
        event.set();
    }
    other.succeed();
    ended
}

fn waits(round: Round) -> bool {
    let event = Event::new().unwrap();
    let other = fork("who waits for the event", || event.wait_timeout(HANG));
    let victim = round.victim(|| _ = event.is_set(), |_| event.wait());
    std::thread::sleep(round.moment());
    event.set();
    let ended = finished(victim);
    other.succeed();
    ended
}
