//! What goes wrong around the jobs: disks, pipes, files, commands.

use std::io::Read;
use std::sync::Arc;

use fourfold::process::Stdio;

use crate::harness::*;

fn full() -> Stdio {
    let file = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    Stdio::Fd(Arc::new(file.into()))
}

#[test]
fn a_full_disk_is_told_and_ends_the_run() {
    let mark = mark("full-disk");
    let job = format!(
        "if [ {{}} = 1 ]; then echo out; else exec sh -c 'while :; do sleep 0.05; done' {mark}; fi"
    );
    let run = end(command(["-j2", &job, ":::", "2", "1"]).stdout(full()));
    assert_eq!(run.status, 255);
    assert!(
        run.stderr.contains("error: standard output: No space left on device"),
        "{}",
        run.stderr
    );
    until("nothing is left", || processes_with(&mark) == 0);
    for words in [&["--dry-run", "echo", ":::", "a"][..], &["--json", "echo", ":::", "a"]] {
        let run = end(command(words).stdout(full()));
        assert_eq!(run.status, 255);
        assert!(run.stderr.contains("No space left on device"), "{}", run.stderr);
    }
}

#[test]
fn a_log_that_cannot_be_written_is_told() {
    for option in
        [&["--joblog", "/dev/full"][..], &["--json=/dev/full"], &["--joblog", "/nowhere/log"]]
    {
        let run = run(option.iter().chain(&["echo", ":::", "a"]));
        assert_eq!(run.status, 255, "{option:?}");
        let says = ["/dev/full: No space left on device", "/nowhere/log: No such file"];
        assert!(says.iter().any(|text| run.stderr.contains(text)), "{}", run.stderr);
    }
}

#[test]
fn no_room_for_what_a_job_writes_is_the_end_of_that_job() {
    let mut command =
        command(["-j1", "head -c {} /dev/zero && sleep 2; true", ":::", "20000000", "1"]);
    let run = end(command.env("TMPDIR", "/nowhere"));
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(run.stderr.contains("/nowhere"), "{}", run.stderr);
    assert_eq!(run.stdout.len() as u64 % 2, 1, "the second job's output is there");
}

#[test]
fn a_closed_pipe_ends_the_run_quietly() {
    let mark = mark("closed-pipe");
    for order in ["-k", "--tag"] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let (stdin, mut inputs) = pipe();
        let mut command = command([order, "-j4", &format!("echo {{}}; true {mark}")]);
        command.stdin(stdin).stdout(Stdio::Fd(Arc::new(writer.into())));
        let running = start(&command);
        drop(command);
        let writing = std::thread::spawn(move || {
            use std::io::Write;
            while inputs.write_all(b"line\n").is_ok() {}
        });
        let mut first = [0; 5];
        reader.read_exact(&mut first).unwrap();
        assert_eq!(&first[..4], b"line");
        drop(reader);
        let run = running.end();
        assert_eq!((run.status, run.stderr.as_str()), (141, ""));
        writing.join().unwrap();
        until("nothing is left", || processes_with(&mark) == 0);
    }
}

#[test]
fn an_input_file_that_cannot_be_read_is_told_before_any_job_runs() {
    for (path, why) in [("/nowhere", "No such file"), ("/", "directory")] {
        for words in [
            &["echo", "::::", path][..],
            &["-a", path, "echo"],
            &["echo", ":::", "a", "::::", path],
        ] {
            let run = run(words);
            assert_eq!(run.printed(255), "");
            assert!(run.stderr.contains(&format!("input file {path}: ")), "{}", run.stderr);
            assert!(run.stderr.contains(why), "{}", run.stderr);
        }
    }
}

#[test]
fn an_input_that_ends_in_an_error_is_told() {
    // Reading the memory of a process from its start is an input/output error.
    let run = run(["echo", "::::", "/proc/self/mem"]);
    assert_eq!(run.printed(255), "");
    assert!(run.stderr.contains("error: /proc/self/mem: Input/output error"), "{}", run.stderr);
}

