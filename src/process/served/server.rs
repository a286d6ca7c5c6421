//! The thread of the root that serves its words: connections, and what comes and goes over them.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recvmsg,
};

use super::wire::{Ask, Inbox, LONGEST, MOST_CALLS, ONE_WAY, SPARE, read_request, write_reply};
use super::world::{Link, Out, Unread, World};
use crate::process::patience::Patience;
use crate::process::supervisor::{Ready, Token, supervisor, timespec};

/// What the poller says of the door. Others count on from there.
const DOOR: u64 = 0;

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// When to try again to start the server.
const AGAIN: Duration = Duration::from_millis(20);

/// Descriptors of the server, for a fork of the root, which has copies.
static ENDS: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

fn ends() -> MutexGuard<'static, BTreeSet<RawFd>> {
    ENDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds them still, for a fork: the child finds the lock free.
pub(crate) fn hold_ends() -> impl Sized {
    ends()
}

/// In a fork of the root: the copies that it has of the server's descriptors, which are nobody's there.
pub(crate) fn take_ends() -> BTreeSet<RawFd> {
    std::mem::take(&mut *ends())
}

/// Starts the server when somebody comes to the door.
struct Porter {
    inside: BorrowedFd<'static>,
    token: Mutex<Option<Token>>,
}

/// Has the server started as soon as somebody comes to the door, whose end for this process is `inside`.
pub(crate) fn watch(inside: BorrowedFd<'static>) -> io::Result<()> {
    let porter = Arc::new(Porter { inside, token: Mutex::new(None) });
    // Held while the descriptor is added, so that who comes at once finds the token.
    let mut token = porter.token();
    *token = Some(supervisor()?.watch(inside, porter.clone())?);
    drop(token);
    Ok(())
}

impl Porter {
    fn token(&self) -> MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ready for Porter {
    fn ready(self: Arc<Self>) {
        let mut slot = self.token();
        let (Some(token), Ok(supervisor)) = (slot.take(), supervisor()) else { return };
        if start(self.inside).is_ok() {
            return supervisor.unwatch(self.inside, token);
        }
        // No room for a thread, now.
        *slot = Some(token);
        let _ = supervisor.pause(self.inside, token, true);
        let again = self.clone();
        supervisor.at(Instant::now() + AGAIN, move || {
            if let Ok(supervisor) = super::server::supervisor() {
                let _ = supervisor.pause(again.inside, token, false);
            }
        });
    }
}

fn start(inside: BorrowedFd<'static>) -> io::Result<()> {
    let server = Server::new(inside, Limits::default())?;
    let run = move || {
        // It ends by a fault of its own only. Then whoever came to the door would wait for ever, and so would this process.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.run()));
        crate::system::tell(format_args!(
            "fourfold: the server of the words between processes has failed"
        ));
        std::process::abort();
    };
    std::thread::Builder::new().name("fourfold-words".into()).spawn(run)?;
    Ok(())
}

/// A descriptor that is a fork's to let go of, too.
struct End(OwnedFd);

impl End {
    fn new(fd: OwnedFd) -> End {
        ends().insert(fd.as_raw_fd());
        End(fd)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        ends().remove(&self.0.as_raw_fd());
    }
}

/// A process that is connected.
struct Peer {
    socket: End,
    inbox: Inbox,
    /// Descriptors that came along, in the order of their requests. One did not, if there was no room for it here.
    fds: VecDeque<Option<OwnedFd>>,
    out: Vec<u8>,
    sent: usize,
    /// Answers that are not written yet, since it is slow to read: a value is in them as it is kept, without a copy of its own.
    waiting: VecDeque<Out>,
    /// Requests that have no answer yet, or one among the `waiting`.
    requests: usize,
    /// Something is to be sent to it.
    is_due: bool,
    /// Whether the poller tells when more can be sent, and whether it is not to tell of requests.
    watched: (bool, bool),
    /// No more of its requests are taken until it has read more.
    is_held_up: bool,
    /// Some of what was written could not be sent any more.
    is_cut: bool,
    /// How many replies were written.
    replies: u64,
    /// What was written that would be lost with it, and that it has not said to have read, with the number of the reply.
    unread: VecDeque<(u64, Unread)>,
}

/// What the root keeps for one process, at most. Those of this library stay below, however slow they are: each limit is looked at
/// before anything is sent, or holds the process up.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes of a request.
    request: usize,
    /// Requests without an answer that was written. One that has more is cut off.
    requests: usize,
    /// Descriptors that wait for the rest of the request that they came with: they come with its first bytes. One that has more is cut
    /// off.
    descriptors: usize,
    /// Bytes of answers that are written and not sent, but for the last: one that has more is held up.
    unsent: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { request: LONGEST, requests: MOST_CALLS, descriptors: 1, unsent: 1 << 20 }
    }
}

