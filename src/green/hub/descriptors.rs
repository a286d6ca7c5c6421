//! Waiting for descriptors, as a coroutine or as a thread.
//!
//! A coroutine that is cancelled while it waits is unwound through here, and taken out of what it is noted with by [`LeftWithSource`] and [`LeftWatched`].

use std::cell::{Cell, RefMut};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use rustix::io::Errno;

use super::poller::Poller;
use super::switch::Green;
use super::{Hub, Remote, Slot, with_hub};
use crate::sync::park::{Scheduler, Wait};
use crate::system::ready::{self, Direction, Wanted};

/// So many calls succeed at once before others are let run.
const BUDGET: u32 = 128;

thread_local! {
    /// How many calls may still succeed at once, one after the other.
    static CALLS_LEFT: Cell<u32> = const { Cell::new(BUDGET) };
}

/// The hubs that a socket is registered with, each once.
#[derive(Default)]
pub(in crate::green) struct Sources {
    /// Nearly always the only one.
    first: OnceLock<Place>,
    more: Mutex<Vec<Place>>,
}

/// A source of a hub.
#[derive(Clone, Copy)]
struct Place {
    poller: u64,
    remote: &'static Remote,
    token: u64,
}

impl Sources {
    /// Whether a call may be tried: always, but in a coroutine when it is known that it would have to wait.
    ///
    /// Lets others run, if calls have long succeeded without a wait.
    #[inline(always)]
    pub(in crate::green) fn may_try(&self, direction: Direction) -> bool {
        match CALLS_LEFT.get() {
            0 => give_way(),
            left => CALLS_LEFT.set(left - 1),
        }
        // Known to no hub.
        if self.first.get().is_none() {
            return true;
        }
        let look = |hub: &Hub| {
            let poller = hub.poller.borrow();
            self.find(&poller).is_none_or(|token| poller.is_ready(token, direction))
        };
        with_hub(look).unwrap_or(true)
    }

    /// Notes that a call had to wait (`blocked`), or that it had less to do than it could.
    #[inline]
    pub(in crate::green) fn used_up(&self, direction: Direction, blocked: bool) {
        with_hub(|hub| {
            let mut poller = hub.poller.borrow_mut();
            if let Some(token) = self.find(&poller) {
                poller.used_up(token, direction, blocked);
            }
        });
    }

    /// Waits until a call may be tried, or the deadline has passed: then false. `fd` is the socket of these sources.
    ///
    /// Inline, as each return on a stack that was switched to is one that the processor has not foreseen.
    #[inline(always)]
    pub(in crate::green) fn wait(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        wait: &Wait,
        deadline: Option<Instant>,
    ) -> io::Result<bool> {
        loop {
            match with_hub(|hub| self.prepare(hub, fd, direction)) {
                Some(Prepared::Left(left)) => {
                    if !suspend(left, wait, deadline) {
                        return Ok(self.may_try(direction));
                    }
                }
                Some(Prepared::Ready) => return Ok(true),
                Some(Prepared::Failed(error)) => return Err(error),
                Some(Prepared::Thread) | None => return poll_until(&[(fd, direction)], deadline),
            }
        }
    }

    /// Notes the running coroutine with the source, unless that is ready.
    #[inline(always)]
    fn prepare(&self, hub: &Hub, fd: BorrowedFd<'_>, direction: Direction) -> Prepared {
        let Some(slot) = hub.suspendable() else { return Prepared::Thread };
        let mut poller = match hub.poller() {
            Ok(poller) => poller,
            Err(error) => return Prepared::Failed(error),
        };
        let token = match self.find(&poller) {
            Some(token) => token,
            None => match self.register(&mut poller, hub, fd) {
                Ok(token) => token,
                Err(error) => return Prepared::Failed(error),
            },
        };
        if poller.is_ready(token, direction) {
            return Prepared::Ready;
        }
        poller.add_waiter(token, direction, slot);
        hub.polling.set(hub.polling.get() + 1);
        Prepared::Left(LeftWithSource { poller: poller.id(), token, direction, slot })
    }

    #[inline]
    fn find(&self, poller: &Poller) -> Option<u64> {
        let first = self.first.get()?;
        if first.poller == poller.id() {
            return Some(first.token);
        }
        let more = self.more();
        more.iter().find(|place| place.poller == poller.id()).map(|place| place.token)
    }

    #[cold]
    fn register(&self, poller: &mut Poller, hub: &Hub, fd: BorrowedFd<'_>) -> io::Result<u64> {
        let token = poller.register(fd)?;
        let place = Place { poller: poller.id(), remote: hub.remote, token };
        if self.first.set(place).is_err() {
            let mut more = self.more();
            // Of a hub that has ended, or of before a fork.
            more.retain(|old| !std::ptr::eq(old.remote, hub.remote));
            more.push(place);
        }
        Ok(token)
    }

