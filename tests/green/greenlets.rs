//! Greenlets: row G1, parents, panics, and who keeps whom alive.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fourfold::green::{self, Greenlet};

use super::Diary;
use super::support::{LIMIT, within};

#[test]
fn two_switch_to_each_other_by_name_and_a_finished_one_hands_back_to_its_parent() {
    let diary = Diary::default();
    let (one, two) = (Greenlet::named("one"), Greenlet::named("two"));
    let (log, other) = (diary.clone(), two.clone());
    one.define(move |value: String| {
        log.note(format!("one got {value}"));
        let value = other.switch_to("from one".into());
        log.note(format!("one got {value}"));
        "one is over".into()
    })
    .unwrap();
    let (log, other) = (diary.clone(), one.clone());
    two.define(move |value: String| {
        log.note(format!("two got {value}"));
        let value = other.switch_to("from two".into());
        log.note(format!("two got {value}"));
        "two is over".into()
    })
    .unwrap();
    let last = one.switch_to("the first".into());
    assert_eq!(last, "one is over");
    assert_eq!(diary.lines(), ["one got the first", "two got from one", "one got from two"]);
    assert!(one.is_finished() && !two.is_finished());
    assert_eq!(two.switch_to("again".into()), "two is over");
    assert_eq!(diary.lines().last().unwrap(), "two got again");
}

#[test]
fn the_parent_is_who_made_it() {
    let outer = Greenlet::new(|n: u32| {
        let inner = Greenlet::new(|n: u32| n * 10).unwrap();
        // The inner one hands back here, not to the root.
        inner.switch_to(n + 1) + 1
    })
    .unwrap();
    assert_eq!(outer.switch_to(1), 21);
    assert!(outer.is_finished());
    // What has ended hands on to its parent: here that is the caller.
    assert_eq!(outer.switch_to(5), 5);
}

#[test]
fn a_panic_goes_to_the_parent() {
    let diary = Diary::default();
    let log = diary.clone();
    let outer = Greenlet::new(move |n: u32| {
        let inner = Greenlet::new(|_: u32| panic!("inner")).unwrap();
        let caught = catch_unwind(AssertUnwindSafe(|| inner.switch_to(n)));
        log.note(*caught.unwrap_err().downcast::<&str>().unwrap());
        panic!("outer")
    })
    .unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| outer.switch_to(1)));
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "outer");
    assert_eq!(diary.lines(), ["inner"]);
    assert!(Greenlet::<u32>::current().is_none());
}

#[test]
fn a_throw_comes_out_of_the_switch_that_it_is_in() {
    let waits = Greenlet::new(|first: u32| {
        let caught = catch_unwind(|| Greenlet::parent().switch_to(first + 1));
        u32::from(*caught.unwrap_err().downcast::<u8>().unwrap())
    })
    .unwrap();
    assert_eq!(waits.switch_to(1), 2);
    assert_eq!(waits.throw(9u8), 9);
    // One that has not begun ends with it.
    let unborn = Greenlet::new(|n: u32| n).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| unborn.throw(1u8))).is_err());
    assert!(unborn.is_finished());
}

#[test]
fn values_of_two_types_do_not_meet() {
    let text = Greenlet::new(|text: String| text).unwrap();
    let number = Greenlet::new(move |n: u32| {
        let refused = catch_unwind(AssertUnwindSafe(|| text.switch_to("x".into())));
        assert!(refused.is_err());
        n
    })
    .unwrap();
    assert_eq!(number.switch_to(3), 3);
    // A child whose parent takes another type: its parent is told so by a panic.
    let parent = Greenlet::new(|n: u32| {
        let child = Greenlet::<String>::named("child");
        child.define(|text| text).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| child.switch_to("x".into()))).is_err());
        n + 1
    })
    .unwrap();
    assert_eq!(parent.switch_to(3), 4);
}

#[test]
fn one_without_a_function_refuses() {
    let empty = Greenlet::<u32>::named("empty");
    let refused = catch_unwind(AssertUnwindSafe(|| empty.switch_to(1)));
    let message = *refused.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(message, "greenlet 'empty' has no function yet");
    empty.define(|n| n).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| empty.define(|n| n))).is_err());
    assert_eq!(empty.switch_to(1), 1);
}

