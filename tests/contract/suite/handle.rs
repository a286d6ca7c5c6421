//! `Handle`: rows E3, E6 and E8's callbacks.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fourfold::{ErrorKind, Handle, TaskState, as_completed};

use super::scale;
use crate::support::{Gate, LIMIT, eventually, visit, within};

fn pool(workers: usize) -> scale::Executor {
    scale::Executor::builder().workers(workers).build().unwrap()
}

#[test]
fn the_state_is_as_it_is() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        let first = pool.submit(visit, (gate.port(), 1));
        let second = pool.submit(visit, (gate.port(), 2));
        let third = pool.submit(visit, (gate.port(), 3));
        let guest = gate.next();
        assert_eq!(first.state(), TaskState::Running);
        assert_eq!(second.state(), TaskState::Pending);
        assert_eq!(third.state(), TaskState::Pending);
        assert!(!first.is_finished());
        assert!(third.cancel());
        assert_eq!(third.state(), TaskState::Cancelled);
        assert!(third.is_finished());
        guest.pass();
        let guest = gate.next();
        // The outcome of the first may still be on its way from another process.
        eventually("the first has finished", || first.state() == TaskState::Finished);
        eventually("the second runs", || second.state() == TaskState::Running);
        guest.pass();
        eventually("the second has finished", || second.state() == TaskState::Finished);
        assert!(first.is_finished() && second.is_finished());
        assert_eq!(first.join().unwrap() + second.join().unwrap(), 3);
    });
}

#[test]
fn a_state_only_goes_forward() {
    within(LIMIT, || {
        let pool = pool(2);
        for n in 0..200u64 {
            let handle = pool.submit(|n: u64| n, n);
            let mut last = 0;
            while last < 2 {
                let now = match handle.state() {
                    TaskState::Pending => 0,
                    TaskState::Running => 1,
                    TaskState::Finished => 2,
                    other => panic!("{other:?}"),
                };
                assert!(now >= last, "from {last} back to {now}");
                last = now;
            }
            assert_eq!(handle.join().unwrap(), n);
        }
    });
}

#[test]
fn cancelling_a_waiting_task_drops_it() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        let running = pool.submit(visit, (gate.port(), 1));
        let waiting = pool.submit(visit, (gate.port(), 2));
        let (sender, receiver) = channel();
        waiting.on_done(move |outcome| sender.send(outcome.is_err()).unwrap());
        let guest = gate.next();
        assert!(waiting.cancel());
        assert!(waiting.cancel(), "cancelled is cancelled, also when said twice");
        assert!(receiver.recv().unwrap());
        let error = waiting.join().unwrap_err();
        assert!(error.is_cancelled());
        assert!(error.task().unwrap().ends_with("support::visit"), "{error}");
        guest.pass();
        assert_eq!(running.join().unwrap(), 1);
        pool.shutdown();
        assert!(gate.next_now().is_none(), "a cancelled task was run");
    });
}

#[test]
fn cancelling_a_finished_task_changes_nothing() {
    within(LIMIT, || {
        let pool = pool(1);
        let handle = pool.submit(|n: u32| n, 5);
        eventually("it has finished", || handle.is_finished());
        assert!(!handle.cancel());
        assert_eq!(handle.join().unwrap(), 5);
    });
}

#[test]
fn a_timeout_is_no_end_and_an_outcome_is_given_once() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        let mut handle = pool.submit(visit, (gate.port(), 4));
        assert!(handle.try_join().is_none());
        assert!(handle.join_timeout(Duration::ZERO).is_none());
        assert!(handle.join_timeout(Duration::from_millis(10)).is_none());
        gate.next().pass();
        assert_eq!(handle.join_timeout(LIMIT).unwrap().unwrap(), 4);
        for _ in 0..2 {
            let again = handle.try_join().unwrap().unwrap_err();
            assert_eq!(again.kind(), ErrorKind::AlreadyTaken);
        }
        let again = handle.join_timeout(LIMIT).unwrap().unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyTaken);
        assert_eq!(handle.join().unwrap_err().kind(), ErrorKind::AlreadyTaken);
    });
}

#[test]
fn a_handle_that_is_dropped_lets_its_task_go_on() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        drop(pool.submit(visit, (gate.port(), 9)));
        let guest = gate.next();
        assert_eq!(guest.name, 9);
        guest.pass();
    });
}

#[test]
fn tasks_have_numbers_of_their_own() {
    within(LIMIT, || {
        let pool = pool(2);
        let mut ids: Vec<u64> = (0..50).map(|_| pool.submit(|| (), ()).id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 50);
    });
}

