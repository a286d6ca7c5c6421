//! How jobs end, what is said of it, and the exit status.

use std::time::{Duration, Instant};

use crate::harness::*;

#[test]
fn the_status_counts_the_failed() {
    assert_eq!(run(["exit {}", ":::", "0", "0"]).status, 0);
    assert_eq!(run(["exit {}", ":::", "0", "3", "4"]).status, 2);
    let numbers = |count: u32| (1..=count).map(|n| format!("{n}\n")).collect::<String>();
    assert_eq!(run_with_input(["false"], numbers(100).as_bytes()).status, 100);
    assert_eq!(run_with_input(["false"], numbers(105).as_bytes()).status, 101);
}

#[test]
fn wrong_usage_is_255() {
    for wrong in [
        &["--bogus"][..],
        &["-j", "abc", "true"],
        &["--timeout", "soon", "true"],
        &["--mem", "0", "true"],
        &["--halt", "now", "true"],
        &["--resume", "true", ":::", "a"],
        &["--retries", "0", "true"],
        &["-u", "-k", "true"],
        &["true", ":::+", "a"],
        &["true", "::::"],
    ] {
        let run = run(wrong);
        assert_eq!(run.status, 255, "{wrong:?}");
        assert!(run.stderr.contains("error: "), "{wrong:?}: {}", run.stderr);
        assert_eq!(run.text(), "");
    }
    assert_eq!(end(&mut fourfold_alone(&[])).status, 255);
}

#[test]
fn ends_are_told_also_below_one_that_ignores_sigchld() {
    let mut below = fourfold::process::Command::new("env");
    below.args(["--ignore-signal=CHLD", env!("CARGO_BIN_EXE_fourfold"), "run", "--json"]);
    below.args(["sh", "-c", "{}", ":::", "exit 3", "kill -KILL $$", "true"]);
    below.stdout(fourfold::process::Stdio::Capture).stderr(fourfold::process::Stdio::Capture);
    let run = end(below.timeout(DEADLINE));
    let told = run.printed(2);
    for part in ["\"outcome\":\"failed\"", "\"outcome\":\"signaled\"", "\"outcome\":\"succeeded\""]
    {
        assert!(told.contains(part), "{told}");
    }
}

fn fourfold_alone(arguments: &[&str]) -> fourfold::process::Command {
    let mut command = fourfold::process::Command::new(env!("CARGO_BIN_EXE_fourfold"));
    command.args(arguments).stdout(fourfold::process::Stdio::Capture);
    command.stderr(fourfold::process::Stdio::Capture).timeout(DEADLINE);
    command
}

#[test]
fn help_and_version_are_told_on_standard_output() {
    let version = end(&mut fourfold_alone(&["--version"])).printed(0);
    assert_eq!(version, format!("fourfold {}\n", env!("CARGO_PKG_VERSION")));
    let help = end(&mut fourfold_alone(&["run", "--help"])).printed(0);
    for word in ["--joblog", "--retries", "Exit status", "Placeholders", "Examples", "/bin/sh -c"] {
        assert!(help.contains(word), "{word}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

#[test]
fn a_job_over_its_time_is_ended_with_all_it_has_started() {
    let mark = mark("over-time");
    let job = format!("sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' {mark} & wait; : {{}}");
    let began = Instant::now();
    let run = run(["--timeout", "0.3", &job, ":::", "a"]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("timed out after 0.3 s"), "{}", run.stderr);
    assert!(began.elapsed() < Duration::from_secs(60));
    until("nothing is left of it", || processes_with(&mark) == 0);
}

#[test]
fn a_job_over_its_memory_is_told_from_one_that_was_killed() {
    // Doubles a variable until something ends it, up to 4 GiB.
    let grow = "x=0123456789abcdef; i=0; while [ $i -lt 28 ]; do x=$x$x; i=$((i+1)); done; exit 9";
    let file = tempfile::NamedTempFile::new().unwrap();
    let json = format!("--json={}", file.path().display());
    let run = run(["-j1", &json, "--mem", "40M", ":::", grow, "kill -KILL $$", "echo small"]);
    assert_eq!(run.printed(2), "small\n");
    assert!(run.stderr.contains("over its memory limit (40 MiB; saw "), "{}", run.stderr);
    assert!(run.stderr.contains("killed by signal 9 (SIGKILL)"), "{}", run.stderr);
    let first: serde_json::Value =
        serde_json::from_str(read(file.path()).lines().next().unwrap()).unwrap();
    assert_eq!(first["outcome"], "out of memory");
    assert!(first["memory_seen"].as_u64().unwrap() > 40 << 20, "{first}");
}

#[test]
fn the_memory_of_all_processes_of_a_job_counts() {
    let one =
        "x=0123456789abcdef; i=0; while [ $i -lt 20 ]; do x=$x$x; i=$((i+1)); done; sleep 60; : $x";
    let job = format!("for n in 1 2 3 4; do ({one}) & done; wait");
    // Each of the four has at least 16 MiB, and none more than 40.
    let run = run(["--mem", "60M", "--timeout", "60", ":::", &job]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("over its memory limit (60 MiB"), "{}", run.stderr);
}

#[test]
fn a_job_that_fails_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let job = "echo {} >> tries; echo try $(wc -l < tries); [ $(wc -l < tries) -ge 2 ]";
    let mut command = command(["--retries", "3", "--summary", "all", job, ":::", "a"]);
    let run = end(command.current_dir(directory.path()));
    // As GNU parallel: the output of the last try alone.
    assert_eq!(run.printed(0), "try 2\n");
    assert_eq!(read(&directory.path().join("tries")), "a\na\n");
    let row = run.stderr.lines().last().unwrap();
    let fields: Vec<&str> = row.split_whitespace().take(3).collect();
    assert_eq!(fields, ["1", "succeeded", "2"], "{}", run.stderr);
}

#[test]
fn the_tries_have_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(["--retries", "3", "echo {} >> tries; exit 7", ":::", "a"]);
    let run = end(command.current_dir(directory.path()));
    assert_eq!(run.status, 1);
    assert_eq!(read(&directory.path().join("tries")).lines().count(), 3);
    assert!(run.stderr.contains("exited with code 7"), "{}", run.stderr);
}

#[test]
fn further_tries_wait_longer_each_time_and_others_go_on_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let job = "date +%s%N >> {}; [ {} = b ]";
    let mut command =
        command(["-j1", "--retries", "3", "--backoff", "300ms", job, ":::", "a", "b"]);
    assert_eq!(end(command.current_dir(directory.path())).status, 1);
    let times = |name| -> Vec<u64> {
        read(&directory.path().join(name)).lines().map(|line| line.parse().unwrap()).collect()
    };
    let (a, b) = (times("a"), times("b"));
    assert_eq!((a.len(), b.len()), (3, 1));
    assert!(a[1] - a[0] >= 300_000_000 && a[2] - a[1] >= 600_000_000, "{a:?}");
    assert!(b[0] < a[1], "{a:?} {b:?}");
}

