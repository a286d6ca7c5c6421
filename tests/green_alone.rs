//! Deadlocks of coroutines, on the only thread of a process: so this has no harness, which has threads of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fourfold::{ErrorKind, green};

/// Set for the program that this runs again, which aborts.
const PLAY: &str = "FOURFOLD_TEST_PLAY";

fn main() {
    if std::env::var_os(PLAY).is_some() {
        return wait_in_a_destructor();
    }
    a_wait_in_a_destructor_that_nobody_can_end_aborts();
    a_deadlock_says_who_waits_for_what();
    each_kind_of_join_is_told_with_the_place_of_the_call();
    the_first_may_clean_up();
    one_whose_first_has_ended_is_found_too();
    a_panic_of_the_first_comes_before_the_deadlock_that_it_leaves();
    one_that_another_thread_leaves_is_found_when_that_has_ended();
    neither_time_nor_another_thread_is_a_deadlock();
    println!("deadlocks are found and told");
}

/// Waits for what never comes.
fn wait_for_ever() {
    green::block_on(std::future::pending::<()>());
}

/// The coroutine that would set the event cannot run while the one that waits for it unwinds.
fn wait_in_a_destructor() {
    struct Waits(Arc<green::Event>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.wait();
        }
    }
    let run = green::run(|| {
        let event = Arc::new(green::Event::new());
        let waits = Waits(event.clone());
        let fails = move || {
            let _waits = waits;
            green::sleep(Duration::MAX);
        };
        let fails = green::Builder::new().name("fails").spawn(fails, ()).unwrap();
        let sets = move || {
            green::sleep(Duration::from_millis(50));
            event.set();
        };
        drop(green::Builder::new().name("sets").spawn(sets, ()).unwrap());
        green::yield_now();
        drop(fails.kill());
    });
    unreachable!("{run:?}");
}

fn a_wait_in_a_destructor_that_nobody_can_end_aborts() {
    let program = std::env::current_exe().unwrap();
    let mut command = std::process::Command::new(program);
    let output = command.env(PLAY, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(6), "{text}");
    for part in ["'fails' waits for Event", "'sets' waits for green::sleep", "aborting"] {
        assert!(text.contains(part), "{text}");
    }
}

fn a_deadlock_says_who_waits_for_what() {
    let waits = || {
        let child = green::Builder::new().name("philosopher").spawn(wait_for_ever, ())?;
        child.join()
    };
    let error = green::run(waits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    let text = error.to_string();
    for part in [
        "'main' waits for a task at tests/green_alone.rs:",
        "'philosopher' waits for a future at tests/",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // All were unwound: the thread can go on, with another hub.
    assert_eq!(green::run(|| green::spawn(|| 1, ()).unwrap().join().unwrap()).unwrap(), 1);
    // Of very many, some are named.
    let many = || {
        for _ in 0..100 {
            drop(green::spawn(wait_for_ever, ()).unwrap());
        }
        wait_for_ever();
    };
    let text = green::run(many).unwrap_err().to_string();
    assert!(text.contains("81 more"), "{text}");
}

fn each_kind_of_join_is_told_with_the_place_of_the_call() {
    fn endless() -> green::Child<()> {
        green::spawn(wait_for_ever, ()).unwrap()
    }
    fn in_a_scope<'s>(scope: &'s green::Scope<'s, '_>) -> green::ScopedChild<'s, ()> {
        scope.spawn(wait_for_ever, ()).unwrap()
    }
    type Join = fn();
    let joins: [(&str, Join); 9] = [
        ("a task", || drop(endless().join())),
        ("a task", || drop(green::spawn_local(wait_for_ever, ()).unwrap().join())),
        ("a task", || drop(endless().into_handle().join())),
        ("a task", || drop(endless().into_handle().join_timeout(Duration::MAX))),
        ("a task", || drop(green::join_all([endless().into_handle(), endless().into_handle()]))),
        ("a task", || for _ in fourfold::as_completed([endless().into_handle()]) {}),
        ("a task", || {
            let mut all = fourfold::as_completed([endless().into_handle()]);
            drop(all.next_timeout(Duration::MAX));
        }),
        ("a task", || green::scope(|scope| drop(in_a_scope(scope).join())).unwrap()),
        ("green::scope", || green::scope(|scope| drop(in_a_scope(scope))).unwrap()),
    ];
    for (number, (what, join)) in joins.into_iter().enumerate() {
        let text = green::run(join).unwrap_err().to_string();
        let told = format!("'main' waits for {what} at tests/green_alone.rs:");
        assert!(text.contains(&told), "{number}: {text}");
    }
    // The line too.
    let error = green::run(|| {
        let child = endless();
        drop(child.join());
    });
    let line = line!() - 2;
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains(&format!("'main' waits for a task at tests/green_alone.rs:{line}:")),
        "{text}"
    );
}

fn the_first_may_clean_up() {
    struct Clean<'a>(&'a mut u32);
    impl Drop for Clean<'_> {
        fn drop(&mut self) {
            *self.0 += 1;
        }
    }
    let mut cleaned = 0;
    let error = green::run(|| {
        let _clean = Clean(&mut cleaned);
        wait_for_ever();
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Deadlock);
    assert_eq!(cleaned, 1);
}

fn one_whose_first_has_ended_is_found_too() {
    let error = green::run(|| drop(green::spawn(wait_for_ever, ()).unwrap())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    // A daemon that waits for ever holds nobody up.
    green::run(|| drop(green::Builder::new().daemon(true).spawn(wait_for_ever, ()).unwrap()))
        .unwrap();
}

fn a_panic_of_the_first_comes_before_the_deadlock_that_it_leaves() {
    let caught = std::panic::catch_unwind(|| {
        green::run(|| {
            drop(green::spawn(wait_for_ever, ()).unwrap());
            panic!("the first");
        })
    });
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "the first");
}

fn one_that_another_thread_leaves_is_found_when_that_has_ended() {
    let began = Instant::now();
    let error = green::run(|| {
        // It is there when the hub goes to sleep first, most likely, and wakes nobody.
        let nap = || std::thread::sleep(Duration::from_millis(50));
        let thread = std::thread::spawn(nap);
        wait_for_ever();
        drop(thread);
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Deadlock);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

fn neither_time_nor_another_thread_is_a_deadlock() {
    green::run(|| green::sleep(Duration::from_millis(20))).unwrap();
    let value = green::run(|| {
        let (sender, receiver) = std::sync::mpsc::channel::<std::task::Waker>();
        let thread = std::thread::spawn(move || {
            let waker = receiver.recv().unwrap();
            std::thread::sleep(Duration::from_millis(50));
            waker.wake();
        });
        let mut polled = false;
        green::block_on(std::future::poll_fn(|context| {
            if std::mem::replace(&mut polled, true) {
                return std::task::Poll::Ready(7);
            }
            sender.send(context.waker().clone()).unwrap();
            std::task::Poll::Pending
        }));
        thread.join().unwrap();
        7
    });
    assert_eq!(value.unwrap(), 7);
}
