//! Threads that borrow, and have ended when their scope has.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use fourfold::thread::{self, Builder};
use fourfold::{ErrorKind, Outcome};

use crate::support::{Gate, LIMIT, visit, within};

#[test]
fn children_borrow_and_change_what_lives_outside() {
    within(LIMIT, || {
        let names = ["a".to_owned(), "b".to_owned()];
        let mut seen = Vec::new();
        let borrowed: Outcome<Vec<&str>> = thread::scope(|scope| {
            scope.spawn(|| seen.extend(names.iter().map(String::len)), ()).unwrap();
            let children: Vec<_> =
                names.iter().map(|name| scope.spawn(String::as_str, name)).collect();
            children.into_iter().map(|child| child.unwrap().join().unwrap()).collect()
        });
        assert_eq!(borrowed.unwrap(), ["a", "b"]);
        assert_eq!(seen, [1, 1]);
    });
}

#[test]
fn a_scope_ends_after_all_its_children() {
    within(LIMIT, || {
        let gate = Gate::new();
        let port = gate.port();
        let ended = AtomicUsize::new(0);
        let scope = || {
            thread::scope(|scope| {
                for n in 0..3 {
                    let ended = &ended;
                    scope
                        .spawn(
                            move || {
                                // Another in the same scope, which nobody holds.
                                let more =
                                    move || (visit(port, n), ended.fetch_add(1, Ordering::SeqCst));
                                scope.spawn(more, ()).unwrap();
                            },
                            (),
                        )
                        .unwrap();
                }
            })
            .unwrap();
            ended.load(Ordering::SeqCst)
        };
        std::thread::scope(|outer| {
            let waiting = outer.spawn(scope);
            for guest in gate.next_few(3) {
                assert!(!waiting.is_finished());
                guest.pass();
            }
            assert_eq!(waiting.join().unwrap(), 3);
        });
    });
}

#[test]
fn a_panic_is_an_error_of_the_join_and_then_not_of_the_scope() {
    within(LIMIT, || {
        let text = String::from("seven");
        let error = thread::scope(|scope| {
            let child = scope.spawn(|| text.parse::<u32>().expect("no number"), ()).unwrap();
            child.join().unwrap_err()
        })
        .unwrap();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert!(error.panic().unwrap().message().starts_with("no number"), "{error}");
        assert!(error.task().unwrap().contains("a_panic_is_an_error_of_the_join"), "{error}");
    });
}

#[test]
fn a_panic_that_nobody_was_told_of_is_the_error_of_the_scope() {
    within(LIMIT, || {
        let told = thread::scope(|scope| {
            let _unjoined = scope.spawn(|| panic!("the first"), ()).unwrap();
            scope.spawn(|| panic!("the second"), ()).unwrap();
            // One that was seen by a look is told.
            let mut third = scope.spawn(|| panic!("the third"), ()).unwrap();
            third.join_timeout(LIMIT).unwrap().unwrap_err();
            assert_eq!(third.try_join().unwrap().unwrap_err().kind(), ErrorKind::AlreadyTaken);
            7
        });
        let error = told.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert_eq!(error.panic().unwrap().message(), "the first");
        assert!(error.panic().unwrap().location().unwrap().contains("scope.rs"));
    });
}

#[test]
fn a_panic_of_the_scope_itself_waits_for_the_children_and_goes_on() {
    within(LIMIT, || {
        let ended = AtomicUsize::new(0);
        let payload = catch_unwind(AssertUnwindSafe(|| {
            thread::scope(|scope| {
                let slow = || {
                    std::thread::sleep(Duration::from_millis(5));
                    ended.fetch_add(1, Ordering::SeqCst);
                };
                scope.spawn(slow, ()).unwrap();
                panic!("the main line");
            })
        }));
        assert_eq!(ended.load(Ordering::SeqCst), 1);
        let payload = payload.map(|_: Outcome<()>| ()).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"the main line"));
    });
}

#[test]
fn the_options_of_the_builder_and_the_list_hold_for_them_too() {
    within(LIMIT, || {
        let gate = Gate::new();
        let port = gate.port();
        thread::scope(|scope| {
            let builder = Builder::new().name("scoped").stack_size(1 << 20).daemon(true);
            let work = |port: u16| (visit(port, 1), thread::current().name()).1;
            let mut child = builder.spawn_scoped(scope, work, port).unwrap();
            let guest = gate.next();
            assert_eq!((child.name().as_str(), child.is_daemon()), ("scoped", true));
            assert_eq!(child.parent_id(), thread::current().id());
            assert!(child.is_alive() && !child.is_finished());
            assert!(child.join_timeout(Duration::from_millis(1)).is_none());
            assert!(child.try_join().is_none());
            let listed = || thread::enumerate().iter().any(|thread| thread.id() == child.id());
            assert!(listed());
            child.rename("renamed").unwrap();
            guest.pass();
            let id = child.id();
            assert_eq!(child.join().unwrap(), "renamed");
            assert!(thread::enumerate().iter().all(|thread| thread.id() != id));
            let refused = Builder::new().name("a\0b").spawn_scoped(scope, || (), ());
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
            let huge = Builder::new().stack_size(1 << 60).spawn_scoped(scope, || (), ());
            assert_eq!(huge.unwrap_err().kind(), ErrorKind::NotStarted);
        })
        .unwrap();
    });
}

#[test]
fn a_child_that_joins_itself_is_told_so() {
    within(LIMIT, || {
        let told = thread::scope(|scope| {
            let slot = Mutex::new(None);
            let (hand_over, take) = channel::<thread::ScopedChild<'_, ErrorKind>>();
            *slot.lock().unwrap() = Some(hand_over);
            let (tell, told) = channel();
            let child = scope
                .spawn(
                    move || {
                        let kind = take.recv().unwrap().join().unwrap_err().kind();
                        tell.send(kind).unwrap();
                        kind
                    },
                    (),
                )
                .unwrap();
            slot.lock().unwrap().take().unwrap().send(child).unwrap();
            told.recv().unwrap()
        });
        assert_eq!(told.unwrap(), ErrorKind::Deadlock);
    });
}

#[test]
fn scopes_in_scopes_and_many_at_once() {
    fn sum(numbers: &[u64]) -> u64 {
        if numbers.len() <= 2 {
            return numbers.iter().sum();
        }
        let (left, right) = numbers.split_at(numbers.len() / 2);
        thread::scope(|scope| {
            let left = scope.spawn(|| sum(left), ()).unwrap();
            sum(right) + left.join().unwrap()
        })
        .unwrap()
    }

    within(LIMIT, || {
        let numbers: Vec<u64> = (0..64).collect();
        for _ in 0..20 {
            assert_eq!(sum(&numbers), 2016);
        }
    });
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor that panics");
    }
}

#[test]
fn a_value_that_nobody_takes_and_whose_destructor_panics_harms_nothing() {
    within(LIMIT, || {
        let gate = Gate::new();
        let port = gate.port();
        let told = thread::scope(|scope| {
            drop(scope.spawn(|port| (visit(port, 0), Bomb).1, port).unwrap());
            gate.next().pass();
        });
        told.unwrap();
    });
}
