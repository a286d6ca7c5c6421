//! Processes that would start processes without end, and starts that never succeed.

use std::fs;

use super::support::{Build, Program, both};

#[test]
fn a_bomb_at_every_level_comes_to_an_end() {
    both(&["bomb"]);
}

#[test]
fn init_twice_late_and_in_a_child() {
    both(&["twice"]);
}

#[test]
fn a_start_that_keeps_failing_is_an_error() {
    both(&["failing-starts"]);
}

/// Runs the program whose children come to its `main`, and gives its log.
fn late(never: bool) -> Vec<String> {
    let mut program = Program::new(Build::Same, "fault-late", &[]);
    let log = program.folder.path().join("log");
    program.command.env("FAULT_LOG", &log);
    if never {
        program.command.env("FAULT_NEVER", "1");
    }
    let folder = fs::canonicalize(program.folder.path()).unwrap();
    let (text, done) = {
        // The folder goes with the program.
        let kept = std::mem::replace(&mut program.folder, tempfile::TempDir::new().unwrap());
        let done = program.succeed();
        (fs::read_to_string(folder.join("log")).unwrap(), (done, kept))
    };
    drop(done);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_main_that_starts_before_it_serves_does_not_go_on_for_ever() {
    // The child was refused a child of its own, then served, and never came past `init`.
    let expected = ["main", "main", "refused NotStarted", "outcome Ok(5)", "served"];
    assert_eq!(late(false), expected);
}

#[test]
fn a_main_that_never_serves_is_told_of() {
    // The child has done the program's work once more, and ended with 0 without a value.
    let expected = ["main", "main", "refused NotStarted", "outcome Err(NotStarted)", "served"];
    assert_eq!(late(true), expected);
}

#[test]
fn a_token_that_is_stale_or_nonsense_ends_the_process() {
    let tokens = [
        "",
        "nonsense",
        "1:0:1:3:4",
        "1:0:1:3:4:5:6:2",
        "1:ff:1:77:78:79:80:0",
        "1:zz:1:0:1:5:6:2",
        "2:0:1:3:4:5:6:2",
        "1:0:1:-1:-1:-1:-1:0",
    ];
    for name in ["fault-plain", "fault-attribute"] {
        for token in tokens {
            let mut program = Program::new(Build::Same, name, &["bomb"]);
            program.command.env("FOURFOLD_CHILD", token);
            let done = program.run();
            assert_eq!(done.status.code(), Some(113), "{name} {token:?}: {done:?}");
            assert!(done.stderr.contains("was started to run a task"), "{done:?}");
        }
    }
}
