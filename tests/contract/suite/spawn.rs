//! `spawn`, `Builder` and `Child`: rows U1, U2, U4, U5 and U9.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use fourfold::green::sleep;
use fourfold::{ErrorKind, Scale};
use serde::{Deserialize, Serialize};

use super::{SHARES_MEMORY, scale};
use crate::support::{Gate, Guest, LIMIT, Log, note, visit, within};

fn hold_and_add(port: u16, a: u32, b: u32) -> u32 {
    visit(port, 0);
    a + b
}

#[test]
fn it_runs_beside_its_starter_and_join_gives_its_value() {
    within(LIMIT, || {
        let gate = Gate::new();
        let mut child = scale::spawn(hold_and_add, (gate.port(), 20, 22)).unwrap();
        let guest = gate.next();
        assert!(child.is_alive());
        assert!(child.try_join().is_none());
        guest.pass();
        assert_eq!(child.join().unwrap(), 42);
    });
}

#[test]
fn arguments_go_as_a_tuple_as_the_value_itself_or_as_nothing() {
    fn nothing() -> u32 {
        1
    }
    fn one(n: u32) -> u32 {
        n
    }
    fn pair((a, b): (u32, u32)) -> u32 {
        a * b
    }
    #[allow(clippy::too_many_arguments)]
    fn eight(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: String) -> String {
        format!("{a}{b}{c}{d}{e}{f}{g}{h}")
    }
    within(LIMIT, || {
        assert_eq!(scale::spawn(nothing, ()).unwrap().join().unwrap(), 1);
        assert_eq!(scale::spawn(one, 2).unwrap().join().unwrap(), 2);
        assert_eq!(scale::spawn(pair, (3, 4)).unwrap().join().unwrap(), 12);
        let many = (1, 2, 3, 4, 5, 6, 7, "8".to_owned());
        assert_eq!(scale::spawn(eight, many).unwrap().join().unwrap(), "12345678");
    });
}

#[derive(Serialize, Deserialize)]
struct Order {
    item: String,
    count: usize,
}

impl Order {
    fn run(self) -> String {
        self.item.repeat(self.count)
    }
}

#[test]
fn a_value_with_a_run_method_and_a_closure_run_too() {
    within(LIMIT, || {
        let order = Order { item: "ab".into(), count: 3 };
        assert_eq!(scale::spawn(Order::run, order).unwrap().join().unwrap(), "ababab");
        let child = scale::spawn(|a: i64, b: i64| a - b, (1, 3)).unwrap();
        assert_eq!(child.join().unwrap(), -2);
    });
}

fn nothing() {}

#[test]
fn the_name_is_the_one_given_or_that_of_the_function() {
    within(LIMIT, || {
        let named = scale::Builder::new().name("reader").spawn(|| 1, ()).unwrap();
        assert_eq!(named.name(), "reader");
        assert_eq!(named.join().unwrap(), 1);
        let child = scale::spawn(nothing, ()).unwrap();
        assert!(child.name().ends_with("spawn::nothing"), "{}", child.name());
        child.join().unwrap();
    });
}

#[test]
fn a_child_knows_its_own_name() {
    within(LIMIT, || {
        let child = scale::Builder::new()
            .name("knows")
            .spawn(|| scale::current().name().to_string(), ())
            .unwrap();
        assert_eq!(child.join().unwrap(), "knows");
    });
}

