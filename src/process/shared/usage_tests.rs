//! What is left in the shared memory when nobody has a word any more: nothing.
//!
//! Each test is run in a process of its own, whose memory nobody else uses.

use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize};

use crate::process::{
    Array, Buffer, Command, Event, GetError, Lock, OnDeath, PutError, Queue, Semaphore, spawn,
};

const LIMIT: Duration = Duration::from_secs(60);

/// How many words there are, and how many bytes are in use.
fn usage() -> (u64, u64) {
    let arena = super::arena().unwrap();
    arena.take_part().unwrap();
    arena.look_after_all();
    arena.usage()
}

/// Runs a test in a process of its own, and looks there that it leaves nothing.
fn alone(name: &str, test: fn()) {
    const ALONE: &str = "FOURFOLD_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([format!("{}::{name}", module_path!().split_once("::").unwrap().1)]);
        command.args(["--exact", "--nocapture"]).env(ALONE, "1").timeout(2 * LIMIT);
        let done = command.run().unwrap();
        assert!(done.end.is_success(), "{}", done.end);
        return;
    }
    // What a list needs of its own is made by the first word of a size.
    drop((Event::new().unwrap(), Queue::<()>::bounded(1).unwrap()));
    let before = usage();
    assert_eq!(before.0, 0);
    test();
    left(before);
}

/// Waits until no more is in use than this: what the dead had is given back in a moment.
#[track_caller]
fn left(before: (u64, u64)) {
    let end = Instant::now() + LIMIT;
    while usage() != before {
        assert!(Instant::now() < end, "{:?} words and bytes in use, not {before:?}", usage());
        std::thread::sleep(Duration::from_millis(5));
    }
}

macro_rules! alone {
    ($(#[doc = $doc:literal])* fn $name:ident() $body:block) => {
        #[test]
        fn $name() {
            alone(stringify!($name), || $body);
        }
    };
}

type Item = (String, Vec<Lock<u32>>);

fn item(count: usize, bytes: usize) -> Item {
    ("x".repeat(bytes), (0..count).map(|_| Lock::new(7).unwrap()).collect())
}

/// Counts of handles and bytes: in the cell, in a block, more handles than one transaction has room for.
const SIZES: [(usize, usize); 5] = [(0, 300), (1, 0), (3, 500), (2, 100_000), (500, 0)];

alone! {
    fn a_queue_that_is_freed_frees_what_is_in_its_items() {
        for (count, bytes) in SIZES {
            let queue = Queue::<Item>::bounded(4).unwrap();
            queue.put(item(count, bytes)).unwrap();
            queue.put_many([item(count, bytes), item(1, 1)]).unwrap();
            assert_eq!(usage().0, 2 + 2 * count as u64);
            drop(queue);
            assert_eq!(usage().0, 0);
        }
    }
}

alone! {
    fn a_queue_that_is_emptied_frees_what_was_in_it() {
        for (count, bytes) in SIZES {
            let queue = Queue::<Item>::bounded(4).unwrap();
            queue.put_many([item(count, bytes), item(count, bytes)]).unwrap();
            queue.shut_down(true);
            assert_eq!(usage().0, 1);
            assert!(matches!(queue.put(item(count, bytes)), Err(PutError::ShutDown(_))));
            assert_eq!(usage().0, 1);
        }
    }
}

alone! {
    fn an_item_that_is_read_leaves_its_words_to_its_reader() {
        for (count, bytes) in SIZES {
            let queue = Queue::<Item>::bounded(1).unwrap();
            for _ in 0..3 {
                queue.put(item(count, bytes)).unwrap();
                let got = queue.get().unwrap();
                assert!(got.1.iter().all(|lock| *lock.lock().unwrap() == 7));
                assert_eq!((got.1.len(), usage().0), (count, 1 + count as u64));
            }
        }
    }
}

alone! {
    fn an_item_that_is_not_put_leaves_its_words_where_they_were() {
        let queue = Queue::<Item>::bounded(1).unwrap();
        queue.put(item(2, 0)).unwrap();
        let late = queue.try_put(item(3, 0)).unwrap_err().into_item();
        let late = queue.put_timeout(late, Duration::from_millis(2)).unwrap_err().into_item();
        assert_eq!(usage().0, 1 + 2 + 3);
        drop(late);
        assert_eq!(usage().0, 1 + 2);
    }
}

alone! {
    fn a_chain_of_queues_in_queues_goes_as_a_whole() {
        #[derive(Serialize, Deserialize)]
        struct Link(Option<Queue<Link>>);
        let mut last = None;
        for _ in 0..20_000 {
            let queue = Queue::bounded(1).unwrap();
            queue.put(Link(last.take())).unwrap_or_else(|error| panic!("{error}"));
            last = Some(queue);
        }
        assert_eq!(usage().0, 20_000);
        drop(last);
        assert_eq!(usage().0, 0);
    }
}

/// Cannot be read behind its handle.
#[derive(Serialize)]
struct Unreadable(Lock<u32>, u32);

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unreadable, D::Error> {
        <(Lock<u32>, String)>::deserialize(deserializer).map(|(lock, _)| Unreadable(lock, 0))
    }
}

