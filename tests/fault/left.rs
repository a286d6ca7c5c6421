//! What is left after many rounds, also of what failed: no descriptor, no mapping, no thread, no zombie, no file.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::support::{Build, Program, plain};

#[test]
fn nothing_after_rounds_of_everything() {
    plain(&["leaks"]);
}

#[test]
fn nothing_after_rounds_with_failures() {
    plain(&["leaks", "failures"]);
}

#[test]
fn nothing_after_bad_starts() {
    plain(&["bad-starts"]);
}

#[test]
fn nothing_without_descriptors() {
    plain(&["no-descriptors"]);
}

#[test]
fn nothing_without_room() {
    plain(&["no-room"]);
}

/// A user who has nothing else running. Only root can become one; for anybody else the limit counts for themselves.
#[test]
fn nothing_without_processes() {
    // SAFETY: asks for a number.
    let root = unsafe { libc::geteuid() } == 0;
    for (user, warmth) in [(64_001, "cold"), (64_002, "warm")] {
        let program = Program::new(Build::Same, "fault-plain", &["no-processes", warmth]);
        if !root {
            program.succeed();
        } else if let Err(error) = Command::new("true").uid(user).status() {
            // A container may map only a few.
            let why = format!("left out: this process may not become user {user}: {error}");
            // Past what catches the output of tests that succeed.
            let _ = writeln!(std::io::stderr(), "{why}");
        } else {
            program.by_user(user).succeed();
        }
    }
}
