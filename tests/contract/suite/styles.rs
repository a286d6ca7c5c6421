//! The ways to take results: row E2.

use std::sync::mpsc::channel;

use super::scale;
use crate::support::{Gate, LIMIT, Log, note, visit, within};

use fourfold::{Handle, as_completed};
use std::path::PathBuf;

fn tell(log: PathBuf, n: u64) -> u64 {
    note(&log, &n.to_string());
    n * n
}

#[test]
fn each_result_taken_before_the_next_is_submitted() {
    within(LIMIT, || {
        let log = Log::new();
        let pool = scale::Executor::builder().workers(3).build().unwrap();
        for n in 0..20 {
            assert_eq!(pool.submit(tell, (log.path(), n)).join().unwrap(), n * n);
        }
        let expected: Vec<String> = (0..20).map(|n: u64| n.to_string()).collect();
        assert_eq!(log.lines(), expected);
    });
}

#[test]
fn all_submitted_then_gathered() {
    within(LIMIT, || {
        let pool = scale::Executor::builder().workers(3).build().unwrap();
        let handles: Vec<_> = (0..20u64).map(|n| pool.submit(|n: u64| n * n, n)).collect();
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), (n * n) as u64);
        }
    });
}

#[test]
fn taken_as_they_finish() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = scale::Executor::builder().workers(3).build().unwrap();
        let handles: Vec<_> = (0..3).map(|n| pool.submit(visit, (gate.port(), n))).collect();
        let mut guests = gate.next_few(3);
        let mut finished = as_completed(handles);
        for name in [1, 2, 0] {
            let at = guests.iter().position(|guest| guest.name == name).unwrap();
            guests.remove(at).pass();
            let (index, outcome) = finished.next().unwrap();
            assert_eq!((index as u64, outcome.unwrap()), (name, name));
        }
        assert!(finished.next().is_none());
    });
}

#[test]
fn a_callback_on_each() {
    within(LIMIT, || {
        let pool = scale::Executor::builder().workers(3).build().unwrap();
        let (sender, receiver) = channel();
        let handles: Vec<Handle<u64>> = (0..20u64)
            .map(|n| {
                let handle = pool.submit(|n: u64| 100 / n, n);
                let sender = sender.clone();
                handle.on_done(move |outcome| {
                    sender.send((n, outcome.as_ref().ok().copied())).unwrap();
                });
                handle
            })
            .collect();
        drop(sender);
        let mut called: Vec<_> = receiver.iter().collect();
        called.sort_unstable();
        let expected: Vec<_> = (0..20u64).map(|n| (n, 100u64.checked_div(n))).collect();
        assert_eq!(called, expected);
        let failed = handles.into_iter().filter_map(|handle| handle.join().err()).count();
        assert_eq!(failed, 1);
    });
}

#[test]
fn mapped() {
    within(LIMIT, || {
        let pool = scale::Executor::builder().workers(3).build().unwrap();
        let squares: Vec<u64> = pool.map(|n: u64| n * n, 0..20).collect::<Result<_, _>>().unwrap();
        assert_eq!(squares, (0..20).map(|n| n * n).collect::<Vec<_>>());
    });
}
