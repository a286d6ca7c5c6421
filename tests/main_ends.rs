//! What becomes of threads and processes when `main` ends, or is killed: rows U5, U7 and U8.
//!
//! Each test runs this executable again as a program of its own, and holds its children at a gate meanwhile. A program that
//! lies where cargo puts its tests waits for nobody at its exit unless it has a `#[fourfold::main]`, so the others are run
//! from a copy.

#[allow(dead_code)]
#[path = "contract/support.rs"]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use fourfold::prelude::*;
use fourfold::process::StartMethod;
use support::{Gate, Guest, LIMIT, visit, within};

/// The numbers that children have at the gate.
const DAEMON: u64 = 0;
const OTHER: u64 = 1;

/// Stands at the gate; says so when it is let through.
fn child(port: u16, name: u64) {
    visit(port, name);
    say(&format!("child {name}"));
}

/// A line on standard output, whole, whoever else writes there.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Waits for a line on standard input.
fn wait_for_word() {
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}

// The programs.

fn threads(port: u16) {
    let daemon = thread::Builder::new().daemon(true).spawn(child, (port, DAEMON)).unwrap();
    let other = thread::spawn(child, (port, OTHER)).unwrap();
    assert!(daemon.is_daemon() && !other.is_daemon());
    wait_for_word();
    say("main");
}

fn processes(port: u16, method: StartMethod) {
    let builder = || process::Builder::new().start_method(method);
    let daemon = builder().daemon(true).spawn(child, (port, DAEMON)).unwrap();
    let other = builder().spawn(child, (port, OTHER)).unwrap();
    assert!(daemon.is_daemon() && !other.is_daemon());
    wait_for_word();
    say("main");
}

fn joins(port: u16, scale: &str, when: &str) {
    let join: Box<dyn FnOnce()> = if scale == "thread" {
        let child = thread::spawn(child, (port, OTHER)).unwrap();
        Box::new(|| child.join().unwrap())
    } else {
        let child = process::spawn(child, (port, OTHER)).unwrap();
        Box::new(|| child.join().unwrap())
    };
    match when {
        "first" => {
            join();
            say("main");
        }
        "last" => {
            say("main");
            join();
        }
        _ => say("main"),
    }
}

/// A child whose own child stands at the gate.
fn parent(port: u16, name: u64) {
    process::spawn(visit, (port, name)).unwrap().join().unwrap();
}

/// Children of every kind, named from 0.
fn family(port: u16) {
    for (name, method) in (0..).zip([StartMethod::Spawn, StartMethod::Forkserver]) {
        let builder = || process::Builder::new().start_method(method);
        drop(builder().spawn(visit, (port, 3 * name)).unwrap());
        drop(builder().daemon(true).spawn(visit, (port, 3 * name + 1)).unwrap());
        drop(builder().spawn(parent, (port, 3 * name + 2)).unwrap());
    }
    let pool = process::Executor::builder().workers(2).build().unwrap();
    let tasks = [6, 7].map(|name| pool.submit(visit, (port, name)));
    tasks.into_iter().for_each(|task| drop(task.join()));
}

const FAMILY: usize = 8;

fn run_program(name: &str, port: u16) {
    match name.split(' ').collect::<Vec<_>>()[..] {
        ["threads"] => threads(port),
        ["processes"] => processes(port, StartMethod::Spawn),
        ["forked"] => processes(port, StartMethod::Forkserver),
        ["panicking"] => {
            processes(port, StartMethod::Spawn);
            panic!("main panics")
        }
        ["joins", scale, when] => joins(port, scale, when),
        ["family"] => family(port),
        _ => panic!("no program {name:?}"),
    }
}

#[fourfold::main]
fn with_attribute() {
    let (_, name, port) = program().unwrap();
    run_program(&name, port);
}

// The tests.

/// A program that runs, and the gate that its children come to.
struct Running {
    gate: Gate,
    program: Child,
    output: BufReader<ChildStdout>,
    /// Where a copy of this executable lies.
    _copy: Option<tempfile::TempDir>,
}

