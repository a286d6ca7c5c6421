//! One blocking connection to a server.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fourfold_wire::Peer;
use fourfold_wire::pickle::Value;
use fourfold_wire::talk::{Client as Talk, ClientOptions, Reply, TalkError};

use rustix::net::{RecvFlags, recv};

use super::CallError;
use crate::cluster::manager::{Address, address};
use crate::process::patience::Patience;

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn connect(address: &Address, limit: Duration) -> io::Result<Stream> {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, limit)?;
                stream.set_nodelay(true)?;
                address::keep_alive(&stream)?;
                Ok(Stream::Tcp(stream))
            }
            Address::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
            Address::Abstract(name) => {
                let address = SocketAddr::from_abstract_name(name)?;
                UnixStream::connect_addr(&address).map(Stream::Unix)
            }
        }
    }

    fn set_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(limit)?;
                stream.set_write_timeout(limit)
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(limit)?;
                stream.set_write_timeout(limit)
            }
        }
    }

    /// Reads if something is there.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let fd = match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        };
        Ok(recv(fd, buffer, RecvFlags::DONTWAIT)?.0)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }
}

/// An authenticated connection.
pub(super) struct Link {
    /// No other of this process has it, before or after.
    number: u64,
    stream: Stream,
    talk: Talk,
    /// What was said and what was not is not known any more.
    broken: bool,
    /// The process that made it.
    pid: u32,
    patience: Patience,
}

impl Link {
    /// Connects, and proves that both ends know the key, within a time.
    pub(super) fn connect(
        address: &Address,
        options: &ClientOptions,
        limit: Duration,
    ) -> Result<Link, CallError> {
        let stream = Stream::connect(address, limit)?;
        stream.set_timeout(Some(limit))?;
        let talk = Talk::random(options)?;
        let (pid, patience) = (std::process::id(), Patience::default());
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut link = Link { number, stream, talk, broken: false, pid, patience };
        loop {
            let handshake = link.talk.shake_hands();
            // What says that its key is wrong goes out all the same.
            let sent = link.send();
            handshake?;
            sent?;
            if link.talk.is_authenticated() {
                break;
            }
            link.receive()?;
        }
        link.stream.set_timeout(None)?;
        Ok(link)
    }

    /// How long each of the calls that follow may take at most.
    pub(super) fn set_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.stream.set_timeout(limit)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn peer(&self) -> Peer {
        self.talk.peer()
    }

    /// Asks, and waits for the reply.
    pub(super) fn ask(
        &mut self,
        target: Option<&str>,
        function: &str,
        args: &[Value],
        named: &[(&str, Value)],
    ) -> Result<Reply, CallError> {
        self.talk.request(target, function, args, named)?;
        self.broken = true;
        self.send()?;
        let began = Instant::now();
        self.patience.look(|| match self.stream.try_read(self.talk.space()) {
            // The end, which is told when it is read again.
            Ok(0) => true,
            Ok(n) => {
                self.talk.filled(n);
                true
            }
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        });
        let reply = self.reply();
        self.patience.learn(began.elapsed());
        reply
    }

    fn reply(&mut self) -> Result<Reply, CallError> {
        loop {
            match self.talk.next_reply() {
                Ok(None) => self.receive()?,
                Ok(Some(reply)) => {
                    self.broken = false;
                    return Ok(reply);
                }
                Err(error) => {
                    // A reply that cannot be read has come all the same.
                    self.broken = !matches!(error, TalkError::Pickle(_));
                    return Err(error.into());
                }
            }
        }
    }

    pub(super) fn is_of_this_process(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Whether it can be asked again.
    pub(super) fn is_usable(&self) -> bool {
        !self.broken
    }

    fn send(&mut self) -> io::Result<()> {
        while !self.talk.output().is_empty() {
            match self.stream.write(self.talk.output()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.talk.sent(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        loop {
            match self.stream.read(self.talk.space()) {
                Ok(0) => {
                    let what = "the server closed the connection";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
                }
                Ok(n) => {
                    self.talk.filled(n);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
    }
}

/// A timeout of a socket is told as one.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time")
        }
        _ => error,
    }
}
