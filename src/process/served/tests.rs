//! Served words from within: what is left in the root.

use std::time::{Duration, Instant};

use super::handle::count;
use super::{
    Barrier, Condition, Dict, JoinableQueue, LifoQueue, List, RLock, RwLock, UnboundedQueue,
};
use crate::process::{Executor, Queue, spawn};

/// Waits until there are so many words, and no more.
fn settle(words: usize, when: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    while count().unwrap() != words {
        assert!(Instant::now() < end, "{when}: {} words, not {words}", count().unwrap());
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn bounce(words: (RLock, List<RLock>)) -> (RLock, List<RLock>) {
    words
}

/// One test, since all of this process share one count.
#[test]
fn nothing_is_left_of_words_whose_handles_are_gone() {
    assert_eq!(count().unwrap(), 0);
    let lock = RLock::new().unwrap();
    let same = lock.clone();
    assert_eq!(count().unwrap(), 1);
    drop(lock);
    assert_eq!(count().unwrap(), 1);
    drop(same);
    assert_eq!(count().unwrap(), 0);

    // In a word, and in what is in that.
    let outer = List::new().unwrap();
    {
        let inner = List::new().unwrap();
        let lock = RLock::new().unwrap();
        inner.push(&lock).unwrap();
        outer.push(&inner).unwrap();
        outer.push(&inner).unwrap();
    }
    assert_eq!(count().unwrap(), 3);
    let inner = outer.pop().unwrap().unwrap();
    assert!(!inner.get(0).unwrap().unwrap().is_locked().unwrap());
    drop(inner);
    assert_eq!(count().unwrap(), 3);
    outer.clear().unwrap();
    assert_eq!(count().unwrap(), 1);
    drop(outer);
    assert_eq!(count().unwrap(), 0);

    // There and back.
    let words = (RLock::new().unwrap(), List::new().unwrap());
    words.1.push(&RLock::new().unwrap()).unwrap();
    let (lock, list) = spawn(bounce, words).unwrap().join().unwrap();
    assert!(lock.try_lock().unwrap().is_some());
    assert_eq!((list.len().unwrap(), count().unwrap()), (1, 3));
    drop((lock, list));
    settle(0, "there and back");

    // A value that nobody reads, and an argument that nobody takes.
    drop(spawn(|()| RLock::new().unwrap(), ()).unwrap());
    let pool = Executor::builder().workers(1).build().unwrap();
    pool.submit(|lock: RLock| lock.is_locked().unwrap(), RLock::new().unwrap()).join().unwrap();
    drop(pool.submit(|lock: RLock| lock, RLock::new().unwrap()));
    pool.submit(|lock: RLock| drop(lock), RLock::new().unwrap()).cancel();
    drop(pool);
    settle(0, "values that nobody reads");

    // A process that dies.
    let queue = JoinableQueue::<RLock>::new().unwrap();
    queue.put(RLock::new().unwrap()).unwrap();
    let dies = |queue: JoinableQueue<RLock>| -> () {
        let lock = queue.get().unwrap();
        let _kept = (Barrier::new(2).unwrap(), Dict::<u8, RLock>::new().unwrap(), lock.clone());
        std::mem::forget(lock.lock().unwrap());
        std::process::abort()
    };
    assert!(spawn(dies, queue.clone()).unwrap().join().is_err());
    settle(2, "a process that died");
    let again = queue.get_marked().unwrap();
    assert!(again.redelivered && again.item.lock().is_err());
    queue.task_done().unwrap();
    drop((queue, again));
    settle(0, "a process that died, and its queue");

    // Guards and values.
    let (rwlock, condition) =
        (RwLock::new(None).unwrap(), Condition::new(RLock::new().unwrap()).unwrap());
    *rwlock.write().unwrap() = Some(RLock::new().unwrap());
    assert!(rwlock.read().unwrap().as_ref().is_some_and(|lock| lock.lock().is_ok()));
    *condition.lock().unwrap() = rwlock.read().unwrap().clone().unwrap();
    assert_eq!(count().unwrap(), 3);
    drop(rwlock);
    assert_eq!(count().unwrap(), 2);
    drop(condition);
    assert_eq!(count().unwrap(), 0);

    // A word among its own items is there for ever: told in the README. Cleared, it is not.
    let queue = UnboundedQueue::<Vec<UnboundedQueue<()>>>::new().unwrap();
    queue.put(vec![UnboundedQueue::new().unwrap()]).unwrap();
    queue.shut_down(true).unwrap();
    let lifo = LifoQueue::<RLock>::new().unwrap();
    lifo.put_many((0..10).map(|_| RLock::new().unwrap())).unwrap();
    assert_eq!(count().unwrap(), 12);
    drop(lifo.get_many(4).unwrap());
    assert_eq!(count().unwrap(), 8);
    drop((queue, lifo));
    assert_eq!(count().unwrap(), 0);

    // In a word of the other kind: got, not put, and never got by anybody.
    let ring = Queue::bounded(1).unwrap();
    ring.put(RLock::new().unwrap()).unwrap();
    assert!(ring.try_put(RLock::new().unwrap()).is_err());
    assert_eq!(count().unwrap(), 1);
    drop(ring.get().unwrap());
    assert_eq!(count().unwrap(), 0);

    outside_of_a_value();
    assert_eq!(count().unwrap(), 0);
}

fn outside_of_a_value() {
    let lock = RLock::new().unwrap();
    assert!(serde_json::to_string(&lock).is_err());
    assert!(serde_json::from_str::<RLock>("1").is_err());
}
