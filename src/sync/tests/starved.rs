//! Those who went to the line because of one that was starved: they are told of what is left over.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::support::Bell;
use crate::sync::{PutError, Queue, RwLock, Semaphore};

type Wait<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// One is starved and one comes after it; then there is enough for both, with one notification. `first` and `late` wait;
/// `give` gives one, `steal` takes one.
fn both_get_theirs(mut first: Wait<'_>, late: Wait<'_>, give: impl Fn(), steal: impl Fn()) {
    starve(&mut first, &give, steal);
    give();
    give();
    both_are_told(first, late);
}

/// One is starved, and has not heard that the queue is shut down when another comes after it.
fn both_hear_the_end(
    mut first: Wait<'_>,
    late: Wait<'_>,
    give: impl Fn(),
    steal: impl Fn(),
    end: impl Fn(),
) {
    starve(&mut first, give, steal);
    end();
    both_are_told(first, late);
}

fn starve(waits: &mut Wait<'_>, give: impl Fn(), steal: impl Fn()) {
    let mut quiet = Context::from_waker(Waker::noop());
    assert!(waits.as_mut().poll(&mut quiet).is_pending());
    give();
    steal();
    std::thread::sleep(Duration::from_millis(2));
    // It was told, tries in vain, and is starved from now on.
    assert!(waits.as_mut().poll(&mut quiet).is_pending());
}

fn both_are_told(mut first: Wait<'_>, mut late: Wait<'_>) {
    let mut quiet = Context::from_waker(Waker::noop());
    let bell = Bell::new();
    let waker = Waker::from(bell.clone());
    let polled = late.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending(), "there is enough, but another has waited for too long");
    assert!(first.as_mut().poll(&mut quiet).is_ready());
    assert_eq!(bell.count(), 1, "the late one was told that there is more");
    assert!(late.as_mut().poll(&mut quiet).is_ready());
}

#[test]
fn permits() {
    let semaphore = Semaphore::new(0);
    let (first, late) = (pin!(semaphore.acquire_async()), pin!(semaphore.acquire_async()));
    let steal = || assert!(semaphore.try_acquire());
    both_get_theirs(first, late, || semaphore.release().unwrap(), steal);
    assert_eq!(semaphore.permits(), 0);
}

#[test]
fn items() {
    for queue in [Queue::bounded(2), Queue::new()] {
        let get = || async { assert_eq!(queue.get_async().await, Ok(7)) };
        let steal = || assert_eq!(queue.try_get(), Ok(7));
        both_get_theirs(pin!(get()), pin!(get()), || queue.put(7).unwrap(), steal);
        assert!(queue.is_empty());
    }
}

#[test]
fn room() {
    let queue = Queue::bounded(2);
    (0..2).for_each(|_| queue.put(7).unwrap());
    let put = || async { assert_eq!(queue.put_async(7).await, Ok(())) };
    let give = || assert_eq!(queue.try_get(), Ok(7));
    both_get_theirs(pin!(put()), pin!(put()), give, || queue.try_put(7).unwrap());
    assert!(queue.is_full());
}

#[test]
fn a_share() {
    let lock = RwLock::new(());
    let (writer, readers) = (RefCell::new(Some(lock.write())), RefCell::new(Vec::new()));
    let read = || async {
        let guard = lock.read_async().await;
        readers.borrow_mut().push(guard);
    };
    let give = || drop(writer.take());
    let steal = || *writer.borrow_mut() = Some(lock.try_write().unwrap());
    both_get_theirs(pin!(read()), pin!(read()), give, steal);
    assert_eq!(readers.borrow().len(), 2);
}

#[test]
fn no_share_past_a_writer() {
    let lock = RwLock::new(());
    let mut quiet = Context::from_waker(Waker::noop());
    let held = lock.write();
    let mut first = pin!(lock.read_async());
    let (bell, mut writer) = (Bell::new(), pin!(lock.write_async()));
    let waker = Waker::from(bell.clone());
    let mut late = pin!(lock.read_async());
    assert!(first.as_mut().poll(&mut quiet).is_pending());
    assert!(writer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(late.as_mut().poll(&mut quiet).is_pending());
    drop(held);
    let Poll::Ready(guard) = first.as_mut().poll(&mut quiet) else { panic!("it was told") };
    assert!(late.as_mut().poll(&mut quiet).is_pending());
    assert_eq!(bell.count(), 0, "a writer is told when it can write");
    drop(guard);
    assert_eq!(bell.count(), 1);
}

#[test]
fn the_end_of_a_queue() {
    for items in [0, 1] {
        let queue = Queue::bounded(2);
        let get = || async {
            let _ = queue.get_async().await;
        };
        let is_there = || queue.put(7).unwrap();
        let end = || {
            (0..items).for_each(|_| queue.put(7).unwrap());
            queue.shut_down(false);
        };
        let steal = || assert_eq!(queue.try_get(), Ok(7));
        both_hear_the_end(pin!(get()), pin!(get()), is_there, steal, end);
    }
    let queue = Queue::bounded(1);
    queue.put(7).unwrap();
    let put = || async { assert_eq!(queue.put_async(7).await, Err(PutError::ShutDown(7))) };
    let give = || assert_eq!(queue.try_get(), Ok(7));
    let steal = || queue.try_put(7).unwrap();
    both_hear_the_end(pin!(put()), pin!(put()), give, steal, || queue.shut_down(false));
}
