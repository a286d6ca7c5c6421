//! Several scales in one program.

use fourfold::{as_completed, process, thread};

use crate::support::{Gate, LIMIT, visit, within};

#[test]
fn as_completed_takes_handles_of_both_scales() {
    within(LIMIT, || {
        let gate = Gate::new();
        let threads = thread::Executor::builder().workers(1).build().unwrap();
        let processes = process::Executor::builder().workers(1).build().unwrap();
        for turn in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let handles = [
                threads.submit(visit, (gate.port(), 0)),
                processes.submit(visit, (gate.port(), 1)),
                thread::spawn(visit, (gate.port(), 2)).unwrap().into_handle(),
            ];
            let mut guests: Vec<_> = gate.next_few(3).into_iter().map(Some).collect();
            let mut finished = as_completed(handles);
            for name in turn {
                guests[name].take().unwrap().pass();
                let (index, outcome) = finished.next().unwrap();
                assert_eq!((index, outcome.unwrap()), (name, name as u64));
            }
        }
    });
}

#[test]
fn a_thread_pool_waits_for_processes() {
    within(LIMIT, || {
        let threads = thread::Executor::builder().workers(3).build().unwrap();
        let run = |n: u64| process::spawn(|n: u64| n * 2, n)?.join();
        let doubled: Vec<u64> = threads.map(run, 0..6).map(|n| n.unwrap().unwrap()).collect();
        assert_eq!(doubled, [0, 2, 4, 6, 8, 10]);
    });
}
