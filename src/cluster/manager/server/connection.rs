//! One connection of the server: its socket, its conversation, and what it waits for.
//!
//! A request is carried out only while little output waits, so a peer that asks and does not read costs memory for little
//! more than one reply. After each turn of the reactor one of these holds for a connection:
//!
//! 1. Its request waits for a word. [`Reactor::deliver`] brings the reply, and has the next request looked for.
//! 2. It is clogged: more output waits than it may, so the poller looks for room to write, and not for bytes to read. If
//!    requests are left over, it is `held` as well. Output shrinks in [`Reactor::send`] and in the pump alone: the pump
//!    goes on at once, and `send` has a held connection pumped as soon as it is not clogged any more.
//! 3. It is `queued` to be pumped in the next turn, since others have theirs. Until then nothing more is read.
//! 4. No whole request is here, and the poller looks for bytes to read.
//!
//! So whatever a connection is to do next, something is awaited that leads to it. The end of the peer is told by the
//! poller in all four. Once all that the peer had sent is read it `has_ended`: it is clogged no more and waits for no
//! word, so it is queued until the last request is carried out, and closed then.
//!
//! An item of a queue is undelivered until the last byte of its reply was taken by the kernel: each is in `unsent` with
//! the place in the output where its reply ends, and those that are there at the end go back to their queues. Once the
//! peer is known to be gone it is `deaf`: output is thrown away, and items stay in their queues, but the requests that it
//! had sent before are carried out.
//!
//! [`Reactor::deliver`]: super::reactor::Reactor::deliver
//! [`Reactor::send`]: super::reactor::Reactor::send

use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsFd, OwnedFd};

use fourfold_wire::talk;
use rustix::event::epoll::EventFlags;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

use super::crowd::Crowd;
use super::deadlines::What;
use super::objects::ObjectId;
use crate::cluster::manager::item::Item;

pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    pub(super) session: talk::Server,
    /// The object it has called last.
    pub(super) called: ObjectId,
    /// What it waits for.
    pub(super) waits: Option<ObjectId>,
    /// Counts what may be waited for with a deadline: a deadline of an older count is void.
    pub(super) count: u64,
    /// Whether the call being carried out is told of a lock's dead owner.
    pub(super) told: bool,
    /// The words it has called, which hear of its end.
    touched: HashSet<ObjectId>,
    /// Some of them may be gone themselves.
    crowd: Crowd,
    /// Items of queues whose replies are not all sent yet, in the order of these.
    unsent: VecDeque<Unsent>,
    /// How many bytes were sent so far.
    sent: u64,
    /// What the poller looks for.
    pub(super) looks_for: EventFlags,
    /// Whether requests may be here that are not carried out since too much output waits.
    pub(super) held: bool,
    /// Whether it is to be pumped when the others have had their turn.
    pub(super) queued: bool,
    /// Whether the peer hears no more.
    deaf: bool,
    /// Whether all is read that the peer has sent, and nothing more comes.
    pub(super) has_ended: bool,
    /// Whether only the rest of a refused message is still read, until a deadline.
    pub(super) lingers: bool,
}

/// An item on its way to the peer.
pub(super) struct Unsent {
    /// How many bytes of this connection are sent when it is.
    end: u64,
    pub(super) from: ObjectId,
    pub(super) item: Item,
    pub(super) at: Option<Item>,
    pub(super) arrival: u64,
}

/// What became of reading.
pub(super) enum Read {
    /// Nothing more is there for now, or others have their turn.
    Drained,
    /// The peer has closed, or the connection failed.
    Ended,
}

/// How much a peer may send ahead while its request is carried out, in bytes. Stock peers send nothing.
const AHEAD: usize = 1 << 20;

/// How many words a connection may have called before it is worth the time to look which of them are still there.
const CROWDED: usize = 64;

impl Connection {
    pub(super) fn new(socket: OwnedFd, session: talk::Server) -> Connection {
        Connection {
            socket,
            session,
            called: 0,
            waits: None,
            count: 0,
            told: false,
            touched: HashSet::new(),
            crowd: Crowd::beyond(CROWDED),
            unsent: VecDeque::new(),
            sent: 0,
            looks_for: EventFlags::IN,
            held: false,
            queued: false,
            deaf: false,
            has_ended: false,
            lingers: false,
        }
    }

    /// Reads what is there, through a buffer that all connections share.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Read {
        let mut came = 0;
        loop {
            match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Read::Ended,
                Ok((n, _)) => {
                    self.session.push(&buffer[..n]);
                    let ahead = self.session.pending() > AHEAD;
                    if self.session.is_busy() && ahead {
                        return Read::Ended;
                    }
                    came += n;
                    // What is left is told again: others have their turn.
                    if n < buffer.len() || ahead || came > AHEAD {
                        return Read::Drained;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Read::Drained,
                Err(_) => return Read::Ended,
            }
        }
    }

