//! `Event`: row L5.

use std::sync::Arc;

use super::{SHORT, all, inside, scale};
use crate::support::LIMIT;
use scale::{Event, Queue};

/// Tries three times, each for a moment: in which try the event came.
fn connect(ready: &Event) -> Option<usize> {
    (0..3).find(|_| ready.wait_timeout(SHORT))
}

#[test]
fn connectors_give_up_after_their_third_try() {
    inside(|| {
        let ready = Arc::new(Event::new());
        assert_eq!(all(3, move |_| connect(&ready)), [None; 3]);
    });
}

#[test]
fn connectors_go_on_at_once_when_it_is_set() {
    inside(|| {
        let (ready, waiting) = (Arc::new(Event::new()), Queue::new());
        let connectors: Vec<_> = (0..3)
            .map(|_| {
                let (ready, waiting) = (ready.clone(), waiting.clone());
                let work = move || {
                    waiting.put(()).unwrap();
                    ready.wait_timeout(LIMIT)
                };
                scale::spawn(work, ()).unwrap()
            })
            .collect();
        for _ in 0..3 {
            waiting.get().unwrap();
        }
        ready.set();
        for connector in connectors {
            assert!(connector.join().unwrap());
        }
        assert_eq!(connect(&ready), Some(0));
    });
}

#[test]
fn it_is_cleared_for_those_who_come_later() {
    inside(|| {
        let event = Event::new();
        event.set();
        event.wait();
        event.clear();
        assert!(!event.is_set() && !event.wait_timeout(SHORT));
    });
}
