//! `Queue`, joined: row Q5.

use super::{SHORT, all, inside, scale};
use scale::Queue;

#[test]
fn join_returns_after_the_last_task_is_done() {
    inside(|| {
        let (queue, done) = (Queue::bounded(4), Queue::new());
        let consumers: Vec<_> = (0..2)
            .map(|_| {
                let (queue, done) = (queue.clone(), done.clone());
                let work = move || {
                    for item in queue.iter() {
                        done.put(item).unwrap();
                        queue.task_done().unwrap();
                    }
                };
                scale::spawn(work, ()).unwrap()
            })
            .collect();
        let same = queue.clone();
        let seen = all(3, move |producer| {
            (0..10).for_each(|n| same.put(producer * 10 + n).unwrap());
            same.join();
            // At least what this one has put.
            done.len() >= 10
        });
        assert_eq!(seen, [true; 3]);
        assert!(queue.task_done().is_err(), "one too many");
        assert!(queue.join_timeout(SHORT));
        queue.shut_down(false);
        for consumer in consumers {
            consumer.join().unwrap();
        }
    });
}
