//! Stock Python programs as child processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs};

/// The versions that the tests look for.
const WANTED: [&str; 10] =
    ["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"];

/// An interpreter, and its version as in `3.13`.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    path: PathBuf,
    pub(crate) version: String,
}

/// The interpreters of this machine, one of each version, from pyenv and the `PATH`. What is missing is printed; with
/// `FOURFOLD_PYTHONS=required` in the environment, none at all is an error.
pub(crate) fn pythons() -> &'static [Python] {
    static FOUND: OnceLock<Vec<Python>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found: Vec<Python> = WANTED.iter().filter_map(|version| find(version)).collect();
        let has = |version: &str| found.iter().any(|python| python.version == version);
        let missing: Vec<&str> = WANTED.into_iter().filter(|version| !has(version)).collect();
        if !missing.is_empty() {
            let mut stderr = std::io::stderr().lock();
            let _ = writeln!(stderr, "left out, not found here: Python {}", missing.join(" "));
        }
        let required = env::var_os("FOURFOLD_PYTHONS").is_some_and(|value| value == "required");
        assert!(!found.is_empty() || !required, "no interpreter, and FOURFOLD_PYTHONS=required");
        found
    })
}

/// The oldest and the newest, where not every one is worth the time.
pub(crate) fn ends() -> Vec<&'static Python> {
    let all = pythons();
    let mut ends: Vec<&Python> = all.iter().filter(|python| python.version == "2.7").collect();
    let mut python3 = all.iter().filter(|python| python.version != "2.7");
    ends.extend(python3.next());
    ends.extend(python3.next_back());
    ends
}

fn find(version: &str) -> Option<Python> {
    let pyenv = env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".pyenv")));
    let folders = fs::read_dir(pyenv?.join("versions")).into_iter().flatten().flatten();
    let name = format!("python{version}");
    let mut candidates: Vec<PathBuf> =
        folders.map(|folder| folder.path().join("bin").join(&name)).collect();
    let path = env::var_os("PATH").unwrap_or_default();
    candidates.extend(env::split_paths(&path).map(|folder| folder.join(&name)));
    let is_it = |path: &PathBuf| {
        let code = "import sys; print('%d.%d' % sys.version_info[:2])";
        let output = Command::new(path).args(["-c", code]).stderr(Stdio::null()).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == version)
    };
    let path = candidates.into_iter().filter(|path| path.exists()).find(is_it)?;
    Some(Python { path, version: version.to_owned() })
}

/// A running program of `peer.py`. It is killed when this is dropped.
pub(crate) struct Peer {
    child: Child,
    output: BufReader<ChildStdout>,
    name: String,
}

impl Python {
    pub(crate) fn start(&self, args: &[&str]) -> Peer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/peer.py");
        let mut child = Command::new(&self.path)
            .args(["-B", "-s", "-E"])
            .arg(script)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Peer { child, output, name: format!("Python {} {}", self.version, args[0]) }
    }

    /// Runs a program to its end, which has to be a good one.
    pub(crate) fn run(&self, args: &[&str]) {
        self.start(args).finish();
    }
}

impl Peer {
    /// The next line of its output, or nothing at its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    /// Waits for its end, and gives what it wrote. It ends itself by SIGALRM after a while.
    pub(crate) fn finish(mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("text");
        let status = self.child.wait().expect("it is our child");
        assert!(status.success() && rest.ends_with("ok\n"), "{}: {status}: {rest}", self.name);
        rest
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
