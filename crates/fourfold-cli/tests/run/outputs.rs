//! What is printed, where, and in which order.

use std::os::fd::AsFd;
use std::sync::Arc;

use fourfold::process::Stdio;

use crate::harness::*;

#[test]
fn outputs_of_jobs_do_not_mix() {
    let job = "i=0; while [ $i -lt 200 ]; do echo {}; i=$((i+1)); done";
    let run = run(["-j4", job, ":::", "a", "b", "c", "d"]);
    let mut lines = run.printed(0).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines.len(), 800);
    lines.dedup();
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[test]
fn outputs_keep_the_order_of_the_inputs_if_asked_to() {
    let directory = tempfile::tempdir().unwrap();
    // The first waits for the last.
    let job = "if [ {} = 1 ]; then until [ -e last ]; do sleep 0.01; done; fi; \
        if [ {} = 20 ]; then touch last; fi; echo {}; echo e{} >&2";
    let inputs: Vec<String> = (1..=20).map(|n| n.to_string()).collect();
    let mut command = command(["-k", "-j3", job, ":::"]);
    let run = end(command.args(&inputs).current_dir(directory.path()));
    assert_eq!(run.printed(0).lines().collect::<Vec<_>>(), inputs);
    let errors: Vec<String> = inputs.iter().map(|input| format!("e{input}")).collect();
    assert_eq!(run.stderr.lines().collect::<Vec<_>>(), errors);
}

#[test]
fn outputs_that_wait_for_their_turn_hold_no_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let job = "if [ {} = 1 ]; then until [ -e go ]; do sleep 0.01; done; fi; \
        if [ {} = 6000 ]; then touch last; fi; echo {}";
    let inputs: Vec<String> = (1..=6000).map(|n| n.to_string()).collect();
    let mut command = command(["-k", "-j3", job]);
    command.stdin(file_with((inputs.join("\n") + "\n").as_bytes())).current_dir(directory.path());
    let running = start(&command);
    until("the last job has run", || directory.path().join("last").exists());
    let open = std::fs::read_dir(format!("/proc/{}/fd", running.pid)).unwrap().count();
    std::fs::write(directory.path().join("go"), "").unwrap();
    let run = running.end();
    assert_eq!(run.printed(0).lines().collect::<Vec<_>>(), inputs);
    assert!(open < 40, "{open} descriptors");
    assert!(run.peak_memory <= 32 << 20, "{} bytes", run.peak_memory);
}

#[test]
fn large_outputs_are_whole_and_not_kept_in_our_memory() {
    let job = "head -c 30000000 /dev/zero | tr '\\0' {}; sleep 0.1; echo; echo {} >&2";
    for order in [&["-j2"][..], &["-j2", "-k"][..]] {
        let run = run(order.iter().chain(&[job, ":::", "b", "a"]));
        assert_eq!(run.status, 0);
        let mut lines = run.lines();
        lines.sort();
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [30_000_000; 2]);
        assert!(
            lines[0].bytes().all(|byte| byte == b'a') && lines[1].bytes().all(|byte| byte == b'b')
        );
        // What a job has not had moved to a file yet is its own output's memory, not ours.
        assert!(run.peak_memory <= 32 << 20, "{} bytes", run.peak_memory);
    }
}

#[test]
fn each_line_is_tagged_with_the_inputs() {
    let run = run([
        "-k",
        "--tag",
        "echo 'x {}'; echo; printf end; echo e >&2",
        ":::",
        "a",
        "b",
        ":::",
        "1",
    ]);
    assert_eq!(run.printed(0), "a 1\tx a 1\na 1\t\na 1\tend\nb 1\tx b 1\nb 1\t\nb 1\tend\n");
    assert_eq!(run.stderr, "a 1\te\nb 1\te\n");
}

#[test]
fn standard_error_stays_apart_and_behind() {
    let run = run(["-j1", "echo o{}; echo e{} >&2; echo p{}", ":::", "1", "2"]);
    assert_eq!((run.printed(0).as_str(), run.stderr.as_str()), ("o1\np1\no2\np2\n", "e1\ne2\n"));
    let both = tempfile::NamedTempFile::new().unwrap();
    let file = || {
        let file = std::fs::OpenOptions::new().append(true).open(both.path()).unwrap();
        Stdio::Fd(Arc::new(file.into()))
    };
    let mut command = command(["-j1", "echo e{} >&2; echo o{}", ":::", "1", "2"]);
    assert_eq!(end(command.stdout(file()).stderr(file())).status, 0);
    assert_eq!(read(both.path()), "o1\ne1\no2\ne2\n");
}

