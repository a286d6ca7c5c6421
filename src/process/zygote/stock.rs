//! The parent's side of the forkserver: its zygote, and a stock of forks that are made ahead.
//!
//! Everything is behind one lock. The zygote answers in order, so a fork's answer, its number, waits in the socket until
//! somebody needs that fork. It is our child and has not been waited for, so the number is its own. One that is killed in
//! stock is waited for then, and its place taken by the next. With the zygote the whole stock ends.
//!
//! The page of each fork says its number, too. What the two say must agree; where the channel has failed, the page counts.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use rustix::net::{Shutdown, shutdown};

use super::fork::Request;
use super::shape::{self, Had, Shape, shape};
use crate::error::{Error, ErrorKind, Result};
use crate::process::channel::{
    CROWDED, Inbox, Kind, Parcel, Received, send_bytes, send_held, unless_gone, write_frame,
};
use crate::process::entry;
use crate::process::launch::{self, Proc, Settings, Stdio};
use crate::process::page::Page;
use crate::process::serve::{Hello, Role};
use crate::process::supervisor::supervisor;
use crate::process::sys::{self, Lifeline, Spawned};
use crate::task::codec;

/// The zygote of this process.
struct Zygote {
    owner: u32,
    proc: Arc<Proc>,
    inbox: Inbox,
    /// What its forks have of it.
    had: Had,
    /// What was asked for, the oldest first.
    spares: VecDeque<Parts>,
    /// Whether the channel has failed: what it says from then on is for nobody.
    broken: bool,
    /// Whether it was left to end by itself.
    retired: bool,
}

/// What we have of a fork from before there is one.
struct Parts {
    socket: OwnedFd,
    page: Page,
    lifeline: Lifeline,
    nonce: u64,
}

/// How many forks are made ahead. With one, a start right behind another waits for the rest of a fork.
const SPARES: usize = 2;

/// When to try again what a start was in the way of.
const AGAIN: Duration = Duration::from_millis(3);

/// How long an answer may take. It takes the time of a fork.
const ANSWER: Duration = Duration::from_secs(30);

static ZYGOTE: Mutex<Option<Zygote>> = Mutex::new(None);

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    lock()
}

fn lock() -> MutexGuard<'static, Option<Zygote>> {
    ZYGOTE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// In a fork of this process: lets go of the parent's.
pub(crate) fn leave() {
    let theirs = lock().take_if(|zygote| !zygote.is_ours());
    drop(theirs);
}

/// Has a child forked, and gives it what is to be in its socket after its greeting. Once it has all of its work, the next forks are
/// [ordered](order_spares).
pub(crate) fn start(settings: &Settings, work: &[u8]) -> Result<Proc> {
    let (mut shape, stdio) = shape(settings)?;
    let (parts, spawned) = take_fork(settings, &mut shape)?;
    let Parts { socket, page, lifeline, nonce } = parts;
    let mut proc = Proc::new(spawned, socket, page, lifeline);
    proc.limit_memory(settings.memory);
    greet(&proc, &launch::hello(settings, nonce, Some(shape)), stdio, work)
        .inspect_err(|_| proc.end_and_reap())?;
    Ok(proc)
}

fn greet(proc: &Proc, hello: &Hello, stdio: Vec<OwnedFd>, work: &[u8]) -> Result<()> {
    let greeting = Parcel::new(codec::encode(hello, "greeting")?, stdio)?;
    let mut bytes = Vec::new();
    write_frame(&mut bytes, Kind::Hello, 0, 0, 0, &greeting);
    bytes.extend_from_slice(work);
    Ok(unless_gone(send_bytes(&proc.socket, &bytes, &greeting))?)
}

