//! `RLock`: row L4.

use std::sync::Arc;

use super::{SHORT, inside, scale, still_waits};
use scale::RLock;

#[test]
fn its_holder_takes_it_again_and_again_and_no_other_does() {
    inside(|| {
        let lock = Arc::new(RLock::new());
        let guards = [lock.lock(), lock.lock(), lock.try_lock().unwrap()];
        let same = lock.clone();
        let other = move || {
            let refused = same.release().is_err();
            (same.try_lock().is_none(), same.lock_timeout(SHORT).is_none(), refused)
        };
        assert_eq!(scale::spawn(other, ()).unwrap().join().unwrap(), (true, true, true));
        let same = lock.clone();
        let mut waits = scale::spawn(move || drop(same.lock()), ()).unwrap();
        still_waits(&mut waits);
        for guard in guards {
            assert!(lock.is_locked());
            drop(guard);
        }
        waits.join().unwrap();
        assert!(!lock.is_locked());
    });
}

#[test]
fn it_is_released_as_often_as_it_was_taken() {
    inside(|| {
        let lock = RLock::new();
        assert!(lock.release().is_err());
        lock.lock().forget();
        lock.lock().forget();
        lock.release().unwrap();
        assert!(lock.is_locked());
        lock.release().unwrap();
        assert!(lock.release().is_err() && !lock.is_locked());
    });
}
