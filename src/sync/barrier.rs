//! A place where a number of members wait for each other.

use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::list::{Kind, Token, WaitList, Waiter};
use super::park::{self, Wait, after};
use super::primitive::{Mutex, const_fn, lock};

/// All were there.
const PASSED: Token = 0;

/// One has given up, or somebody has broken it.
const BROKEN: Token = 1;

/// A place where a number of members wait until all are there, again and again.
///
/// A member that goes away while it waits, because its time is over, it is cancelled or its future is dropped, breaks the
/// barrier: all who wait are told so, and who comes later is too, until [`reset`](Barrier::reset). Nobody is stuck.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; no call can fail |
/// | `cluster` | on a server: each call can fail, and a connection that ends is a member that goes away |
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use fourfold::thread::{self, Barrier};
///
/// let barrier = Arc::new(Barrier::new(2));
/// let same = barrier.clone();
/// let child = thread::spawn(move || same.wait(), ())?;
/// let mut places = [barrier.wait(), child.join()?];
/// places.sort();
/// assert_eq!(places, [Some(0), Some(1)]);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Barrier {
    parties: usize,
    state: Mutex<State>,
    list: WaitList,
}

/// Each change of it that lets members go is told to them in the list before the lock is released.
struct State {
    arrived: usize,
    is_broken: bool,
}

/// One that is at the barrier, or is about to be. If it goes away while it waits, the barrier is broken.
pub(super) struct Member<'a> {
    barrier: &'a Barrier,
    waiter: Waiter<'a>,
    /// Its place, while it waits.
    place: Option<usize>,
}

impl Barrier {
    const_fn! {
        /// A barrier for so many members; for none it is as for one. It can be made in a `static`.
        pub fn new(parties: usize) -> Barrier {
            let state = State { arrived: 0, is_broken: false };
            Barrier { parties, state: Mutex::new(state), list: WaitList::new(0) }
        }
    }

    /// Waits until all are there, and says in which place this one came, from 0. `None`: the barrier is broken.
    #[track_caller]
    pub fn wait(&self) -> Option<usize> {
        self.wait_until(&Wait { what: "Barrier::wait", place: Location::caller() }, None)
    }

    /// As [`wait`](Barrier::wait), for so long; then the barrier is broken for all, unless all were there in time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let barrier = fourfold::thread::Barrier::new(2);
    /// assert_eq!(barrier.wait_timeout(Duration::from_millis(1)), None);
    /// assert!(barrier.is_broken());
    /// barrier.reset();
    /// assert!(!barrier.is_broken());
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Option<usize> {
        let wait = Wait { what: "Barrier::wait_timeout", place: Location::caller() };
        self.wait_until(&wait, after(limit))
    }

    /// As [`wait`](Barrier::wait), for a future. Dropped while it waits, it breaks the barrier.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let barrier = fourfold::thread::Barrier::new(2);
    /// let places = tokio::join!(barrier.wait_async(), barrier.wait_async());
    /// assert_eq!(places, (Some(0), Some(1)));
    /// # });
    /// ```
    pub async fn wait_async(&self) -> Option<usize> {
        let mut member = self.member();
        poll_fn(|context| member.poll(context)).await
    }

    /// Makes it as new; whoever waits is told that it is broken.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = fourfold::thread::Barrier::new(1);
    /// barrier.abort();
    /// assert_eq!(barrier.wait(), None);
    /// barrier.reset();
    /// assert_eq!(barrier.wait(), Some(0));
    /// ```
    pub fn reset(&self) {
        self.break_for_all(false);
    }

    /// Breaks it until it is reset.
    pub fn abort(&self) {
        self.break_for_all(true);
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        lock(&self.state).is_broken
    }

    /// How many wait at it.
    pub fn waiting(&self) -> usize {
        lock(&self.state).arrived
    }

    /// How many it waits for.
    pub fn parties(&self) -> usize {
        self.parties
    }

    fn break_for_all(&self, stays: bool) {
        let mut state = lock(&self.state);
        state.arrived = 0;
        state.is_broken = stays;
        let told = self.list.tell_all(BROKEN);
        drop(state);
        told.wake();
    }

    pub(super) fn member(&self) -> Member<'_> {
        Member { barrier: self, waiter: Waiter::new(&self.list, Kind::All), place: None }
    }

    fn wait_until(&self, wait: &Wait, deadline: Option<Instant>) -> Option<usize> {
        let mut member = self.member();
        match park::block(wait, deadline, |context| member.poll(context)) {
            Some(place) => place,
            None => member.go_away(),
        }
    }
}

impl Member<'_> {
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<usize>> {
        let waker = context.waker();
        if let Some(place) = self.place {
            return match self.waiter.poll_told(waker) {
                None => Poll::Pending,
                Some(token) => {
                    self.place = None;
                    Poll::Ready((token == PASSED).then_some(place))
                }
            };
        }
        let waker = waker.clone();
        let mut state = lock(&self.barrier.state);
        if state.is_broken {
            return Poll::Ready(None);
        }
        let place = state.arrived;
        if place + 1 >= self.barrier.parties {
            state.arrived = 0;
            let told = self.barrier.list.tell_all(PASSED);
            drop(state);
            told.wake();
            return Poll::Ready(Some(place));
        }
        state.arrived += 1;
        // Under the lock, so that who is counted is in line.
        self.waiter.enter(waker);
        self.place = Some(place);
        Poll::Pending
    }

    /// Waits no longer: breaks the barrier for all, unless it was let go with the others already. Then its place.
    pub(super) fn go_away(&mut self) -> Option<usize> {
        let place = self.place.take()?;
        let mut state = lock(&self.barrier.state);
        // Whoever lets members go tells them before it releases the lock. One that was told is not missed.
        if self.waiter.is_in_line() {
            state.arrived = 0;
            state.is_broken = true;
            let told = self.barrier.list.tell_all(BROKEN);
            drop(state);
            told.wake();
            return None;
        }
        drop(state);
        (self.waiter.poll_told(Waker::noop()) == Some(PASSED)).then_some(place)
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let _ = self.go_away();
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("waiting", &state.arrived)
            .field("is_broken", &state.is_broken)
            .finish()
    }
}
