//! Finds the Python interpreters of this machine and runs `objects.py` in them.

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

/// The versions that the crate is tested with where they are installed.
const WANTED: [&str; 10] =
    ["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"];

/// An interpreter.
#[derive(Clone, Debug, PartialEq)]
pub struct Python {
    path: PathBuf,
    /// As in `3.13`.
    pub version: String,
}

impl Python {
    pub fn is_python2(&self) -> bool {
        self.version.starts_with("2.")
    }

    /// Runs `objects.py` with lines as its input and gives the lines of its output.
    ///
    /// The script ends itself by SIGALRM after two minutes, which fails the test.
    pub fn run(&self, verb: &str, lines: &[String]) -> Vec<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/objects.py");
        let mut child = Command::new(&self.path)
            .args(["-B", "-s", "-E"])
            .arg(script)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // Nothing at all if there are none: a program that reads no input may have ended before it is written.
        let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("the interpreter ends");
        assert!(output.status.success(), "Python {} {verb}: {}", self.version, output.status);
        writer.join().expect("no panic").expect("all input is read");
        String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
    }
}

/// The interpreters found: one of each version.
///
/// They are looked for in pyenv and on the `PATH`. Which are missing is printed. With `FOURFOLD_PYTHONS=required`
/// in the environment, a machine without any is an error.
pub fn pythons() -> &'static [Python] {
    static FOUND: OnceLock<Vec<Python>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found: BTreeMap<Vec<u32>, Python> = BTreeMap::new();
        for path in candidates() {
            if let Some(version) = version(&path) {
                let key = version.split('.').filter_map(|part| part.parse().ok()).collect();
                found.entry(key).or_insert(Python { path, version });
            }
        }
        let found: Vec<Python> = found.into_values().collect();
        let versions: Vec<&str> = found.iter().map(|python| python.version.as_str()).collect();
        let missing: Vec<&str> =
            WANTED.into_iter().filter(|version| !versions.contains(version)).collect();
        // Past the capture of the test harness, so that it is seen.
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "interpreters: {}", versions.join(" "));
        if !missing.is_empty() {
            let _ = writeln!(stderr, "left out, not found here: Python {}", missing.join(" "));
        }
        let required = env::var_os("FOURFOLD_PYTHONS").is_some_and(|value| value == "required");
        assert!(!found.is_empty() || !required, "no interpreter, and FOURFOLD_PYTHONS=required");
        if found.is_empty() {
            let _ = writeln!(stderr, "left out: everything that takes a Python interpreter");
        }
        found
    })
}

fn candidates() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let pyenv = env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".pyenv")));
    if let Some(versions) = pyenv.and_then(|root| root.join("versions").read_dir().ok()) {
        let pythons = versions.flatten().map(|version| version.path().join("bin/python"));
        paths.extend(pythons.filter(|path| path.exists()));
    }
    for folder in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
        let names = WANTED.iter().map(|version| format!("python{version}"));
        let names = names.chain(["python3".to_owned(), "python2".to_owned()]);
        paths.extend(names.map(|name| folder.join(name)).filter(|path| path.exists()));
    }
    paths
}

/// The version of an interpreter, if it is CPython of one that the tests know how to use.
fn version(path: &Path) -> Option<String> {
    let code = "import sys; print('%d.%d' % sys.version_info[:2])";
    let output = Command::new(path).args(["-c", code]).stderr(Stdio::null()).output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    let usable = output.status.success()
        && (version == "2.7"
            || version
                .strip_prefix("3.")
                .is_some_and(|minor| minor.parse().is_ok_and(|n: u32| n >= 6)));
    usable.then_some(version)
}
