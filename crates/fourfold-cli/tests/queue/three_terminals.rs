//! The README's three terminals: a producer and a worker in stock Python, a worker of this library, one killed midway.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// For every wait: far more than any takes.
const LIMIT: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A program of one of the terminals, and the lines that it writes. It is killed when this is dropped.
struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    fn start(mut command: Command, folder: &Path) -> Program {
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Program { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("a line in time")
    }

    fn kill(&mut self) {
        self.child.kill().expect("it is there");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The interpreter, or none where that is allowed.
fn python() -> Option<&'static str> {
    let there = Command::new("python3").arg("--version").output().is_ok();
    let required = std::env::var_os("FOURFOLD_PYTHONS").is_some_and(|value| value == "required");
    assert!(there || !required, "no python3, and FOURFOLD_PYTHONS=required");
    if !there {
        // Not by `eprintln`, which the harness keeps to itself where a test passes.
        let _ = writeln!(std::io::stderr(), "left out, not found here: python3");
    }
    there.then_some("python3")
}

fn script(python: &str, name: &str, port: &str) -> Command {
    let mut command = Command::new(python);
    command.args(["-B", "-s"]).arg(root().join("examples/network").join(name)).arg(port);
    command
}

/// The worker of `examples/network_worker.rs`.
fn worker(port: &str) -> Command {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", "network_worker", "--message-format", "json"]);
    let mut build = build.current_dir(root()).stdout(Stdio::piped()).spawn().expect("cargo runs");
    let mut messages = String::new();
    let stdout: &mut ChildStdout = build.stdout.as_mut().expect("a pipe");
    stdout.read_to_string(&mut messages).expect("text");
    assert!(build.wait().expect("it ends").success());
    let path = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let is_it = message["target"]["name"] == "network_worker";
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    });
    let mut command = Command::new(path.expect("the example is built"));
    command.arg(port);
    command
}

#[test]
fn a_worker_that_is_killed_midway_is_replaced_by_any_other() {
    let Some(python) = python() else { return };
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("queue.key");
    let key = key.to_str().expect("text");
    assert!(super::fourfold(&["key", "new", key]).status().expect("it runs").success());
    for victim in ["the worker in Rust", "the worker in Python"] {
        let shown = "fourfold serve --python 5000 --key-file queue.key --hand-back get_task_queue \\\n    \
                     --queue get_task_queue --queue get_result_queue";
        assert!(readme.contains(shown), "the README shows\n{shown}");
        let typed = shown.replace("--python 5000", "--python 0").replace("\\\n", "");
        let args: Vec<&str> = typed.split_whitespace().skip(1).collect();
        let mut server = super::fourfold(&args);
        server.stderr(Stdio::inherit());
        let server = Program::start(server, folder.path());
        let address = server.line();
        let port = address.rsplit(':').next().expect("an address");

        // It may have to be built, for longer than a producer waits.
        let worker = worker(port);
        let producer = Program::start(script(python, "producer.py", port), folder.path());
        let mut in_rust = Program::start(worker, folder.path());
        let first = in_rust.line();
        let mut in_python = Program::start(script(python, "worker.py", port), folder.path());
        let second = in_python.line();
        assert_ne!(first, second, "each has its own item");
        let (killed, other) = match victim {
            "the worker in Rust" => (&mut in_rust, &in_python),
            _ => (&mut in_python, &in_rust),
        };
        // What it says next it has just taken, and answers half a second later.
        killed.lines.try_iter().for_each(drop);
        let lost = killed.line();
        killed.kill();
        for n in 0..10 {
            assert_eq!(producer.line(), format!("{n} * {n} = {}", n * n), "{victim} is killed");
        }
        let taken: Vec<String> = other.lines.try_iter().collect();
        assert!(taken.contains(&lost), "{victim} had {lost:?}; the other has {taken:?}");
    }
}