/// After so long it looks again, whether or not it has anything to do then.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

struct Server<'door> {
    epoll: End,
    inside: BorrowedFd<'door>,
    next: u64,
    peers: HashMap<Link, Peer>,
    /// Words on their way, each until the other end of its descriptor is closed.
    carried: HashMap<u64, (End, Vec<u64>)>,
    world: World,
    buffer: Vec<u8>,
    patience: Patience,
    out: Vec<Out>,
    /// Those to whom something is to be sent.
    due: Vec<Link>,
    limits: Limits,
}

/// What came of reading.
enum Read {
    Open,
    /// It is gone, and has read all that was sent, or not.
    Gone {
        all_read: bool,
    },
}

impl<'door> Server<'door> {
    fn new(inside: BorrowedFd<'door>, limits: Limits) -> io::Result<Server<'door>> {
        let epoll = End::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        epoll::add(&epoll.0, inside, epoll::EventData::new_u64(DOOR), EventFlags::IN)?;
        Ok(Server {
            epoll,
            inside,
            next: DOOR + 1,
            peers: HashMap::new(),
            carried: HashMap::new(),
            world: World::default(),
            buffer: vec![0; PIECE],
            patience: Patience::default(),
            out: Vec::new(),
            due: Vec::new(),
            limits,
        })
    }

    fn run(mut self) {
        let mut events = Vec::with_capacity(256);
        loop {
            self.poll(&mut events);
            self.attend(&mut events);
        }
    }

    /// Does what the poller has told of, and what is due.
    fn attend(&mut self, events: &mut Vec<epoll::Event>) {
        for event in events.drain(..) {
            match event.data.u64() {
                DOOR => self.answer_door(),
                id if self.peers.contains_key(&id) => self.serve(id, event.flags),
                id => self.arrived(id),
            }
        }
        let now = Instant::now();
        if self.world.next_deadline().is_some_and(|at| at <= now) {
            self.world.expire(now, &mut self.out);
            self.deliver();
        }
    }

    fn poll(&mut self, events: &mut Vec<epoll::Event>) {
        let began = Instant::now();
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let epoll = &self.epoll.0;
        self.patience.look(|| {
            let room = rustix::buffer::spare_capacity(&mut *events);
            !matches!(epoll::wait(epoll, room, Some(&none)), Ok(0))
        });
        if events.is_empty() {
            let next = self.world.next_deadline();
            // In milliseconds of an int, which is all that kernels before 5.11 take.
            let left =
                next.map(|at| at.saturating_duration_since(Instant::now()).min(LONGEST_SLEEP));
            let left = left.map(timespec);
            let room = rustix::buffer::spare_capacity(events);
            match epoll::wait(epoll, room, left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => panic!("epoll_wait of the server of words: {error}"),
            }
        }
        self.patience.learn(began.elapsed());
    }

    /// Lets in who has come: a socket each, and the number of the process that it is a fork of.
    fn answer_door(&mut self) {
        loop {
            let mut number = [0; 8];
            let (bytes, fds) = match receive(self.inside, &mut number) {
                Ok(received) => received,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let parent = Some(u64::from_le_bytes(number)).filter(|number| *number != 0);
            // One without a socket came when there was no room for it: its sender finds out by the end of the other one.
            if let (8, Some(socket)) = (bytes, fds.into_iter().flatten().next()) {
                self.welcome(socket, parent);
            }
        }
    }

    fn welcome(&mut self, socket: OwnedFd, parent: Option<Link>) {
        let link = self.next;
        self.next += 1;
        let flags = EventFlags::IN | EventFlags::RDHUP;
        if epoll::add(&self.epoll.0, &socket, epoll::EventData::new_u64(link), flags).is_err() {
            return;
        }
        let peer = Peer {
            socket: End::new(socket),
            inbox: Inbox::default(),
            fds: VecDeque::new(),
            out: link.to_le_bytes().to_vec(),
            sent: 0,
            waiting: VecDeque::new(),
            requests: 0,
            is_due: false,
            watched: (false, false),
            is_held_up: false,
            is_cut: false,
            replies: 0,
            unread: VecDeque::new(),
        };
        self.peers.insert(link, peer);
        self.world.welcome(link, parent);
        self.flush(link);
        self.watch(link);
    }

    fn serve(&mut self, link: Link, flags: EventFlags) {
        let told = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        let Some(peer) = self.peers.get_mut(&link) else { return };
        let was_held_up = std::mem::take(&mut peer.is_held_up);
        if flags.intersects(EventFlags::OUT | told) {
            self.flush(link);
        }
        let mut read = Read::Open;
        if was_held_up && self.carry_out(link).is_none() {
            // What came before, and was left.
            read = Read::Gone { all_read: false };
        } else if flags.intersects(EventFlags::IN | told) {
            read = self.read(link);
        }
        self.deliver();
        self.watch(link);
        if let Read::Gone { all_read } = read {
            let Some(peer) = self.peers.remove(&link) else { return };
            let _ = epoll::delete(&self.epoll.0, &peer.socket.0);
            if !all_read {
                let waiting = peer.waiting.into_iter().flat_map(Out::unread);
                let unread = peer.unread.into_iter().map(|(_, unread)| unread).chain(waiting);
                self.world.take_back(link, unread.collect(), &mut self.out);
            }
            self.world.gone(link, &mut self.out);
            self.deliver();
        }
    }

    fn read(&mut self, link: Link) -> Read {
        let Some(peer) = self.peers.get_mut(&link) else { return Read::Open };
        match receive(&peer.socket.0, &mut self.buffer) {
            Ok((0, _)) => Read::Gone { all_read: !peer.is_cut && !peer.has_unsent() },
            Ok((count, fds)) => {
                peer.fds.extend(fds);
                peer.inbox.add(&self.buffer[..count]);
                match self.carry_out(link) {
                    Some(()) => Read::Open,
                    None => Read::Gone { all_read: false },
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => Read::Open,
            // It has ended with something of ours unread.
            Err(_) => Read::Gone { all_read: false },
        }
    }

    /// Carries out what has come. `None`: it is nonsense.
    fn carry_out(&mut self, link: Link) -> Option<()> {
        loop {
            let peer = self.peers.get_mut(&link)?;
            // What one that has ended has asked for is carried out, whatever became of the answers.
            if !peer.is_cut && peer.unsent() > self.limits.unsent {
                self.flush(link);
                let peer = self.peers.get_mut(&link)?;
                if !peer.is_cut && peer.unsent() > self.limits.unsent {
                    peer.is_held_up = true;
                    return Some(());
                }
            }
            let peer = self.peers.get_mut(&link)?;
            if peer.inbox.announced().is_some_and(|length| length > self.limits.request) {
                return None;
            }
            let Some(frame) = peer.inbox.next() else {
                return (peer.fds.len() <= self.limits.descriptors).then_some(());
            };
            let (head, ask) = read_request(frame)?;
            if head.id != ONE_WAY {
                peer.requests += 1;
                if peer.requests > self.limits.requests {
                    return None;
                }
            }
            while peer.unread.front().is_some_and(|(number, ..)| *number <= head.read) {
                peer.unread.pop_front();
            }
            match ask {
                Ask::Carry(mut words) => {
                    let Some(end) = peer.fds.pop_front()? else {
                        // They stay for as long as their sender keeps them, which may not be long enough: then the reader is told.
                        continue;
                    };
                    words.retain(|word| self.world.refer(*word, 1));
                    let id = self.next;
                    self.next += 1;
                    let data = epoll::EventData::new_u64(id);
                    // Nothing is ever sent over it: what is told is that its other end is closed.
                    if epoll::add(&self.epoll.0, &end, data, EventFlags::RDHUP).is_ok() {
                        self.carried.insert(id, (End::new(end), words));
                    } else {
                        words.iter().for_each(|word| self.world.let_go(*word, 1, &mut self.out));
                    }
                }
                ask => {
                    self.world.ask(link, head, ask, &mut self.out);
                    self.hand_over();
                }
            }
        }
    }

    /// Words that were on their way have arrived, or never will.
    fn arrived(&mut self, id: u64) {
        if let Some((end, words)) = self.carried.remove(&id) {
            let _ = epoll::delete(&self.epoll.0, &end.0);
            words.iter().for_each(|word| self.world.let_go(*word, 1, &mut self.out));
            self.world.settle(&mut self.out);
            self.deliver();
        }
    }

    /// Sends the answers that are due.
    fn deliver(&mut self) {
        self.hand_over();
        while let Some(link) = self.due.pop() {
            self.flush(link);
            self.watch(link);
        }
    }

    /// Gives the answers to whom they are for.
    fn hand_over(&mut self) {
        for out in self.out.drain(..) {
            let link = out.link;
            let Some(peer) = self.peers.get_mut(&link) else { continue };
            if peer.waiting.is_empty() && !peer.is_cut && peer.unsent() <= self.limits.unsent {
                peer.write(out);
            } else {
                peer.waiting.push_back(out);
            }
            if !peer.is_due {
                peer.is_due = true;
                self.due.push(link);
            }
        }
    }

    /// Sends what the socket takes.
    fn flush(&mut self, link: Link) {
        let limit = self.limits.unsent;
        let Some(peer) = self.peers.get_mut(&link) else { return };
        peer.is_due = false;
        while !peer.is_cut {
            match peer.send() {
                Ok(true) => {}
                Ok(false) => return,
                // The poller tells of its end.
                Err(_) => {
                    peer.is_cut = true;
                    peer.sent = peer.out.len();
                }
            }
            peer.out.clear();
            peer.out.shrink_to(SPARE);
            peer.sent = 0;
            if peer.is_cut || peer.waiting.is_empty() {
                return;
            }
            while peer.unsent() <= limit
                && let Some(out) = peer.waiting.pop_front()
            {
                peer.write(out);
            }
        }
    }

    /// Has the poller tell of what is waited for, and of nothing else.
    fn watch(&mut self, link: Link) {
        let Some(peer) = self.peers.get_mut(&link) else { return };
        // One that is held up, and whose answers have all been sent since, goes on at once.
        let is_full = peer.has_unsent() || peer.is_held_up;
        if (is_full, peer.is_held_up) != peer.watched {
            peer.watched = (is_full, peer.is_held_up);
            let mut flags = EventFlags::RDHUP;
            flags.set(EventFlags::IN, !peer.is_held_up);
            flags.set(EventFlags::OUT, is_full);
            let data = epoll::EventData::new_u64(link);
            let _ = epoll::modify(&self.epoll.0, &peer.socket.0, data, flags);
        }
    }
}

impl Peer {
    /// Bytes that are written and not sent.
    fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    fn has_unsent(&self) -> bool {
        self.unsent() > 0 || !self.waiting.is_empty()
    }

    fn write(&mut self, out: Out) {
        self.replies += 1;
        self.requests = self.requests.saturating_sub(1);
        self.out.append(&mut write_reply(out.id, &out.answer));
        let number = self.replies;
        self.unread.extend(out.unread().into_iter().map(|unread| (number, unread)));
    }

    /// Whether all that was written is sent.
    fn send(&mut self) -> rustix::io::Result<bool> {
        while self.sent < self.out.len() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::send(&self.socket.0, &self.out[self.sent..], flags) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Reads without waiting: how many bytes, and the descriptors that came along. `None`: one that this process had no room for.
fn receive(
    socket: impl std::os::fd::AsFd,
    buffer: &mut [u8],
) -> rustix::io::Result<(usize, Vec<Option<OwnedFd>>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
    let fds = control.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let mut fds: Vec<_> = fds.flatten().map(Some).collect();
    if fds.is_empty() && message.flags.contains(ReturnFlags::CTRUNC) {
        fds.push(None);
    }
    Ok((message.bytes, fds))
}

#[cfg(test)]
mod tests;
