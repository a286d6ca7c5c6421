//! Coroutines that borrow, and that nothing they borrow goes before them.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fourfold::green;

use super::Diary;
use super::support::{LIMIT, within};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn they_change_what_they_borrow() {
    within(LIMIT, || {
        let sum = Cell::new(0);
        let names = RefCell::new(Vec::new());
        green::scope(|scope| {
            for n in 1..=3 {
                let (sum, names) = (&sum, &names);
                let add = move || {
                    green::yield_now();
                    sum.set(sum.get() + n);
                    names.borrow_mut().push(green::current().name());
                };
                let named = green::Builder::new().name(format!("child {n}"));
                drop(scope.spawn_with(&named, add, ()).unwrap());
            }
        })
        .unwrap();
        assert_eq!(sum.get(), 6);
        assert_eq!(*names.borrow(), ["child 1", "child 2", "child 3"]);
    });
}

#[test]
fn children_start_others_which_are_waited_for_too() {
    within(LIMIT, || {
        let count = Cell::new(0);
        green::scope(|scope| {
            let count = &count;
            let outer = move || {
                let inner = move || {
                    green::sleep(Duration::from_millis(5));
                    count.set(count.get() + 1);
                };
                drop(scope.spawn(inner, ()).unwrap());
                count.set(count.get() + 1);
            };
            drop(scope.spawn(outer, ()).unwrap());
        })
        .unwrap();
        assert_eq!(count.get(), 2);
    });
}

#[test]
fn a_panic_in_the_scope_unwinds_the_children_first() {
    within(LIMIT, || {
        let diary = Diary::default();
        let log = diary.clone();
        green::run(move || {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let borrowed = String::from("still here");
                let _outer = log.at_drop("frame");
                green::scope(|scope| {
                    let (borrowed, log) = (&borrowed, &log);
                    let child = move || {
                        struct Reads<'a>(&'a str, &'a Diary);
                        impl Drop for Reads<'_> {
                            fn drop(&mut self) {
                                self.1.note(self.0);
                            }
                        }
                        let _reads = Reads(borrowed, log);
                        green::sleep(LONG);
                    };
                    drop(scope.spawn(child, ()).unwrap());
                    green::yield_now();
                    panic!("in the scope");
                })
            }));
            assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "in the scope");
            // Unwinding the child inline has left no count of panics.
            assert!(!std::thread::panicking());
        })
        .unwrap();
        assert_eq!(diary.lines(), ["still here", "frame"]);
    });
}

#[test]
fn a_scope_that_is_cancelled_unwinds_its_children_and_theirs() {
    within(LIMIT, || {
        let diary = Diary::default();
        let log = diary.clone();
        green::run(move || {
            let nested = log.clone();
            let parent = move || {
                let (text, log) = (String::from("child"), &nested);
                let _parent = log.at_drop("parent");
                green::scope(|scope| {
                    let text = &text;
                    let child = move || {
                        let _child = log.at_drop(text);
                        let grandchild = || {
                            let _grandchild = log.at_drop(&format!("grand{text}"));
                            green::sleep(LONG);
                        };
                        green::scope(|inner| drop(inner.spawn(grandchild, ()).unwrap())).unwrap();
                    };
                    drop(scope.spawn(child, ()).unwrap());
                })
                .unwrap();
            };
            let child = green::spawn_local(parent, ()).unwrap();
            for _ in 0..4 {
                green::yield_now();
            }
            assert!(child.kill().unwrap_err().is_cancelled());
        })
        .unwrap();
        assert_eq!(diary.lines(), ["grandchild", "child", "parent"]);
    });
}

#[test]
fn a_panic_that_nobody_joins_is_one_of_the_scope() {
    within(LIMIT, || {
        green::run(|| {
            let fail = || -> () { panic!("a child") };
            let joined = green::scope(|scope| scope.spawn(fail, ()).unwrap().join().is_err());
            assert!(joined.unwrap());
            let left = catch_unwind(|| green::scope(|scope| drop(scope.spawn(fail, ()).unwrap())));
            let message = *left.unwrap_err().downcast::<&str>().unwrap();
            assert!(message.contains("nobody has joined"), "{message}");
        })
        .unwrap();
    });
}

#[test]
fn the_end_of_a_hub_unwinds_scopes() {
    within(LIMIT, || {
        let diary = Diary::default();
        let log = diary.clone();
        green::run(move || {
            let daemon = move || {
                let text = String::from("borrowed");
                green::scope(|scope| {
                    let (text, log) = (&text, &log);
                    let child = move || {
                        let _end = log.at_drop(text);
                        green::sleep(LONG);
                    };
                    drop(scope.spawn(child, ()).unwrap());
                })
                .unwrap();
            };
            drop(green::Builder::new().daemon(true).spawn_local(daemon, ()).unwrap());
            for _ in 0..3 {
                green::yield_now();
            }
        })
        .unwrap();
        assert_eq!(diary.lines(), ["borrowed"]);
    });
}
