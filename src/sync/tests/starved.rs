//! Those who went to the line because of one that was starved: they are told of what is left over.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use std::time::Duration;

use super::support::Bell;
use crate::sync::{Queue, Semaphore};

type Wait<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// One is starved and one comes after it; then there is enough for both, with one notification. `first` and `late` wait;
/// `give` gives one, `steal` takes one.
fn both_get_theirs(mut first: Wait<'_>, mut late: Wait<'_>, give: impl Fn(), steal: impl Fn()) {
    let mut quiet = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut quiet).is_pending());
    give();
    steal();
    std::thread::sleep(Duration::from_millis(2));
    // It was told, tries in vain, and is starved from now on.
    assert!(first.as_mut().poll(&mut quiet).is_pending());
    give();
    give();
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
