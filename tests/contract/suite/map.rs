//! `map` and `map_unordered`: in order, lazy on both sides, in bounded memory.

use std::cell::Cell;

use fourfold::ErrorKind;

use super::scale;
use crate::support::{Gate, LIMIT, visit, within};

fn pool(workers: usize) -> scale::Executor {
    scale::Executor::builder().workers(workers).build().unwrap()
}

fn square(n: u64) -> u64 {
    n * n
}

#[test]
fn the_outcomes_come_in_the_order_of_the_arguments() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(3);
        let port = gate.port();
        let porter = std::thread::spawn(move || {
            for _ in 0..5 {
                // The last to have come goes first.
                gate.next_few(3).into_iter().rev().for_each(|guest| guest.pass());
            }
        });
        let names: Vec<u64> =
            pool.map(visit, (0..15).map(|n| (port, n))).map(Result::unwrap).collect();
        assert_eq!(names, (0..15).collect::<Vec<_>>());
        porter.join().unwrap();
    });
}

#[test]
fn an_endless_iterator_is_taken_as_far_as_it_is_wanted() {
    within(LIMIT, || {
        let pool = pool(2);
        let taken = Cell::new(0u64);
        let numbers = std::iter::from_fn(|| {
            taken.set(taken.get() + 1);
            Some(taken.get())
        });
        let mut squares = pool.map(square, numbers).buffer(5);
        assert_eq!(taken.get(), 0, "nothing is taken before a value is asked for");
        for n in 1..=100 {
            assert_eq!(squares.next().unwrap().unwrap(), n * n);
            assert!(taken.get() < n + 5, "{} taken for {n}", taken.get());
        }
        drop(squares);
        pool.shutdown();
    });
}

#[test]
fn without_a_word_about_it_the_buffer_is_bounded_too() {
    within(LIMIT, || {
        let pool = pool(2);
        let taken = Cell::new(0u64);
        let numbers = (0..).inspect(|_| taken.set(taken.get() + 1));
        let sum: u64 = pool.map(square, numbers).take(10).map(Result::unwrap).sum();
        assert_eq!(sum, 285);
        assert!(taken.get() < 1000, "{} taken for 10", taken.get());
    });
}

#[test]
fn unordered_gives_all_of_them_and_is_bounded_too() {
    within(LIMIT, || {
        let pool = pool(3);
        let taken = Cell::new(0usize);
        let numbers = (0..200).inspect(|_| taken.set(taken.get() + 1));
        let mut given = Vec::new();
        let mut squares = pool.map_unordered(square, numbers).buffer(7);
        assert_eq!(taken.get(), 0);
        for outcome in squares.by_ref() {
            given.push(outcome.unwrap());
            assert!(taken.get() < given.len() + 7, "{} for {}", taken.get(), given.len());
        }
        given.sort_unstable();
        assert_eq!(given, (0..200).map(square).collect::<Vec<_>>());
    });
}

#[test]
fn unordered_gives_what_is_ready_first() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(2);
        let port = gate.port();
        let (first, wait) = std::sync::mpsc::channel();
        let porter = std::thread::spawn(move || {
            let mut guests = gate.next_few(2);
            guests.remove(1).pass();
            wait.recv().unwrap();
            guests.remove(0).pass();
        });
        let mut names = pool.map_unordered(visit, (0..2).map(|n| (port, n)));
        assert_eq!(names.next().unwrap().unwrap(), 1);
        first.send(()).unwrap();
        assert_eq!(names.next().unwrap().unwrap(), 0);
        assert!(names.next().is_none());
        porter.join().unwrap();
    });
}

#[test]
fn an_error_is_that_of_one_argument() {
    within(LIMIT, || {
        let pool = pool(2);
        let outcomes: Vec<_> = pool.map(|n: i64| 100 / n, -2..=2).collect();
        let kinds: Vec<_> =
            outcomes.into_iter().map(|outcome| outcome.map_err(|error| error.kind())).collect();
        assert_eq!(kinds, [Ok(-50), Ok(-100), Err(ErrorKind::Panicked), Ok(100), Ok(50)]);
    });
}

#[test]
fn dropping_it_cancels_what_waits() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        let port = gate.port();
        let mut names = pool.map(visit, (0..10).map(|n| (port, n))).buffer(5);
        let porter = std::thread::spawn(move || {
            gate.next().pass();
            gate
        });
        assert_eq!(names.next().unwrap().unwrap(), 0);
        let gate = porter.join().unwrap();
        // The second runs by now, or is the next to run; it was let in, the others were not.
        let guest = gate.next();
        assert_eq!(guest.name, 1);
        drop(names);
        guest.pass();
        assert_eq!(pool.submit(square, 4).join().unwrap(), 16);
        pool.shutdown();
        assert!(gate.next_now().is_none(), "a task ran that nobody wanted");
    });
}

#[test]
fn the_arguments_may_come_from_borrowed_data() {
    within(LIMIT, || {
        let pool = pool(2);
        let words = ["one".to_owned(), "three".to_owned()];
        let lengths: Vec<usize> = pool
            .map(|word: String| word.len(), words.iter().cloned())
            .map(Result::unwrap)
            .collect();
        assert_eq!(lengths, [3, 5]);
        let nothing = pool.map(square, std::iter::empty()).count();
        assert_eq!(nothing, 0);
    });
}
