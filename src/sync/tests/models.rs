//! Each order of events of small programs, tried by loom: no two are inside, nothing is lost, nobody waits for ever.
//!
//! The checker has no clock, so who tries in vain is starved at once, and nobody looks again before it goes to sleep.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::thread;

use super::once::poll_once;
use crate::sync::list::{Kind, UNIT, WaitList, Waiter};
use crate::sync::park::{Wait, block};
use crate::sync::primitive::atomic::{AtomicUsize, Ordering};
use crate::sync::{Barrier, Condition, Event, Lock, RwLock, Semaphore};

/// Tries all orders with up to so many involuntary switches.
pub(super) fn check(switches: usize, program: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.max_branches = 20_000;
    builder.check(program);
}

fn together<A: 'static, B>(one: impl FnOnce() -> A + 'static, two: impl FnOnce() -> B) -> (A, B) {
    let other = thread::spawn(one);
    let here = two();
    (other.join().unwrap(), here)
}

#[test]
fn a_thread_that_is_woken_while_it_goes_to_sleep_wakes() {
    check(5, || {
        let list = Arc::new(WaitList::new(0));
        let same = list.clone();
        let other = thread::spawn(move || {
            same.state().fetch_or(UNIT, Ordering::AcqRel);
            same.notify_one();
        });
        let mut waiter = Waiter::new(&list, Kind::One);
        let wait = Wait { what: "model", place: std::panic::Location::caller() };
        let is_set = || (list.state().load(Ordering::Acquire) & UNIT != 0).then_some(());
        block(&wait, None, |context| waiter.poll(context, is_set)).unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_notification_is_taken_or_passed_on() {
    check(3, || {
        // One of two waiters goes away; the other gets the one notification, whoever was told.
        let list = Arc::new(WaitList::new(0));
        let (stays, goes) = (list.clone(), list.clone());
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let staying = thread::spawn(move || {
            let mut waiter = Waiter::new(&stays, Kind::One);
            let take = || {
                let state = stays.state();
                let took = state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                    (now >= UNIT).then(|| now - UNIT)
                });
                took.ok()
            };
            block_on(std::future::poll_fn(|context| waiter.poll(context, take)));
            count.fetch_add(1, Ordering::Relaxed);
        });
        let going = thread::spawn(move || {
            let mut waiter = Waiter::new(&goes, Kind::One);
            let mut context = Context::from_waker(Waker::noop());
            assert!(waiter.poll(&mut context, || None::<()>).is_pending());
        });
        if list.state().fetch_add(UNIT, Ordering::AcqRel) & (UNIT - 1) != 0 {
            list.notify_one();
        }
        staying.join().unwrap();
        going.join().unwrap();
        assert_eq!(taken.load(Ordering::Relaxed), 1);
        assert_eq!(list.state().load(Ordering::Relaxed), 0, "nobody waits, nothing is left");
    });
}

#[test]
fn a_lock_lets_one_in_at_a_time() {
    check(2, || {
        let lock = Arc::new(Lock::new(0));
        let (one, two) = (lock.clone(), lock.clone());
        let first = thread::spawn(move || *block_on(one.lock_async()) += 1);
        let second = thread::spawn(move || *two.lock() += 1);
        *lock.lock() += 1;
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(*lock.try_lock().expect("all have released it"), 3);
    });
}

#[test]
fn a_lock_goes_past_one_that_gave_up() {
    check(3, || {
        let lock = Arc::new(Lock::new(0));
        let (gives_up, waits) = (lock.clone(), lock.clone());
        let first = thread::spawn(move || drop(poll_once(gives_up.lock_async())));
        let second = thread::spawn(move || *block_on(waits.lock_async()) += 1);
        *lock.lock() += 1;
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(*lock.try_lock().expect("all have released it"), 2);
    });
}

#[test]
fn readers_and_a_writer_exclude_each_other() {
    check(2, || {
        let lock = Arc::new(RwLock::new(0));
        let (reads, writes) = (lock.clone(), lock.clone());
        let reader = thread::spawn(move || assert!(*reads.read() <= 2));
        let writer = thread::spawn(move || *writes.write() += 2);
        assert!(*block_on(lock.read_async()) <= 2);
        reader.join().unwrap();
        writer.join().unwrap();
        assert_eq!(*lock.try_write().expect("all have released it"), 2);
    });
}

#[test]
fn readers_go_past_a_writer_that_gave_up() {
    check(2, || {
        let lock = Arc::new(RwLock::new(0));
        let (gives_up, reads) = (lock.clone(), lock.clone());
        let held = lock.read();
        let writer = thread::spawn(move || drop(poll_once(gives_up.write_async())));
        let reader = thread::spawn(move || assert_eq!(*reads.read(), 0));
        // The other reader need not wait for this one.
        reader.join().unwrap();
        drop(held);
        writer.join().unwrap();
        assert!(lock.try_write().is_some());
    });
}

#[test]
fn permits_are_neither_lost_nor_doubled() {
    check(3, || {
        let semaphore = Arc::new(Semaphore::new(1));
        let (one, two) = (semaphore.clone(), semaphore.clone());
        let first = thread::spawn(move || {
            one.acquire();
            one.release().unwrap();
        });
        let second = thread::spawn(move || {
            if poll_once(two.acquire_async()).is_some() {
                two.release().unwrap();
            }
        });
        block_on(semaphore.acquire_async());
        semaphore.release().unwrap();
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(semaphore.permits(), 1);
    });
}

#[test]
fn two_permits_let_two_in_although_one_was_starved() {
    check(2, || {
        let semaphore = Arc::new(Semaphore::new(0));
        let (one, two) = (semaphore.clone(), semaphore.clone());
        let first = thread::spawn(move || one.acquire());
        let second = thread::spawn(move || two.acquire());
        semaphore.release().unwrap();
        semaphore.release().unwrap();
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(semaphore.permits(), 0);
    });
}

#[test]
fn who_waits_for_an_event_goes_on_when_it_is_set() {
    check(2, || {
        let event = Arc::new(Event::new());
        let (one, two) = (event.clone(), event.clone());
        let first = thread::spawn(move || one.wait());
        let second = thread::spawn(move || _ = poll_once(two.wait_async()));
        event.set();
        block_on(event.wait_async());
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn a_notified_waiter_goes_on() {
    check(3, || {
        let condition = Arc::new(Condition::new(false));
        let same = condition.clone();
        let other = thread::spawn(move || {
            let mut value = same.lock();
            *value = true;
            value.notify_one();
        });
        condition.lock().wait_for(|value| *value);
        other.join().unwrap();
    });
}

#[test]
fn a_notification_to_one_that_gives_up_reaches_the_other() {
    check(3, || {
        let condition = Arc::new(Condition::new(false));
        let (gives_up, waits) = (condition.clone(), condition.clone());
        let first = thread::spawn(move || {
            let guard = block_on(gives_up.lock_async());
            if !*guard {
                drop(poll_once(guard.wait_async()));
            }
        });
        let second = thread::spawn(move || waits.lock().wait_for(|value| *value));
        let mut value = condition.lock();
        *value = true;
        value.notify_one();
        drop(value);
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn two_meet_at_a_barrier() {
    check(3, || {
        let barrier = Arc::new(Barrier::new(2));
        let same = barrier.clone();
        let (one, two) = together(move || same.wait(), move || barrier.wait());
        assert_eq!(one.unwrap() + two.unwrap(), 1);
    });
}

#[test]
fn a_member_that_goes_away_breaks_the_barrier_or_was_let_go() {
    check(3, || {
        let barrier = Arc::new(Barrier::new(2));
        let same = barrier.clone();
        let (gone, here) = together(move || poll_once(same.wait_async()), move || barrier.wait());
        match gone {
            // It came last, and let the other go.
            Some(place) => assert_eq!((place, here), (Some(1), Some(0))),
            // It came first, and went away before or after the other came.
            None => assert!(here.is_none() || here == Some(1)),
        }
    });
}

#[test]
fn a_member_whose_time_is_over_goes_with_the_others_or_breaks_the_barrier() {
    check(3, || {
        let barrier = Arc::new(Barrier::new(2));
        let same = barrier.clone();
        let late = move || {
            let mut member = same.member();
            match member.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(place) => place,
                Poll::Pending => member.go_away(),
            }
        };
        let (late, here) = together(late, move || barrier.wait());
        assert_eq!(late.is_some(), here.is_some());
        assert!(late.is_none() || late != here);
    });
}
