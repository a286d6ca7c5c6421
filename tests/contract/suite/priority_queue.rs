//! `PriorityQueue`: row Q2.

use super::{SHORT, inside, scale, still_waits};
use scale::{GetError, PriorityQueue, PutError};

#[test]
fn the_smallest_comes_first_by_the_order_of_the_whole_item() {
    inside(|| {
        let queue = PriorityQueue::bounded(4);
        for item in [(20, 'b'), (3, 'z'), (20, 'a'), (-7, 'm')] {
            queue.put(item).unwrap();
        }
        assert_eq!(queue.try_put((0, 'l')), Err(PutError::Full((0, 'l'))));
        assert!(queue.try_iter().eq([(-7, 'm'), (3, 'z'), (20, 'a'), (20, 'b')]));
        assert_eq!(queue.get_timeout(SHORT), Err(GetError::Empty));
    });
}

#[test]
fn items_without_an_order_are_put_at_a_priority_and_ties_come_as_they_arrived() {
    inside(|| {
        let queue = PriorityQueue::new();
        for (priority, item) in [(2, 0.5), (1, 9.5), (2, 0.25), (1, 1.5), (-1, 7.5)] {
            queue.put_at(priority, item).unwrap();
        }
        assert!(queue.try_iter().eq([7.5, 9.5, 1.5, 0.5, 0.25]));
    });
}

#[test]
fn who_waits_gets_what_comes() {
    inside(|| {
        let queue = PriorityQueue::new();
        let same = queue.clone();
        let mut waits = scale::spawn(move || same.get(), ()).unwrap();
        still_waits(&mut waits);
        queue.put(1).unwrap();
        assert_eq!(waits.join().unwrap(), Ok(1));
    });
}