/// A fork that waits for its greeting, which `shape` is made to fit.
fn take_fork(settings: &Settings, shape: &mut Shape) -> Result<(Parts, Spawned)> {
    let mut slot = lock();
    // Our parent's is let go of; one whose forks would have the rights that we had before, too.
    if let Some(old) = slot.take_if(|zygote| !zygote.is_ours() || !zygote.had.has_our_rights()) {
        old.retire();
    }
    // Again with a fresh one, should it have been killed, or with a fresh fork.
    for _ in 0..3 + SPARES {
        if slot.as_ref().is_none_or(|zygote| zygote.broken || zygote.proc.ended().is_some()) {
            *slot = None;
            *slot = Some(Zygote::start()?);
        }
        let zygote = slot.as_mut().expect("made just now");
        match zygote.fork() {
            Ok(Some(forked)) => {
                shape.fit(settings, &zygote.had);
                return Ok(forked);
            }
            // It has been killed already, or is a spare that could not be made when it was asked for.
            Ok(None) => {}
            Err(_) if zygote.broken => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(ErrorKind::NotStarted).with_message("the forkserver ends again and again"))
}

/// Has the next forks made, ahead, while the child is at work. If that cannot be done now, it is when they are needed.
pub(crate) fn order_spares() {
    if let Some(zygote) = lock().as_mut()
        && zygote.is_ours()
    {
        while zygote.spares.len() < SPARES
            && let Ok(parts) = zygote.order()
        {
            zygote.spares.push_back(parts);
        }
    }
}

/// Ends the forks in stock of a zygote that has ended. Called by the supervisor, which must not wait for a start.
fn discard(proc: Arc<Proc>) {
    let mut slot = match ZYGOTE.try_lock() {
        Ok(slot) => slot,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            if let Ok(supervisor) = supervisor() {
                supervisor.at(Instant::now() + AGAIN, move || discard(proc));
            }
            return;
        }
    };
    let dead = slot.take_if(|known| Arc::ptr_eq(&known.proc, &proc));
    drop(slot);
    drop(dead);
}

/// Makes a fork a child like others.
fn own(pid: u32) -> io::Result<Spawned> {
    let number = rustix::process::Pid::from_raw(pid as i32);
    // As the fork itself does: whoever comes first. From here on we may want to kill its group.
    let _ = rustix::process::setpgid(number, number);
    Ok(Spawned { pid, pidfd: sys::adopt(pid)? })
}

impl Zygote {
    fn start() -> Result<Zygote> {
        let owner = std::process::id();
        let mut settings = Settings::new("zygote".into(), Role::Zygote);
        let had = Had::now();
        settings.env = had.environment();
        // Its forks get theirs from us, and whoever reads from our output sees the end of it when we have closed it.
        settings.stdio = [Stdio::Null, Stdio::Null, shape::inherited_or_null(libc::STDERR_FILENO)];
        settings.cwd = Some("/".into());
        let proc = Arc::new(launch::launch(settings)?);
        // Waited for as soon as it ends, and its forks with it.
        proc.watch(discard).inspect_err(|_| proc.end_and_reap())?;
        Ok(Zygote {
            owner,
            proc,
            inbox: Inbox::new(),
            had,
            spares: VecDeque::new(),
            broken: false,
            retired: false,
        })
    }

    /// Whether it is this process's, not that of the process that this is a fork of.
    fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    /// The next fork. `None` if it has ended already, or is a spare that could not be made.
    fn fork(&mut self) -> Result<Option<(Parts, Spawned)>> {
        let spare = self.spares.pop_front();
        let is_spare = spare.is_some();
        let parts = spare.map_or_else(|| self.order(), Ok)?;
        let (parts, spawned) = match self.receive(parts) {
            Err(error) if is_spare && error.kind() == ErrorKind::NotStarted => return Ok(None),
            Err(error) if is_gone(&error) => return Ok(None),
            received => received?,
        };
        match sys::peek(&spawned.pidfd) {
            Ok(None) => Ok(Some((parts, spawned))),
            Ok(Some(_)) => {
                let _ = sys::reap(&spawned.pidfd);
                Ok(None)
            }
            // The kernel has not kept it, and its number is another's by now.
            Err(_) => Ok(None),
        }
    }

