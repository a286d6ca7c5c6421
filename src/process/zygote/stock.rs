//! The parent's side of the forkserver: its zygote, and a stock of forks that are made ahead.
//!
//! Everything is behind one lock. The zygote answers in order, so a fork's answer waits in the socket until somebody needs
//! that fork: the number, which is the fork's own as it is our child, and its descriptor. One that is killed in stock is
//! waited for then, and its place taken by the next. With the zygote the whole stock ends.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use super::fork::Request;
use super::shape::{Had, Shape, shape};
use crate::error::{Error, ErrorKind, Result};
use crate::process::channel::{
    Inbox, Kind, Parcel, Received, send_fds, send_frame, send_some, write_frame,
};
use crate::process::entry;
use crate::process::launch::{self, Proc, Settings};
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

static ZYGOTE: Mutex<Option<Zygote>> = Mutex::new(None);

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    ZYGOTE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn lock() -> MutexGuard<'static, Option<Zygote>> {
    ZYGOTE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Has a child forked, and gives it what is to be in its socket after its greeting.
pub(crate) fn start(settings: &Settings, work: &[u8]) -> Result<Proc> {
    let (mut shape, stdio) = shape(settings)?;
    let (parts, spawned) = take_fork(settings, &mut shape)?;
    let Parts { socket, page, lifeline, nonce } = parts;
    let mut proc = Proc::new(spawned, socket, page, lifeline);
    proc.limit_memory(settings.memory);
    greet(&proc, &launch::hello(settings, nonce, Some(shape)), stdio, work)
        .inspect_err(|_| proc.end_and_reap())?;
    // While the child is at work.
    order_spares();
    Ok(proc)
}

fn greet(proc: &Proc, hello: &Hello, stdio: Vec<OwnedFd>, work: &[u8]) -> Result<()> {
    let greeting = Parcel::new(codec::encode(hello, "greeting")?, stdio)?;
    let mut bytes = Vec::new();
    write_frame(&mut bytes, Kind::Hello, 0, 0, 0, &greeting);
    bytes.extend_from_slice(work);
    // It may be gone already, which its end tells.
    let _ = send_all(proc, &bytes, &greeting);
    Ok(())
}

fn send_all(proc: &Proc, bytes: &[u8], parcel: &Parcel) -> io::Result<()> {
    let mut sent = send_fds(&proc.socket, bytes, parcel, false)?;
    while sent < bytes.len() {
        sent += send_some(&proc.socket, &bytes[sent..], false)?;
    }
    Ok(())
}

/// A fork that waits for its greeting, which `shape` is made to fit.
fn take_fork(settings: &Settings, shape: &mut Shape) -> Result<(Parts, Spawned)> {
    let mut slot = lock();
    if slot.as_ref().is_some_and(|zygote| !zygote.is_ours()) {
        // Our parent's: dropping it here would do no harm, but its lifelines are not ours to end.
        std::mem::forget(slot.take());
    }
    // Again with a fresh one, should it have been killed, or with a fresh fork.
    for _ in 0..3 + SPARES {
        if slot.as_ref().is_none_or(|zygote| zygote.proc.ended().is_some()) {
            *slot = None;
            *slot = Some(Zygote::start()?);
        }
        let zygote = slot.as_mut().expect("made just now");
        match zygote.fork() {
            Ok(Some(forked)) => {
                shape.fit(settings, &zygote.had);
                return Ok(forked);
            }
            // It was a spare, and has been killed or could not be made when it was asked for.
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::NotStarted => return Err(error),
            Err(_) => *slot = None,
        }
    }
    Err(Error::new(ErrorKind::NotStarted).with_message("the forkserver ends again and again"))
}

