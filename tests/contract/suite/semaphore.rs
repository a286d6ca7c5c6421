//! `Semaphore`: row L6.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{SHORT, all, inside, scale, still_waits};
use scale::{Event, Semaphore};

#[test]
fn at_most_three_are_inside() {
    inside(|| {
        let (semaphore, within) = (Arc::new(Semaphore::new(3)), Arc::new(AtomicUsize::new(0)));
        let (seats, most) = (semaphore.clone(), Arc::new(AtomicUsize::new(0)));
        let highest = most.clone();
        all(12, move |_| {
            seats.acquire();
            let now = within.fetch_add(1, Ordering::SeqCst) + 1;
            highest.fetch_max(now, Ordering::SeqCst);
            Event::new().wait_timeout(SHORT);
            within.fetch_sub(1, Ordering::SeqCst);
            seats.release().unwrap();
        });
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(semaphore.permits(), 3);
    });
}

#[test]
fn who_waits_gets_what_is_given_back_or_gives_up() {
    inside(|| {
        let semaphore = Arc::new(Semaphore::bounded(1));
        semaphore.acquire();
        assert!(!semaphore.try_acquire() && !semaphore.acquire_timeout(SHORT));
        let same = semaphore.clone();
        let mut waits = scale::spawn(move || same.acquire(), ()).unwrap();
        still_waits(&mut waits);
        semaphore.release().unwrap();
        waits.join().unwrap();
        semaphore.release().unwrap();
        assert!(semaphore.release().is_err(), "one too many");
    });
}
