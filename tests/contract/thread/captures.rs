//! What needs captured values, shared memory or one address space.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use fourfold::{ErrorKind, thread};

use crate::support::{Gate, LIMIT, visit, within};

#[test]
fn a_closure_may_capture_and_a_callable_value_is_one() {
    within(LIMIT, || {
        let offset = 40;
        let text = String::from("forty");
        let child = thread::spawn(move |n: i32| (offset + n, text), 2).unwrap();
        assert_eq!(child.join().unwrap(), (42, "forty".to_owned()));
        let pool = thread::Executor::builder().workers(2).build().unwrap();
        let boxed: Box<dyn FnOnce(i32) -> i32 + Send> = Box::new(move |n| n + offset);
        assert_eq!(pool.submit(boxed, 2).join().unwrap(), 42);
        let pointer: fn(i32) -> i32 = i32::abs;
        assert_eq!(pool.submit(pointer, -2).join().unwrap(), 2);
        let counter = Arc::new(AtomicUsize::new(0));
        let count = {
            let counter = counter.clone();
            move |n| counter.fetch_add(n, Ordering::Relaxed)
        };
        assert_eq!(pool.map(count, [1, 2, 3]).count(), 3);
        assert_eq!(counter.load(Ordering::Relaxed), 6);
    });
}

#[test]
fn a_callback_runs_in_the_thread_that_did_the_work() {
    within(LIMIT, || {
        let gate = Gate::new();
        let (sender, receiver) = channel();
        let port = gate.port();
        let work = move || (visit(port, 0), thread::current().id()).1;
        let pool = thread::Executor::builder().workers(2).build().unwrap();
        let handle = pool.submit(work, ());
        let from_pool = sender.clone();
        handle.on_done(move |_| from_pool.send(thread::current().id()).unwrap());
        gate.next().pass();
        assert_eq!(receiver.recv().unwrap(), handle.join().unwrap());

        let child = thread::spawn(work, ()).unwrap();
        let id = child.id();
        let from_child = sender.clone();
        child.on_done(move |_| from_child.send(thread::current().id()).unwrap());
        gate.next().pass();
        assert_eq!(child.join().unwrap(), id);
        assert_eq!(receiver.recv().unwrap(), id);

        // Of what has finished, in the thread that says so.
        let mut handle = pool.submit(|| (), ());
        handle.join_timeout(LIMIT).unwrap().unwrap();
        handle.on_done(move |_| sender.send(thread::current().id()).unwrap());
        assert_eq!(receiver.recv().unwrap(), thread::current().id());
    });
}

#[test]
fn cancelling_a_running_task_changes_nothing() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = thread::Executor::builder().workers(1).build().unwrap();
        let handle = pool.submit(visit, (gate.port(), 5));
        let guest = gate.next();
        assert!(!handle.cancel());
        guest.pass();
        assert_eq!(handle.join().unwrap(), 5);
    });
}

#[test]
fn a_thread_that_joins_itself_is_told_so() {
    within(LIMIT, || {
        let (hand_over, take) = channel();
        let (tell, told) = channel();
        let child = thread::spawn(
            move || {
                let own: thread::Child<()> = take.recv().unwrap();
                tell.send(own.join().unwrap_err().kind()).unwrap();
            },
            (),
        )
        .unwrap();
        hand_over.send(child).unwrap();
        assert_eq!(told.recv().unwrap(), ErrorKind::Deadlock);
    });
}

#[test]
fn a_thread_whose_callback_joins_it_is_told_so() {
    within(LIMIT, || {
        let gate = Gate::new();
        let slot = Arc::new(Mutex::new(None));
        let (tell, told) = channel();
        let child = thread::spawn(visit, (gate.port(), 0)).unwrap();
        let own = slot.clone();
        child.on_done(move |_| {
            let child: thread::Child<u64> = own.lock().unwrap().take().unwrap();
            tell.send(child.join().unwrap_err().kind()).unwrap();
        });
        *slot.lock().unwrap() = Some(child);
        gate.next().pass();
        assert_eq!(told.recv().unwrap(), ErrorKind::Deadlock);
    });
}

#[test]
fn join_waits_for_the_destructors_of_thread_locals() {
    struct Last(Arc<AtomicUsize>);

    impl Drop for Last {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }

    within(LIMIT, || {
        let dropped = Arc::new(AtomicUsize::new(0));
        for round in 1..=20 {
            let last = Last(dropped.clone());
            thread::spawn(|last| LAST.set(Some(last)), last).unwrap().join().unwrap();
            assert_eq!(dropped.load(Ordering::Relaxed), round);
        }
        let pool = thread::Executor::builder().workers(2).build().unwrap();
        pool.submit(|last| LAST.set(Some(last)), Last(dropped.clone())).join().unwrap();
        pool.shutdown();
        assert_eq!(dropped.load(Ordering::Relaxed), 21);
    });
}

