//! Runs the binary under a deadline, with what it wrote and how it ended.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use fourfold::process::{Command, End, Finished, Jobs, Stdio};

/// After which a run counts as hung.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A run that has ended.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// The most memory that it was seen to hold itself, in bytes.
    pub(crate) peak_memory: u64,
}

impl Run {
    fn of(finished: Finished, peak_memory: u64) -> Run {
        let End::Exited(status) = finished.end else { panic!("fourfold {}", finished.end) };
        let bytes = |capture: Option<fourfold::process::Capture>| {
            capture.map_or(Vec::new(), |capture| capture.to_vec().unwrap())
        };
        Run {
            status,
            stdout: bytes(finished.stdout),
            stderr: String::from_utf8_lossy(&bytes(finished.stderr)).into_owned(),
            peak_memory,
        }
    }

    /// What it printed, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    /// What it printed, if it ended with this status.
    pub(crate) fn printed(&self, status: i32) -> String {
        assert_eq!(self.status, status, "{}{}", self.text(), self.stderr);
        self.text()
    }
}

/// `fourfold run` with these arguments, captured, to be started.
pub(crate) fn command<A: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourfold"));
    command.arg("run").args(arguments).stdout(Stdio::Capture).stderr(Stdio::Capture);
    command.timeout(DEADLINE).grace(Duration::ZERO).env_remove("NO_COLOR");
    command
}

/// Runs it to its end.
pub(crate) fn end(command: &mut Command) -> Run {
    start(command).end()
}

/// `fourfold run` with these arguments, and nothing on its standard input.
pub(crate) fn run<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    end(&mut command(arguments))
}

/// `fourfold run` with this on its standard input.
pub(crate) fn run_with_input<A: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = A>,
    input: &[u8],
) -> Run {
    end(command(arguments).stdin(file_with(input)))
}

/// An unlinked file that holds this, as a standard input.
pub(crate) fn file_with(input: &[u8]) -> Stdio {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    file.rewind().unwrap();
    Stdio::Fd(Arc::new(file.into()))
}

/// The reading end of a pipe, as a standard input, and its writing end.
pub(crate) fn pipe() -> (Stdio, File) {
    let (reader, writer) = std::io::pipe().unwrap();
    (Stdio::Fd(Arc::new(reader.into())), File::from(std::os::fd::OwnedFd::from(writer)))
}

/// Has what is started here begin with the usual actions of these signals, also where the tests themselves were told to ignore them, as by
/// `cargo test &` in a script or by nohup: what is ignored stays so across an exec, and what has a handler gets the default.
fn heed_signals() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        let ignored = u64::from_str_radix(mask.trim(), 16).unwrap();
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            if ignored & 1 << (signal - 1) != 0 {
                // A handler that does nothing of note: for the tests, it is as ignored as before.
                signal_hook::flag::register(signal, Arc::default()).unwrap();
            }
        }
    });
}

/// A run that has been started.
pub(crate) struct Running {
    jobs: Jobs,
    pub(crate) pid: u32,
}

pub(crate) fn start(command: &Command) -> Running {
    heed_signals();
    let mut jobs = Jobs::new().unwrap();
    let pid = jobs.start(0, command).unwrap();
    Running { jobs, pid }
}

impl Running {
    /// Sends a signal to it alone, not to its group.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// How it ended.
    pub(crate) fn finished(self) -> Finished {
        self.watched().0
    }

    pub(crate) fn end(self) -> Run {
        let (finished, peak_memory) = self.watched();
        Run::of(finished, peak_memory)
    }

    /// Its own peak is looked up while it runs: what the kernel tells at its end counts its jobs and its starter as well.
    fn watched(mut self) -> (Finished, u64) {
        let mut peak = 0;
        loop {
            let status = read(Path::new(&format!("/proc/{}/status", self.pid)));
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            peak = kib.map_or(0, |kib| kib << 10).max(peak);
            if let Some(finished) = self.jobs.wait(Some(Duration::from_millis(5))).unwrap() {
                return (finished, peak);
            }
        }
    }
}

/// Waits until something is so, and fails if it never is.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The text of a file; nothing if it is not there yet.
pub(crate) fn read(path: &Path) -> String {
    std::fs::read(path).map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// How many processes have this in their command line.
pub(crate) fn processes_with(mark: &str) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let is_process = entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit());
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if is_process && String::from_utf8_lossy(&line).contains(mark) {
            count += 1;
        }
    }
    count
}

/// A word that no other test uses, for the command lines of a test's jobs.
pub(crate) fn mark(name: &str) -> String {
    format!("mark-{name}-{}", std::process::id())
}
