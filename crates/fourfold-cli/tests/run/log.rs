//! The job log, and what a run that is resumed makes of it.

use std::path::{Path, PathBuf};

use crate::harness::*;

fn log_in(directory: &tempfile::TempDir) -> (PathBuf, String) {
    let path = directory.path().join("log");
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = read(path);
    let mut lines = text.lines();
    let header = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand";
    assert_eq!(lines.next(), Some(header));
    lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn a_line_for_each_job_as_gnu_parallel_writes_it() {
    let directory = tempfile::tempdir().unwrap();
    let (path, log) = log_in(&directory);
    let jobs = ["echo abc", "exit 3", "kill -9 $$; sleep 1", "sleep 60"];
    let run = run(["-j1", "--timeout", "1", "--joblog", &log, ":::"].into_iter().chain(jobs));
    assert_eq!(run.status, 3);
    let rows = rows(&path);
    let column = |index: usize| rows.iter().map(|row| row[index].clone()).collect::<Vec<_>>();
    assert_eq!(column(0), ["1", "2", "3", "4"]);
    assert_eq!(column(1), [":"; 4]);
    assert_eq!(column(5), ["4", "0", "0", "0"]);
    assert_eq!(column(6), ["0", "3", "0", "-1"]);
    assert_eq!(column(7), ["0", "0", "9", "15"]);
    assert_eq!(column(8), jobs);
    for row in &rows {
        let (start, time) = (&row[2], &row[3]);
        assert!(start.parse::<f64>().unwrap() > 1e9 && start.split_once('.').unwrap().1.len() == 3);
        assert!(time.len() == 10 && time.trim().parse::<f64>().unwrap() >= 0.0, "{time}");
    }
    assert!(rows[3][3].trim().parse::<f64>().unwrap() >= 1.0);
}

#[test]
fn a_new_run_begins_a_new_log() {
    let directory = tempfile::tempdir().unwrap();
    let (path, log) = log_in(&directory);
    for input in ["a", "b"] {
        assert_eq!(run(["--joblog", &log, "echo", ":::", input]).status, 0);
    }
    assert_eq!(rows(&path).len(), 1);
}

#[test]
fn a_resumed_run_skips_what_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (path, log) = log_in(&directory);
    let exit = |options: &[&str], inputs: &[&str]| {
        let words = ["-k", "--joblog", &log];
        run(words.iter().chain(options).chain(&["echo {}; exit {}", ":::"]).chain(inputs))
    };
    assert_eq!(exit(&[], &["0", "1"]).printed(1), "0\n1\n");
    assert_eq!(exit(&["--resume"], &["0", "1", "2"]).printed(1), "2\n");
    assert_eq!(exit(&["--resume"], &["0", "1", "2"]).printed(0), "");
    // As GNU parallel: those that failed, and what is new.
    assert_eq!(exit(&["--resume-failed"], &["0", "1", "2", "0"]).printed(2), "1\n2\n0\n");
    let sequence: Vec<String> = rows(&path).into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(sequence.len(), 6, "{sequence:?}");
}

#[test]
fn a_run_with_another_command_is_not_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, log) = log_in(&directory);
    assert_eq!(run(["-k", "--joblog", &log, "echo", ":::", "a", "b"]).status, 0);
    let before = read(&path);
    let run = run(["--joblog", &log, "--resume", "echo", ":::", "a", "x", "c"]);
    assert_eq!(run.printed(255), "");
    assert!(run.stderr.contains("job 2 has another command"), "{}", run.stderr);
    assert_eq!(read(&path), before);
}

#[test]
fn the_slot_of_a_job_makes_no_other_command() {
    let directory = tempfile::tempdir().unwrap();
    let (_, log) = log_in(&directory);
    let command = "echo {} slot{%}; true";
    let words = ["-j3", "-k", "--joblog", &log, "--resume", command, ":::"];
    let resumed = |more: &[&str]| run(words.iter().chain(more)).status;
    assert_eq!(resumed(&["a", "b", "c", "d", "e"]), 0);
    assert_eq!(resumed(&["a", "b", "c", "d", "e", "f"]), 0);
}

#[test]
fn inputs_with_newlines_and_odd_bytes_are_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, log) = log_in(&directory);
    let input = b"a\nb\0\xff\xfe\0tab\there\0";
    let words = ["-0", "-k", "--joblog", &log, "--resume", "printf '%s;' {}"];
    assert_eq!(run_with_input(words, input).stdout, b"a\nb;\xff\xfe;tab\there;");
    assert_eq!(std::fs::read(&path).unwrap().iter().filter(|&&byte| byte == b'\n').count(), 4);
    assert_eq!(run_with_input(words, input).printed(0), "");
}

#[test]
fn what_is_no_job_log_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (path, log) = log_in(&directory);
    std::fs::write(&path, "important\n").unwrap();
    let run = run(["--joblog", &log, "--resume", "echo", ":::", "a"]);
    assert_eq!(run.printed(255), "");
    assert!(run.stderr.contains("job log") && run.stderr.contains("line 1"), "{}", run.stderr);
    assert_eq!(read(&path), "important\n");
}

/// Kills a run at some moment, resumes it, and so on: every job ends up in the log once, none is skipped, and only those
/// whose line had not been written yet run again.
#[test]
fn a_run_that_is_killed_loses_no_job() {
    for round in 0..5u32 {
        let directory = tempfile::tempdir().unwrap();
        let (path, log) = log_in(&directory);
        let ran = directory.path().join("ran");
        std::fs::create_dir(&ran).unwrap();
        let inputs: String = (1..=600).map(|n| format!("{n}\n")).collect();
        let words = [
            "-j3",
            "--joblog",
            &log,
            "--resume",
            "echo {} >> ran/{}; sleep 0.002",
            "::::",
            "inputs",
        ];
        std::fs::write(directory.path().join("inputs"), inputs).unwrap();
        let mut kills = 0;
        for kill_at in [40 + 7 * round as usize, 250, 500] {
            let mut command = command(words);
            let running = start(command.current_dir(directory.path()));
            until("so many are in the log", || read(&path).lines().count() > kill_at);
            running.signal(rustix::process::Signal::KILL);
            let finished = running.finished();
            assert!(!finished.end.is_success());
            kills += 1;
            let logged = rows_of_whole_lines(&path);
            for sequence in logged {
                assert!(ran.join(&sequence).exists(), "job {sequence} was logged and did not run");
            }
        }
        let mut command = command(words);
        assert_eq!(end(command.current_dir(directory.path())).status, 0);
        let mut logged = rows_of_whole_lines(&path);
        logged.sort_by_key(|sequence| sequence.parse::<u32>().unwrap());
        let all: Vec<String> = (1..=600).map(|n: u32| n.to_string()).collect();
        assert_eq!(logged, all);
        // Those of the last moment before each kill, and no more: 0.1 s, three at a time, at 2 ms and more each.
        let again = all.iter().filter(|n| read(&ran.join(n)).lines().count() > 1).count();
        assert!(again <= kills * 150, "{again} jobs ran again");
    }
}

fn rows_of_whole_lines(path: &Path) -> Vec<String> {
    let text = read(path);
    let whole = &text[..text.rfind('\n').map_or(0, |last| last + 1)];
    whole.lines().skip(1).map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}