#[test]
fn one_that_nobody_has_is_unwound() {
    let diary = Diary::default();
    let log = diary.clone();
    let waits = Greenlet::new(move |n: u32| {
        let _end = log.at_drop("unwound");
        Greenlet::parent().switch_to(n)
    })
    .unwrap();
    waits.switch_to(1);
    let clone = waits.clone();
    drop(waits);
    assert!(diary.lines().is_empty());
    drop(clone);
    assert_eq!(diary.lines(), ["unwound"]);
}

#[test]
fn one_may_lose_its_last_name_while_it_runs() {
    use std::cell::RefCell;
    use std::rc::Rc;

    for finishes in [true, false] {
        let diary = Diary::default();
        let names: Rc<RefCell<Vec<Greenlet<u32>>>> = Rc::default();
        let (log, own) = (diary.clone(), names.clone());
        let lost = Greenlet::new(move |n: u32| {
            let _end = log.at_drop("gone");
            // The last name of this greenlet, but for what the root has borrowed.
            own.borrow_mut().clear();
            log.note("nameless");
            let n = if finishes { n } else { Greenlet::parent().switch_to(n) };
            log.note("goes on");
            n + 1
        })
        .unwrap();
        names.borrow_mut().push(lost);
        // Another switches to it by a name that is gone then.
        let other = names.clone();
        let helper = Greenlet::new(move |n: u32| {
            let name = other.borrow()[0].clone();
            other.borrow_mut().clear();
            let value = name.switch_to(n);
            drop(name);
            value
        })
        .unwrap();
        let value = helper.switch_to(5);
        assert_eq!(value, if finishes { 6 } else { 5 });
        drop(helper);
        let lines = diary.lines();
        assert_eq!(lines[0], "nameless");
        assert_eq!(lines.last().unwrap(), "gone");
        assert_eq!(lines.len(), if finishes { 3 } else { 2 });
    }
}

#[test]
fn roots_of_several_coroutines_do_not_mix() {
    within(LIMIT, || {
        green::run(|| {
            let work = |base: u32| {
                let naps = Greenlet::new(move |mut n: u32| {
                    for _ in 0..3 {
                        green::sleep(Duration::from_millis(1));
                        n = Greenlet::parent().switch_to(n + base);
                    }
                    n
                })
                .unwrap();
                (0..4).fold(0, |n, _| naps.switch_to(n))
            };
            let children: Vec<_> = (1..=3).map(|base| green::spawn(work, base).unwrap()).collect();
            let sums: Vec<u32> = children.into_iter().map(|child| child.join().unwrap()).collect();
            assert_eq!(sums, [3, 6, 9]);
        })
        .unwrap();
    });
}

#[test]
fn one_that_runs_elsewhere_cannot_be_switched_to() {
    within(LIMIT, || {
        green::run(|| {
            let naps = Greenlet::new(|n: u32| {
                green::sleep(Duration::from_millis(20));
                n
            })
            .unwrap();
            let same = naps.clone();
            let child = green::spawn_local(move || same.switch_to(1), ()).unwrap();
            green::yield_now();
            let refused = catch_unwind(AssertUnwindSafe(|| naps.switch_to(2)));
            assert!(refused.unwrap_err().downcast::<String>().unwrap().contains("runs elsewhere"));
            assert_eq!(child.join().unwrap(), 1);
            // And when its coroutine is cancelled, it ends with it.
            let naps = Greenlet::new(|n: u32| {
                green::sleep(LIMIT);
                n
            })
            .unwrap();
            let same = naps.clone();
            let child = green::spawn_local(move || same.switch_to(1), ()).unwrap();
            green::yield_now();
            assert!(child.kill().unwrap_err().is_cancelled());
            assert!(naps.is_finished());
        })
        .unwrap();
    });
}

#[test]
fn a_long_game_leaves_nothing() {
    let (ping, pong) = (Greenlet::named("ping"), Greenlet::named("pong"));
    let other = pong.clone();
    ping.define(move |mut n: u64| {
        while n < 100_000 {
            n = other.switch_to(n + 1);
        }
        n
    })
    .unwrap();
    let other = ping.clone();
    pong.define(move |mut n: u64| {
        loop {
            n = other.switch_to(n);
        }
    })
    .unwrap();
    assert_eq!(ping.switch_to(0), 100_000);
}