    /// Takes the socket out of all hubs. It is to be closed next.
    pub(in crate::green) fn remove(&mut self, fd: BorrowedFd<'_>) {
        let more = self.more.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        for place in self.first.take().into_iter().chain(more.drain(..)) {
            let Place { poller, remote, token } = place;
            let own = with_hub(|hub| {
                let mut own = hub.poller.borrow_mut();
                let is_own = own.id() == poller;
                // The number of a fork's poller is the parent's still, in which nothing may be changed.
                if is_own && !own.is_forked() {
                    own.deregister(token, Some(fd));
                }
                is_own
            });
            if own == Some(true) {
                continue;
            }
            let forget = move |hub: &Hub| {
                let mut its = hub.poller.borrow_mut();
                if its.id() == poller {
                    its.deregister(token, None);
                }
            };
            // Refused by a hub that has ended, with which the source has gone.
            let _ = remote.ask(Box::new(forget));
        }
    }

    fn more(&self) -> MutexGuard<'_, Vec<Place>> {
        self.more.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Lets others run, where that is allowed.
#[cold]
fn give_way() {
    CALLS_LEFT.set(BUDGET);
    if may_suspend() {
        with_hub(Hub::yield_now);
    }
}

/// Whether the caller is a coroutine that may be suspended now.
pub(in crate::green) fn may_suspend() -> bool {
    with_hub(|hub| !hub.no_suspend.get() && hub.suspendable().is_some()) == Some(true)
}

/// The coroutine that runs, if it may be suspended; where waiting is forbidden, an attempt panics.
#[inline]
fn running() -> Option<&'static Slot> {
    with_hub(Hub::suspendable).flatten()
}

/// Waits until one of the descriptors may be ready, or the deadline has passed: then false. A coroutine may return early.
///
/// A descriptor whose kind cannot be waited for, such as a file, is ready always.
pub(in crate::green) fn wait_for_any(
    fds: &[Wanted<'_>],
    wait: &Wait,
    deadline: Option<Instant>,
) -> io::Result<bool> {
    let Some(slot) = running() else { return poll_until(fds, deadline) };
    let watch = |hub: &Hub| {
        let mut poller = hub.poller()?;
        let mut left = LeftWatched { poller: poller.id(), fds: Vec::new(), slot };
        let mut result = Ok(true);
        for (fd, direction) in fds {
            if let Err(error) = poller.watch(*fd, *direction, slot) {
                let is_file = error.raw_os_error() == Some(Errno::PERM.raw_os_error());
                result = if is_file { Ok(false) } else { Err(error) };
                break;
            }
            left.fds.push((fd.as_raw_fd(), *direction));
        }
        hub.polling.set(hub.polling.get() + 1);
        drop(poller);
        // Otherwise it is taken back here.
        result.map(|to_wait| to_wait.then_some(left))
    };
    match with_hub(watch).expect("a coroutine has a hub")? {
        Some(left) => Ok(suspend(left, wait, deadline)),
        None => Ok(true),
    }
}

/// How a wait for a source begins.
enum Prepared {
    Left(LeftWithSource),
    Ready,
    Failed(io::Error),
    /// No coroutine that may be suspended: the thread waits.
    Thread,
}

/// A coroutine that is noted with a source, and taken out however its wait ends. It counts as one that waits for descriptors.
struct LeftWithSource {
    poller: u64,
    token: u64,
    direction: Direction,
    slot: &'static Slot,
}

impl Drop for LeftWithSource {
    #[inline]
    fn drop(&mut self) {
        with_hub(|hub| {
            hub.polling.set(hub.polling.get() - 1);
            let mut poller = hub.poller.borrow_mut();
            // One of another number is that of after a fork, which knows nothing of this.
            if poller.id() == self.poller {
                poller.remove_waiter(self.token, self.direction, self.slot);
            }
        });
    }
}

/// As [`LeftWithSource`], of descriptors that are watched.
struct LeftWatched {
    poller: u64,
    fds: Vec<(RawFd, Direction)>,
    slot: &'static Slot,
}

impl Drop for LeftWatched {
    fn drop(&mut self) {
        with_hub(|hub| {
            hub.polling.set(hub.polling.get() - 1);
            let mut poller = hub.poller.borrow_mut();
            if poller.id() == self.poller {
                for (fd, direction) in &self.fds {
                    poller.unwatch(*fd, *direction, self.slot);
                }
            }
        });
    }
}

/// Suspends the running coroutine. `left` is dropped when that ends, also by an unwinding.
#[inline(always)]
fn suspend<L>(left: L, wait: &Wait, deadline: Option<Instant>) -> bool {
    CALLS_LEFT.set(BUDGET);
    let in_time = Green.suspend(wait, deadline);
    drop(left);
    in_time
}

/// Blocks the thread until one of them is ready, or the deadline has passed: then false.
pub(in crate::green) fn poll_until(
    fds: &[Wanted<'_>],
    deadline: Option<Instant>,
) -> io::Result<bool> {
    ready::poll(fds, deadline).map(|ready| !ready.is_empty())
}

impl Hub {
    /// Its poller, which has an epoll of its own also in a fork.
    #[inline]
    pub(super) fn poller(&self) -> io::Result<RefMut<'_, Poller>> {
        let mut poller = self.poller.borrow_mut();
        if poller.is_forked() {
            poller.renew(self.remote, &mut self.ready.borrow_mut())?;
        }
        Ok(poller)
    }
}
