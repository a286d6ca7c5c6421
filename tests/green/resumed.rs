//! Coroutines that are resumed by hand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fourfold::green::{self, Coroutine, State};

use super::Diary;
use super::support::{LIMIT, within};

#[test]
fn values_go_in_and_out() {
    let mut fibonacci = Coroutine::new(|suspender, limit: u32| {
        let (mut a, mut b) = (0u32, 1u32);
        while a < limit {
            suspender.suspend(a);
            (a, b) = (b, a + b);
        }
        "over"
    })
    .unwrap();
    assert!(!fibonacci.is_started() && !fibonacci.is_finished());
    let mut seen = Vec::new();
    let end = loop {
        match fibonacci.resume(20) {
            State::Suspended(n) => seen.push(n),
            State::Finished(end) => break end,
        }
    };
    assert_eq!((seen, end), (vec![0, 1, 1, 2, 3, 5, 8, 13], "over"));
    assert!(fibonacci.is_started() && fibonacci.is_finished());
    assert!(catch_unwind(AssertUnwindSafe(|| fibonacci.resume(1))).is_err());
}

#[test]
fn a_panic_comes_out_of_resume_and_ends_it() {
    let mut fails = Coroutine::<(), (), ()>::new(|suspender, ()| {
        suspender.suspend(());
        panic!("inside");
    })
    .unwrap();
    assert_eq!(fails.resume(()), State::Suspended(()));
    let caught = catch_unwind(AssertUnwindSafe(|| fails.resume(())));
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "inside");
    assert!(fails.is_finished() && !std::thread::panicking());
}

#[test]
fn a_throw_that_nobody_catches_comes_back() {
    let mut patient = Coroutine::<(), (), ()>::new(|suspender, ()| {
        suspender.suspend(());
    })
    .unwrap();
    patient.resume(());
    let caught = catch_unwind(AssertUnwindSafe(|| patient.throw(42u8)));
    assert_eq!(*caught.unwrap_err().downcast::<u8>().unwrap(), 42);
    let mut unborn = Coroutine::<(), (), ()>::new(|_, ()| unreachable!("never begun")).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| unborn.throw("stillborn"))).is_err());
}

#[test]
fn dropping_one_runs_its_destructors() {
    let diary = Diary::default();
    let log = diary.clone();
    let mut nested = Coroutine::<(), (), ()>::new(move |suspender, ()| {
        let _outer = log.at_drop("outer");
        let inner_log = log.clone();
        let mut inner = Coroutine::<(), (), ()>::new(move |suspender, ()| {
            let _inner = inner_log.at_drop("inner");
            suspender.suspend(());
        })
        .unwrap();
        inner.resume(());
        suspender.suspend(());
    })
    .unwrap();
    nested.resume(());
    assert!(diary.lines().is_empty());
    drop(nested);
    assert_eq!(diary.lines(), ["inner", "outer"]);
    // One that has not begun drops what it would have used.
    let end = diary.at_drop("unused");
    drop(Coroutine::<(), (), ()>::new(move |_, ()| drop(end)).unwrap());
    assert_eq!(diary.lines().last().unwrap(), "unused");
}

#[test]
fn it_may_wait_on_behalf_of_who_resumes_it() {
    within(LIMIT, || {
        green::run(|| {
            let (diary, other) = (Diary::default(), Diary::default());
            let log = diary.clone();
            let mut steps = Coroutine::<(), u32, ()>::new(move |suspender, ()| {
                for n in 0..3 {
                    green::sleep(Duration::from_millis(3));
                    log.note(n.to_string());
                    suspender.suspend(n);
                }
            })
            .unwrap();
            let log = other.clone();
            let beside = move || {
                for _ in 0..3 {
                    log.note("beside");
                    green::yield_now();
                }
            };
            let beside = green::spawn_local(beside, ()).unwrap();
            assert_eq!(steps.resume(()), State::Suspended(0));
            assert_eq!(other.lines().len(), 3);
            assert_eq!(steps.resume(()), State::Suspended(1));
            beside.join().unwrap();
            // Cancelled while it waits inside: both stacks are unwound.
            let unwound = Diary::default();
            let log = unwound.clone();
            let child = green::spawn_local(
                move || {
                    let _outer = log.at_drop("outer");
                    let mut waits = Coroutine::<(), (), ()>::new(move |_, ()| {
                        let _inner = log.at_drop("inner");
                        green::sleep(LIMIT);
                    })
                    .unwrap();
                    waits.resume(());
                },
                (),
            )
            .unwrap();
            green::yield_now();
            assert!(child.kill().unwrap_err().is_cancelled());
            assert_eq!(unwound.lines(), ["inner", "outer"]);
        })
        .unwrap();
    });
}

