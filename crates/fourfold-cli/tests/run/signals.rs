//! Ctrl-C and its kin, and a sudden end.

use std::path::Path;

use rustix::process::Signal;

use crate::harness::*;

/// A run of jobs that note what they get, and do not end of themselves.
fn begun(directory: &Path, options: &[&str], on_signal: &str, mark: &str) -> Running {
    let job = format!(
        "trap '{on_signal}' INT TERM HUP; : > begun-{{}}; while :; do sleep 0.02; done; : {mark}"
    );
    let mut command = command(options.iter().copied().chain([&*job, ":::", "1", "2", "3", "4"]));
    let running = start(command.current_dir(directory));
    until("two jobs have begun", || {
        ["begun-1", "begun-2"].iter().all(|n| directory.join(n).exists())
    });
    running
}

#[test]
fn the_first_is_passed_on_and_starts_no_more() {
    for (signal, name, status) in
        [(Signal::INT, "INT", 130), (Signal::TERM, "TERM", 143), (Signal::HUP, "HUP", 129)]
    {
        let directory = tempfile::tempdir().unwrap();
        let mark = mark(&format!("first-{name}"));
        let on_signal = "echo got it; echo got >> got; exit 0";
        let log = directory.path().join("log");
        let log_option = log.to_str().unwrap();
        let running =
            begun(directory.path(), &["-j2", "-k", "--joblog", log_option], on_signal, &mark);
        running.signal(signal);
        let run = running.end();
        assert_eq!(run.printed(status), "got it\ngot it\n");
        assert_eq!(read(&directory.path().join("got")), "got\ngot\n");
        assert!(!directory.path().join("begun-3").exists());
        until("nothing is left", || processes_with(&mark) == 0);
        // Both ended well, and are logged.
        assert_eq!(read(&log).lines().count(), 3);
    }
}

#[test]
fn jobs_that_were_cut_off_run_again_when_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let mark = mark("resumed");
    let log = directory.path().join("log");
    let log_option = log.to_str().unwrap();
    let running = begun(directory.path(), &["-j2", "--joblog", log_option], "exit 130", &mark);
    running.signal(Signal::INT);
    let run = running.end();
    assert_eq!(run.printed(130), "");
    assert_eq!(read(&log).lines().count(), 1, "{}", read(&log));
}

#[test]
fn the_second_kills() {
    let directory = tempfile::tempdir().unwrap();
    let mark = mark("second");
    let running = begun(directory.path(), &["-j2"], "echo got >> got", &mark);
    running.signal(Signal::INT);
    until("both have got it", || read(&directory.path().join("got")) == "got\ngot\n");
    assert!(processes_with(&mark) >= 2, "they go on");
    running.signal(Signal::INT);
    assert_eq!(running.end().status, 130);
    until("nothing is left", || processes_with(&mark) == 0);
}

#[test]
fn a_run_that_waits_for_input_ends_as_well() {
    let (stdin, writer) = pipe();
    let mut command = command(["echo"]);
    let running = start(command.stdin(stdin));
    drop(command);
    until("it listens", || listens(running.pid));
    running.signal(Signal::INT);
    assert_eq!(running.end().printed(130), "");
    drop(writer);
}

#[test]
fn a_run_that_waits_for_another_try_ends_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let mut command =
        command(["--retries", "2", "--backoff", "1h", "touch tried; false", ":::", "a"]);
    let running = start(command.current_dir(directory.path()));
    until("it has failed", || directory.path().join("tried").exists() && listens(running.pid));
    running.signal(Signal::INT);
    assert_eq!(running.end().printed(130), "");
}

/// A run whose output nobody reads, held up by the output of its first job, while the second one runs.
fn held_up(options: &[&str], mark: &str) -> (Running, std::io::PipeReader) {
    let endless = format!("exec sh -c 'while :; do sleep 0.05; done' {mark}");
    let job = format!("if [ {{}} = 1 ]; then head -c 1000000 /dev/zero; else {endless}; fi");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = command(options.iter().copied().chain([&*job, ":::", "2", "1"]));
    command.stdout(fourfold::process::Stdio::Fd(std::sync::Arc::new(writer.into())));
    let running = start(&command);
    drop(command);
    let is_full = || rustix::io::ioctl_fionread(&reader).unwrap() > 60_000;
    // Fourfold's own command line has the mark, too.
    until("the pipe is full", || is_full() && processes_with(mark) > 1);
    (running, reader)
}

#[test]
fn limits_are_kept_while_nobody_reads_the_output() {
    let mark = mark("unread-limits");
    let (running, mut reader) = held_up(&["-j2", "--timeout", "0.5"], &mark);
    until("the job over its time has ended", || processes_with(&mark) <= 1);
    let mut seen = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut seen).unwrap();
    assert_eq!(seen.len(), 1_000_000);
    let run = running.end();
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("timed out after 0.5 s"), "{}", run.stderr);
}

#[test]
fn a_run_whose_output_nobody_reads_can_be_ended() {
    let mark = mark("unread-ended");
    let (running, reader) = held_up(&["-j2"], &mark);
    running.signal(Signal::INT);
    // Passed on though fourfold is held up. The mark is in its own command line as well.
    until("the job has ended", || processes_with(&mark) <= 1);
    running.signal(Signal::INT);
    assert_eq!(running.end().status, 130);
    drop(reader);
}

/// Whether a process handles SIGINT.
fn listens(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 1) != 0
}

#[test]
fn what_was_ignored_stays_ignored() {
    let fourfold = env!("CARGO_BIN_EXE_fourfold");
    let directory = tempfile::tempdir().unwrap();
    let script = format!(
        "trap '' INT; exec '{fourfold}' run 'echo > begun; until [ -e go ]; do sleep 0.02; done; echo {{}}' ::: a"
    );
    let mut shell = fourfold::process::Command::new("sh");
    shell.args(["-c", &script]).stdout(fourfold::process::Stdio::Capture);
    let running = start(shell.current_dir(directory.path()).timeout(DEADLINE));
    until("the job has begun", || directory.path().join("begun").exists());
    running.signal(Signal::INT);
    std::fs::write(directory.path().join("go"), "").unwrap();
    assert_eq!(running.end().printed(0), "a\n");
}

#[test]
fn nothing_is_left_of_a_run_that_is_killed() {
    for round in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let mark = mark(&format!("killed-{round}"));
        // With a child of its own that would survive it.
        let on_signal = "echo got >> got";
        let nested = format!("sh -c \"while :; do sleep 0.02; done; : {mark}\" & : ");
        let job = format!(
            "{nested}; trap '{on_signal}' INT TERM HUP; : > begun-{{}}; while :; do sleep 0.02; done; : {mark}"
        );
        let mut command = command(["-j2", &job, ":::", "1", "2"]);
        let running = start(command.current_dir(directory.path()));
        until("two jobs have begun", || {
            ["begun-1", "begun-2"].iter().all(|name| directory.path().join(name).exists())
        });
        running.signal(Signal::KILL);
        assert_eq!(
            running.finished().end,
            fourfold::process::End::Signaled { signal: 9, core_dumped: false }
        );
        until("nothing is left", || processes_with(&mark) == 0);
    }
}
