//! `Condition`: row L6.

use std::sync::Arc;

use super::{SHORT, all, inside, scale};
use scale::Condition;

#[test]
fn a_notified_waiter_goes_on() {
    inside(|| {
        let turn = Arc::new(Condition::new(0));
        let same = turn.clone();
        // Each waits for its turn, and gives the turn to the next.
        let order = all(4, move |number| {
            let mut turn = same.lock();
            turn.wait_for(|turn| *turn == 3 - number);
            *turn += 1;
            turn.notify_all();
            *turn
        });
        assert_eq!(order, [4, 3, 2, 1]);
    });
}

#[test]
fn one_notification_is_for_one() {
    inside(|| {
        let condition = Arc::new(Condition::new((0, 0)));
        let same = condition.clone();
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let same = same.clone();
                let work = move || {
                    let mut guard = same.lock();
                    guard.0 += 1;
                    guard.notify_all();
                    guard.wait_for(|(_, tokens)| *tokens > 0);
                    guard.1 -= 1;
                };
                scale::spawn(work, ()).unwrap()
            })
            .collect();
        let mut guard = condition.lock();
        guard.wait_for(|(waiting, _)| *waiting == 2);
        for _ in 0..2 {
            guard.1 += 1;
            guard.notify_one();
        }
        drop(guard);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(condition.lock().1, 0);
    });
}

#[test]
fn who_is_not_notified_gives_up_with_the_lock() {
    inside(|| {
        let condition = Condition::new(1);
        let mut guard = condition.lock();
        assert!(!guard.wait_timeout(SHORT));
        assert!(!guard.wait_for_timeout(SHORT, |value| *value == 2));
        assert!(condition.try_lock().is_none());
        *guard = 2;
        assert!(guard.wait_for_timeout(SHORT, |value| *value == 2));
    });
}
