//! Served words: handles that travel, many processes at once, what does not fit.

use fourfold::process::{
    self, Barrier, Dict, Executor, JoinableQueue, LifoQueue, List, Lock, PriorityQueue, Queue,
    RLock, RwLock, StartMethod,
};
use serde::{Deserialize, Serialize};

use crate::support::{LIMIT, Log, note, within};

#[derive(Clone, Serialize, Deserialize)]
struct Tools {
    lock: RLock,
    results: Option<List<u32>>,
    more: Vec<LifoQueue<String>>,
}

fn use_tools(tools: Tools) -> Tools {
    let guard = tools.lock.lock().unwrap();
    tools.results.as_ref().unwrap().push(&std::process::id()).unwrap();
    tools.more.iter().for_each(|queue| queue.put("hello".into()).unwrap());
    drop(guard);
    tools
}

#[test]
fn handles_go_wherever_values_go() {
    within(LIMIT, || {
        for method in [StartMethod::Spawn, StartMethod::Forkserver] {
            let tools = Tools {
                lock: RLock::new().unwrap(),
                results: Some(List::new().unwrap()),
                more: (0..3).map(|_| LifoQueue::new().unwrap()).collect(),
            };
            let child = process::Builder::new().start_method(method);
            let back = child.spawn(use_tools, tools.clone()).unwrap().join().unwrap();
            let pool = Executor::builder().workers(2).start_method(method).build().unwrap();
            let answers: Vec<_> = pool.map(use_tools, (0..10).map(|_| back.clone())).collect();
            assert!(answers.into_iter().all(|answer| answer.is_ok()));
            assert_eq!(tools.results.unwrap().len().unwrap(), 11);
            assert!(back.more.iter().all(|queue| queue.len().unwrap() == 11));
            // In other words, to any depth.
            let (outer, inner) = (JoinableQueue::new().unwrap(), Dict::new().unwrap());
            inner.insert(&7u8, &tools.lock).unwrap();
            outer.put(inner).unwrap();
            let dive = |outer: JoinableQueue<Dict<u8, RLock>>| {
                let inner = outer.get().unwrap();
                outer.task_done().unwrap();
                inner.get(&7).unwrap().unwrap().try_lock().unwrap().is_some()
            };
            assert!(process::spawn(dive, outer.clone()).unwrap().join().unwrap());
            outer.join().unwrap();
        }
    });
}

#[test]
fn a_task_that_is_tried_again_finds_its_words_again() {
    fn dies_once((log, words): (std::path::PathBuf, List<u32>)) -> usize {
        note(&log, "a try");
        words.push(&1).unwrap();
        if std::fs::read_to_string(&log).unwrap().lines().count() < 3 {
            std::process::abort();
        }
        words.len().unwrap()
    }
    within(LIMIT, || {
        let (log, words) = (Log::new(), List::new().unwrap());
        let pool = Executor::builder().workers(1).retries(5).build().unwrap();
        // The only handle is the task's.
        assert_eq!(pool.submit(dies_once, (log.path(), words)).join().unwrap(), 3);
    });
}

/// Words in shared memory in words that are served, and these in those.
#[test]
fn words_of_both_kinds_are_in_each_other() {
    type Inner = (Lock<u32>, RLock);
    fn pass_on((ring, served): (Queue<Inner>, JoinableQueue<Inner>)) {
        let (lock, rlock) = ring.get().unwrap();
        *lock.lock().unwrap() += 1;
        assert!(rlock.try_lock().unwrap().is_some());
        served.put((lock, rlock)).unwrap();
    }
    within(LIMIT, || {
        let (ring, served) = (Queue::bounded(2).unwrap(), JoinableQueue::new().unwrap());
        let (lock, rlock) = (Lock::new(1).unwrap(), RLock::new().unwrap());
        for handles in [(lock.clone(), rlock.clone()), (lock, rlock)] {
            ring.put(handles).unwrap();
            process::spawn(pass_on, (ring.clone(), served.clone())).unwrap().join().unwrap();
        }
        for _ in 0..2 {
            let (lock, rlock) = served.get().unwrap();
            assert_eq!(*lock.lock().unwrap(), 3);
            assert!(!rlock.is_locked().unwrap());
        }
    });
}

