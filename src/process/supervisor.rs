//! The one thread that watches over this process's children: descriptors that become ready, and moments that come.
//!
//! It runs short pieces of the library's own code only, never a user's: no callback, no `Drop` of a user's value. Its epoll
//! set holds each child's pidfd, so a child that ends is reaped at once, whether or not anybody joins it.
//!
//! A process that was forked without exec gets a supervisor of its own at its first call, since the thread was not forked.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use crate::error::shield;

/// Told when a descriptor it watches is ready.
pub(crate) trait Ready: Send + Sync {
    /// The descriptor is ready for reading, or its other end is gone. Called by the supervisor's thread.
    fn ready(self: Arc<Self>);
}

/// Names a watched descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Token(u64);

/// Names a moment that something is to be done at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId(Instant, u64);

pub(crate) struct Supervisor {
    epoll: OwnedFd,
    bell: OwnedFd,
    pid: u32,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    watched: HashMap<u64, Arc<dyn Ready>>,
    timers: BTreeMap<TimerId, Box<dyn FnOnce() + Send>>,
}

const BELL: u64 = 0;

static SUPERVISOR: Mutex<Option<&'static Supervisor>> = Mutex::new(None);

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    SUPERVISOR.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// In a fork: the numbers of its parent's descriptors, which it has copies of and no use for. Whoever has a reference to the
/// parent's looks at its process first.
pub(crate) fn take_ends() -> Option<[RawFd; 2]> {
    let mut slot = SUPERVISOR.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let theirs = slot.take_if(|supervisor| supervisor.pid != std::process::id())?;
    Some([theirs.epoll.as_raw_fd(), theirs.bell.as_raw_fd()])
}

thread_local! {
    static IS_SUPERVISOR: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is a supervisor.
pub(crate) fn is_current() -> bool {
    IS_SUPERVISOR.try_with(Cell::get).unwrap_or(false)
}

/// The supervisor of this process, started at the first call.
pub(crate) fn supervisor() -> io::Result<&'static Supervisor> {
    let mut slot = SUPERVISOR.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pid = std::process::id();
    if let Some(supervisor) = *slot
        && supervisor.pid == pid
    {
        return Ok(supervisor);
    }
    let supervisor = Arc::new(Supervisor::new(pid)?);
    let runner = supervisor.clone();
    std::thread::Builder::new().name("fourfold".into()).stack_size(256 << 10).spawn(move || {
        IS_SUPERVISOR.set(true);
        runner.run();
    })?;
    // For ever, now that its thread is there; without one its descriptors are closed again.
    let supervisor: &'static Supervisor = Box::leak(Box::new(supervisor));
    *slot = Some(supervisor);
    Ok(supervisor)
}

impl Supervisor {
    fn new(pid: u32) -> io::Result<Supervisor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let data = epoll::EventData::new_u64(BELL);
        epoll::add(&epoll, &bell, data, epoll::EventFlags::IN)?;
        let inner = Inner { next: BELL + 1, ..Inner::default() };
        Ok(Supervisor { epoll, bell, pid, inner: Mutex::new(inner) })
    }

    /// Has `watcher` told whenever `fd` is ready for reading. The descriptor must stay open until `unwatch`.
    pub(crate) fn watch(&self, fd: impl AsFd, watcher: Arc<dyn Ready>) -> io::Result<Token> {
        let mut inner = self.lock();
        let token = inner.next;
        inner.next += 1;
        // Known before the first event can come.
        inner.watched.insert(token, watcher);
        let data = epoll::EventData::new_u64(token);
        if let Err(error) = epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN) {
            inner.watched.remove(&token);
            return Err(error.into());
        }
        Ok(Token(token))
    }

    /// Tells of `fd` no longer, or again.
    pub(crate) fn pause(&self, fd: impl AsFd, token: Token, paused: bool) -> io::Result<()> {
        let flags = if paused { epoll::EventFlags::empty() } else { epoll::EventFlags::IN };
        Ok(epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(token.0), flags)?)
    }

    /// Ends a watch. The watcher may still be told once, if an event was on its way.
    pub(crate) fn unwatch(&self, fd: impl AsFd, token: Token) {
        let _ = epoll::delete(&self.epoll, fd);
        let watcher = self.lock().watched.remove(&token.0);
        drop(watcher);
    }

    /// Has `job` done at `moment`.
    pub(crate) fn at(&self, moment: Instant, job: impl FnOnce() + Send + 'static) -> TimerId {
        let mut inner = self.lock();
        let id = TimerId(moment, inner.next);
        inner.next += 1;
        let first = inner.timers.first_key_value().is_none_or(|(first, _)| id < *first);
        inner.timers.insert(id, Box::new(job));
        drop(inner);
        if first {
            self.ring();
        }
        id
    }

    /// Forgets a job that has not been done. Whether it was so.
    pub(crate) fn forget(&self, id: TimerId) -> bool {
        let job = self.lock().timers.remove(&id);
        job.is_some()
    }

    fn ring(&self) {
        // The counter cannot be full: it is read at each round.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn run(&self) {
        let mut events = Vec::with_capacity(64);
        loop {
            let timeout = self.run_timers();
            events.clear();
            let space = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, space, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("epoll_wait of the supervisor: {error}"),
            }
            for event in events.drain(..) {
                let token = event.data.u64();
                if token == BELL {
                    let _ = rustix::io::read(&self.bell, &mut [0; 8]);
                    continue;
                }
                let watcher = self.lock().watched.get(&token).cloned();
                if let Some(watcher) = watcher {
                    // What is woken is a user's, and may panic: that is no reason to leave all children alone.
                    shield(move || watcher.ready());
                }
            }
        }
    }

    /// Does what is due, and gives the time until the next.
    fn run_timers(&self) -> Option<Timespec> {
        loop {
            let mut inner = self.lock();
            let id = *inner.timers.first_key_value()?.0;
            let left = id.0.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Some(timespec(left));
            }
            let job = inner.timers.remove(&id);
            drop(inner);
            if let Some(job) = job {
                shield(job);
            }
        }
    }
}

/// A duration for the kernel.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn moments_come_in_order_and_can_be_forgotten() {
        let supervisor = supervisor().unwrap();
        let (sender, receiver) = mpsc::channel();
        let now = Instant::now();
        let mut ids = Vec::new();
        for ms in [30, 10, 20] {
            let sender = sender.clone();
            ids.push(supervisor.at(now + Duration::from_millis(ms), move || {
                let _ = sender.send(ms);
            }));
        }
        assert!(supervisor.forget(ids[2]));
        assert!(!supervisor.forget(ids[2]));
        let limit = Duration::from_secs(10);
        assert_eq!(receiver.recv_timeout(limit), Ok(10));
        assert_eq!(receiver.recv_timeout(limit), Ok(30));
    }
}
