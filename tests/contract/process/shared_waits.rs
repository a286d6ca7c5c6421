//! Waiting for words in shared memory: threads, coroutines and futures, with limits, cancelled, several at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fourfold::green;
use fourfold::process::{self, Array, Event, GetError, Lock, Queue, Semaphore};

use crate::support::{LIMIT, within};

/// For what is not to come.
const SHORT: Duration = Duration::from_millis(5);

/// What somebody waits for who is to be let go by another process.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Words {
    lock: Lock<u32>,
    array: Array<u32>,
    semaphore: Semaphore,
    event: Event,
    empty: Queue<u32>,
    full: Queue<u32>,
}

impl Words {
    fn new() -> Words {
        let full = Queue::bounded(1).unwrap();
        full.put(1).unwrap();
        Words {
            lock: Lock::new(0).unwrap(),
            array: Array::new(1, 0).unwrap(),
            semaphore: Semaphore::new(0).unwrap(),
            event: Event::new().unwrap(),
            empty: Queue::bounded(1).unwrap(),
            full,
        }
    }
}

/// Holds both locks until it is told, then lets go of everybody who waits, one word after the other.
fn lets_go(words: Words, held: Event, go: Event) {
    let guards = (words.lock.lock().unwrap(), words.array.lock().unwrap());
    held.set();
    assert!(go.wait_timeout(LIMIT));
    let pause = || std::thread::sleep(SHORT);
    drop(guards.0);
    pause();
    drop(guards.1);
    pause();
    words.semaphore.release().unwrap();
    pause();
    words.event.set();
    pause();
    words.empty.put(5).unwrap();
    pause();
    assert_eq!(words.full.get().unwrap(), 1);
}

/// Another process that holds all of them.
fn held() -> (Words, Event, process::Child<()>) {
    let (words, held, go) = (Words::new(), Event::new().unwrap(), Event::new().unwrap());
    let child = process::spawn(lets_go, (words.clone(), held.clone(), go.clone())).unwrap();
    assert!(held.wait_timeout(LIMIT));
    (words, go, child)
}

#[test]
fn coroutines_that_wait_for_another_process_leave_their_hub_to_others() {
    within(LIMIT, || {
        let (words, go, child) = held();
        green::run(move || {
            type Wait = fn(Words);
            let waits: [(&str, Wait); 6] = [
                ("Lock::lock", |words| *words.lock.lock().unwrap() += 1),
                ("Array::lock", |words| words.array.set(0, 1).unwrap()),
                ("Semaphore::acquire", |words| words.semaphore.acquire()),
                ("Event::wait", |words| words.event.wait()),
                ("Queue::get", |words| assert_eq!(words.empty.get().unwrap(), 5)),
                ("Queue::put", |words| words.full.put(6).unwrap()),
            ];
            let children: Vec<_> = waits
                .into_iter()
                .map(|(what, wait)| {
                    let words = words.clone();
                    (what, green::spawn_local(move || wait(words), ()).unwrap())
                })
                .collect();
            // The hub goes on: these turns are its own.
            for _ in 0..100 {
                green::yield_now();
            }
            for (what, child) in &children {
                assert!(!child.is_finished(), "{what} does not wait");
            }
            go.set();
            for (what, child) in children {
                child.join().unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            assert_eq!((*words.lock.lock().unwrap(), words.full.get().unwrap()), (1, 6));
        })
        .unwrap();
        child.join().unwrap();
    });
}

#[test]
fn each_wait_can_be_cancelled_and_takes_nothing() {
    within(LIMIT, || {
        let (words, go, child) = held();
        green::run(move || {
            let cancelled = |what: &str, wait: fn(Words)| {
                let words = words.clone();
                let child = green::spawn_local(move || wait(words), ()).unwrap();
                for _ in 0..3 {
                    green::yield_now();
                }
                assert!(!child.is_finished(), "{what} does not wait");
                assert!(child.kill().unwrap_err().is_cancelled(), "{what}");
            };
            cancelled("Lock::lock", |words| drop(words.lock.lock()));
            cancelled("Array::lock", |words| drop(words.array.lock()));
            cancelled("Semaphore::acquire", |words| words.semaphore.acquire());
            cancelled("Event::wait", |words| words.event.wait());
            cancelled("Queue::get", |words| drop(words.empty.get()));
            cancelled("Queue::put", |words| drop(words.full.put(9)));
            go.set();
            // What the cancelled had asked for is there for others.
            drop(words.lock.lock_timeout(LIMIT).unwrap().unwrap());
            drop(words.array.lock_timeout(LIMIT).unwrap().unwrap());
            assert!(words.semaphore.acquire_timeout(LIMIT) && words.event.wait_timeout(LIMIT));
            assert_eq!(words.empty.get_timeout(LIMIT).unwrap(), 5);
            words.full.put_timeout(6, LIMIT).unwrap();
            assert_eq!(words.full.get().unwrap(), 6);
        })
        .unwrap();
        child.join().unwrap();
    });
}

#[test]
fn waits_with_a_limit_end_in_time_and_take_nothing() {
    within(LIMIT, || {
        let (words, go, child) = held();
        let limited = |words: &Words| {
            let began = Instant::now();
            assert!(words.lock.lock_timeout(SHORT).unwrap().is_none());
            assert!(words.array.lock_timeout(SHORT).unwrap().is_none());
            assert!(!words.semaphore.acquire_timeout(SHORT) && !words.event.wait_timeout(SHORT));
            assert!(matches!(words.empty.get_timeout(SHORT), Err(GetError::Empty)));
            assert_eq!(words.full.put_timeout(7, SHORT).unwrap_err().into_item(), 7);
            assert!(began.elapsed() >= 6 * SHORT);
        };
        limited(&words);
        let same = words.clone();
        green::run(move || limited(&same)).unwrap();
        go.set();
        child.join().unwrap();
        assert_eq!(words.empty.try_get().unwrap(), 5);
    });
}

#[test]
fn futures_wait_under_tokio_each_of_them_and_select_leaves_the_others() {
    within(LIMIT, || {
        let (words, go, child) = held();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for _ in 0..20 {
                // None of them comes; each is dropped as it waits.
                tokio::select! {
                    _ = words.lock.lock_async() => panic!("the lock is held"),
                    _ = words.array.lock_async() => panic!("the array is held"),
                    () = words.semaphore.acquire_async() => panic!("there is no permit"),
                    () = words.event.wait_async() => panic!("it is not set"),
                    _ = words.empty.get_async() => panic!("it is empty"),
                    _ = words.full.put_async(8) => panic!("it is full"),
                    () = tokio::time::sleep(Duration::from_millis(1)) => {}
                }
            }
            go.set();
            let all = async {
                *words.lock.lock_async().await.unwrap() += 1;
                words.array.lock_async().await.unwrap()[0] += 1;
                words.semaphore.acquire_async().await;
                words.event.wait_async().await;
                assert_eq!(words.empty.get_async().await.unwrap(), 5);
                words.full.put_async(6).await.unwrap();
                assert_eq!(words.full.get_async().await.unwrap(), 6);
            };
            tokio::time::timeout(LIMIT, all).await.unwrap();
        });
        child.join().unwrap();
    });
}

