//! How work ended, exactly, in each build; and what the end of `main` does to children.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use super::support::{Build, Program};

fn ends(build: Build, name: &str) {
    Program::new(build, name, &["ends"]).succeed();
}

#[test]
fn are_told_exactly() {
    ends(Build::Same, "fault-plain");
}

#[test]
fn are_told_exactly_with_the_attribute() {
    ends(Build::Same, "fault-attribute");
}

#[test]
fn are_told_exactly_where_a_panic_aborts() {
    ends(Build::Abort, "fault-plain");
}

#[test]
fn are_told_exactly_where_a_panic_aborts_with_the_attribute() {
    ends(Build::Abort, "fault-attribute");
}

#[test]
fn are_told_also_of_a_child_that_somebody_traces() {
    Program::new(Build::Same, "fault-plain", &["traced"]).succeed();
}

#[test]
fn a_child_inherits_what_its_starter_has_at_the_start() {
    Program::new(Build::Same, "fault-plain", &["heir"]).succeed();
}

#[test]
fn a_child_inherits_also_where_the_session_is_none_of_this_namespace() {
    let namespace = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let able = Command::new("unshare").args(namespace).arg("true").output();
    if !able.is_ok_and(|output| output.status.success()) {
        // Not by `eprintln`, which the harness keeps to itself where a test passes.
        let why = "left out: this process may not make a pid namespace";
        let _ = writeln!(std::io::stderr(), "{why}");
        return;
    }
    Program::new(Build::Same, "fault-plain", &["heir"]).below("unshare", &namespace).succeed();
}

#[test]
fn are_told_also_where_the_kernel_keeps_no_children() {
    for name in ["fault-plain", "fault-attribute"] {
        for args in [&["forgotten", "inherited"][..], &["forgotten", "inherited", "old"]] {
            let program = Program::new(Build::Same, name, args);
            program.below("env", &["--ignore-signal=CHLD"]).succeed();
        }
        for how in ["ignored", "not-kept"] {
            Program::new(Build::Same, name, &["forgotten", how]).succeed();
            Program::new(Build::Same, name, &["forgotten", how, "old"]).succeed();
        }
        Program::new(Build::Same, name, &["forgotten", "stolen"]).succeed();
    }
}

/// Runs `main` to one of its ends, and gives its status and what its child wrote.
fn leave(name: &str, build: Build, how: &str, method: &str, kind: &str) -> (Option<i32>, String) {
    let folder = tempfile::TempDir::new().unwrap();
    let log = folder.path().join("log");
    let args = ["leave", how, method, kind, log.to_str().unwrap()];
    let began = Instant::now();
    let done = Program::new(build, name, &args).run();
    let text = fs::read_to_string(&log).unwrap();
    assert!(began.elapsed().as_secs() < 60, "{how} took {:?}", began.elapsed());
    // Whether it was waited for or ended, it is gone: at once, or as its lifeline ends it.
    let pid = text.split_ascii_whitespace().nth(1).unwrap();
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let end = Instant::now() + Duration::from_secs(1);
    while !(stat().is_empty() || stat().contains(") Z ")) {
        assert!(
            Instant::now() < end,
            "{how} {method} {kind}: the child is still there: {}",
            stat()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    (done.status.code(), text)
}

#[test]
fn main_waits_for_children_and_ends_daemons() {
    let ends = [("return", 0), ("fail", 5), ("exit", 7), ("panic", 101)];
    for name in ["fault-plain", "fault-attribute"] {
        for method in ["spawn", "forkserver", "fork"] {
            for (how, code) in ends {
                let (status, text) = leave(name, Build::Same, how, method, "foreground");
                assert_eq!(status, Some(code), "{name} {how} {method}");
                assert!(text.ends_with("ended\n"), "{name} {how} {method}: {text}");
                let (status, text) = leave(name, Build::Same, how, method, "daemon");
                assert_eq!(status, Some(code), "{name} {how} {method}");
                assert!(!text.ends_with("ended\n"), "{name} {how} {method}: {text}");
            }
        }
    }
}

#[test]
fn main_that_aborts_takes_its_children_along() {
    for method in ["spawn", "forkserver", "fork"] {
        // No exit handler runs: what is left is the lifeline, which ends them.
        let folder = tempfile::TempDir::new().unwrap();
        let log = folder.path().join("log");
        let args = ["leave", "panic", method, "foreground", log.to_str().unwrap()];
        let done = Program::new(Build::Abort, "fault-plain", &args).run();
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(done.status.signal(), Some(libc::SIGABRT));
        let text = fs::read_to_string(&log).unwrap();
        assert!(!text.ends_with("ended\n"), "{method}: {text}");
    }
}
