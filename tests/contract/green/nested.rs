//! Tasks that wait for tasks of their own executor: what only this scale can do.

use fourfold::green;

use super::waiting::{chain, pool};
use crate::support::{Gate, LIMIT, eventually, visit, within};

#[test]
fn they_wait_for_each_other_across_hubs_too() {
    within(LIMIT, || {
        for (workers, hubs) in [(2, 2), (4, 3)] {
            let pool = green::Executor::builder().workers(workers).hubs(hubs).build().unwrap();
            let handles: Vec<_> = (0..workers as u64 * 3)
                .map(|n| {
                    let own = pool.clone();
                    pool.submit(move || own.submit(|n: u64| n * 2, n).join(), ())
                })
                .collect();
            for (n, handle) in handles.into_iter().enumerate() {
                assert_eq!(handle.join().unwrap().unwrap(), 2 * n as u64);
            }
        }
    });
}

#[test]
fn a_long_chain_comes_to_its_end() {
    within(LIMIT, || assert_eq!(chain(&pool(2), 2000).unwrap(), 2000));
}

#[test]
fn one_that_is_cancelled_while_it_waits_for_another_leaves_its_place() {
    within(LIMIT, || {
        let pool = pool(1);
        let gate = Gate::new();
        let (own, port) = (pool.clone(), gate.port());
        let outer = pool.submit(move || own.submit(visit, (port, 1)).join(), ());
        let guest = gate.next();
        assert!(outer.cancel());
        assert!(outer.join().unwrap_err().is_cancelled());
        guest.pass();
        assert_eq!(pool.submit(|| 2, ()).join().unwrap(), 2);
        pool.shutdown();
    });
}

/// Whether a thread of this name is left.
fn is_there(name: &str) -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.into_iter().any(|found| found.trim_end() == name)
}

#[test]
fn one_that_has_ended_already_ends_no_other_when_it_is_dropped() {
    within(LIMIT, || {
        let ended = [(); 8].map(|()| {
            let pool = green::Executor::builder().workers(1).name("ended-early").build().unwrap();
            let own = pool.clone();
            pool.submit(move || own.shutdown(), ()).join().unwrap();
            pool
        });
        eventually("their threads are gone", || !is_there("ended-early-1"));
        let gate = Gate::new();
        let others = [(); 16].map(|()| pool(1));
        let tasks = others.each_ref().map(|other| other.submit(visit, (gate.port(), 1)));
        let guests = gate.next_few(16);
        drop(ended);
        // They would be cancelled by now, or soon.
        let more = others.each_ref().map(|other| other.submit(|| 2, ()));
        guests.into_iter().for_each(|guest| guest.pass());
        for (task, more) in tasks.into_iter().zip(more) {
            assert_eq!((task.join().unwrap(), more.join().unwrap()), (1, 2));
        }
    });
}