#[test]
fn halting_soon_waits_for_those_that_run() {
    let run =
        run(["-j1", "-k", "--halt", "soon,success=1", "echo {}; exit {}", ":::", "3", "0", "4"]);
    assert_eq!(run.printed(0), "3\n0\n");
    let run = super::harness::run([
        "-j1",
        "--halt",
        "soon,done=2",
        "echo {}; exit {}",
        ":::",
        "3",
        "0",
        "4",
    ]);
    assert_eq!(run.printed(1), "3\n0\n");
    let run = super::harness::run([
        "-j1",
        "--halt",
        "soon,fail=2",
        "echo {}; exit {}",
        ":::",
        "3",
        "4",
        "0",
    ]);
    assert_eq!(run.printed(2), "3\n4\n");
    assert!(run.stderr.contains("halted after 0 succeeded and 2 failed"), "{}", run.stderr);
}

#[test]
fn halting_now_ends_those_that_run() {
    let mark = mark("halt-now");
    let job = format!(
        "if [ {{}} = 1 ]; then exit 5; fi; echo begun {{}}; sh -c 'trap \"\" TERM; while :; do sleep 0.05; done' {mark}"
    );
    let began = Instant::now();
    let run = run(["-j3", "-k", "--halt", "now,fail=1", &job, ":::", "2", "3", "1", "4"]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(run.stderr.contains("1 of 3 jobs failed, 2 cut off"), "{}", run.stderr);
    assert!(began.elapsed() < Duration::from_secs(60));
    until("nothing is left of them", || processes_with(&mark) == 0);
}

#[test]
fn a_share_is_of_all_jobs() {
    let words =
        ["-j1", "--halt", "now,fail=50%", "echo {}; exit {}", ":::", "0", "1", "2", "3", "4"];
    // As GNU parallel: three of five are the first that are half of them.
    assert_eq!(run(words).printed(3), "0\n1\n2\n3\n");
}

#[test]
fn thousands_of_failures_are_counted_and_not_listed() {
    let numbers: String = (1..=2000).map(|n| format!("{n}\n")).collect();
    let run = run_with_input(["exit $(({} % 2 + 1))"], numbers.as_bytes());
    assert_eq!(run.status, 101);
    assert!(run.stderr.contains("2000 of 2000 jobs failed"), "{}", run.stderr);
    assert!(
        run.stderr.contains("and 1980 more") && run.stderr.lines().count() < 30,
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("   1000  exited with code 1\n"), "{}", run.stderr);
    assert!(run.stderr.contains("   1000  exited with code 2\n"), "{}", run.stderr);
}

#[test]
fn nothing_is_said_of_a_run_without_failures() {
    let quiet = run(["true", ":::", "a", "b"]);
    assert_eq!((quiet.status, quiet.text(), quiet.stderr), (0, String::new(), String::new()));
    assert_eq!(run(["--summary", "none", "false", ":::", "a"]).stderr, "");
}

#[test]
fn so_many_run_at_once_as_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    // Each waits until three have begun: with fewer at once none would end.
    let job = "touch b{}; until [ $(ls b* | wc -l) -ge 3 ]; do sleep 0.01; done";
    let mut command = command(["-j3", "--timeout", "60", job, ":::", "1", "2", "3"]);
    assert_eq!(end(command.current_dir(directory.path())).status, 0);
    // And never more: the lock is free for each in turn.
    let job = "mkdir lock && echo {} && sleep 0.01 && rmdir lock";
    let mut command = super::harness::command(["-j1", "-k", job, ":::", "1", "2", "3", "4"]);
    assert_eq!(end(command.current_dir(directory.path())).printed(0), "1\n2\n3\n4\n");
    for count in ["0", "50%", "+1", "-100"] {
        assert_eq!(run(["-j", count, "echo", ":::", "a"]).printed(0), "a\n", "-j {count}");
    }
}
