//! One wait for several watches: as a thread, as a coroutine, as a future.
//!
//! Each look asks every word, which leaves the waker, and then the kernel, once, for all descriptors. A waker that a word has
//! woken since ends the wait that follows, so what comes between the look and the wait is not missed.
//!
//! | who waits | for descriptors | for words |
//! | --- | --- | --- |
//! | a thread | in `poll`, itself | asleep on its futex; with descriptors beside them, a bell among these |
//! | a coroutine | its hub | its hub |
//! | a future | the reactor | its own waker |

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};

use super::waitable::{Inner, Watch};
use crate::sync::park::{self, Parker, Wait};
use crate::system::reactor::{self, reactor};
use crate::system::ready::{self, Direction, Wanted};
use crate::system::{count_forks, forks};

/// The watches of one wait. They end with it.
pub(super) struct Round<'a> {
    watches: Vec<Watch<'a>>,
    fds: Vec<Wanted<'a>>,
    /// The places of those in `watches`.
    places: Vec<usize>,
    has_words: bool,
    /// The first of the moments.
    first: Option<Instant>,
}

impl<'a> Round<'a> {
    pub(super) fn new(watches: impl Iterator<Item = Watch<'a>>) -> Round<'a> {
        let watches: Vec<Watch<'a>> = watches.collect();
        let (mut fds, mut places, mut has_words, mut first) = (vec![], vec![], false, None);
        for (place, watch) in watches.iter().enumerate() {
            match &watch.inner {
                Inner::Fd(wanted) => {
                    fds.push(*wanted);
                    places.push(place);
                }
                Inner::Moment(moment) => {
                    first = Some(first.map_or(*moment, |first: Instant| first.min(*moment)));
                }
                Inner::Word(_) => has_words = true,
            }
        }
        Round { watches, fds, places, has_words, first }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Waits, thread or coroutine, until some are ready, or the deadline has passed. The places of those that are, in order.
    pub(super) fn wait(
        &mut self,
        wait: &Wait,
        deadline: Option<Instant>,
    ) -> io::Result<Vec<usize>> {
        let until = match (deadline, self.first) {
            (Some(deadline), Some(first)) => Some(deadline.min(first)),
            (deadline, first) => deadline.or(first),
        };
        let parker = Parker::current();
        if !self.fds.is_empty() && !parker.is_coroutine() {
            return self.wait_in_kernel(until);
        }
        loop {
            let ready = self.look(parker.waker())?;
            if !ready.is_empty() || until.is_some_and(|until| until <= Instant::now()) {
                return Ok(ready);
            }
            // What is ready, and whether it is over, is seen by the look that follows.
            let _ = match self.fds.is_empty() {
                true => parker.park(wait, until),
                false => park::wait_for(&self.fds, wait, until)?,
            };
        }
    }

    fn wait_in_kernel(&mut self, until: Option<Instant>) -> io::Result<Vec<usize>> {
        let bell = if self.has_words { Some(Bell::take()?) } else { None };
        let waker = match &bell {
            Some(bell) => Waker::from(bell.0.clone()),
            None => Waker::noop().clone(),
        };
        loop {
            let mut ready = self.look_at_rest(&waker);
            // With something ready already, only a look; else one call both looks and waits.
            let limit = if ready.is_empty() { until } else { Some(Instant::now()) };
            let mut of_fds = match &bell {
                None => ready::poll(&self.fds, limit)?,
                Some(bell) => {
                    let mut fds = self.fds.clone();
                    fds.push((bell.0.eventfd.as_fd(), Direction::Read));
                    ready::poll(&fds, limit)?
                }
            };
            if let Some(bell) = &bell
                && of_fds.last() == Some(&self.fds.len())
            {
                of_fds.pop();
                bell.0.silence();
            }
            if of_fds.is_empty() && ready.is_empty() {
                let is_over = until.is_some_and(|until| until <= Instant::now());
                ready = self.look_at_rest(&waker);
                if ready.is_empty() && !is_over {
                    continue;
                }
            }
            return Ok(self.merge(ready, of_fds));
        }
    }

    /// Which are ready now. The words have the waker from now on.
    fn look(&mut self, waker: &Waker) -> io::Result<Vec<usize>> {
        let rest = self.look_at_rest(waker);
        if self.fds.is_empty() {
            return Ok(rest);
        }
        let of_fds = ready::poll(&self.fds, Some(Instant::now()))?;
        Ok(self.merge(rest, of_fds))
    }

    /// As `look`, at all but the descriptors.
    fn look_at_rest(&mut self, waker: &Waker) -> Vec<usize> {
        let mut context = Context::from_waker(waker);
        let mut now = None;
        let mut ready = Vec::new();
        for (place, watch) in self.watches.iter_mut().enumerate() {
            let is_ready = match &mut watch.inner {
                Inner::Fd(_) => false,
                Inner::Moment(moment) => *moment <= *now.get_or_insert_with(Instant::now),
                Inner::Word(poll) => poll(&mut context).is_ready(),
            };
            if is_ready {
                ready.push(place);
            }
        }
        ready
    }

    fn merge(&self, mut ready: Vec<usize>, of_fds: Vec<usize>) -> Vec<usize> {
        ready.extend(of_fds.into_iter().map(|index| self.places[index]));
        ready.sort_unstable();
        ready
    }

    /// As `wait`, for a future. What it has left with the reactor is in `left`, and is taken back with that.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        left: &mut Vec<reactor::Watch<'a>>,
    ) -> Poll<io::Result<Vec<usize>>> {
        // Those of an earlier poll have woken it, or have a waker that may not be the one.
        left.clear();
        let ready = self.look(context.waker())?;
        if !ready.is_empty() {
            return Poll::Ready(Ok(ready));
        }
        if !self.fds.is_empty() || self.first.is_some() {
            let reactor = reactor()?;
            for (fd, direction) in &self.fds {
                match reactor.watch(*fd, *direction, context.waker())? {
                    Some(watch) => left.push(watch),
                    // Ready always: it was not when it was looked at, and is now.
                    None => context.waker().wake_by_ref(),
                }
            }
            left.extend(self.first.map(|first| reactor.at(first, context.waker())));
        }
        Poll::Pending
    }
}

/// Wakes a thread that waits in the kernel.
struct Ring {
    eventfd: OwnedFd,
    has_rung: AtomicBool,
    /// The fork of the process that it belongs to. Another has the same counter behind its descriptor.
    forks: u32,
}

impl Ring {
    /// It has been heard.
    fn silence(&self) {
        // First the counter: a ring after that is heard by the next wait. Acquire: what was done before the ring is seen.
        let _ = rustix::io::read(&self.eventfd, &mut [0; 8]);
        self.has_rung.swap(false, Ordering::AcqRel);
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.has_rung.swap(true, Ordering::AcqRel) {
            // The one error is that the counter is full, and then it rings already.
            let _ = rustix::io::write(&self.eventfd, &1u64.to_ne_bytes());
        }
    }
}

thread_local! {
    /// One that is not in use: a wait within a wait, from a waker or a word of the user's, makes one of its own.
    static SPARE: Cell<Option<Arc<Ring>>> = const { Cell::new(None) };
}

/// The bell of the thread, which keeps it for the next wait.
struct Bell(Arc<Ring>);

impl Bell {
    fn take() -> io::Result<Bell> {
        count_forks();
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        if let Some(ring) = spare.filter(|ring| ring.forks == forks()) {
            return Ok(Bell(ring));
        }
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Bell(Arc::new(Ring { eventfd, has_rung: AtomicBool::new(false), forks: forks() })))
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // A late ring on a bell that is used again is only a spurious one, and every wait looks again.
        let _ = SPARE.try_with(|spare| spare.set(Some(self.0.clone())));
    }
}