#[test]
fn a_name_with_a_zero_byte_is_refused() {
    let refused = scale::Builder::new().name("a\0b").spawn(|| (), ());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn it_is_alive_until_it_has_ended() {
    within(LIMIT, || {
        let gate = Gate::new();
        let mut child = scale::spawn(visit, (gate.port(), 1)).unwrap();
        assert!(child.is_alive());
        let guest = gate.next();
        assert!(child.is_alive());
        guest.pass();
        assert_eq!(child.join_timeout(LIMIT).unwrap().unwrap(), 1);
        assert!(!child.is_alive());
    });
}

#[test]
fn daemon_is_what_the_builder_said() {
    within(LIMIT, || {
        let daemon = scale::Builder::new().daemon(true).spawn(|| (), ()).unwrap();
        let other = scale::Builder::new().daemon(false).spawn(|| (), ()).unwrap();
        assert!(daemon.is_daemon());
        assert!(!other.is_daemon());
        daemon.join().unwrap();
        other.join().unwrap();
    });
}

/// Takes so many units of time, from when it is let through. In a coroutine others run meanwhile.
fn wait_units(port: u16, units: u32) {
    visit(port, units.into());
    sleep(units * Duration::from_millis(100));
}

#[test]
fn three_together_take_as_long_as_the_longest_and_in_turn_as_their_sum() {
    within(LIMIT, || {
        let gate = Gate::new();
        let start = |units| scale::spawn(wait_units, (gate.port(), units)).unwrap();
        let children = [5, 3, 2].map(start);
        let guests = gate.next_few(3);
        let begin = Instant::now();
        guests.into_iter().for_each(Guest::pass);
        for child in children {
            child.join().unwrap();
        }
        let together = begin.elapsed();

        let mut in_turn = Duration::ZERO;
        for units in [5, 3, 2] {
            let child = start(units);
            let guest = gate.next();
            let begin = Instant::now();
            guest.pass();
            child.join().unwrap();
            in_turn += begin.elapsed();
        }
        assert!(together * 4 < in_turn * 3, "{together:?} together, {in_turn:?} in turn");
    });
}

fn say(log: PathBuf, port: u16) {
    visit(port, 1);
    note(&log, "child");
    visit(port, 2);
}

#[test]
fn join_first_join_last_and_no_join_give_the_order_asked_for() {
    within(LIMIT, || {
        for (way, expected) in [
            ("first", ["child", "main"]),
            ("last", ["main", "child"]),
            ("never", ["main", "child"]),
        ] {
            let (gate, log) = (Gate::new(), Log::new());
            let child = scale::spawn(say, (log.path(), gate.port())).unwrap();
            let guest = gate.next();
            if way == "first" {
                guest.pass();
                gate.next().pass();
                child.join().unwrap();
                note(&log.path(), "main");
            } else {
                note(&log.path(), "main");
                let child = (way == "last").then_some(child);
                guest.pass();
                gate.next().pass();
                child.into_iter().for_each(|child| child.join().unwrap());
            }
            assert_eq!(log.lines(), expected, "join {way}");
        }
    });
}

static GLOBAL: AtomicU32 = AtomicU32::new(1);

#[test]
fn a_global_that_a_child_changes() {
    within(LIMIT, || {
        let child = scale::spawn(|n| GLOBAL.fetch_add(n, Ordering::Relaxed), 6u32).unwrap();
        assert_eq!(child.join().unwrap(), 1);
        assert_eq!(GLOBAL.load(Ordering::Relaxed), if SHARES_MEMORY { 7 } else { 1 });
    });
}

fn fail(n: u32) -> u32 {
    assert!(n > 100, "{n} is too small");
    n
}

#[test]
fn a_panic_is_told_with_its_text_and_place() {
    within(LIMIT, || {
        let error = scale::spawn(fail, 7).unwrap().join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        let panic = error.panic().unwrap();
        assert_eq!(panic.message(), "7 is too small");
        assert!(panic.location().unwrap().starts_with(file!()), "{panic}");
        assert!(error.task().unwrap().ends_with("spawn::fail"), "{error}");
        assert!(matches!(error.scale(), Some(Scale::Green | Scale::Thread | Scale::Process)));
        assert!(!error.is_worker_lost());
    });
}

#[test]
fn a_timeout_is_no_end_and_an_outcome_is_given_once() {
    within(LIMIT, || {
        let gate = Gate::new();
        let mut child = scale::spawn(visit, (gate.port(), 8)).unwrap();
        assert!(child.join_timeout(Duration::ZERO).is_none());
        assert!(child.join_timeout(Duration::from_millis(10)).is_none());
        gate.next().pass();
        assert_eq!(child.join_timeout(LIMIT).unwrap().unwrap(), 8);
        let again = child.try_join().unwrap().unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyTaken);
        assert_eq!(child.join().unwrap_err().kind(), ErrorKind::AlreadyTaken);
    });
}

#[test]
fn a_callback_is_called_once_with_the_value_or_the_error() {
    within(LIMIT, || {
        let gate = Gate::new();
        let (sender, receiver) = channel();
        let child = scale::spawn(visit, (gate.port(), 3)).unwrap();
        let before = sender.clone();
        child.on_done(move |outcome| before.send(outcome.as_ref().ok().copied()).unwrap());
        gate.next().pass();
        assert_eq!(child.join().unwrap(), 3);
        let failing = scale::spawn(fail, 1).unwrap();
        failing.on_done(move |outcome| sender.send(outcome.as_ref().ok().map(|_| 0)).unwrap());
        failing.join().unwrap_err();
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [Some(3), None]);
    });
}

#[tokio::test]
async fn async_code_awaits_it() {
    let child = scale::spawn(|a: u32, b: u32| a + b, (1, 2)).unwrap();
    let outcome = tokio::time::timeout(LIMIT, child).await.unwrap();
    assert_eq!(outcome.unwrap(), 3);
}
