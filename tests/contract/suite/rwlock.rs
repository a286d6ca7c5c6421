//! `RwLock`: many read, or one writes.

use std::sync::Arc;

use super::{SHORT, all, inside, scale};
use scale::{Barrier, RwLock};

#[test]
fn readers_are_in_together() {
    inside(|| {
        let (lock, meeting) = (Arc::new(RwLock::new(7)), Arc::new(Barrier::new(3)));
        let together = all(3, move |_| {
            let value = lock.read();
            // All three have it at once, or nobody gets here.
            meeting.wait().map(|_| *value)
        });
        assert_eq!(together, [Some(7); 3]);
    });
}

#[test]
fn a_writer_is_in_alone() {
    inside(|| {
        let lock = Arc::new(RwLock::new(0));
        let writing = lock.write();
        let same = lock.clone();
        let tries =
            move |_| (same.read_timeout(SHORT).is_none(), same.write_timeout(SHORT).is_none());
        assert_eq!(all(2, tries), [(true, true); 2]);
        drop(writing);
        let same = lock.clone();
        all(20, move |_| {
            for _ in 0..20 {
                *same.write() += 1;
            }
        });
        assert_eq!(*lock.read(), 400);
    });
}
