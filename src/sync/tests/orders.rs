//! Code of the user's inside a priority queue: orders that panic, priorities that look at their queue.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use super::support::{Bell, within};
use crate::sync::PriorityQueue;

/// Has an order, unless it is touchy.
#[derive(Debug, PartialEq, Eq)]
struct Touchy<'a>(u8, &'a Cell<bool>);

impl PartialOrd for Touchy<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Touchy<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        assert!(!self.1.get(), "on purpose");
        self.0.cmp(&other.0)
    }
}

fn panics<T>(call: impl FnOnce() -> T) {
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err());
}

#[test]
fn an_order_that_panics_leaves_the_queue_usable() {
    let touchy = Cell::new(false);
    let queue = PriorityQueue::new();
    queue.put(Touchy(1, &touchy)).unwrap();
    touchy.set(true);
    panics(|| queue.put(Touchy(2, &touchy)));
    assert_eq!(queue.len(), 2);
    assert!(queue.task_done().is_ok());
}

#[test]
fn an_order_that_panics_keeps_nobody_waiting_for_what_is_there() {
    let touchy = Cell::new(false);
    let queue = PriorityQueue::bounded(3);
    let (first_bell, bell) = (Bell::new(), Bell::new());
    let (first_waker, waker) = (Waker::from(first_bell.clone()), Waker::from(bell.clone()));
    // Two wait for an item. Of the second item, the putter does not live to tell.
    let (mut first, mut second) = (pin!(queue.get_async()), pin!(queue.get_async()));
    assert!(first.as_mut().poll(&mut Context::from_waker(&first_waker)).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    queue.put(Touchy(1, &touchy)).unwrap();
    touchy.set(true);
    panics(|| queue.put(Touchy(2, &touchy)));
    touchy.set(false);
    assert_eq!((first_bell.count(), bell.count()), (1, 1));
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    assert!(first.as_mut().poll(&mut Context::from_waker(&first_waker)).is_ready());
    // One waits for room. The order that panics has cost an item.
    for n in 0..3 {
        queue.put(Touchy(n, &touchy)).unwrap();
    }
    let mut third = pin!(queue.put_async(Touchy(4, &touchy)));
    assert!(third.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    touchy.set(true);
    panics(|| queue.try_get());
    touchy.set(false);
    assert_eq!((queue.len(), bell.count()), (2, 2));
    assert!(third.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

#[test]
fn a_priority_that_looks_at_its_queue_when_it_is_dropped_sees_it() {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    struct Looks;
    thread_local! {
        static QUEUE: PriorityQueue<u8, Looks> = PriorityQueue::new();
        static SEEN: Cell<usize> = const { Cell::new(9) };
    }
    impl Drop for Looks {
        fn drop(&mut self) {
            SEEN.set(QUEUE.with(PriorityQueue::len));
        }
    }
    within(|| {
        QUEUE.with(|queue| queue.put_at(Looks, 7).unwrap());
        assert_eq!((QUEUE.with(PriorityQueue::get), SEEN.get()), (Ok(7), 0));
    });
}
