//! Programs that are started, their lines, and their ends, each wait with a limit; and clients.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// For every wait: far more than any takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Every model, by its name.
pub(crate) const MODELS: [&str; 11] = [
    "serial",
    "events",
    "events:2",
    "coroutines",
    "coroutines:2",
    "threads",
    "pool:4",
    "processes",
    "prefork:2",
    "prefork:2:events:1",
    "prefork:2:threads",
];

/// A run of `fourfold`, leader of a group of its own. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

fn lines(source: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, lines) = channel();
    if let Some(source) = source {
        std::thread::spawn(move || {
            let mut lines = BufReader::new(source).lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
    }
    lines
}

pub(crate) fn fourfold(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourfold"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0);
    command
}

impl Program {
    pub(crate) fn start(mut command: Command) -> Program {
        let mut child = command.spawn().expect("it runs");
        let stdin = child.stdin.take();
        let (stdout, stderr) = (lines(child.stdout.take()), lines(child.stderr.take()));
        Program { child, stdin, stdout, stderr }
    }

    /// `fourfold connect`, and lines to be typed.
    pub(crate) fn connect(args: &[&str]) -> Program {
        let mut command = fourfold(&["connect"]);
        command.args(args).stdin(Stdio::piped());
        Program::start(command)
    }

    pub(crate) fn line(&self) -> String {
        self.stdout.recv_timeout(LIMIT).expect("a line in time")
    }

    pub(crate) fn error_line(&self) -> String {
        self.stderr.recv_timeout(LIMIT).expect("a line in time")
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.stdin.as_mut().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    }

    pub(crate) fn id(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32).expect("a number")
    }

    /// To it alone.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("it is there");
    }

    /// To its group, as a terminal does.
    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(self.id(), signal).expect("it is there");
    }

    /// Waits for its end. Its status, or the negative number of the signal that killed it, and what was not read yet.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.stdin.take());
        let mut status = None;
        until("it has ended", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        let status = status.expect("just seen");
        let code = status.code().or(status.signal().map(|signal| -signal)).expect("one of these");
        let rest = |lines: &Receiver<String>| lines.iter().collect::<Vec<_>>().join("\n");
        Ended { code, stdout: rest(&self.stdout), stderr: rest(&self.stderr) }
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so, and fails if it never is.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `fourfold echo` on a free port, and where it listens.
pub(crate) struct Echo {
    pub(crate) program: Program,
    pub(crate) at: String,
}

impl Echo {
    pub(crate) fn start(model: &str, args: &[&str]) -> Echo {
        let mut command = fourfold(&["echo", "--listen", "127.0.0.1:0", "--model", model]);
        command.args(args);
        let program = Program::start(command);
        let at = Echo::address(&program.line());
        Echo { program, at }
    }

    pub(crate) fn address(line: &str) -> String {
        let at = line.strip_prefix("listening on ").and_then(|rest| rest.split_once(" ("));
        at.unwrap_or_else(|| panic!("{line}")).0.to_owned()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.at)
    }

    /// The process that has the other end of a client's connection.
    pub(crate) fn server_of(&self, client: &Client) -> i32 {
        let stream = client.0.get_ref();
        let port =
            |end: std::io::Result<SocketAddr>| format!(":{:04X}", end.expect("connected").port());
        let (here, there) = (port(stream.peer_addr()), port(stream.local_addr()));
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
        let inode = table.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            (fields[1].ends_with(&here) && fields[2].ends_with(&there)).then(|| fields[9])
        });
        let socket = format!("socket:[{}]", inode.expect("a connection"));
        let has_it = |pid: &i32| {
            let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let mut links = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
            links.any(|link| link.as_os_str() == &*socket)
        };
        let workers = self.workers();
        let of_workers = workers.iter().flat_map(|worker| children_of(*worker));
        let mut all = workers.iter().copied().chain(of_workers);
        all.find(has_it).expect("one that serves it")
    }

    /// Its processes.
    pub(crate) fn workers(&self) -> Vec<i32> {
        children_of(self.program.id().as_raw_nonzero().get())
    }

    /// Asks it to end, and gives its last line.
    pub(crate) fn end(self) -> String {
        self.program.signal(Signal::TERM);
        let ended = self.program.end();
        assert_eq!(ended.code, 143, "{ended:?}");
        ended.stderr
    }
}

fn children_of(process: i32) -> Vec<i32> {
    let mut children: Vec<i32> = std::fs::read_dir("/proc")
        .expect("Linux")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| parent(*pid) == Some(process))
        .collect();
    children.sort_unstable();
    children
}

fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may have anything in it. Then the state.
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_ascii_whitespace();
    let is_there = fields.next()? != "Z";
    fields.next()?.parse().ok().filter(|_| is_there)
}

pub(crate) struct Client(pub(crate) BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket");
        stream.set_write_timeout(Some(LIMIT)).expect("a socket");
        Client(BufReader::new(stream))
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("it reads");
    }

    /// A line; nothing at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line in time");
        line
    }

    pub(crate) fn asks(&mut self, text: &str) -> String {
        self.say(text);
        self.line()
    }

    /// Says that it says no more, and gives all that is still answered.
    pub(crate) fn rest(mut self) -> String {
        self.0.get_ref().shutdown(std::net::Shutdown::Write).expect("it is there");
        let mut text = String::new();
        self.0.read_to_string(&mut text).expect("an end in time");
        text
    }

    /// The server closes the connection, in whichever way, and says nothing before.
    pub(crate) fn is_closed(&mut self, model: &str) {
        match self.peek() {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("{model}: {other:?}"),
        }
    }

    /// How much has come, once something has. Nothing at the end.
    pub(crate) fn peek(&mut self) -> std::io::Result<usize> {
        loop {
            // With a limit to its wait, a read is not begun again where something has interrupted it.
            match self.0.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other.map(<[u8]>::len),
            }
        }
    }
}