#[test]
fn ungrouped_jobs_write_for_themselves() {
    let run = run(["-u", "-j1", "echo {} >&2", ":::", "a"]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains('a'));
    let directory = tempfile::tempdir().unwrap();
    // Grouped, nobody would see the line before the job has ended.
    let job = "echo now; until [ -e go ]; do sleep 0.01; done; : {}";
    let out = directory.path().join("out");
    let file = std::fs::File::create(&out).unwrap();
    let mut command = command(["-u", job, ":::", "a"]);
    command.current_dir(directory.path()).stdout(Stdio::Fd(Arc::new(file.into())));
    let running = start(&command);
    until("the line is there", || read(&out) == "now\n");
    std::fs::write(directory.path().join("go"), "").unwrap();
    assert_eq!(running.end().status, 0);
}

#[test]
fn outputs_come_when_their_job_has_ended_and_not_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let file = std::fs::File::create(&out).unwrap();
    let job = "echo {}; [ {} = 1 ] || until [ -e go ]; do sleep 0.01; done";
    let mut command = command(["-j2", job, ":::", "1", "2"]);
    command.current_dir(directory.path()).stdout(Stdio::Fd(Arc::new(file.into())));
    let running = start(&command);
    until("the first output is there", || read(&out) == "1\n");
    std::fs::write(directory.path().join("go"), "").unwrap();
    assert_eq!(running.end().status, 0);
    assert_eq!(read(&out), "1\n2\n");
}

#[test]
fn progress_is_told_on_standard_error_only() {
    let run = run(["--bar", "-k", "exit {}", ":::", "0", "1", "0"]);
    assert_eq!(run.printed(1), "");
    assert!(run.stderr.contains("3 of 3 jobs ended, 1 failed"), "{}", run.stderr);
    assert!(!run.stderr.contains('\x1b') && !run.stderr.contains('\r'), "{:?}", run.stderr);
}

/// A terminal, and all that was written to it.
fn on_a_terminal(arguments: &[&str], no_colour: bool) -> (String, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let path = std::path::PathBuf::from(name.into_string().unwrap());
    let terminal = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut command = command(arguments);
    command.stderr(Stdio::Fd(Arc::new(terminal.into()))).env("TERM", "xterm");
    if no_colour {
        command.env("NO_COLOR", "1");
    }
    let running = start(&command);
    drop(command);
    let mut seen = Vec::new();
    let reader = std::fs::File::from(master.as_fd().try_clone_to_owned().unwrap());
    let reading = std::thread::spawn(move || {
        // The other side's end is an error here.
        let _ = std::io::Read::read_to_end(&mut &reader, &mut seen);
        String::from_utf8_lossy(&seen).into_owned()
    });
    let printed = running.end().text();
    (printed, reading.join().unwrap())
}

#[test]
fn on_a_terminal_the_bar_moves_and_colours_are_used_unless_refused() {
    let arguments = ["--bar", "-k", "echo {}; exit {}", ":::", "0", "1"];
    let (printed, seen) = on_a_terminal(&arguments, false);
    assert_eq!(printed, "0\n1\n");
    assert!(seen.contains("/2") && seen.contains("\x1b[31m"), "{seen:?}");
    let (printed, seen) = on_a_terminal(&arguments, true);
    assert_eq!(printed, "0\n1\n");
    assert!(
        seen.contains("/2") && !seen.contains("\x1b[31m") && !seen.contains("\x1b[36m"),
        "{seen:?}"
    );
}

#[test]
fn a_record_for_each_job() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let json = format!("--json={}", file.path().display());
    let jobs = ["echo a b", "exit 3", "kill -SEGV $$", "true"];
    let run = run(["-j1", &json, "--mem", "1G", ":::"].into_iter().chain(jobs));
    assert_eq!(run.printed(2), "a b\n");
    let records: Vec<serde_json::Value> =
        read(file.path()).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 4);
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record["seq"], index as u64 + 1);
        assert_eq!(record["command"], jobs[index]);
        assert_eq!(record["tries"], 1);
        assert_eq!(record["memory_limit"], 1u64 << 30);
        assert!(record["start"].as_f64().unwrap() > 1e9 && record["wall"].as_f64().unwrap() > 0.0);
        assert!(record["peak_memory"].as_u64().unwrap() > 0, "{record}");
        assert!(record["user"].is_f64() && record["system"].is_f64());
    }
    let told = |key: &str| records.iter().map(|record| record[key].clone()).collect::<Vec<_>>();
    assert_eq!(told("outcome"), ["succeeded", "failed", "signaled", "succeeded"]);
    assert_eq!(told("exit_code"), [0.into(), 3.into(), serde_json::Value::Null, 0.into()]);
    assert_eq!(told("signal")[2], 11);
    assert!(told("message")[2].as_str().unwrap().starts_with("killed by signal 11 (SIGSEGV)"));
}

#[test]
fn records_on_standard_output_are_alone_there() {
    let run = run(["-k", "--json", "echo out; echo {} >&2", ":::", "a"]);
    assert_eq!(run.status, 0);
    let record: serde_json::Value = serde_json::from_str(&run.text()).unwrap();
    assert_eq!(record["outcome"], "succeeded");
    assert_eq!(run.stderr, "out\na\n");
}
