//! Descriptors and moments that wake a [`Waker`]: one thread for the futures of this process, which no runtime of ours polls.
//!
//! Threads and coroutines do not come here: they ask the kernel themselves, which is a wake-up less. The thread starts at the first
//! call and stays. A process that was forked starts its own at its first call, since the thread was not forked.
//!
//! A registration belongs to its [`Watch`], and ends with it, at which time the descriptor is still open. Each event is told
//! once, by the level that is there: what is ready already is told at once.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;

use super::ready::Direction;

/// The token of the bell, which is no descriptor's number.
const BELL: u64 = u64::MAX;

/// A sleep is no longer than this: kernels before 5.11 take milliseconds in an `int`.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

pub(crate) struct Reactor {
    epoll: OwnedFd,
    bell: OwnedFd,
    pid: u32,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    waiting: HashMap<RawFd, Vec<Waiting>>,
    timers: BTreeMap<(Instant, u64), Waker>,
}

struct Waiting {
    id: u64,
    direction: Direction,
    waker: Waker,
}

static REACTOR: Mutex<Option<&'static Reactor>> = Mutex::new(None);

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    lock(&REACTOR)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// In a fork: the numbers of its parent's descriptors, which it has copies of and no use for. Whoever has a reference to the
/// parent's looks at its process first.
pub(crate) fn take_ends() -> Option<[RawFd; 2]> {
    let mut slot = lock(&REACTOR);
    let theirs = slot.take_if(|reactor| reactor.pid != std::process::id())?;
    Some([theirs.epoll.as_raw_fd(), theirs.bell.as_raw_fd()])
}

/// The reactor of this process, started at the first call.
pub(crate) fn reactor() -> io::Result<&'static Reactor> {
    let mut slot = lock(&REACTOR);
    let pid = std::process::id();
    if let Some(reactor) = *slot
        && reactor.pid == pid
    {
        return Ok(reactor);
    }
    let reactor = Arc::new(Reactor::new(pid)?);
    let runner = reactor.clone();
    let thread = std::thread::Builder::new().name("fourfold-ready".into()).stack_size(256 << 10);
    thread.spawn(move || runner.run())?;
    // For ever, now that its thread is there; without one its descriptors are closed again.
    let reactor: &'static Reactor = Box::leak(Box::new(reactor));
    *slot = Some(reactor);
    Ok(reactor)
}

/// Wakes its waker once. Dropping it takes that back.
#[must_use = "dropping it takes the waker back"]
pub(crate) struct Watch<'fd> {
    reactor: &'static Reactor,
    what: What<'fd>,
}

enum What<'fd> {
    Fd(BorrowedFd<'fd>, u64),
    Moment((Instant, u64)),
}