#[test]
fn callbacks_run_in_this_process_before_join_returns() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        let handle = pool.submit(visit, (gate.port(), 6));
        let seen = Arc::new(Mutex::new(Vec::new()));
        for order in 0..3 {
            let seen = seen.clone();
            handle.on_done(move |outcome| {
                let value = *outcome.as_ref().unwrap();
                seen.lock().unwrap().push((order, value, std::process::id()));
            });
        }
        gate.next().pass();
        assert_eq!(handle.join().unwrap(), 6);
        let here = std::process::id();
        assert_eq!(*seen.lock().unwrap(), [(0, 6, here), (1, 6, here), (2, 6, here)]);
    });
}

#[test]
fn a_callback_on_a_finished_task_is_called_and_the_value_is_still_there() {
    within(LIMIT, || {
        let pool = pool(1);
        let mut handle = pool.submit(|n: u32| n, 11);
        eventually("it has finished", || handle.is_finished());
        let (sender, receiver) = channel();
        let late = sender.clone();
        handle.on_done(move |outcome| sender.send(*outcome.as_ref().unwrap()).unwrap());
        assert_eq!(receiver.recv().unwrap(), 11);
        assert_eq!(handle.join_timeout(LIMIT).unwrap().unwrap(), 11);
        let (sender, receiver) = channel();
        handle.on_done(move |outcome| {
            sender.send(outcome.as_ref().unwrap_err().kind()).unwrap();
            drop(late);
        });
        assert_eq!(receiver.recv().unwrap(), ErrorKind::AlreadyTaken);
    });
}

#[test]
fn a_callback_that_panics_harms_nothing() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        let handle = pool.submit(visit, (gate.port(), 1));
        let (sender, receiver) = channel();
        handle.on_done(|_| panic!("a callback that panics"));
        handle.on_done(move |outcome| sender.send(*outcome.as_ref().unwrap()).unwrap());
        gate.next().pass();
        assert_eq!(handle.join().unwrap(), 1);
        assert_eq!(receiver.recv().unwrap(), 1);
        assert_eq!(pool.submit(|n: u32| n, 2).join().unwrap(), 2);
        pool.shutdown();
    });
}

#[test]
fn a_callback_may_submit_and_leave_callbacks() {
    within(LIMIT, || {
        let pool = pool(1);
        let (sender, receiver) = channel();
        let first = pool.submit(|n: u32| n, 1);
        let again = pool.clone();
        first.on_done(move |outcome| {
            let second = again.submit(|n: u32| n + 1, *outcome.as_ref().unwrap());
            second.on_done(move |outcome| sender.send(*outcome.as_ref().unwrap()).unwrap());
        });
        assert_eq!(receiver.recv().unwrap(), 2);
        assert_eq!(first.join().unwrap(), 1);
    });
}

#[test]
fn a_callback_that_joins_its_own_handle_is_told_so() {
    type Wait = fn(Handle<u64>) -> ErrorKind;
    let waits: [Wait; 3] = [
        |handle| handle.join().unwrap_err().kind(),
        |mut handle| handle.join_timeout(LIMIT).unwrap().unwrap_err().kind(),
        |handle| as_completed([handle]).next().unwrap().1.unwrap_err().kind(),
    ];
    for wait in waits {
        within(LIMIT, || {
            let gate = Gate::new();
            let pool = pool(1);
            let handle = pool.submit(visit, (gate.port(), 1));
            let slot = Arc::new(Mutex::new(None));
            let (sender, receiver) = channel();
            let own = slot.clone();
            handle.on_done(move |_| {
                let handle: Handle<u64> = own.lock().unwrap().take().unwrap();
                sender.send(wait(handle)).unwrap();
            });
            *slot.lock().unwrap() = Some(handle);
            gate.next().pass();
            assert_eq!(receiver.recv().unwrap(), ErrorKind::Deadlock);
            pool.shutdown();
        });
    }
}

#[tokio::test]
async fn async_code_awaits_many_at_once() {
    let pool = pool(2);
    let gate = Gate::new();
    let first = pool.submit(visit, (gate.port(), 1));
    let second = pool.submit(visit, (gate.port(), 2));
    let failing = pool.submit(|| -> () { panic!("awaited") }, ());
    let porter = std::thread::spawn(move || {
        let mut guests = gate.next_few(2);
        guests.remove(1).pass();
        guests.remove(0).pass();
    });
    let all = async { tokio::join!(first, second, failing) };
    let (first, second, failing) = tokio::time::timeout(LIMIT, all).await.unwrap();
    assert_eq!((first.unwrap(), second.unwrap()), (1, 2));
    assert_eq!(failing.unwrap_err().kind(), ErrorKind::Panicked);
    porter.join().unwrap();
}