#[test]
fn ten_thousand_calls_of_eight_processes() {
    type Words = (RwLock<u64>, List<u64>, JoinableQueue<u64>, Barrier);
    fn work((number, list, queue, barrier): Words) -> u64 {
        barrier.wait().unwrap();
        let mut sum = 0;
        for round in 0..250 {
            *number.write().unwrap() += 1;
            list.push(&round).unwrap();
            queue.put(round).unwrap();
            sum += queue.get().unwrap();
            queue.task_done().unwrap();
        }
        sum
    }
    within(LIMIT, || {
        let number = RwLock::new(0).unwrap();
        let (list, queue) = (List::new().unwrap(), JoinableQueue::new().unwrap());
        let barrier = Barrier::new(8).unwrap();
        let words = || (number.clone(), list.clone(), queue.clone(), barrier.clone());
        let children: Vec<_> = (0..8).map(|_| process::spawn(work, words()).unwrap()).collect();
        let sum: u64 = children.into_iter().map(|child| child.join().unwrap()).sum();
        queue.join().unwrap();
        assert!(queue.is_empty().unwrap());
        assert_eq!(sum, 8 * (0..250).sum::<u64>());
        assert_eq!((*number.read().unwrap(), list.len().unwrap()), (2000, 2000));
    });
}

#[test]
fn many_threads_of_one_process_share_its_connection() {
    within(LIMIT, || {
        let queue = JoinableQueue::bounded(3).unwrap();
        let lock = RLock::new().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|n| queue.put(n).unwrap()));
                scope.spawn(|| {
                    for _ in 0..100 {
                        let _guards = (lock.lock().unwrap(), lock.lock().unwrap());
                        queue.get().unwrap();
                        queue.task_done().unwrap();
                    }
                });
            }
        });
        queue.join().unwrap();
        assert!(!lock.is_locked().unwrap());
    });
}

#[test]
fn items_of_any_size() {
    within(LIMIT, || {
        let queue = LifoQueue::new().unwrap();
        let sizes = [0, 1, 100_000, 30 << 20];
        let send = |queue: LifoQueue<Vec<u8>>| {
            for size in [0, 1, 100_000, 30 << 20] {
                queue.put(vec![size as u8; size]).unwrap();
            }
        };
        let child = process::spawn(send, queue.clone()).unwrap();
        child.join().unwrap();
        for size in sizes.into_iter().rev() {
            assert!(queue.get().unwrap() == vec![size as u8; size]);
        }
    });
}

#[test]
fn lists_and_dicts_are_changed_by_all() {
    within(LIMIT, || {
        let (list, dict) = (List::new().unwrap(), Dict::new().unwrap());
        list.extend(&[3, 1, 2]).unwrap();
        list.insert(1, &9).unwrap();
        assert_eq!(list.to_vec().unwrap(), [3, 9, 1, 2]);
        assert_eq!((list.index(&9).unwrap(), list.count(&1).unwrap()), (Some(1), 1));
        assert!(list.set(-1, &5).unwrap() && !list.set(4, &5).unwrap());
        assert_eq!((list.remove(1).unwrap(), list.remove(7).unwrap()), (Some(9), None));
        list.sort().unwrap();
        assert_eq!(list.to_vec().unwrap(), [1, 3, 5]);
        assert!(list.contains(&3).unwrap() && !list.contains(&4).unwrap());
        let change = |list: List<i32>| {
            (0..20).for_each(|_| list.update(|items| items.push(0)).unwrap());
        };
        let children = [(); 3].map(|()| process::spawn(change, list.clone()).unwrap());
        children.into_iter().for_each(|child| child.join().unwrap());
        assert_eq!(list.len().unwrap(), 63);
        for (key, value) in [("a", 1), ("b", 2), ("a", 3)] {
            dict.insert(&key.to_owned(), &value).unwrap();
        }
        assert_eq!(dict.to_vec().unwrap(), [("a".to_owned(), 3), ("b".to_owned(), 2)]);
        assert_eq!(dict.remove(&"a".to_owned()).unwrap(), Some(3));
        assert!(!dict.contains_key(&"a".to_owned()).unwrap());
        assert_eq!(dict.pop_last().unwrap(), Some(("b".to_owned(), 2)));
        assert!(dict.is_empty().unwrap() && dict.pop_last().unwrap().is_none());
    });
}

#[test]
fn many_at_once_in_one_call() {
    within(LIMIT, || {
        let queue = PriorityQueue::new().unwrap();
        queue.put_many((0..1_000).rev()).unwrap();
        assert!(queue.get_many(300).unwrap().into_iter().eq(0..300));
        assert_eq!(queue.try_get_many(1_000).unwrap().len(), 700);
        let same = queue.clone();
        let waits = std::thread::spawn(move || same.get_many(5).unwrap());
        queue.put(7).unwrap();
        assert_eq!(waits.join().unwrap(), [7]);
        let bounded = JoinableQueue::bounded(2).unwrap();
        let same = bounded.clone();
        let gets = std::thread::spawn(move || -> u32 { same.iter().sum() });
        bounded.put_many(0..100).unwrap();
        bounded.shut_down(false).unwrap();
        assert_eq!(gets.join().unwrap(), 4950);
        assert_eq!(bounded.put_many([1, 2]).unwrap_err().into_item(), [1, 2]);
    });
}
