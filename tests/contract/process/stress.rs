//! Many threads that wait for answers of one pool, in every way at once: whoever reads the answers, none is left lying.

use std::sync::mpsc::channel;
use std::time::Duration;

use fourfold::process::Executor;

use crate::support::{LIMIT, within};

fn same(n: u64) -> u64 {
    n
}

/// Now and then a task that takes longer than anybody looks.
fn sometimes_slow(n: u64) -> u64 {
    if n.is_multiple_of(97) {
        std::thread::sleep(Duration::from_millis(3));
    }
    n
}

/// One round of a thread: alone it would drive the pool itself.
fn round(pool: &Executor, way: u64, n: u64) {
    match way {
        0 => assert_eq!(pool.submit(same, n).join().unwrap(), n),
        1 => {
            let mut handle = pool.submit(sometimes_slow, n);
            while handle
                .join_timeout(Duration::from_micros(n % 300))
                .is_none_or(|got| got.unwrap() != n)
            {}
        }
        2 => {
            let (sender, receiver) = channel();
            pool.submit(sometimes_slow, n).on_done(move |outcome| {
                sender.send(*outcome.as_ref().unwrap()).unwrap();
            });
            assert_eq!(receiver.recv_timeout(LIMIT).unwrap(), n);
        }
        3 => {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            assert_eq!(runtime.block_on(pool.submit(same, n)).unwrap(), n);
        }
        _ => {
            let values: u64 = pool.map(same, n..n + 20).map(Result::unwrap).sum();
            assert_eq!(values, 20 * n + 190);
        }
    }
}

#[test]
fn no_answer_is_left_lying() {
    within(2 * LIMIT, || {
        let pool = Executor::builder().workers(2).build().unwrap();
        for threads in [1, 2, 5] {
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let pool = &pool;
                    scope.spawn(move || {
                        for n in 0..400 {
                            // A run of one way, so that the reading is lent, and then of another, so that it is taken back.
                            round(pool, (n / 40 + thread) % 5, n);
                        }
                    });
                }
            });
        }
    });
}

#[test]
fn joins_in_a_row_after_a_pause_are_answered_too() {
    within(LIMIT, || {
        let pool = Executor::builder().workers(1).build().unwrap();
        for pause in [0, 1, 5, 30] {
            for n in 0..30 {
                assert_eq!(pool.submit(same, n).join().unwrap(), n);
            }
            // Lent, with nobody who drives: the callback must be called nevertheless.
            let (sender, receiver) = channel();
            pool.submit(same, pause).on_done(move |_| sender.send(()).unwrap());
            receiver.recv_timeout(LIMIT).unwrap();
            std::thread::sleep(Duration::from_millis(pause));
        }
    });
}