#[test]
fn a_command_that_does_not_exist_is_told_once() {
    let numbers: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    for words in
        [&["no-such-command-{%}"][..], &["no-such-command {} -x"], &["./no-such-command", "{}"]]
    {
        let run = run_with_input(words, numbers.as_bytes());
        assert_eq!(run.printed(255), "");
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(
            run.stderr.contains("no-such-command") && run.stderr.contains("command not found"),
            "{}",
            run.stderr
        );
    }
    let denied = run(["/etc/passwd", ":::", "a", "b"]);
    assert_eq!(denied.printed(255), "");
    assert_eq!(denied.stderr.lines().count(), 1, "{}", denied.stderr);
}

#[test]
fn an_input_that_is_no_command_is_the_failure_of_that_job() {
    let run = run(["-k", "--joblog", "/dev/null", "{}", "x", ":::", "no-such-command", "echo", ""]);
    assert_eq!(run.printed(2), "x\n");
    assert!(run.stderr.contains("not started: command not found"), "{}", run.stderr);
    assert!(run.stderr.contains("not started: no command"), "{}", run.stderr);
}

#[test]
fn endless_jobs_that_cannot_start_keep_nobody_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let (stdin, mut writer) = pipe();
    let mut command = command(["-j2", "--timeout", "0.2", "--joblog"]);
    let running = start(command.arg(&log).stdin(stdin));
    drop(command);
    let writing = std::thread::spawn(move || {
        use std::io::Write;
        let _ = writer.write_all(b"sleep 60\n");
        let block = b"no-such-command\n".repeat(1000);
        while writer.write_all(&block).is_ok() {}
    });
    until("the job that runs has timed out", || read(&log).contains("\t-1\t15\tsleep 60\n"));
    running.signal(rustix::process::Signal::INT);
    assert_eq!(running.end().status, 130);
    writing.join().unwrap();
}

#[test]
fn an_argument_that_the_kernel_refuses_is_the_failure_of_that_job() {
    let mut input = vec![b'x'; 200_000];
    input.extend(b"\nsmall\nnul\0l\n");
    let run = run_with_input(["-k", "echo"], &input);
    assert_eq!(run.printed(2), "small\n");
    assert!(run.stderr.contains("Argument list too long"), "{}", run.stderr);
}

#[test]
fn a_process_left_behind_with_the_output_open_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let job = "sh -c 'until [ -e go ]; do sleep 0.05; done; echo late' & echo {}";
    let mut command = command(["-j1", "-k", job, ":::", "a", "b"]);
    let run = end(command.current_dir(directory.path()));
    std::fs::write(directory.path().join("go"), "").unwrap();
    assert_eq!(run.printed(0), "a\nb\n");
}

#[test]
fn closed_standard_streams_do_no_harm() {
    let fourfold = env!("CARGO_BIN_EXE_fourfold");
    for close in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let script = format!("'{fourfold}' run -k 'echo {{}}; exit {{}}' ::: 0 3 {close}");
        let mut shell = fourfold::process::Command::new("sh");
        shell.args(["-c", &script]).stdout(Stdio::Capture).stderr(Stdio::Capture).timeout(DEADLINE);
        let run = end(&mut shell);
        let expected = if close.contains(">&- ") || close == ">&-" { "" } else { "0\n3\n" };
        assert_eq!(run.printed(1), expected, "{close}");
    }
}

#[test]
fn few_descriptors_mean_fewer_jobs_at_once() {
    let fourfold = env!("CARGO_BIN_EXE_fourfold");
    let script = format!("ulimit -n 32; seq 100 | '{fourfold}' run -k -j50 'sleep 0.01; echo'");
    let mut shell = fourfold::process::Command::new("sh");
    shell.args(["-c", &script]).stdout(Stdio::Capture).stderr(Stdio::Capture).timeout(DEADLINE);
    let expected: String = (1..=100).map(|n| format!("{n}\n")).collect();
    assert_eq!(end(&mut shell).printed(0), expected);
}
