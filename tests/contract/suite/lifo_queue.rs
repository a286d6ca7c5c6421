//! `LifoQueue`: row Q2.

use super::{SHORT, inside, scale, still_waits};
use scale::{GetError, LifoQueue, PutError};

#[test]
fn the_last_one_in_is_the_first_one_out() {
    inside(|| {
        let queue = LifoQueue::bounded(3);
        (1..=3).for_each(|n| queue.put(n).unwrap());
        assert_eq!(queue.put_timeout(4, SHORT), Err(PutError::Full(4)));
        assert!(queue.try_iter().eq([3, 2, 1]));
        assert_eq!(queue.get_timeout(SHORT), Err(GetError::Empty));
    });
}

#[test]
fn who_waits_gets_what_comes() {
    inside(|| {
        let queue = LifoQueue::new();
        let same = queue.clone();
        let mut waits = scale::spawn(move || same.get(), ()).unwrap();
        still_waits(&mut waits);
        queue.put(1).unwrap();
        assert_eq!(waits.join().unwrap(), Ok(1));
    });
}
