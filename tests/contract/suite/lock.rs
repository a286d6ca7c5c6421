//! `Lock`: rows L1 and L3.

use std::sync::Arc;

use super::{SHORT, all, inside, scale, still_waits};
use scale::{Event, Lock, Queue};

/// Waits in the middle, so that another can come in between.
fn give_way() {
    Event::new().wait_timeout(std::time::Duration::from_micros(100));
}

#[test]
fn a_hundred_take_one_each_and_nothing_is_left_or_missing() {
    inside(|| {
        let number = Arc::new(Lock::new(100));
        let same = number.clone();
        all(100, move |_| {
            let mut number = same.lock();
            let read = *number;
            give_way();
            *number = read - 1;
        });
        assert_eq!(*number.lock(), 0);
    });
}

#[test]
fn the_lines_of_a_worker_stand_together() {
    inside(|| {
        let lines = Queue::new();
        let (terminal, same) = (Arc::new(Lock::new(())), lines.clone());
        all(3, move |worker| {
            let _guard = terminal.lock();
            for line in 0..3 {
                same.put((worker, line)).unwrap();
                give_way();
            }
        });
        let lines: Vec<_> = lines.try_iter().collect();
        assert_eq!(lines.len(), 9);
        for three in lines.chunks(3) {
            let worker = three[0].0;
            assert_eq!(three, [(worker, 0), (worker, 1), (worker, 2)]);
        }
    });
}

#[test]
fn who_waits_gets_it_or_gives_up() {
    inside(|| {
        let lock = Arc::new(Lock::new(1));
        let held = lock.lock();
        let same = lock.clone();
        let tries = move |_| (same.try_lock().is_none(), same.lock_timeout(SHORT).is_none());
        assert_eq!(all(2, tries), [(true, true); 2]);
        let same = lock.clone();
        let mut waits = scale::spawn(move || *same.lock(), ()).unwrap();
        still_waits(&mut waits);
        drop(held);
        assert_eq!(waits.join().unwrap(), 1);
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn a_panic_releases_it() {
    inside(|| {
        let lock = Arc::new(Lock::new(1));
        let same = lock.clone();
        let work = move || {
            *same.lock() = 2;
            let _guard = same.lock();
            panic!("on purpose");
        };
        assert!(scale::spawn(work, ()).unwrap().join().is_err());
        assert_eq!(*lock.lock(), 2);
    });
}