/// A value whose destructor panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor that panics");
    }
}

#[test]
fn destructors_that_panic_cost_no_worker() {
    within(LIMIT, || {
        let pool = thread::Executor::builder().workers(1).build().unwrap();
        // A value that nobody takes, an argument of a task that is cancelled, one of a task that is refused.
        let gate = Gate::new();
        let fuse = |port: u16| (visit(port, 0), Bomb).1;
        drop(pool.submit(fuse, gate.port()));
        gate.next().pass();
        let held = pool.submit(visit, (gate.port(), 1));
        let guest = gate.next();
        let cancelled = pool.submit(|bomb: Bomb| std::mem::forget(bomb), Bomb);
        assert!(cancelled.cancel());
        assert!(cancelled.join().unwrap_err().is_cancelled());
        guest.pass();
        assert_eq!(held.join().unwrap(), 1);
        pool.shutdown();
        let late = pool.submit(|bomb: Bomb| std::mem::forget(bomb), Bomb);
        assert_eq!(late.join().unwrap_err().kind(), ErrorKind::ShutDown);
        // And a thread whose value nobody takes ends, in the list too.
        let child = thread::spawn(fuse, gate.port()).unwrap();
        let id = child.id();
        drop(child);
        gate.next().pass();
        crate::support::eventually("the thread has left the list", || {
            thread::enumerate().iter().all(|thread| thread.id() != id)
        });
    });
}

#[test]
fn each_worker_begins_with_on_start() {
    thread_local! {
        static READY: RefCell<bool> = const { RefCell::new(false) };
    }
    within(LIMIT, || {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let pool = thread::Executor::builder()
            .workers(2)
            .on_start(move || {
                count.fetch_add(1, Ordering::Relaxed);
                READY.set(true);
            })
            .build()
            .unwrap();
        let gate = Gate::new();
        let port = gate.port();
        let handles = [0, 1].map(|n| {
            pool.submit(move || (visit(port, n), READY.with_borrow(|ready| *ready)).1, ())
        });
        gate.next_few(2).into_iter().for_each(|guest| guest.pass());
        assert!(handles.into_iter().all(|handle| handle.join().unwrap()));
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_start_that_panics_is_told_by_the_tasks_and_tried_again_for_the_next() {
    within(LIMIT, || {
        let tries = Arc::new(AtomicUsize::new(0));
        let count = tries.clone();
        let pool = thread::Executor::builder()
            .workers(1)
            .on_start(move || assert!(count.fetch_add(1, Ordering::Relaxed) >= 2, "no licence"))
            .build()
            .unwrap();
        for _ in 0..2 {
            let error = pool.submit(|| 1, ()).join().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotStarted);
            assert!(error.to_string().contains("no licence"), "{error}");
        }
        assert_eq!(pool.submit(|| 1, ()).join().unwrap(), 1);
        assert_eq!(tries.load(Ordering::Relaxed), 3);
        pool.shutdown();
    });
}

#[test]
fn a_thread_that_cannot_be_had_is_told_by_the_handle() {
    within(LIMIT, || {
        // More than the address space has.
        let pool = thread::Executor::builder().workers(1).stack_size(1 << 60).build().unwrap();
        let (first, second) = (pool.submit(|| 1, ()), pool.submit(|| 2, ()));
        assert_eq!(first.join().unwrap_err().kind(), ErrorKind::NotStarted);
        assert_eq!(second.join().unwrap_err().kind(), ErrorKind::NotStarted);
        pool.shutdown();
        let child = thread::Builder::new().name("huge").stack_size(1 << 60).spawn(|| (), ());
        assert_eq!(child.unwrap_err().kind(), ErrorKind::NotStarted);
        assert!(thread::enumerate().iter().all(|thread| thread.name() != "huge"));
    });
}

#[test]
fn all_pending_tasks_are_cancelled_at_once() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = thread::Executor::builder().workers(1).build().unwrap();
        let held = pool.submit(visit, (gate.port(), 0));
        let guest = gate.next();
        let waiting: Vec<_> = (1..6).map(|n| pool.submit(visit, (gate.port(), n))).collect();
        assert_eq!(pool.cancel_pending(), 5);
        assert_eq!(pool.cancel_pending(), 0);
        assert!(waiting.into_iter().all(|handle| handle.join().unwrap_err().is_cancelled()));
        guest.pass();
        assert_eq!(held.join().unwrap(), 0);
        assert_eq!(pool.submit(|| 1, ()).join().unwrap(), 1, "the executor goes on");
    });
}
