//! The process behind [`Processes`](super::Processes): it is handed connections, and forks a process for each.
//!
//! It speaks with its parent as a [worker](super::worker) does. It has one thread, and none of the user's code runs in it, so its forks are
//! sound. What the handler needs comes packed with each connection, and is read by the fork that it is for.
#![allow(unsafe_code)]

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};

use super::super::address::Address;
use super::super::attend;
use super::super::core::{Accepted, Core};
use super::super::counters::Counters;
use super::super::event::Event;
use super::super::handle::LAST;
use super::super::handler::Portable;
use super::super::listener::Socket;
use super::super::settings::Settings;
use super::aide::Aide;
use super::worker::{FromWorker, REPORT, ToWorker, pass_on};
use crate::error::{Error, Panic, Result};
use crate::process::brood::{Brood, Ended, Newborn, ROOM, Side};
use crate::process::{self, Duplex, Fd, GetError, PutError, Sender};
use crate::system::Withheld;
use crate::task::catch::catch;
use crate::task::codec;
use crate::task::packed::Packed;

/// What it is called, and what the processes of connections are.
pub(super) const NAME: &str = "fourfold-forker";
const CONNECTION: &str = "fourfold-conn";

/// How often it tries to tell its parent what there is no memory for, and how long it waits in between.
const TRIES: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(1);

/// What it is given.
#[derive(Serialize, Deserialize)]
pub(super) struct Given {
    pub(super) end: Duplex<FromWorker, ToWorker>,
    pub(super) settings: Settings,
    /// The server's process.
    pub(super) parent: u32,
}

/// Its whole life. Gives what it and its forks have counted.
pub(super) fn serve<H: Portable>(code: H::Code, given: Given) -> Result<Counters> {
    let Given { end, settings, parent } = given;
    // SAFETY: this process has begun as a fork of a process with one thread, or has been executed and runs nothing but this, which starts none.
    let brood = unsafe { Brood::begin(CONNECTION, parent) }?;
    let (ends, news) = process::pipe()?;
    // Its forks see the end of the one only if they have no copy, and have nothing to do with the other.
    let [out, into] = end.descriptors();
    let withheld = [Withheld::new(out)?, Withheld::new(into)?];
    let tells = Some((Withheld::new(ends.descriptor())?, ends));
    let is_awaited = settings.is_awaited;
    // Made here, not in each fork.
    let core = Core::of_one(Settings { max_connections: 1, ..settings }, Aide::new(news));
    let mut forker = Forker {
        _withheld: withheld,
        end,
        is_awaited,
        brood,
        came: 0,
        over: Vec::new(),
        counters: Counters::default(),
        left: 0,
        has_news: false,
        reported: Instant::now(),
        retires: None,
        drain: None,
        is_killed: false,
        is_alone: false,
        tells,
    };
    if forker.end.send(FromWorker::Ready).is_err() {
        return Ok(forker.counters);
    }
    if let Some((newborn, given)) = forker.run() {
        end_with(newborn, catch(|| converse::<H>(code, given, core)))
    }
    Ok(forker.counters)
}

/// What the process of a connection is given.
struct Task {
    socket: Socket,
    peer: Address,
    along: Option<Packed>,
}

/// In its process: one connection.
fn converse<H: Portable>(code: H::Code, task: Task, core: Arc<Core>) -> Result<Counters> {
    let Task { socket, peer, along } = task;
    let along = along.ok_or_else(|| Error::invalid("a connection came without its arguments"))?;
    let handler = H::again(code, along.open("argument")?);
    core.watch_limits();
    let seat = core.seat();
    attend::in_thread(&core, &handler, Accepted { socket, peer, seat });
    Ok(core.tally.counters())
}

/// What the process of a connection says of itself: what it has counted, or why its handler has not begun.
type Answer = Result<Counters>;