impl Running {
    /// With `#[fourfold::main]`, or without it and from another place.
    fn start(name: &str, attribute: bool) -> Running {
        let gate = Gate::new();
        let own = std::env::current_exe().unwrap();
        let copy = (!attribute).then(|| tempfile::tempdir().unwrap());
        let path = copy.as_ref().map_or(own.clone(), |directory| {
            let path: PathBuf = directory.path().join("program");
            // Not a link, which the kernel would tell by its first name.
            std::fs::copy(&own, &path).unwrap();
            path
        });
        let mut program = Command::new(path)
            .args(["--program", if attribute { "attribute" } else { "plain" }, name])
            .arg(gate.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(program.stdout.take().unwrap());
        Running { gate, program, output, _copy: copy }
    }

    /// Has `main` go on to its end.
    fn go(&mut self) {
        self.program.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Nothing more is said, by nobody; and the exit code.
    fn end(mut self) -> Option<i32> {
        assert_eq!(self.line(), "");
        self.program.wait().unwrap().code()
    }
}

fn two(gate: &Gate) -> (Guest, Guest) {
    let mut guests = gate.next_few(2);
    let other = guests.pop().unwrap();
    let daemon = guests.pop().unwrap();
    assert_eq!((daemon.name, other.name), (DAEMON, OTHER));
    (daemon, other)
}

fn a_daemon_thread_is_cut_off_and_the_others_are_waited_for() {
    let mut running = Running::start("threads", true);
    let (daemon, other) = two(&running.gate);
    running.go();
    assert_eq!(running.line(), "main");
    assert!(running.program.try_wait().unwrap().is_none());
    other.pass();
    assert_eq!(running.line(), "child 1");
    daemon.gone();
    assert_eq!(running.end(), Some(0));
}

fn a_daemon_process_is_ended_and_the_others_are_waited_for() {
    for (name, attribute, code) in [
        ("processes", true, 0),
        ("processes", false, 0),
        ("forked", true, 0),
        ("forked", false, 0),
        ("panicking", true, 101),
    ] {
        let mut running = Running::start(name, attribute);
        let (daemon, other) = two(&running.gate);
        running.go();
        assert_eq!(running.line(), "main");
        // While the other is still there, and main waits for it.
        daemon.gone();
        assert!(other.is_there(), "{name}, {attribute}");
        assert!(running.program.try_wait().unwrap().is_none(), "{name}, {attribute}");
        other.pass();
        assert_eq!(running.line(), "child 1");
        assert_eq!(running.end(), Some(code), "{name}, {attribute}");
    }
}

fn join_first_join_last_and_no_join_give_the_order_asked_for() {
    for (scale, attribute) in [("thread", true), ("process", true), ("process", false)] {
        for (when, expected) in [
            ("first", ["child 1", "main"]),
            ("last", ["main", "child 1"]),
            ("never", ["main", "child 1"]),
        ] {
            let mut running = Running::start(&format!("joins {scale} {when}"), attribute);
            let guest = running.gate.next();
            let lines = if when == "first" {
                guest.pass();
                [running.line(), running.line()]
            } else {
                let first = running.line();
                guest.pass();
                [first, running.line()]
            };
            assert_eq!(lines, expected, "{scale}, join {when}");
            assert_eq!(running.end(), Some(0));
        }
    }
}

fn nobody_survives_a_parent_that_is_killed() {
    for attribute in [true, false] {
        let mut running = Running::start("family", attribute);
        let guests = running.gate.next_few(FAMILY);
        assert!(guests.iter().all(Guest::is_there));
        running.program.kill().unwrap();
        let took: Duration = guests.into_iter().map(Guest::gone).sum();
        assert!(took < Duration::from_secs(1), "orphans for {took:?}");
        // Of a signal, so without a code.
        assert_eq!(running.end(), None);
    }
}

/// A test, by its name.
macro_rules! tests {
    ($($name:ident)+) => { [$((stringify!($name), $name as fn())),+] };
}

const TESTS: [(&str, fn()); 4] = tests! {
    a_daemon_thread_is_cut_off_and_the_others_are_waited_for
    a_daemon_process_is_ended_and_the_others_are_waited_for
    join_first_join_last_and_no_join_give_the_order_asked_for
    nobody_survives_a_parent_that_is_killed
};

/// With `#[fourfold::main]` or not, the name, and the gate, if this process is to be a program.
fn program() -> Option<(bool, String, u16)> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args[..] {
        [flag, kind, name, port] if flag == "--program" => {
            Some((kind == "attribute", name.clone(), port.parse().unwrap()))
        }
        _ => None,
    }
}

fn main() -> ExitCode {
    match program() {
        Some((true, ..)) => with_attribute(),
        Some((false, name, port)) => run_program(&name, port),
        None => {
            let wanted: Vec<String> =
                std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
            for (name, test) in TESTS {
                if wanted.is_empty() || wanted.iter().any(|part| name.contains(part)) {
                    within(LIMIT, test);
                    println!("test {name} ... ok");
                }
            }
        }
    }
    ExitCode::SUCCESS
}
