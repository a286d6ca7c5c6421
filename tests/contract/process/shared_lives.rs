//! What becomes of words in shared memory as processes are stopped, killed, or become other programs.

use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use fourfold::process::{self, Event, GetError, Lock, OnDeath, Queue, Semaphore};
use serde::{Deserialize, Deserializer, Serialize};

use crate::support::{LIMIT, eventually, within};

const STOP: i32 = 19;
const CONTINUE: i32 = 18;

fn hold(lock: Lock<u32>, seats: Semaphore, held: Event, go: Event) {
    let mut guard = lock.lock().unwrap();
    seats.acquire();
    held.set();
    go.wait();
    *guard += 1;
}

#[test]
fn a_stopped_holder_is_not_taken_for_dead_and_goes_on() {
    within(LIMIT, || {
        let (lock, seats) = (Lock::new(0u32).unwrap(), Semaphore::new(1).unwrap());
        let (held, go) = (Event::new().unwrap(), Event::new().unwrap());
        let args = (lock.clone(), seats.clone(), held.clone(), go.clone());
        let child = process::spawn(hold, args).unwrap();
        assert!(held.wait_timeout(LIMIT));
        assert!(child.signal(STOP));
        let stat = format!("/proc/{}/stat", child.pid());
        eventually("it is stopped", || std::fs::read_to_string(&stat).unwrap().contains(") T "));
        go.set();
        // Several times as long as it takes to find the dead.
        assert!(lock.lock_timeout(Duration::from_millis(300)).unwrap().is_none());
        assert!(lock.try_lock().unwrap().is_none());
        assert!(!seats.acquire_timeout(Duration::from_millis(100)));
        assert!(child.signal(CONTINUE));
        assert_eq!(*lock.lock_timeout(LIMIT).unwrap().unwrap(), 1);
        child.join().unwrap();
        assert!(seats.acquire_timeout(LIMIT));
    });
}

#[test]
fn who_becomes_another_program_is_gone() {
    within(LIMIT, || {
        fn become_another(lock: Lock<u32>, seats: Semaphore, held: Event) {
            let guard = lock.lock().unwrap();
            seats.acquire();
            held.set();
            let error = std::process::Command::new("sleep").arg("60").exec();
            drop(guard);
            panic!("{error}");
        }
        let (lock, seats) = (Lock::new(0u32).unwrap(), Semaphore::new(1).unwrap());
        let held = Event::new().unwrap();
        let args = (lock.clone(), seats.clone(), held.clone());
        let child = process::spawn(become_another, args).unwrap();
        assert!(held.wait_timeout(LIMIT));
        let told = lock.lock_timeout(LIMIT).unwrap_err().into_inner();
        assert!(child.is_alive(), "it is another program now");
        drop(told);
        assert!(seats.acquire_timeout(LIMIT));
        child.kill();
    });
}

#[test]
fn a_killed_waiter_takes_nothing_with_it() {
    within(LIMIT, || {
        fn wait(lock: Lock<u32>, seats: Semaphore, queue: Queue<u32>, ready: Event, what: u32) {
            ready.set();
            match what {
                0 => drop(lock.lock()),
                1 => seats.acquire(),
                _ => drop(queue.get()),
            }
        }
        let (lock, seats) = (Lock::new(0u32).unwrap(), Semaphore::new(0).unwrap());
        let queue = Queue::bounded(2).unwrap();
        let guard = lock.lock().unwrap();
        for what in 0..3 {
            let ready = Event::new().unwrap();
            let args = (lock.clone(), seats.clone(), queue.clone(), ready.clone(), what);
            let child = process::spawn(wait, args).unwrap();
            assert!(ready.wait_timeout(LIMIT));
            child.kill();
            child.join().unwrap_err();
        }
        drop(guard);
        seats.release().unwrap();
        queue.put(1).unwrap();
        drop(lock.lock_timeout(LIMIT).unwrap().unwrap());
        assert!(seats.acquire_timeout(LIMIT));
        assert_eq!(queue.get_timeout(LIMIT).unwrap(), 1);
    });
}

/// An item that its first reader dies of.
#[derive(Debug, Serialize)]
struct Deadly {
    parent: u32,
    handle: Lock<u32>,
}

impl<'de> Deserialize<'de> for Deadly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Deadly, D::Error> {
        #[derive(Deserialize)]
        struct Read {
            parent: u32,
            handle: Lock<u32>,
        }
        let Read { parent, handle } = Read::deserialize(deserializer)?;
        if std::process::id() != parent {
            std::process::abort();
        }
        Ok(Deadly { parent, handle })
    }
}

