//! Served words whose users die: rows L6, L7 and Q5.

use std::time::Duration;

use fourfold::process::{
    self, Barrier, Child, Condition, JoinableQueue, LifoQueue, LockError, OnDeath, PriorityQueue,
    RLock, RwLock,
};

use crate::support::{Gate, LIMIT, eventually, visit, within};

/// Kills a child that stands at the gate, in the middle of its function.
fn kill<T: fourfold::task::Payload>(gate: &Gate, child: Child<T>) {
    let guest = gate.next();
    assert!(child.kill());
    assert_eq!(child.join().err().unwrap().signal(), Some(9));
    drop(guest);
}

/// What a lock that was taken says of its last holder. The lock is free again afterwards.
fn owner_died<G>(taken: Result<G, LockError<G>>) -> bool {
    match taken {
        Ok(_) => false,
        Err(LockError::OwnerDied(_)) => true,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_lock_whose_holder_was_killed_is_the_next_one_s_who_is_told_once() {
    fn hold((lock, port): (RLock, u16)) {
        let _guards = [lock.lock().unwrap(), lock.lock().unwrap()];
        visit(port, 0);
    }
    within(LIMIT, || {
        let (gate, lock) = (Gate::new(), RLock::new().unwrap());
        for waits in [false, true] {
            let child = process::spawn(hold, (lock.clone(), gate.port())).unwrap();
            let guest = gate.next();
            assert!(lock.try_lock().unwrap().is_none());
            let (same, port) = (lock.clone(), gate.port());
            let waiter = std::thread::spawn(move || {
                if waits {
                    visit(port, 1);
                }
                owner_died(same.lock())
            });
            if waits {
                // It is about to wait, and may or may not do so yet.
                gate.next().pass();
            }
            assert!(child.kill() && child.join().is_err());
            drop(guest);
            assert!(waiter.join().unwrap());
            assert!(!owner_died(lock.lock()));
        }
    });
}

#[test]
fn a_writer_that_was_killed_leaves_the_value_as_it_was() {
    fn write((lock, port): (RwLock<Vec<u32>>, u16)) {
        let mut guard = lock.write().unwrap();
        guard.push(2);
        visit(port, 0);
    }
    fn read((lock, port): (RwLock<Vec<u32>>, u16)) {
        let guard = lock.read().unwrap();
        visit(port, guard.len() as u64);
    }
    within(LIMIT, || {
        let (gate, lock) = (Gate::new(), RwLock::new(vec![1]).unwrap());
        kill(&gate, process::spawn(write, (lock.clone(), gate.port())).unwrap());
        match lock.read() {
            Err(LockError::OwnerDied(died)) => assert_eq!(*died.into_inner(), [1]),
            other => panic!("not told: {other:?}"),
        }
        assert!(!owner_died(lock.write()));
        // One who reads leaves nothing half done.
        kill(&gate, process::spawn(read, (lock.clone(), gate.port())).unwrap());
        assert!(!owner_died(lock.write()));
    });
}

#[test]
fn a_condition_goes_on_whoever_is_killed() {
    fn hold((condition, port): (Condition<u32>, u16)) {
        let mut guard = condition.lock().unwrap();
        *guard += 1;
        visit(port, 0);
    }
    fn wait((condition, port): (Condition<u32>, u16)) {
        let mut guard = condition.lock().unwrap();
        visit(port, 1);
        guard.wait().unwrap();
    }
    within(LIMIT, || {
        let (gate, condition) = (Gate::new(), Condition::new(0).unwrap());
        kill(&gate, process::spawn(hold, (condition.clone(), gate.port())).unwrap());
        assert!(owner_died(condition.lock()));
        assert_eq!(*condition.lock().unwrap(), 0);

        // The first in line is killed as it waits: the notification is for the second.
        let child = process::spawn(wait, (condition.clone(), gate.port())).unwrap();
        gate.next().pass();
        // It waits once the lock is to be had.
        drop(condition.lock().unwrap());
        let same = condition.clone();
        let second = std::thread::spawn(move || {
            let mut guard = same.lock().unwrap();
            *guard = 7;
            guard.wait().unwrap();
            *guard
        });
        eventually("the second waits", || *condition.lock().unwrap() == 7);
        assert!(child.kill() && child.join().is_err());
        let mut guard = condition.lock().unwrap();
        *guard = 8;
        // The root may not know of the end yet. Each notification that comes to the dead one goes to the next.
        guard.notify_one().unwrap();
        drop(guard);
        assert_eq!(second.join().unwrap(), 8);
    });
}

#[test]
fn a_barrier_whose_member_was_killed_is_broken() {
    fn meet((barrier, port): (Barrier, u16)) -> Option<usize> {
        visit(port, 0);
        barrier.wait().unwrap()
    }
    within(LIMIT, || {
        let (gate, barrier) = (Gate::new(), Barrier::new(3).unwrap());
        let children =
            [(); 2].map(|()| process::spawn(meet, (barrier.clone(), gate.port())).unwrap());
        gate.next_few(2).into_iter().for_each(|guest| guest.pass());
        eventually("both wait", || barrier.waiting().unwrap() == 2);
        let [first, second] = children;
        assert!(first.kill() && first.join().is_err());
        assert_eq!(second.join().unwrap(), None);
        assert!(barrier.is_broken().unwrap());
        assert_eq!(barrier.wait().unwrap(), None);
        barrier.reset().unwrap();
        let waits = process::spawn(meet, (barrier.clone(), gate.port())).unwrap();
        gate.next().pass();
        assert_eq!(barrier.wait_timeout(Duration::from_millis(1)).unwrap(), None);
        assert_eq!(waits.join().unwrap(), None);
    });
}

/// Takes three items, says that the first is done, and stands at the gate.
fn consume((queue, port): (JoinableQueue<u32>, u16)) {
    let items = [(); 3].map(|()| queue.get().unwrap());
    queue.task_done().unwrap();
    visit(port, u64::from(items[0]));
}

#[test]
fn what_a_killed_consumer_had_taken_comes_back_or_is_told_or_counts_as_done() {
    within(LIMIT, || {
        let gate = Gate::new();
        for on_death in [OnDeath::HandBack, OnDeath::Report, OnDeath::Drop] {
            let queue = JoinableQueue::builder().on_death(on_death).build().unwrap();
            queue.put_many(0..5).unwrap();
            kill(&gate, process::spawn(consume, (queue.clone(), gate.port())).unwrap());
            let left = match on_death {
                OnDeath::HandBack => vec![(1, true), (2, true), (3, false), (4, false)],
                _ => vec![(3, false), (4, false)],
            };
            // The root hears of the end at the latest when it closes the last descriptor.
            eventually("it is handed back", || queue.len().unwrap() == left.len());
            if on_death == OnDeath::Report {
                let mut lost = Vec::new();
                eventually("it is told", || {
                    lost.extend(queue.lost().unwrap());
                    lost == [1, 2]
                });
            }
            for expected in left {
                let marked = queue.get_marked().unwrap();
                assert_eq!((marked.item, marked.redelivered), expected, "{on_death:?}");
                queue.task_done().unwrap();
            }
            queue.join().unwrap();
            assert!(queue.task_done().is_err() && queue.lost().unwrap().is_empty());
        }
    });
}

#[test]
fn queues_without_marks_work_on_after_a_consumer_was_killed() {
    fn take((lifo, priority, port): (LifoQueue<u32>, PriorityQueue<u32>, u16)) {
        let _taken = (lifo.get().unwrap(), priority.get().unwrap());
        visit(port, 0);
        let _ = (lifo.get().unwrap(), priority.get().unwrap());
    }
    within(LIMIT, || {
        let gate = Gate::new();
        let (lifo, priority) = (LifoQueue::new().unwrap(), PriorityQueue::new().unwrap());
        lifo.put_many([1, 2]).unwrap();
        priority.put_many([2, 1]).unwrap();
        let args = (lifo.clone(), priority.clone(), gate.port());
        kill(&gate, process::spawn(take, args).unwrap());
        assert_eq!((lifo.get().unwrap(), priority.get().unwrap()), (1, 2));
        lifo.task_done().unwrap();
        priority.task_done().unwrap();
        // Those that died with their consumer count as done.
        lifo.join().unwrap();
        priority.join().unwrap();
    });
}

#[test]
fn a_consumer_that_is_killed_while_it_waits_takes_nothing_with_it() {
    fn wait((queue, port): (JoinableQueue<u32>, u16)) {
        visit(port, 0);
        loop {
            queue.get().unwrap();
        }
    }
    within(LIMIT, || {
        let (gate, queue) = (Gate::new(), JoinableQueue::new().unwrap());
        for round in 0..20 {
            let child = process::spawn(wait, (queue.clone(), gate.port())).unwrap();
            gate.next().pass();
            // At any moment of its wait, or before.
            let puts = std::thread::spawn({
                let queue = queue.clone();
                move || queue.put(round).unwrap()
            });
            assert!(child.kill() && child.join().is_err());
            puts.join().unwrap();
            // Taken or not, it is there once nobody else is.
            assert_eq!(queue.get().unwrap(), round);
            queue.task_done().unwrap();
            queue.join().unwrap();
        }
    });
}

#[test]
fn a_thread_that_ends_with_a_lock_has_died_with_it() {
    within(LIMIT, || {
        let lock = RLock::new().unwrap();
        let same = lock.clone();
        std::thread::spawn(move || same.lock().unwrap().forget()).join().unwrap();
        assert!(owner_died(lock.lock()));
        assert!(!owner_died(lock.lock()));
    });
}

#[test]
fn a_notification_that_its_receiver_did_not_live_to_read_is_another_s() {
    fn listen((news, listening, heard): (Condition, process::Semaphore, process::Semaphore)) {
        let mut guard = news.lock().unwrap();
        listening.release().unwrap();
        // The second is told that the first died with the lock.
        let _ = guard.wait();
        heard.release().unwrap();
    }
    within(LIMIT, || {
        let news = Condition::new(()).unwrap();
        let [listening, heard] = [(); 2].map(|()| process::Semaphore::new(0).unwrap());
        let args = (news.clone(), listening.clone(), heard.clone());
        let first = process::spawn(listen, args.clone()).unwrap();
        listening.acquire();
        // Whoever has the lock now knows that the one who listens has gone to wait.
        drop(news.lock().unwrap());
        assert!(first.signal(19));
        let stat = format!("/proc/{}/stat", first.pid());
        eventually("it is stopped", || {
            std::fs::read_to_string(&stat).unwrap().rsplit(')').next().unwrap().starts_with(" T")
        });
        let second = process::spawn(listen, args).unwrap();
        listening.acquire();
        news.lock().unwrap().notify_one().unwrap();
        assert!(!heard.acquire_timeout(Duration::from_millis(50)));
        assert!(first.kill() && first.join().is_err());
        second.join().unwrap();
        assert!(heard.try_acquire());
    });
}
