//! Runs the programs of the fault tests: builds them, gives each a deadline and a folder, and tells what it said.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a role may take that should take seconds. A soak has longer.
pub(crate) fn deadline() -> Duration {
    match std::env::var_os("FOURFOLD_SOAK") {
        Some(_) => Duration::from_secs(3600),
        None => Duration::from_secs(180),
    }
}

/// A build of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// As this test is built.
    Same,
    /// With `panic = "abort"`.
    Abort,
}

/// The folder that a build's programs are in.
pub(crate) fn programs(build: Build) -> &'static Path {
    static SAME: OnceLock<PathBuf> = OnceLock::new();
    static ABORT: OnceLock<PathBuf> = OnceLock::new();
    // This test is target/PROFILE/deps/fault-….
    let here = std::env::current_exe().unwrap();
    let profile = here.parent().and_then(Path::parent).unwrap();
    let target = profile.parent().unwrap();
    let make = |profile: &str| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["build", "--quiet", "--offline", "--examples", "--package", "fourfold"]);
        cargo.args(["--profile", profile, "--target-dir"]).arg(target);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = cargo.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo build --profile {profile}: {text}");
        let folder = if profile == "dev" { "debug" } else { profile };
        target.join(folder).join("examples")
    };
    match build {
        Build::Same => SAME.get_or_init(|| {
            let name = profile.file_name().unwrap().to_str().unwrap();
            make(if name == "debug" { "dev" } else { name })
        }),
        Build::Abort => ABORT.get_or_init(|| make("abort")),
    }
}

/// A program to be run with a role.
pub(crate) struct Program {
    pub(crate) command: Command,
    /// For what it writes; counted by some roles.
    pub(crate) folder: TempDir,
    what: String,
}

/// The command of a program that writes to this folder, and leaves no core file: one of each process that is lost would fill
/// the disk.
fn in_folder(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("TMPDIR", folder).stdin(Stdio::null());
    // SAFETY: a system call on numbers, between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_CORE, &none);
            Ok(())
        });
    }
    command
}

/// What a program left.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new(build: Build, name: &str, args: &[&str]) -> Program {
        let folder = TempDir::new().unwrap();
        let mut command = in_folder(&programs(build).join(name), folder.path());
        command.args(args);
        Program { command, folder, what: format!("{name} {args:?}") }
    }

    /// Started by another program, which has arguments of its own before those of this.
    pub(crate) fn below(mut self, starter: &str, args: &[&str]) -> Program {
        let mut command = in_folder(Path::new(starter), self.folder.path());
        command.args(args).arg(self.command.get_program()).args(self.command.get_args());
        self.command = command;
        self
    }

    /// As another user, who may see the program and write to the folder.
    pub(crate) fn by_user(mut self, user: u32) -> Program {
        let copy = self.folder.path().with_extension("program");
        std::fs::copy(self.command.get_program(), &copy).unwrap();
        for (path, mode) in [(copy.as_path(), 0o755), (self.folder.path(), 0o777)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut command = in_folder(&copy, self.folder.path());
        command.args(self.command.get_args()).uid(user);
        self.command = command;
        self
    }

    /// Runs it to its end, which must come in time.
    pub(crate) fn run(mut self) -> Done {
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let read = |pipe: &mut dyn Read| {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let readers = [
            std::thread::spawn(move || read(&mut out)),
            std::thread::spawn(move || read(&mut err)),
        ];
        let end = Instant::now() + deadline();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                let said = readers.map(|reader| reader.join().unwrap());
                panic!("{} did not end in {:?}: {said:?}", self.what, deadline());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let [stdout, stderr] = readers.map(|reader| reader.join().unwrap());
        let copy = self.folder.path().with_extension("program");
        let _ = std::fs::remove_file(copy);
        Done { status, stdout, stderr }
    }

    /// Runs it, and panics if it fails.
    pub(crate) fn succeed(self) -> Done {
        let what = self.what.clone();
        let done = self.run();
        print!("{what}: {}", done.stdout);
        // Not by `eprintln`, which the harness keeps to itself where a test passes.
        for line in done.stdout.lines().filter(|line| line.starts_with("left out")) {
            let _ = writeln!(std::io::stderr(), "{what}: {line}");
        }
        assert!(done.status.success(), "{what}: {}\n{}{}", done.status, done.stdout, done.stderr);
        done
    }
}

/// Runs a role in the program without preparation, and in that with the attribute.
pub(crate) fn both(args: &[&str]) {
    for name in ["fault-plain", "fault-attribute"] {
        Program::new(Build::Same, name, args).succeed();
    }
}

/// Runs a role.
pub(crate) fn plain(args: &[&str]) -> Done {
    Program::new(Build::Same, "fault-plain", args).succeed()
}