impl Reactor {
    fn new(pid: u32) -> io::Result<Reactor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // By edges: the counter is never read, and each ring is an edge.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(BELL), flags)?;
        Ok(Reactor { epoll, bell, pid, inner: Mutex::default() })
    }

    /// Has the waker woken when the descriptor is ready: at once, if it is. `None` for one that is always ready, such as a file,
    /// and for one that is not open, as the call that follows will say.
    pub(crate) fn watch<'fd>(
        &'static self,
        fd: BorrowedFd<'fd>,
        direction: Direction,
        waker: &Waker,
    ) -> io::Result<Option<Watch<'fd>>> {
        let waker = waker.clone();
        let number = fd.as_raw_fd();
        let mut inner = lock(&self.inner);
        let id = inner.next_id();
        let waiting = inner.waiting.entry(number).or_default();
        waiting.push(Waiting { id, direction, waker });
        let armed = self.arm(fd, waiting);
        drop(inner);
        let watch = Watch { reactor: self, what: What::Fd(fd, id) };
        match armed {
            Ok(()) => Ok(Some(watch)),
            // Dropped: taken back.
            Err(Errno::PERM | Errno::BADF) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the waker woken at this moment.
    pub(crate) fn at(&'static self, moment: Instant, waker: &Waker) -> Watch<'static> {
        let waker = waker.clone();
        let mut inner = lock(&self.inner);
        let key = (moment, inner.next_id());
        inner.timers.insert(key, waker);
        let is_first = inner.timers.first_key_value().is_some_and(|(first, _)| *first == key);
        drop(inner);
        if is_first {
            // The one error is that the counter is full, and then the bell rings already.
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
        Watch { reactor: self, what: What::Moment(key) }
    }

    /// Has the kernel tell of the descriptor once, in all ways that are waited for. Under the lock.
    fn arm(&self, fd: BorrowedFd<'_>, waiting: &[Waiting]) -> Result<(), Errno> {
        use epoll::EventFlags as Flags;
        let flags = waiting.iter().fold(Flags::ONESHOT, |flags, waiting| {
            flags
                | match waiting.direction {
                    Direction::Read => Flags::IN | Flags::RDHUP,
                    Direction::Write => Flags::OUT,
                }
        });
        let data = epoll::EventData::new_u64(fd.as_raw_fd() as u64);
        // It is there if this number was watched before, and has not been closed since.
        match epoll::modify(&self.epoll, fd, data, flags) {
            Err(Errno::NOENT) => epoll::add(&self.epoll, fd, data, flags),
            other => other,
        }
    }

    fn run(&self) {
        let mut events = Vec::with_capacity(256);
        let mut due = Vec::new();
        loop {
            let limit = self.take_due(&mut due);
            let limit = if due.is_empty() { limit } else { Duration::ZERO };
            due.drain(..).for_each(wake);
            events.clear();
            let limit =
                Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&limit)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => panic!("the reactor cannot wait: {error}"),
            }
            for event in &events {
                let token = event.data.u64();
                if token != BELL {
                    self.take_waiting(token as RawFd, &mut due);
                }
            }
            due.drain(..).for_each(wake);
        }
    }

    /// Takes out all who wait for this descriptor, in whichever direction: who finds it not ready for its own watches anew.
    fn take_waiting(&self, number: RawFd, due: &mut Vec<Waker>) {
        let waiting = lock(&self.inner).waiting.remove(&number);
        due.extend(waiting.into_iter().flatten().map(|waiting| waiting.waker));
    }

    /// Takes out the timers that are due. How long until the next.
    fn take_due(&self, due: &mut Vec<Waker>) -> Duration {
        let mut inner = lock(&self.inner);
        let now = Instant::now();
        while let Some(first) = inner.timers.first_entry() {
            if first.key().0 > now {
                return (first.key().0 - now).min(LONGEST_SLEEP);
            }
            due.push(first.remove());
        }
        LONGEST_SLEEP
    }
}

/// A waker of async code may panic: that harms nobody else.
fn wake(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        // What a panic carries may panic when it is dropped.
        std::mem::forget(payload);
    }
}

impl Inner {
    fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // In a fork the reactor is the parent's, of which nothing may be changed, and whose lock may be held for ever.
        if self.reactor.pid != std::process::id() {
            return;
        }
        let mut inner = lock(&self.reactor.inner);
        // Dropped with the lock free: a waker is not our code.
        let _old = match &self.what {
            What::Moment(key) => {
                let old = inner.timers.remove(key);
                drop(inner);
                old.into_iter().collect()
            }
            What::Fd(fd, id) => {
                let number = fd.as_raw_fd();
                let mut old = Vec::new();
                if let Some(waiting) = inner.waiting.get_mut(&number) {
                    old.extend(waiting.extract_if(.., |waiting| waiting.id == *id));
                    if waiting.is_empty() {
                        inner.waiting.remove(&number);
                    }
                }
                if !inner.waiting.contains_key(&number) {
                    // So that a copy of it elsewhere is told of no more. It may be gone since it was told of: no harm.
                    let _ = epoll::delete(&self.reactor.epoll, fd);
                }
                drop(inner);
                old.into_iter().map(|waiting| waiting.waker).collect::<Vec<_>>()
            }
        };
    }
}
