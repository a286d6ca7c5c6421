//! What is left in the shared memory when nobody has a word any more: nothing.
//!
//! Each test is run in a process of its own, whose memory nobody else uses.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize};

use crate::process::{
    Array, Buffer, Command, Condition, Dict, Event, GetError, LifoQueue, List, Lock, OnDeath,
    PriorityQueue, PutError, Queue, RwLock, Semaphore, UnboundedQueue, spawn,
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
    fn a_served_word_leaves_the_words_of_what_it_did_not_take_where_they_were() {
        /// Polls it once, and drops it in the middle.
        fn cut(future: impl Future) {
            let mut context = Context::from_waker(Waker::noop());
            assert!(pin!(future).poll(&mut context).is_pending());
        }
        let own = item(2, 0);
        // For the number of its words, which the calls below leave as it is.
        let same = || ("x".to_owned(), own.1.clone());
        let full = LifoQueue::bounded(1).unwrap();
        full.put(item(0, 0)).unwrap();
        cut(full.put_async(same()));
        let moment = Duration::from_millis(1);
        assert!(full.put_timeout(same(), moment).is_err() && full.try_put(same()).is_err());
        full.shut_down(true).unwrap();
        assert!(full.put(same()).is_err() && full.put_many([same(), same()]).is_err());
        let first = PriorityQueue::<Item, u32>::bounded(1).unwrap();
        first.put_at(1, item(0, 0)).unwrap();
        cut(first.put_at_async(1, same()));
        assert!(first.try_put_at(1, same()).is_err());
        let unbounded = UnboundedQueue::new().unwrap();
        unbounded.shut_down(true).unwrap();
        assert!(unbounded.put_many([same(), same()]).is_err());
        let list = List::new().unwrap();
        assert!(!list.set(3, &same()).unwrap() && !list.contains(&same()).unwrap());
        assert_eq!(list.count(&same()).unwrap(), 0);
        let dict = Dict::<Item, Item>::new().unwrap();
        assert!(dict.get(&same()).unwrap().is_none() && dict.remove(&same()).unwrap().is_none());
        // Those of one that cannot be written, and of the ones before it.
        #[derive(Serialize, Deserialize)]
        struct Odd(Item, #[serde(serialize_with = "odd")] bool);
        fn odd<S: serde::Serializer>(odd: &bool, serializer: S) -> Result<S::Ok, S::Error> {
            match odd {
                true => Err(serde::ser::Error::custom("odd")),
                false => serializer.serialize_unit(),
            }
        }
        let queue = UnboundedQueue::new().unwrap();
        assert!(queue.put_many([Odd(same(), false), Odd(same(), true)]).is_err());
        assert_eq!(usage().0, 2);
        drop(own);
    }
}

alone! {
    fn a_served_word_keeps_the_words_of_what_it_took_until_they_are_read() {
        let queue = UnboundedQueue::new().unwrap();
        queue.put(item(1, 0)).unwrap();
        queue.put_many([item(1, 0), item(1, 0)]).unwrap();
        let mut puts = pin!(queue.put_async(item(1, 0)));
        let end = Instant::now() + LIMIT;
        let mut context = Context::from_waker(Waker::noop());
        while puts.as_mut().poll(&mut context).map(Result::unwrap).is_pending() {
            assert!(Instant::now() < end);
        }
        let first = PriorityQueue::<Item, u32>::new().unwrap();
        first.put_at(1, item(1, 0)).unwrap();
        let list = List::new().unwrap();
        list.push(&item(1, 0)).unwrap();
        list.extend(&[item(1, 0)]).unwrap();
        list.insert(0, &item(0, 0)).unwrap();
        assert!(list.set(0, &item(1, 0)).unwrap());
        let dict = Dict::new().unwrap();
        dict.insert(&1, &item(1, 0)).unwrap();
        let lock = RwLock::new(item(1, 0)).unwrap();
        let condition = Condition::new(item(0, 0)).unwrap();
        *condition.lock().unwrap() = item(1, 0);
        assert_eq!(usage().0, 4 + 1 + 3 + 1 + 1 + 1);
        let right = |item: &Item| assert_eq!(*item.1[0].lock().unwrap(), 7);
        queue.get_many(4).unwrap().iter().for_each(right);
        right(&first.get().unwrap());
        (0..3).for_each(|_| right(&list.pop().unwrap().unwrap()));
        right(&dict.remove(&1).unwrap().unwrap());
        right(&lock.read().unwrap());
        right(&condition.lock().unwrap());
        assert_eq!(usage().0, 0);
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
