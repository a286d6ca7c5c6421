//! `Barrier`: row L6.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{SHORT, all, inside, scale, still_waits};
use scale::Barrier;

#[test]
fn all_leave_together_each_with_its_place() {
    inside(|| {
        let barrier = Arc::new(Barrier::new(4));
        let arrived = Arc::new(AtomicUsize::new(0));
        let mut places = all(4, move |_| {
            arrived.fetch_add(1, Ordering::SeqCst);
            let place = barrier.wait();
            assert_eq!(arrived.load(Ordering::SeqCst), 4);
            place.unwrap()
        });
        places.sort();
        assert_eq!(places, [0, 1, 2, 3]);
    });
}

#[test]
fn one_that_gives_up_breaks_it_for_all() {
    inside(|| {
        let barrier = Arc::new(Barrier::new(3));
        let same = barrier.clone();
        let mut waits = scale::spawn(move || same.wait(), ()).unwrap();
        still_waits(&mut waits);
        assert_eq!(barrier.wait_timeout(SHORT), None);
        assert_eq!(waits.join().unwrap(), None);
        assert!(barrier.is_broken());
        assert_eq!(barrier.wait(), None);
        barrier.reset();
        let same = barrier.clone();
        assert!(all(3, move |_| same.wait()).iter().all(Option::is_some));
    });
}

#[test]
fn aborting_breaks_it_for_who_waits() {
    inside(|| {
        let barrier = Arc::new(Barrier::new(2));
        let same = barrier.clone();
        let mut waits = scale::spawn(move || same.wait(), ()).unwrap();
        still_waits(&mut waits);
        barrier.abort();
        assert_eq!(waits.join().unwrap(), None);
        assert!(barrier.is_broken());
    });
}