    /// Writes what can be written. A peer that nothing can be written to is deaf.
    pub(super) fn flush(&mut self) {
        while !self.session.output().is_empty() && !self.deaf {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::send(&self.socket, self.session.output(), flags) {
                Ok(n) => {
                    self.session.sent(n);
                    self.sent += n as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.deaf = true;
                    // If the peer is there all the same, it waits for what does not come any more: this tells it, and has
                    // the poller tell of an end.
                    let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
                }
            }
        }
        while self.unsent.front().is_some_and(|unsent| unsent.end <= self.sent) {
            self.unsent.pop_front();
        }
        if self.deaf {
            // Not counted as sent: what is in it is undelivered.
            self.session.sent(self.session.output().len());
        }
    }

    /// How many bytes were sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Notes that the peer hears no more.
    pub(super) fn lose(&mut self) {
        self.deaf = true;
        self.flush();
    }

    /// Whether too much output waits to carry out another request.
    pub(super) fn is_clogged(&self) -> bool {
        self.session.is_clogged()
    }

    /// Whether all is said, and nothing more is heard.
    pub(super) fn is_finished(&self) -> bool {
        self.session.is_over()
            && self.session.output().is_empty()
            && (self.deaf || self.session.refused() == 0)
    }

    /// Whether what ends at a deadline has not ended before.
    pub(super) fn awaits(&self, what: What) -> bool {
        match what {
            What::Handshake => !self.session.is_authenticated(),
            What::Wait(count) => self.waits.is_some() && count == self.count,
            What::Rest => true,
        }
    }

    /// What the poller is to look for. The end of the peer it tells anyway.
    pub(super) fn wants(&self) -> EventFlags {
        let reads = match self.session.is_over() {
            true => self.session.refused() > 0,
            false => !self.is_clogged(),
        };
        let mut wants = EventFlags::empty();
        wants.set(EventFlags::IN, reads || self.deaf);
        wants.set(EventFlags::OUT, !self.session.output().is_empty());
        wants
    }

    /// Whether the peer is still there, as far as this side can know: also behind bytes that were not read yet.
    pub(super) fn is_alive(&self) -> bool {
        if self.deaf {
            return false;
        }
        let mut fds = [PollFd::new(&self.socket, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // The system tells of an error and of a hang-up unasked. That it does not know is no death.
        !matches!(poll(&mut fds, Some(&now)), Ok(1..))
    }

    /// Answers with an item, which is undelivered until all of the answer is sent.
    pub(super) fn give(&mut self, from: ObjectId, item: Item, at: Option<Item>, arrival: u64) {
        self.session.reply_value(item.root());
        let end = self.sent + self.session.output().len() as u64;
        self.unsent.push_back(Unsent { end, from, item, at, arrival });
    }

    /// The items that did not get to the peer, the oldest first.
    pub(super) fn undelivered(&mut self) -> VecDeque<Unsent> {
        std::mem::take(&mut self.unsent)
    }

    /// Notes that it has called a word. `is_there` says which words are.
    pub(super) fn touch(&mut self, id: ObjectId, is_there: impl Fn(ObjectId) -> bool) {
        self.called = id;
        self.touched.insert(id);
        self.crowd.tidy(self.touched.len(), || {
            self.touched.retain(|&touched| is_there(touched));
            self.touched.shrink_to(2 * self.touched.len());
            self.touched.len()
        });
    }

    /// The words it has called, in the order of their numbers.
    pub(super) fn touched(&self) -> Vec<ObjectId> {
        let mut touched: Vec<ObjectId> = self.touched.iter().copied().collect();
        touched.sort_unstable();
        touched
    }

    /// Tells the peer that nothing more comes. It may still be sending.
    pub(super) fn say_goodbye(&self) {
        let _ = rustix::net::shutdown(self.socket.as_fd(), Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use fourfold_wire::auth::Key;

    use super::*;

    fn connection(socket: UnixStream) -> Connection {
        let options = talk::ServerOptions::new(Key::new(*b"abc"));
        Connection::new(socket.into(), talk::Server::new(&options, [1; 40]))
    }

    #[test]
    fn a_connection_that_cannot_be_written_to_ends() {
        let (socket, mut peer) = UnixStream::pair().expect("sockets");
        let mut connection = connection(socket);
        peer.write_all(b"abc").expect("room");
        // The system fails.
        connection.say_goodbye();
        connection.flush();
        assert!(connection.session.output().is_empty() && !connection.is_alive());
        let mut buffer = [0; 100];
        assert!(matches!(connection.read(&mut buffer), Read::Drained), "what came before is read");
        assert!(matches!(connection.read(&mut buffer), Read::Ended));
        peer.write_all(b"abc").expect_err("it is told");
    }

    #[test]
    fn words_that_are_gone_are_forgotten() {
        let (socket, _peer) = UnixStream::pair().expect("sockets");
        let mut connection = connection(socket);
        // All of the first hundred stay; of the others, each is gone when the next comes.
        for id in 0..100_000 {
            connection.touch(id, |other| other < 100 || other == id);
            assert!(connection.touched.len() <= 300, "{id}");
        }
        assert!(connection.touched.capacity() < 1000);
        assert_eq!(connection.touched()[..100], (0..100).collect::<Vec<_>>());
        assert!(connection.touched().contains(&99_999));
    }
}