/// Has the next forks made, ahead. If that cannot be done now, it is when they are needed.
fn order_spares() {
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
fn discard(zygote: u32) {
    let mut slot = match ZYGOTE.try_lock() {
        Ok(slot) => slot,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            if let Ok(supervisor) = supervisor() {
                supervisor.at(Instant::now() + AGAIN, move || discard(zygote));
            }
            return;
        }
    };
    let dead = slot.take_if(|known| known.proc.pid == zygote && known.is_ours());
    drop(slot);
    drop(dead);
}

/// Makes a fork a child like others.
fn own(pid: u32, pidfd: Option<OwnedFd>) -> io::Result<Spawned> {
    let number = rustix::process::Pid::from_raw(pid as i32);
    // As the fork itself does: whoever comes first. From here on we may want to kill its group.
    let _ = rustix::process::setpgid(number, number);
    let pidfd = match pidfd {
        Some(pidfd) => pidfd,
        None => sys::adopt(pid)?,
    };
    Ok(Spawned { pid, pidfd })
}

impl Zygote {
    fn start() -> Result<Zygote> {
        let owner = std::process::id();
        let mut settings = Settings::new("zygote".into(), Role::Zygote);
        let had = Had::now();
        settings.env = had.environment();
        let proc = Arc::new(launch::launch(settings)?);
        // Waited for as soon as it ends, and its forks with it.
        proc.watch(|proc| discard(proc.pid)).inspect_err(|_| proc.end_and_reap())?;
        Ok(Zygote { owner, proc, inbox: Inbox::new(), had, spares: VecDeque::new() })
    }

    /// Whether it is this process's, not that of the process that this is a fork of.
    fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    /// The next fork. `None` if it was a spare, and is not to be had.
    fn fork(&mut self) -> Result<Option<(Parts, Spawned)>> {
        let spare = self.spares.pop_front();
        let is_spare = spare.is_some();
        let parts = spare.map_or_else(|| self.order(), Ok)?;
        let (parts, spawned) = match self.receive(parts) {
            Err(error) if is_spare && error.kind() == ErrorKind::NotStarted => return Ok(None),
            received => received?,
        };
        if is_spare && sys::peek(&spawned.pidfd).is_ok_and(|ended| ended.is_some()) {
            let _ = sys::reap(&spawned.pidfd);
            return Ok(None);
        }
        Ok(Some((parts, spawned)))
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
        send_frame(&self.proc.socket, Kind::Task, 0, 0, 0, &parcel)?;
        Ok(Parts { socket, page, lifeline, nonce })
    }

    /// Waits for a fork that was asked for.
    fn receive(&mut self, parts: Parts) -> Result<(Parts, Spawned)> {
        let (pid, pidfd) = match self.answer() {
            Ok(forked) => forked,
            Err(error) if error.kind() == ErrorKind::NotStarted => return Err(error),
            Err(error) => {
                // What it may have forked before it died has our socket.
                self.proc.end();
                (parts.page.forked().ok_or(error)?, None)
            }
        };
        Ok((parts, own(pid, pidfd)?))
    }

    /// The number of the fork that was asked for first of those that are open, and its descriptor, if there was room for it
    /// here.
    fn answer(&mut self) -> Result<(u32, Option<OwnedFd>)> {
        let frame = loop {
            if let Some(frame) = self.inbox.next()? {
                break frame;
            }
            match self.inbox.receive(&self.proc.socket, false)? {
                Received::Some => {}
                Received::WouldBlock | Received::End => {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
            }
        };
        let (pid, opened) = (frame.word as u32, frame.parcel.open());
        if frame.kind == Kind::Value {
            return Ok((pid, opened.ok().and_then(|(_, mut fds)| fds.pop())));
        }
        let (body, _) = opened?;
        Err(Error::new(ErrorKind::NotStarted)
            .with_message(String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.proc.end();
        for parts in self.spares.drain(..) {
            let forked = parts.page.forked().map(|pid| own(pid, None));
            if let Some(Ok(spawned)) = forked {
                sys::kill_group(spawned.pid, libc::SIGKILL);
                let _ = sys::reap_blocking(&spawned.pidfd);
            }
        }
    }
}
