//! What becomes of a value that nobody takes: it goes as soon as that is known, where its coroutine is or where the handle goes.

use std::sync::mpsc::{Sender, channel};

use fourfold::green;

use super::support::{LIMIT, within};

/// Tells in which coroutine it is dropped.
struct Told(Sender<u64>);

impl Drop for Told {
    fn drop(&mut self) {
        // A destructor may wait, which must be the coroutine's wait and not its hub's.
        green::yield_now();
        let _ = self.0.send(green::current().id());
    }
}

#[test]
fn without_a_handle_it_goes_with_the_coroutine_also_if_somebody_knows_who_that_was() {
    within(LIMIT, || {
        let (sender, told) = channel();
        green::run(move || {
            let child = green::spawn(move || Told(sender), ()).unwrap();
            let id = child.id();
            let known: Vec<_> = green::enumerate();
            drop(child);
            while known.iter().any(|one| one.id() == id && one.is_alive()) {
                green::yield_now();
            }
            // Its destructor gives way once.
            green::yield_now();
            assert_eq!(told.try_recv(), Ok(id));
            drop(known);
            assert!(told.try_recv().is_err());
        })
        .unwrap();
    });
}

#[test]
fn with_the_handle_it_goes_also_if_somebody_knows_who_that_was() {
    within(LIMIT, || {
        let (sender, told) = channel();
        green::run(move || {
            let child = green::spawn(move || Told(sender), ()).unwrap();
            let known = green::enumerate();
            while !child.is_finished() {
                green::yield_now();
            }
            assert!(told.try_recv().is_err());
            drop(child);
            assert_eq!(told.try_recv(), Ok(green::current().id()));
            drop(known);
            assert!(told.try_recv().is_err());
        })
        .unwrap();
    });
}

#[test]
fn without_a_handle_callbacks_see_it_first() {
    within(LIMIT, || {
        let (sender, told) = channel();
        let (saw, seen) = channel();
        green::run(move || {
            let child = green::spawn(move || Told(sender), ()).unwrap();
            let id = child.id();
            child.on_done(move |outcome| saw.send(outcome.is_ok()).unwrap());
            drop(child);
            assert_eq!((seen.try_recv().is_err(), told.try_recv().is_err()), (true, true));
            for _ in 0..3 {
                green::yield_now();
            }
            assert_eq!((seen.try_recv(), told.try_recv()), (Ok(true), Ok(id)));
        })
        .unwrap();
    });
}

#[test]
fn handles_and_values_that_go_at_the_same_time_lose_none_and_drop_none_twice() {
    const EACH: usize = 200;
    within(LIMIT, || {
        let (sender, told) = channel();
        let ids: Vec<u64> = (0..EACH)
            .map(|turn| {
                let sender = sender.clone();
                let child = green::spawn(move || Told(sender), ()).unwrap();
                let id = child.id();
                // From this thread, while the coroutine runs or ends on the shared hub.
                (0..turn % 7 * 50).for_each(|_| std::hint::spin_loop());
                drop(child);
                id
            })
            .collect();
        drop(sender);
        let me = green::current().id();
        let told: Vec<u64> = told.iter().collect();
        assert_eq!(told.len(), EACH);
        assert!(told.iter().all(|id| *id == me || ids.contains(id)));
    });
}
