//! `Queue`: rows Q1, Q3, Q4 and Q6.

use super::{SHORT, all, inside, scale, still_waits};
use scale::{GetError, PutError, Queue};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Mixed {
    Text(String),
    Pairs(Vec<(String, i32)>),
    Numbers(Vec<f64>),
}

#[test]
fn at_most_three_of_any_kind_in_their_order() {
    inside(|| {
        let items = [
            Mixed::Text("one".into()),
            Mixed::Pairs(vec![("two".into(), 2)]),
            Mixed::Numbers(vec![3.0, 3.5]),
        ];
        let queue = Queue::bounded(3);
        assert!(queue.is_empty() && !queue.is_full());
        for (size, item) in items.iter().enumerate() {
            assert_eq!(queue.len(), size);
            queue.put(item.clone()).unwrap();
        }
        assert!(queue.is_full());
        let late = Mixed::Text("late".into());
        assert_eq!(queue.try_put(late.clone()), Err(PutError::Full(late.clone())));
        assert_eq!(queue.put_timeout(late.clone(), SHORT).unwrap_err().into_item(), late);
        assert_eq!([queue.get(), queue.try_get(), queue.get_timeout(SHORT)], items.map(Ok));
        assert_eq!(queue.try_get(), Err(GetError::Empty));
        assert_eq!(queue.get_timeout(SHORT), Err(GetError::Empty));
    });
}

#[test]
fn put_and_get_wait_for_room_and_for_items() {
    inside(|| {
        for queue in [Queue::bounded(1), Queue::bounded(3), Queue::new()] {
            let same = queue.clone();
            let producer = move || (0..100).for_each(|n| same.put(n).unwrap());
            let producer = scale::spawn(producer, ()).unwrap();
            for n in 0..100 {
                assert_eq!(queue.get(), Ok(n));
            }
            producer.join().unwrap();
        }
    });
}

#[test]
fn neither_waits_while_there_is_room() {
    inside(|| {
        let queue = Queue::bounded(10);
        // Ten without a consumer, then all of them without a producer.
        (0..10).for_each(|n| queue.put(n).unwrap());
        assert!((0..10).all(|n| queue.get() == Ok(n)));
    });
}

#[test]
fn four_producers_and_three_consumers_with_an_end_mark_each() {
    inside(|| {
        let queue = Queue::bounded(5);
        let same = queue.clone();
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                let work = move || std::iter::from_fn(|| queue.get().unwrap()).collect::<Vec<_>>();
                scale::spawn(work, ()).unwrap()
            })
            .collect();
        all(4, move |producer| (0..25).for_each(|n| same.put(Some(producer * 25 + n)).unwrap()));
        (0..3).for_each(|_| queue.put(None).unwrap());
        let mut got: Vec<_> =
            consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect();
        got.sort();
        assert!(got.into_iter().eq(0..100));
    });
}

#[test]
fn shutting_down_wakes_who_waits_and_leaves_what_is_in_it() {
    inside(|| {
        let (full, empty) = (Queue::bounded(1), Queue::<u32>::new());
        full.put(1).unwrap();
        let (same_full, same_empty) = (full.clone(), empty.clone());
        let mut puts = scale::spawn(move || same_full.put(2), ()).unwrap();
        still_waits(&mut puts);
        let mut gets = scale::spawn(move || same_empty.get(), ()).unwrap();
        still_waits(&mut gets);
        full.shut_down(false);
        empty.shut_down(true);
        assert_eq!(puts.join().unwrap(), Err(PutError::ShutDown(2)));
        assert_eq!(gets.join().unwrap(), Err(GetError::ShutDown));
        assert_eq!((full.get(), full.get()), (Ok(1), Err(GetError::ShutDown)));
    });
}
