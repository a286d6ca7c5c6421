//! Servers that send back what they get, each a process of its own, and the client that asks them, another one.

mod account;
mod client;
mod python;
mod serve;

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::Failure;

pub(crate) use self::client::{CLIENT, Made, Seen, client, connects, load};
pub(crate) use self::serve::serve;

/// The part of the server; its kind comes next.
pub(crate) const SERVER: &str = "--echo-server";

/// How a server deals with its connections.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sockets of `green::net`, without `server`.
    Hub,
    /// `server`, with the model of this name.
    Ours(String),
    Epoll,
    /// A thread each, by hand.
    Threads,
    /// With so many threads.
    Tokio(usize),
    May,
    /// As the script in `peers/` calls it.
    Python(&'static str),
}

impl Kind {
    pub(crate) fn name(&self) -> String {
        match self {
            Kind::Hub => "green::net, one hub".into(),
            Kind::Ours(model) => model.clone(),
            Kind::Epoll => "raw epoll".into(),
            Kind::Threads => "a thread each, by hand".into(),
            Kind::Tokio(1) => "tokio current_thread".into(),
            Kind::Tokio(threads) => format!("tokio, {threads} threads"),
            Kind::May => "may, one worker".into(),
            Kind::Python("gevent") => "gevent".into(),
            Kind::Python(kind) => format!("Python, {kind}"),
        }
    }

    /// For the command line.
    fn word(&self) -> String {
        match self {
            Kind::Hub => "hub".into(),
            Kind::Ours(model) => format!("fourfold:{model}"),
            Kind::Epoll => "epoll".into(),
            Kind::Threads => "threads".into(),
            Kind::Tokio(threads) => format!("tokio:{threads}"),
            Kind::May => "may".into(),
            Kind::Python(kind) => format!("python:{kind}"),
        }
    }

    fn of(word: &str) -> Option<Kind> {
        Some(match word.split_once(':') {
            Some(("fourfold", model)) => Kind::Ours(model.into()),
            Some(("tokio", threads)) => Kind::Tokio(threads.parse().ok()?),
            Some(_) => return None,
            None => match word {
                "hub" => Kind::Hub,
                "epoll" => Kind::Epoll,
                "threads" => Kind::Threads,
                "may" => Kind::May,
                _ => return None,
            },
        })
    }
}

/// A server in a process of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(kind: &Kind) -> Result<Server, Failure> {
        let mut command = match kind {
            Kind::Python(kind) => python::command(kind)?,
            kind => {
                let mut command = Command::new(env::current_exe()?);
                command.args([SERVER, &kind.word()]);
                command
            }
        };
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("a pipe was asked for")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Server { child, address: line.trim().parse()? })
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory with the tables of its pages, in bytes.
    pub(crate) fn memory(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = |name: &str| -> Result<u64, Failure> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            Ok(number.ok_or("a line of it")?.parse()?)
        };
        Ok((kib("VmRSS:")? + kib("VmPTE:")?) << 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Children of Python's outlive their parent: they end with their connections.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connections that have been answered once, and wait.
pub(crate) fn idle(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>, Failure> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        streams.push(stream);
    }
    Ok(streams)
}