fn end_with(newborn: Newborn, answer: std::result::Result<Answer, Panic>) -> ! {
    let answer = answer.unwrap_or_else(|panic| Err(Error::panicked(panic)));
    let mut bytes = codec::encode(&answer, "answer").unwrap_or_default();
    if let Err(error) = &answer
        && bytes.len() > ROOM
    {
        let short: Answer = Err(Error::new(error.kind()));
        bytes = codec::encode(&short, "answer").unwrap_or_default();
    }
    newborn.answer(&bytes)
}

struct Forker {
    /// Of its end, which is closed after it.
    _withheld: [Withheld; 2],
    end: Duplex<FromWorker, ToWorker>,
    is_awaited: bool,
    /// Of each fork, whose connection it has, and its number where that has tickets.
    brood: Brood<(Option<Address>, Option<u64>)>,
    /// So many connections have come, also such as it had no descriptor for.
    came: u64,
    /// Of those with tickets, which are over and not reported.
    over: Vec<u64>,
    counters: Counters,
    /// So many connections are over.
    left: u64,
    /// There is something to report; and when it did that last.
    has_news: bool,
    reported: Instant,
    /// Set once nothing more comes: until when its forks go on, if that is not for ever.
    retires: Option<Option<Instant>>,
    /// Set once it is to end: until when its forks have time, if that is not for ever.
    drain: Option<Option<Instant>>,
    is_killed: bool,
    /// Its parent is gone.
    is_alone: bool,
    /// That it ends tells the forks of the shutdown.
    tells: Option<(Withheld, Sender<()>)>,
}

impl Forker {
    /// Until the end. In a fork, gives what that is to do.
    fn run(&mut self) -> Option<(Newborn, Task)> {
        loop {
            let (has_messages, have_ended) = self.wait();
            if have_ended {
                self.brood.look_again();
                while let Some(ended) = self.brood.ended() {
                    self.note(ended);
                }
            }
            // One at a time: that none is left is found out by waiting.
            if has_messages {
                match self.end.try_recv() {
                    Ok(ToWorker::Take(Fd(socket), peer, along)) => {
                        let socket = Socket::from_fd(socket, &peer);
                        if let Some(born) = self.take(Task { socket, peer, along }) {
                            return Some(born);
                        }
                    }
                    Ok(ToWorker::Retire(limit)) => {
                        self.retires = Some(Instant::now().checked_add(limit));
                    }
                    Ok(ToWorker::Drain(limit)) => self.drain(limit),
                    Err(GetError::Empty) => {}
                    // What comes with a descriptor is a connection.
                    Err(GetError::Failed(_)) => {
                        self.came += 1;
                        // It may have had tickets, which nobody will take.
                        self.over.push(self.came);
                        self.has_news = true;
                        self.tell(FromWorker::Refused);
                    }
                    Err(_) => self.be_alone(),
                }
            }
            let is_ending = self.retires.is_some() || self.drain.is_some();
            if is_ending && self.brood.len() == 0 {
                return None;
            }
            if self.drain.is_none() && is_over(self.retires) {
                self.drain(LAST);
            }
            if !self.is_killed && is_over(self.drain) {
                self.is_killed = true;
                self.brood.kill();
            }
            self.has_news |= (has_messages || have_ended) && self.brood.is_learning();
            if self.has_news && self.until_report() == Duration::ZERO {
                (self.has_news, self.reported) = (false, Instant::now());
                let over = std::mem::take(&mut self.over);
                self.tell(FromWorker::Report(self.left, over, Box::new(self.counters.clone())));
            }
        }
    }

    /// How long it has until it reports what there is to report.
    fn until_report(&self) -> Duration {
        // At the end each number counts: it may be killed.
        match self.is_awaited || self.drain.is_some() || self.brood.is_learning() {
            true => Duration::ZERO,
            false => REPORT.saturating_sub(self.reported.elapsed()),
        }
    }