    /// Asks for a fork.
    fn order(&mut self) -> Result<Parts> {
        let (socket, theirs) = launch::socket_pair()?;
        let (page, page_fd) = Page::create()?;
        let lifeline = Lifeline::new()?;
        let nonce = launch::nonce();
        let mut fds = vec![theirs, page_fd];
        fds.extend(lifeline.copies()?);
        let request = Request { nonce, depth: entry::depth() + 1 };
        let parcel = Parcel::new(codec::encode(&request, "request")?, fds)?;
        let mut bytes = Vec::new();
        write_frame(&mut bytes, Kind::Task, 0, 0, 0, &parcel);
        // The lock is every starter's: not held for ever where others fill the system with descriptors.
        let sent = send_held(&self.proc.socket, &bytes, &parcel, Some(CROWDED), || ());
        self.broken |= sent.is_err();
        sent.map_err(|unsent| unsent.error)?;
        Ok(Parts { socket, page, lifeline, nonce })
    }

    /// Waits for a fork that was asked for.
    fn receive(&mut self, parts: Parts) -> Result<(Parts, Spawned)> {
        let answer = if self.broken { Err(lost()) } else { self.answer() };
        let pid = match answer {
            Ok(pid) if parts.page.forked() == Some(pid) => pid,
            Err(error) if error.kind() == ErrorKind::NotStarted => return Err(error),
            answer => {
                self.broken = true;
                // What it may have forked before has our socket, and its number is in the page once the zygote has ended.
                self.proc.end();
                parts.page.forked().ok_or_else(|| answer.err().unwrap_or_else(lost))?
            }
        };
        Ok((parts, own(pid)?))
    }

    /// The number of the fork that was asked for first of those that are open.
    fn answer(&mut self) -> Result<u32> {
        let frame = loop {
            if let Some(frame) = self.inbox.next()? {
                break frame;
            }
            // One that was stopped must not stop us.
            if !sys::wait_for_input(&self.proc.socket, Instant::now() + ANSWER) {
                return Err(lost());
            }
            match self.inbox.receive(&self.proc.socket, true)? {
                Received::Some | Received::WouldBlock => {}
                Received::End => return Err(lost()),
            }
        };
        if frame.kind == Kind::Value {
            return Ok(frame.word as u32);
        }
        let (body, _) = frame.parcel.open()?;
        Err(Error::new(ErrorKind::NotStarted)
            .with_message(String::from_utf8_lossy(&body).into_owned()))
    }

    /// Lets it end by itself, and its forks: it may not be ours to kill.
    fn retire(mut self) {
        if !self.is_ours() {
            return;
        }
        while let Some(parts) = self.spares.pop_front() {
            if let Ok((parts, spawned)) = self.receive(parts) {
                let _ = shutdown(&parts.socket, Shutdown::Both);
                let proc = Proc::new(spawned, parts.socket, parts.page, parts.lifeline);
                let _ = Arc::new(proc).watch(|_| {});
            }
        }
        let _ = shutdown(&self.proc.socket, Shutdown::Both);
        self.retired = true;
    }
}

/// Whether a fork was killed, and the kernel has not kept it for us.
fn is_gone(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.raw_os_error() == Some(libc::ESRCH))
}

/// What is told when the zygote is gone.
fn lost() -> Error {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}

impl Drop for Zygote {
    fn drop(&mut self) {
        if self.retired || !self.is_ours() {
            return;
        }
        self.proc.end();
        for parts in self.spares.drain(..) {
            let forked = parts.page.forked().map(own);
            // Still ours, if nobody else has waited for it.
            if let Some(Ok(spawned)) = forked
                && sys::peek(&spawned.pidfd).is_ok()
            {
                sys::kill_group(&spawned.pidfd, spawned.pid, libc::SIGKILL);
                sys::signal(&spawned.pidfd, libc::SIGKILL);
                let _ = sys::reap_blocking(&spawned.pidfd);
            }
        }
    }
}