#[test]
fn what_a_dead_taker_was_reading_is_handed_back_with_its_handles_reported_or_dropped() {
    within(LIMIT, || {
        fn take(queue: Queue<Deadly>) {
            drop(queue.get());
        }
        for policy in [OnDeath::HandBack, OnDeath::Report, OnDeath::Drop] {
            let queue = Queue::bounded_with(4, policy).unwrap();
            let item = || Deadly { parent: std::process::id(), handle: Lock::new(7).unwrap() };
            queue.put(item()).unwrap();
            process::spawn(take, queue.clone()).unwrap().join().unwrap_err();
            let got = queue.get_timeout(Duration::from_millis(500));
            match (policy, got) {
                (OnDeath::HandBack, Ok(item)) => {
                    // Nobody else has this lock any more: the item did.
                    assert_eq!(
                        (*item.handle.lock().unwrap(), item.parent),
                        (7, std::process::id())
                    );
                }
                (OnDeath::Report, Err(GetError::TakerDied)) => {}
                (OnDeath::Drop, Err(GetError::Empty)) => {}
                (policy, other) => panic!(
                    "{policy:?}: {}",
                    other.map_or_else(|e| e.to_string(), |_| "an item".into())
                ),
            }
            // It works on.
            queue.put(item()).unwrap();
            assert_eq!(queue.len(), 1);
            drop(queue.get_timeout(LIMIT).unwrap());
        }
    });
}

#[test]
fn an_orphaned_word_is_usable_by_grandchildren() {
    within(LIMIT, || {
        fn grandchild(queue: Queue<u32>) {
            queue.put(std::process::id()).unwrap();
        }
        fn child(queue: Queue<u32>) -> u32 {
            let below = process::spawn(grandchild, queue.clone()).unwrap();
            let pid = below.pid();
            below.join().unwrap();
            pid
        }
        let queue = Queue::bounded(1).unwrap();
        let pid = process::spawn(child, queue.clone()).unwrap().join().unwrap();
        assert_eq!(queue.try_get().unwrap(), pid);
    });
}

#[test]
fn a_killed_holder_is_followed_within_a_second() {
    within(LIMIT, || {
        for _ in 0..5 {
            let (lock, seats) = (Lock::new(0u32).unwrap(), Semaphore::new(1).unwrap());
            let (held, go) = (Event::new().unwrap(), Event::new().unwrap());
            let args = (lock.clone(), seats.clone(), held.clone(), go.clone());
            let child = process::spawn(hold, args).unwrap();
            assert!(held.wait_timeout(LIMIT));
            let same = lock.clone();
            let next = std::thread::spawn(move || {
                drop(same.lock().unwrap_err().into_inner());
                Instant::now()
            });
            std::thread::sleep(Duration::from_millis(5));
            let killed = Instant::now();
            child.kill();
            let taken = next.join().unwrap();
            assert!(taken - killed < Duration::from_secs(1), "{:?}", taken - killed);
            assert!(seats.acquire_timeout(Duration::from_secs(1)));
        }
    });
}

/// An item during whose reading its reader is stopped, in a process that has said where it is to be.
#[derive(Debug)]
struct Stopping(u32);

static STOPPING: std::sync::OnceLock<Event> = std::sync::OnceLock::new();

impl Serialize for Stopping {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Stopping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Stopping, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if let Some(event) = STOPPING.get() {
            event.set();
            // SAFETY: a call on a number.
            unsafe { libc::raise(STOP) };
        }
        Ok(Stopping(number))
    }
}

fn take(queue: Queue<Stopping>, reads: Event) {
    let _ = STOPPING.set(reads);
    assert_eq!(queue.get().unwrap().0, 1);
}

/// A queue that was shut down, whose last item a child is in the middle of taking, where it is stopped.
fn the_last_is_taken() -> (Queue<Stopping>, process::Child<()>) {
    let (queue, reads) = (Queue::bounded(2).unwrap(), Event::new().unwrap());
    queue.put(Stopping(1)).unwrap();
    queue.shut_down(false);
    let child = process::spawn(take, (queue.clone(), reads.clone())).unwrap();
    assert!(reads.wait_timeout(LIMIT));
    // It is not over, and there is nothing to get.
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    assert!(matches!(queue.get_timeout(Duration::from_millis(120)), Err(GetError::Empty)));
    let ready = fourfold::wait::wait_any_timeout(&[&queue], Duration::from_millis(20)).unwrap();
    assert!(ready.is_empty());
    (queue, child)
}

#[test]
fn the_last_item_of_a_queue_comes_back_before_its_end_is_told() {
    within(LIMIT, || {
        let (queue, child) = the_last_is_taken();
        let other = queue.clone();
        let getting = std::thread::spawn(move || (other.get(), other.get()));
        assert!(child.signal(9));
        let (first, second) = getting.join().unwrap();
        assert_eq!(first.unwrap().0, 1);
        assert!(matches!(second, Err(GetError::ShutDown)));
        child.join().unwrap_err();
    });
}

#[test]
fn the_end_of_a_queue_is_told_when_the_last_item_was_taken() {
    within(LIMIT, || {
        let (queue, child) = the_last_is_taken();
        let (by_thread, by_future) = (queue.clone(), queue.clone());
        let thread = std::thread::spawn(move || by_thread.get().map(drop));
        let future = std::thread::spawn(move || {
            fourfold::green::run(move || by_future.get_many(3).map(drop)).unwrap()
        });
        assert!(child.signal(CONTINUE));
        child.join().unwrap();
        assert!(matches!(thread.join().unwrap(), Err(GetError::ShutDown)));
        assert!(matches!(future.join().unwrap(), Err(GetError::ShutDown)));
        assert!(matches!(queue.try_get(), Err(GetError::ShutDown)));
        assert_eq!(fourfold::wait::wait_any_timeout(&[&queue], LIMIT).unwrap(), [0]);
    });
}
