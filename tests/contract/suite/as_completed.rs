//! `as_completed`: outcomes as they come.

use std::time::Duration;

use fourfold::{ErrorKind, Handle, as_completed};

use super::scale;
use crate::support::{Gate, LIMIT, visit, within};

#[test]
fn the_handles_may_be_of_different_executors() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pools = [1, 2, 1].map(|n| scale::Executor::builder().workers(n).build().unwrap());
        let handles: Vec<_> =
            (0..4).map(|n| pools[n as usize % 3].submit(visit, (gate.port(), n))).collect();
        let mut finished = as_completed(handles);
        assert_eq!(finished.remaining(), 4);
        // The fourth task waits for the first, which is on the same executor of one worker.
        let guests = gate.next_few(3);
        for guest in guests.into_iter().rev() {
            let name = guest.name;
            guest.pass();
            let (index, outcome) = finished.next().unwrap();
            assert_eq!((index as u64, outcome.unwrap()), (name, name));
        }
        gate.next().pass();
        assert_eq!(finished.next().unwrap().0, 3);
        assert_eq!(finished.remaining(), 0);
        assert!(finished.next().is_none());
    });
}

#[test]
fn a_timeout_is_no_end() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = scale::Executor::builder().workers(1).build().unwrap();
        let mut finished = as_completed([pool.submit(visit, (gate.port(), 7))]);
        assert!(finished.next_timeout(Duration::ZERO).is_none());
        assert!(finished.next_timeout(Duration::from_millis(10)).is_none());
        assert_eq!(finished.remaining(), 1);
        gate.next().pass();
        let (index, outcome) = finished.next_timeout(LIMIT).unwrap();
        assert_eq!((index, outcome.unwrap()), (0, 7));
        assert!(finished.next_timeout(LIMIT).is_none());
    });
}

#[test]
fn finished_failed_and_cancelled_ones_come_each_once() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = scale::Executor::builder().workers(1).build().unwrap();
        let held = pool.submit(visit, (gate.port(), 0));
        let failing = pool.submit(|n: u64| 1 / n, 0);
        let cancelled = pool.submit(visit, (gate.port(), 2));
        let guest = gate.next();
        assert!(cancelled.cancel());
        guest.pass();
        let mut outcomes: Vec<_> = as_completed([held, failing, cancelled])
            .map(|(index, outcome)| (index, outcome.map_err(|error| error.kind())))
            .collect();
        outcomes.sort_by_key(|(index, _)| *index);
        let expected = [(0, Ok(0)), (1, Err(ErrorKind::Panicked)), (2, Err(ErrorKind::Cancelled))];
        assert_eq!(outcomes, expected);
        assert!(as_completed(Vec::<Handle<()>>::new()).next().is_none());
    });
}