#[test]
fn one_of_several_waits_in_a_select_is_served_as_often_as_it_is_put_to() {
    within(LIMIT, || {
        fn feed(queues: Vec<Queue<u32>>, count: u32) {
            for number in 0..count {
                queues[number as usize % queues.len()].put(number).unwrap();
            }
            queues.iter().for_each(|queue| queue.shut_down(false));
        }
        let queues: Vec<_> = (0..3).map(|_| Queue::bounded(2).unwrap()).collect();
        let child = process::spawn(feed, (queues.clone(), 600)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut got = runtime.block_on(async {
            let mut got = Vec::new();
            let mut open = [true; 3];
            let mut take = |index: usize, item, open: &mut [bool; 3]| match item {
                Ok(number) => got.push(number),
                Err(GetError::ShutDown) => open[index] = false,
                Err(error) => panic!("{error}"),
            };
            while open.contains(&true) {
                tokio::select! {
                    item = queues[0].get_async(), if open[0] => take(0, item, &mut open),
                    item = queues[1].get_async(), if open[1] => take(1, item, &mut open),
                    item = queues[2].get_async(), if open[2] => take(2, item, &mut open),
                    () = tokio::time::sleep(LIMIT) => panic!("nothing comes"),
                }
            }
            got
        });
        got.sort();
        assert!(got.into_iter().eq(0..600));
        child.join().unwrap();
    });
}

#[test]
fn threads_coroutines_and_futures_of_several_processes_share_a_queue() {
    within(LIMIT, || {
        fn work(queue: Queue<u32>, done: Queue<u32>, how: u32) {
            let one = move |item: u32| done.put(item).unwrap();
            match how {
                0 => queue.iter().for_each(one),
                1 => green::run(move || queue.iter().for_each(one)).unwrap(),
                _ => {
                    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
                        while let Ok(item) = queue.get_async().await {
                            one(item);
                        }
                    })
                }
            }
        }
        let (queue, done) = (Queue::bounded(3).unwrap(), Queue::bounded(3).unwrap());
        let args = |how| (queue.clone(), done.clone(), how);
        let children: Vec<_> = (0..3).map(|how| process::spawn(work, args(how)).unwrap()).collect();
        let same = queue.clone();
        let puts = std::thread::spawn(move || {
            (0..900).for_each(|number| same.put(number).unwrap());
            same.shut_down(false);
        });
        let mut got: Vec<_> = (0..900).map(|_| done.get_timeout(LIMIT).unwrap()).collect();
        got.sort();
        assert!(got.into_iter().eq(0..900));
        puts.join().unwrap();
        children.into_iter().for_each(|child| child.join().unwrap());
    });
}

#[test]
fn a_future_is_woken_when_the_holder_dies() {
    within(LIMIT, || {
        fn hold(lock: Lock<u32>, held: Event) {
            let _guard = lock.lock().unwrap();
            held.set();
            std::thread::sleep(LIMIT);
        }
        let (lock, held) = (Lock::new(1u32).unwrap(), Event::new().unwrap());
        let child = process::spawn(hold, (lock.clone(), held.clone())).unwrap();
        assert!(held.wait_timeout(LIMIT));
        let waits = Arc::new(AtomicBool::new(false));
        let (same, begun) = (lock.clone(), waits.clone());
        let waiter = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                begun.store(true, Ordering::Release);
                drop(same.lock_async().await.unwrap_err().into_inner());
            });
        });
        crate::support::eventually("it waits", || waits.load(Ordering::Acquire));
        child.kill();
        child.join().unwrap_err();
        waiter.join().unwrap();
        drop(lock.lock().unwrap());
    });
}
