//! One blocking connection to a server.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fourfold_wire::Peer;
use fourfold_wire::pickle::Value;
use fourfold_wire::talk::{Client as Talk, ClientOptions, Reply, TalkError};

use super::stream::{Deadline, Stream};
use super::{CallError, failures};
use crate::cluster::manager::Address;
use crate::error::Result;
use crate::process::patience::Patience;

/// An authenticated connection.
pub(super) struct Link {
    /// No other of this process has it, before or after.
    number: u64,
    /// Where the server listens.
    at: Address,
    stream: Stream,
    talk: Talk,
    /// What was said and what was not is not known any more.
    broken: bool,
    /// The process that made it.
    pid: u32,
    patience: Patience,
}

impl Link {
    /// Connects, and proves that both ends know the key.
    pub(super) fn connect(
        at: &Address,
        options: &ClientOptions,
        deadline: Deadline,
    ) -> Result<Link> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let stream = Stream::connect(at, deadline)
            .map_err(|error| failures::connecting(at, deadline.limit(), error))?;
        let mut link = Link {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            at: at.clone(),
            stream,
            talk: Talk::random(options).map_err(|error| failures::not_trusted(at, error))?,
            broken: false,
            pid: std::process::id(),
            patience: Patience::default(),
        };
        loop {
            let handshake = link.talk.shake_hands();
            // What says that its key is wrong goes out all the same.
            let sent = link.send(deadline);
            handshake.map_err(|error| failures::not_trusted(at, error))?;
            if sent.is_ok() && link.talk.is_authenticated() {
                return Ok(link);
            }
            sent.and_then(|()| link.receive(deadline))
                .map_err(|error| failures::shaking_hands(at, deadline.limit(), error))?;
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn peer(&self) -> Peer {
        self.talk.peer()
    }

    /// Asks, and waits for the reply. A link whose deadline has come is of no more use: the reply may still come.
    pub(super) fn ask(
        &mut self,
        target: Option<&str>,
        function: &str,
        args: &[Value],
        named: &[(&str, Value)],
        deadline: Deadline,
    ) -> Result<Reply, CallError> {
        self.talk.request(target, function, args, named).map_err(failures::asking)?;
        self.broken = true;
        let failed = |at: &Address, error| failures::calling(at, deadline.limit(), error);
        self.send(deadline).map_err(|error| failed(&self.at, error))?;
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
        let reply = loop {
            match self.talk.next_reply() {
                Ok(None) => {
                    self.receive(deadline).map_err(|error| failed(&self.at, error))?;
                }
                Ok(Some(reply)) => {
                    self.broken = false;
                    break Ok(reply);
                }
                Err(error) => {
                    // A reply that cannot be read has come all the same.
                    self.broken = !matches!(error, TalkError::Pickle(_));
                    break Err(failures::reading(&self.at, error));
                }
            }
        };
        self.patience.learn(began.elapsed());
        reply
    }

    pub(super) fn is_of_this_process(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Whether it can be asked again.
    pub(super) fn is_usable(&self) -> bool {
        !self.broken
    }

    fn send(&mut self, deadline: Deadline) -> io::Result<()> {
        while !self.talk.output().is_empty() {
            match self.stream.write(self.talk.output(), deadline)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => self.talk.sent(n),
            }
        }
        Ok(())
    }

    fn receive(&mut self, deadline: Deadline) -> io::Result<()> {
        match self.stream.read(self.talk.space(), deadline)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.talk.filled(n);
                Ok(())
            }
        }
    }
}