#[test]
fn one_that_is_kept_in_a_thread_local_is_never_unwound_by_the_end_of_its_thread() {
    use std::cell::RefCell;

    struct Loud(&'static str);
    impl Drop for Loud {
        fn drop(&mut self) {
            NOTES.lock().unwrap().push(self.0);
        }
    }
    static NOTES: std::sync::Mutex<Vec<&str>> = std::sync::Mutex::new(Vec::new());
    thread_local! {
        static USED: Loud = const { Loud("the thread-local that it uses") };
        static KEPT: RefCell<Option<Coroutine<(), (), ()>>> = const { RefCell::new(None) };
    }
    std::thread::spawn(|| {
        let mut uses = Coroutine::<(), (), ()>::new(|suspender, ()| {
            USED.with(|used| {
                let _unwound = Loud("unwound");
                suspender.suspend(());
                assert!(!used.0.is_empty());
            });
        })
        .unwrap();
        uses.resume(());
        KEPT.with_borrow_mut(|kept| *kept = Some(uses));
    })
    .join()
    .unwrap();
    assert_eq!(*NOTES.lock().unwrap(), ["the thread-local that it uses"]);
}

#[test]
fn nor_by_a_hub_that_the_end_of_its_thread_begins() {
    use std::cell::RefCell;

    type Kept = Coroutine<(), (), ()>;
    struct Loud(&'static str);
    impl Drop for Loud {
        fn drop(&mut self) {
            NOTES.lock().unwrap().push(self.0);
        }
    }
    struct Hubs(Vec<Kept>);
    impl Drop for Hubs {
        fn drop(&mut self) {
            let mut kept = std::mem::take(&mut self.0).into_iter();
            let mut next = || kept.next().unwrap();
            let (first, second, third) = (next(), next(), next());
            green::run(move || {
                drop(first);
                green::spawn_local(move || drop(second), ()).unwrap().join().unwrap();
                green::run(move || drop(third)).unwrap();
            })
            .unwrap();
        }
    }
    static NOTES: std::sync::Mutex<Vec<&str>> = std::sync::Mutex::new(Vec::new());
    thread_local! {
        static USED: Loud = const { Loud("the thread-local that they use") };
        static KEPT: RefCell<Hubs> = const { RefCell::new(Hubs(Vec::new())) };
    }
    std::thread::spawn(|| {
        let uses = || {
            let mut uses = Kept::new(|suspender, ()| {
                USED.with(|used| {
                    let _unwound = Loud("unwound");
                    suspender.suspend(());
                    assert!(!used.0.is_empty());
                });
            })
            .unwrap();
            uses.resume(());
            uses
        };
        KEPT.with_borrow_mut(|kept| kept.0 = (0..3).map(|_| uses()).collect());
    })
    .join()
    .unwrap();
    assert!(!NOTES.lock().unwrap().contains(&"unwound"), "{:?}", NOTES.lock().unwrap());
}

#[test]
fn sizes_of_stacks_are_kept() {
    fn deep(n: u32) -> u32 {
        let filler = std::hint::black_box([n; 256]);
        if n == 0 { filler[0] } else { deep(n - 1) + filler[1] - n + 1 }
    }
    // More than the usual stack has.
    let mut large = Coroutine::<u32, (), u32>::with_stack_size(4 << 20, |_, n| deep(n)).unwrap();
    assert_eq!(large.resume(1000), State::Finished(1000));
    for bytes in [0, 1000, usize::MAX] {
        let refused = Coroutine::<(), (), ()>::with_stack_size(bytes, |_, ()| ()).unwrap_err();
        assert_eq!(refused.kind(), fourfold::ErrorKind::InvalidInput);
    }
}