    /// Waits for messages and ends. Whether there are such.
    fn wait(&self) -> (bool, bool) {
        let report = self.has_news.then(|| self.until_report());
        let rest = |until: Instant| until.saturating_duration_since(Instant::now());
        let until = self.drain.or(self.retires).flatten().filter(|_| !self.is_killed).map(rest);
        let limit = [report, until].into_iter().flatten().min();
        // Rounded up: it does not come too early, and again.
        let limit = limit.and_then(|limit| (limit + Duration::from_micros(1)).try_into().ok());
        let ends = self.brood.ends();
        let mut fds =
            [ends, self.end.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        // Where nobody is there, nothing comes.
        let fds = if self.is_alone { &mut fds[..1] } else { &mut fds[..] };
        // Interrupted, it looks at all.
        let is_sure = poll(fds, limit.as_ref()).is_ok();
        let is_ready =
            |at: usize| fds.get(at).is_some_and(|fd| !is_sure || !fd.revents().is_empty());
        (is_ready(1), is_ready(0))
    }

    /// Forks for a connection.
    fn take(&mut self, task: Task) -> Option<(Newborn, Task)> {
        // Before anything is done with it: what a client has heard from is nobody else's, and it cannot be over before the parent
        // knows that it has begun.
        self.tell(FromWorker::Taken);
        if self.is_alone {
            // Another may be given it.
            return None;
        }
        self.came += 1;
        let has_tickets = task.along.as_ref().is_some_and(|along| along.has_tickets);
        let number = has_tickets.then_some(self.came);
        match self.brood.fork() {
            Ok(Side::Child(newborn)) => return Some((newborn, task)),
            Ok(Side::Parent(kept)) => *kept = (Some(task.peer), number),
            Err(error) => {
                let error = Error::from(error).with_message("no process for it");
                self.reject(task.peer, error);
                self.over(number);
            }
        }
        None
    }

    fn note(&mut self, ended: Ended<(Option<Address>, Option<u64>)>) {
        let Ended { pid, kept: (peer, number), answer } = ended;
        match answer.map(|bytes| codec::decode::<Answer>(&bytes, "answer")) {
            Ok(Ok(Ok(counters))) => self.counters.add(&counters),
            Ok(Ok(Err(error))) => {
                if let Some(peer) = peer {
                    self.reject(peer, error);
                }
            }
            Err(_) if self.is_killed => self.counters.cut += 1,
            Err(error) | Ok(Err(error)) => {
                self.counters.workers_lost += 1;
                self.tell(FromWorker::Lost(pid, error));
            }
        }
        self.over(number);
    }

    fn reject(&mut self, peer: Address, error: Error) {
        self.counters.rejected += 1;
        pass_on(Event::Rejected { peer, error }, &self.end);
    }

    /// A connection is over, of this number if it had tickets.
    fn over(&mut self, number: Option<u64>) {
        self.over.extend(number);
        self.left += 1;
        self.has_news = true;
    }

    /// Tells its parent, also if the system has no memory for that at once.
    fn tell(&mut self, mut message: FromWorker) {
        for _ in 0..TRIES {
            message = match self.end.send(message) {
                Ok(()) => return,
                Err(PutError::ShutDown(_)) => break,
                Err(unsent) => unsent.into_item(),
            };
            std::thread::sleep(PAUSE);
        }
        self.be_alone();
    }

    /// Its parent is gone. So is this process in a moment.
    fn be_alone(&mut self) {
        self.is_alone = true;
        self.drain(Duration::ZERO);
    }

    /// It is to end: its forks hear of it, and have so long.
    fn drain(&mut self, limit: Duration) {
        self.tells = None;
        let until = Instant::now().checked_add(limit);
        self.drain = Some([until, self.drain.flatten()].into_iter().flatten().min());
    }
}

/// Whether a time has been set and has come.
fn is_over(until: Option<Option<Instant>>) -> bool {
    until.flatten().is_some_and(|until| Instant::now() >= until)
}
