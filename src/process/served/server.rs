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

use super::wire::{Answer, Ask, Got, Inbox, read_request, write_reply};
use super::world::{Link, Out, World};
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
    let server = Server::new(inside)?;
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
    /// The poller tells when more can be sent.
    is_full: bool,
    /// Some of what was written could not be sent any more.
    is_cut: bool,
    /// How many replies were written.
    replies: u64,
    /// Items that were written and that it has not said to have read, each with the number of its reply.
    unread: VecDeque<(u64, u64, u64, Got)>,
    /// Notifications of conditions, in the same way: the word, and who was notified.
    notified: VecDeque<(u64, u64, u64)>,
}

/// After so long it looks again, whether or not it has anything to do then.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

struct Server {
    epoll: End,
    inside: BorrowedFd<'static>,
    next: u64,
    peers: HashMap<Link, Peer>,
    /// Words on their way, each until the other end of its descriptor is closed.
    carried: HashMap<u64, (End, Vec<u64>)>,
    world: World,
    buffer: Vec<u8>,
    patience: Patience,
    out: Vec<Out>,
}

/// What came of reading.
enum Read {
    Open,
    /// It is gone, and has read all that was sent, or not.
    Gone {
        all_read: bool,
    },
}

impl Server {
    fn new(inside: BorrowedFd<'static>) -> io::Result<Server> {
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
        })
    }

    fn run(mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
        loop {
            self.poll(&mut events);
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
            is_full: false,
            is_cut: false,
            replies: 0,
            unread: VecDeque::new(),
            notified: VecDeque::new(),
        };
        self.peers.insert(link, peer);
        self.world.welcome(link, parent);
        self.flush(link);
    }

    fn serve(&mut self, link: Link, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.flush(link);
        }
        if !flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR)
        {
            return;
        }
        let read = self.read(link);
        self.deliver();
        if let Read::Gone { all_read } = read {
            let Some(peer) = self.peers.remove(&link) else { return };
            let _ = epoll::delete(&self.epoll.0, &peer.socket.0);
            if !all_read {
                for (_, word, who) in peer.notified {
                    self.world.notify_another(link, word, who, &mut self.out);
                }
                let unread = peer.unread.into_iter().map(|(_, word, who, got)| (word, who, got));
                self.world.take_back(link, unread, &mut self.out);
            }
            self.world.gone(link, &mut self.out);
            self.deliver();
        }
    }

    fn read(&mut self, link: Link) -> Read {
        let Some(peer) = self.peers.get_mut(&link) else { return Read::Open };
        match receive(&peer.socket.0, &mut self.buffer) {
            Ok((0, _)) => Read::Gone { all_read: !peer.is_cut && peer.sent == peer.out.len() },
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
        let Some(peer) = self.peers.get_mut(&link) else { return Some(()) };
        while let Some(frame) = peer.inbox.next() {
            let (head, ask) = read_request(frame)?;
            while peer.unread.front().is_some_and(|(number, ..)| *number <= head.read) {
                peer.unread.pop_front();
            }
            while peer.notified.front().is_some_and(|(number, ..)| *number <= head.read) {
                peer.notified.pop_front();
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
                ask => self.world.ask(link, head, ask, &mut self.out),
            }
        }
        Some(())
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
        let mut links = Vec::new();
        for Out { link, id, word, who, answer } in self.out.drain(..) {
            let Some(peer) = self.peers.get_mut(&link) else { continue };
            peer.replies += 1;
            peer.out.append(&mut write_reply(id, &answer));
            let number = peer.replies;
            match answer {
                Answer::Items(items) => {
                    peer.unread.extend(items.into_iter().map(|got| (number, word, who, got)));
                }
                Answer::Woken { notified: true, .. } => {
                    peer.notified.push_back((number, word, who));
                }
                _ => {}
            }
            if !links.contains(&link) {
                links.push(link);
            }
        }
        links.into_iter().for_each(|link| self.flush(link));
    }

    fn flush(&mut self, link: Link) {
        let Some(peer) = self.peers.get_mut(&link) else { return };
        while peer.sent < peer.out.len() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::send(&peer.socket.0, &peer.out[peer.sent..], flags) {
                Ok(count) => peer.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // The poller tells of its end.
                Err(_) => {
                    peer.is_cut = true;
                    peer.sent = peer.out.len();
                }
            }
        }
        let is_full = peer.sent < peer.out.len();
        if !is_full {
            peer.out.clear();
            peer.sent = 0;
        }
        if is_full != peer.is_full {
            peer.is_full = is_full;
            let mut flags = EventFlags::IN | EventFlags::RDHUP;
            flags.set(EventFlags::OUT, is_full);
            let data = epoll::EventData::new_u64(link);
            let _ = epoll::modify(&self.epoll.0, &peer.socket.0, data, flags);
        }
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
