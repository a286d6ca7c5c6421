//! Stacks that are unwound from deep within, each way, and used again: what lies on them is whole to its end, as `ci/valgrind` sees too.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use fourfold::green::{self, Coroutine, Greenlet};

use super::support::{LIMIT, within};

/// So many times, so that stacks are used again.
const ROUNDS: u64 = 20;
/// So many frames below the function.
const DEEP: u64 = 30;

/// Memory on the heap and on the stack, which is looked at when it is dropped.
struct Load<'a> {
    heap: Vec<u64>,
    stack: [u64; 16],
    seen: &'a Cell<u64>,
}

impl<'a> Load<'a> {
    fn new(depth: u64, seen: &'a Cell<u64>) -> Load<'a> {
        Load { heap: vec![depth; 100], stack: [depth; 16], seen }
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        let sum: u64 = self.heap.iter().chain(&self.stack).sum();
        self.seen.set(self.seen.get() + sum);
    }
}

/// What all loads of one descent come to.
const WHOLE: u64 = 116 * DEEP * (DEEP + 1) / 2;

/// Calls `wait` so deep, below a load in each frame.
fn descend(depth: u64, seen: &Cell<u64>, wait: &mut dyn FnMut()) {
    let load = Load::new(depth, seen);
    match depth {
        DEEP => wait(),
        _ => descend(depth + 1, seen, wait),
    }
    std::hint::black_box(&load);
}

/// Has all that is unwound looked at: `leave` begins a descent and ends it, by unwinding it.
fn each_is_whole(leave: impl Fn(Rc<Cell<u64>>)) {
    for round in 1..=ROUNDS {
        let seen = Rc::new(Cell::new(0));
        leave(seen.clone());
        assert_eq!(seen.get(), WHOLE, "round {round}");
        assert_eq!(Rc::strong_count(&seen), 1, "round {round}");
    }
}

/// A greenlet that has gone down, and waits there.
fn deep_within(seen: Rc<Cell<u64>>) -> Greenlet<u32> {
    let deep = Greenlet::new(move |first: u32| {
        descend(1, &seen, &mut || {
            Greenlet::parent().switch_to(first + 1);
        });
        0
    });
    let deep = deep.unwrap();
    assert_eq!(deep.switch_to(1), 2);
    deep
}

#[test]
fn a_throw_at_a_greenlet_that_is_deep_within() {
    each_is_whole(|seen| {
        let deep = deep_within(seen);
        // Nobody catches it there, so it comes out here.
        let caught = catch_unwind(AssertUnwindSafe(|| deep.throw(String::from("thrown"))));
        assert_eq!(*caught.unwrap_err().downcast::<String>().unwrap(), "thrown");
        assert!(deep.is_finished());
    });
}

#[test]
fn a_throw_at_a_greenlet_that_catches_it_and_goes_on() {
    each_is_whole(|seen| {
        let deep = Greenlet::new(move |first: u32| {
            let mut wait = || {
                Greenlet::parent().switch_to(first + 1);
            };
            let caught = catch_unwind(AssertUnwindSafe(|| descend(1, &seen, &mut wait)));
            caught.unwrap_err().downcast::<String>().unwrap().len() as u32
        });
        let deep = deep.unwrap();
        assert_eq!(deep.switch_to(1), 2);
        assert_eq!(deep.throw(String::from("thrown")), 6);
    });
}

#[test]
fn a_greenlet_that_is_dropped_deep_within() {
    each_is_whole(|seen| {
        drop(deep_within(seen));
    });
}

#[test]
fn a_coroutine_that_is_dropped_deep_within() {
    each_is_whole(|seen| {
        let mut deep = Coroutine::<(), (), ()>::new(move |suspender, ()| {
            descend(1, &seen, &mut || suspender.suspend(()));
        })
        .unwrap();
        deep.resume(());
        drop(deep);
    });
}

#[test]
fn a_coroutine_that_is_cancelled_deep_within() {
    within(LIMIT, || {
        green::run(|| {
            each_is_whole(|seen| {
                let event = Rc::new(green::Event::new());
                let on = event.clone();
                let wait = move || descend(1, &seen, &mut || on.wait());
                let deep = green::spawn_local(wait, ()).unwrap();
                green::yield_now();
                assert!(deep.cancel() && deep.join().unwrap_err().is_cancelled());
                assert_eq!(Rc::strong_count(&event), 1);
            });
        })
        .unwrap();
    });
}