alone! {
    fn an_item_that_cannot_be_read_is_gone_with_its_words() {
        let queue = Queue::bounded(1).unwrap();
        queue.put(Unreadable(Lock::new(1).unwrap(), 1)).unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(queue.get(), Err(GetError::Failed(_))));
        assert_eq!(usage().0, 1);
    }
}

/// Its first reader dies of it, with the handle in its hand.
#[derive(Serialize)]
struct Deadly(u32, Lock<u32>);

impl<'de> Deserialize<'de> for Deadly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Deadly, D::Error> {
        let (safe, lock) = Deserialize::deserialize(deserializer)?;
        if std::process::id() != safe {
            std::process::abort();
        }
        Ok(Deadly(safe, lock))
    }
}

fn take(queue: Queue<Deadly>) {
    drop(queue.get());
}

alone! {
    fn what_a_dead_taker_had_is_there_or_gone_as_was_asked() {
        for policy in [OnDeath::HandBack, OnDeath::Report, OnDeath::Drop] {
            let queue = Queue::bounded_with(2, policy).unwrap();
            let item = Deadly(std::process::id(), Lock::new(7).unwrap());
            queue.put(item).unwrap_or_else(|error| panic!("{error}"));
            spawn(take, queue.clone()).unwrap().join().unwrap_err();
            match (policy, queue.get_timeout(Duration::from_millis(300))) {
                (OnDeath::HandBack, Ok(Deadly(_, lock))) => assert_eq!(*lock.lock().unwrap(), 7),
                (OnDeath::Report, Err(GetError::TakerDied))
                | (OnDeath::Drop, Err(GetError::Empty)) => {}
                (policy, _) => panic!("{policy:?}"),
            }
            assert_eq!(usage().0, 1, "{policy:?}");
        }
    }
}

alone! {
    fn buffers_and_arrays_are_freed_wherever_they_are() {
        for len in [10usize, 50_000, 3 << 20] {
            let queue = Queue::bounded(2).unwrap();
            queue.put(Buffer::new(len).unwrap()).unwrap();
            queue.put(Buffer::new(len).unwrap()).unwrap();
            assert!(queue.try_put(Buffer::new(len).unwrap()).is_err());
            drop(queue.get().unwrap());
            drop((queue, Array::new(len, 1u8).unwrap(), Buffer::new(len).unwrap().share()));
            assert_eq!(usage().0, 0);
        }
    }
}

alone! {
    fn words_that_children_had_are_freed_however_they_end() {
        fn use_and_end(words: (Lock<u32>, Semaphore, Queue<Lock<u32>>, Buffer), abort: bool) {
            words.1.acquire();
            words.2.put(Lock::new(1).unwrap()).unwrap();
            let _guard = words.0.lock().unwrap();
            if abort {
                std::process::abort();
            }
        }
        fn use_on(words: (Lock<u32>, Semaphore, Queue<Lock<u32>>, Buffer)) {
            loop {
                let _permit = words.1.permit();
                words.2.put(Lock::new(1).unwrap()).unwrap();
                drop((words.2.get().unwrap(), Array::new(100, 1u8).unwrap()));
                *words.0.lock().unwrap() += u32::from(words.3[0]);
            }
        }
        for abort in [false, true] {
            let words = || {
                let queue = Queue::bounded(1).unwrap();
                (Lock::new(0).unwrap(), Semaphore::new(1).unwrap(), queue, Buffer::new(9).unwrap())
            };
            let child = spawn(use_and_end, (words(), abort)).unwrap();
            assert_eq!(child.join().is_err(), abort);
            // And one that ends before it has read what it was given, or as it uses it.
            let child = spawn(use_on, words()).unwrap();
            // Wherever that is, on the way of a handle too.
            std::thread::sleep(Duration::from_millis(if abort { 20 } else { 0 }));
            child.kill();
            let _ = child.join();
        }
    }
}
