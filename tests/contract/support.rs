//! What the tests see tasks by: a gate to hold them at, a log they write, and a limit to every wait.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use fourfold::green;
use tempfile::TempDir;

/// How long a test may take that should take no time.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test, and ends everything, loudly, if it has not returned by then.
pub(crate) fn within<R>(limit: Duration, test: impl FnOnce() -> R) -> R {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let (done, watch) = channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if watch.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            // Not by `eprintln!`, which the harness keeps until the end of the test.
            let _ = writeln!(std::io::stderr(), "\n{name} did not end within {limit:?}");
            std::process::abort();
        }
    });
    let result = test();
    drop(done);
    watchdog.join().unwrap();
    result
}

/// Where tasks are held until the test lets each go on. It is a socket, so tasks of any process come to it.
pub(crate) struct Gate {
    listener: TcpListener,
}

/// A task that stands at a gate. Goes on when it is let through, and panics when this is dropped without.
#[derive(Debug)]
pub(crate) struct Guest {
    stream: TcpStream,
    /// What it called itself.
    pub(crate) name: u64,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap() }
    }

    /// What a task needs to find it.
    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Waits for the next task to come.
    pub(crate) fn next(&self) -> Guest {
        let (stream, _) = self.listener.accept().unwrap();
        Guest::greet(stream)
    }

    /// Waits for so many to come, and gives them by their names.
    pub(crate) fn next_few(&self, count: usize) -> Vec<Guest> {
        let mut guests: Vec<Guest> = (0..count).map(|_| self.next()).collect();
        guests.sort_by_key(|guest| guest.name);
        guests
    }

    /// A task that stands there already.
    pub(crate) fn next_now(&self) -> Option<Guest> {
        self.listener.set_nonblocking(true).unwrap();
        let accepted = self.listener.accept();
        self.listener.set_nonblocking(false).unwrap();
        let (stream, _) = accepted.ok()?;
        stream.set_nonblocking(false).unwrap();
        Some(Guest::greet(stream))
    }
}

impl Guest {
    fn greet(mut stream: TcpStream) -> Guest {
        let mut name = [0; 8];
        stream.read_exact(&mut name).unwrap();
        Guest { stream, name: u64::from_le_bytes(name) }
    }

    /// Lets it go on.
    pub(crate) fn pass(mut self) {
        self.stream.write_all(&[1]).unwrap();
    }

    /// Waits until its process has ended, or let go of it: how long that took. Panics after the limit.
    #[allow(dead_code, reason = "for tests/main_ends.rs, which includes this file")]
    pub(crate) fn gone(mut self) -> Duration {
        let begin = Instant::now();
        self.stream.set_read_timeout(Some(LIMIT)).unwrap();
        match self.stream.read(&mut [0]) {
            Ok(0) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            other => panic!("guest {} is still there: {other:?}", self.name),
        }
        begin.elapsed()
    }

    /// Whether it stands there still.
    #[allow(dead_code, reason = "for tests/main_ends.rs, which includes this file")]
    pub(crate) fn is_there(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let read = (&self.stream).read(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Lets it go on, if it has not been killed meanwhile.
    pub(crate) fn pass_if_there(mut self) {
        let _ = self.stream.write_all(&[1]);
    }
}

/// Called by a task: waits at the gate under this name, and gives the name back. A coroutine that stands there is suspended, so
/// that others of its thread run.
pub(crate) fn visit(port: u16, name: u64) -> u64 {
    let mut stream = green::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(&name.to_le_bytes()).unwrap();
    stream.read_exact(&mut [0]).expect("the gate was torn down");
    name
}

/// A file that tasks of any process write lines to.
pub(crate) struct Log {
    directory: TempDir,
}

impl Log {
    pub(crate) fn new() -> Log {
        Log { directory: TempDir::new().unwrap() }
    }

    /// What a task needs to write to it.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Called by a task, or by the test: writes a line, whole, after all that were written before.
pub(crate) fn note(log: &Path, line: &str) {
    let mut file: File = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Waits, without a word from whoever changes it, until `check` holds.
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !check() {
        assert!(Instant::now() < end, "not so in {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
