//! A number of permits.

use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::list::{Kind, STARVED, UNIT, WAITED, WaitList, Waiter};
use super::park::{self, Wait, after};
use super::primitive::atomic::Ordering;
use super::primitive::const_fn;
use crate::error::{Error, ErrorKind};

/// A number of permits, which are taken and given back by anyone.
///
/// Who has waited for about a millisecond lets nobody go before it any more.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; what its taker does not give back is lost, but for a [`Permit`] |
/// | `cluster` | on a server: each call can fail, and a connection that ends gives back what it had taken |
///
/// # Examples
///
/// ```
/// use fourfold::thread::Semaphore;
///
/// let seats = Semaphore::new(2);
/// seats.acquire();
/// seats.acquire();
/// assert!(!seats.try_acquire());
/// seats.release()?;
/// assert!(seats.try_acquire());
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Semaphore {
    list: WaitList,
    /// How many permits there may be.
    most: usize,
}

/// A permit that is given back when this is dropped.
#[derive(Debug)]
#[must_use = "the permit is given back when this is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Semaphore {
    /// The most permits that a semaphore can have.
    pub const MAX_PERMITS: usize = usize::MAX / UNIT;

    const_fn! {
        /// A semaphore with so many permits. It can be made in a `static`.
        ///
        /// # Panics
        ///
        /// If there are more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
        pub fn new(permits: usize) -> Semaphore {
            assert!(permits <= Semaphore::MAX_PERMITS, "more permits than can be counted");
            Semaphore { list: WaitList::new(permits * UNIT), most: Semaphore::MAX_PERMITS }
        }
    }

    const_fn! {
        /// As [`new`](Semaphore::new), but never with more permits than at the start: giving back one too many is an error.
        ///
        /// # Panics
        ///
        /// As [`new`](Semaphore::new).
        ///
        /// # Examples
        ///
        /// ```
        /// assert!(fourfold::thread::Semaphore::bounded(1).release().is_err());
        /// ```
        pub fn bounded(permits: usize) -> Semaphore {
            assert!(permits <= Semaphore::MAX_PERMITS, "more permits than can be counted");
            Semaphore { list: WaitList::new(permits * UNIT), most: permits }
        }
    }

    /// Takes a permit, and waits for one.
    #[track_caller]
    pub fn acquire(&self) {
        self.take(&Wait { what: "Semaphore::acquire", place: Location::caller() }, || None);
    }

    /// Takes a permit if there is one that nobody has waited for too long, and says whether it did.
    pub fn try_acquire(&self) -> bool {
        self.take_now(STARVED)
    }

    /// Takes a permit, waits for one for so long, and says whether it did.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let none = fourfold::thread::Semaphore::new(0);
    /// assert!(!none.acquire_timeout(Duration::from_millis(1)));
    /// ```
    #[track_caller]
    pub fn acquire_timeout(&self, limit: Duration) -> bool {
        let wait = Wait { what: "Semaphore::acquire_timeout", place: Location::caller() };
        self.take(&wait, || after(limit))
    }

    /// Takes a permit, for a future. Dropped before, it leaves the line.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let semaphore = fourfold::thread::Semaphore::new(1);
    /// semaphore.acquire_async().await;
    /// assert_eq!(semaphore.permits(), 0);
    /// # });
    /// ```
    pub async fn acquire_async(&self) {
        if !self.take_now(STARVED) {
            let mut waiter = Waiter::new(&self.list, Kind::One);
            std::future::poll_fn(|context| self.poll(&mut waiter, context)).await;
        }
    }

    /// Takes a permit, and waits for one; it goes back by itself.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = fourfold::thread::Semaphore::new(1);
    /// let permit = semaphore.permit();
    /// assert_eq!(semaphore.permits(), 0);
    /// drop(permit);
    /// assert_eq!(semaphore.permits(), 1);
    /// ```
    #[track_caller]
    pub fn permit(&self) -> Permit<'_> {
        self.take(&Wait { what: "Semaphore::permit", place: Location::caller() }, || None);
        Permit { semaphore: self }
    }

    /// As [`permit`](Semaphore::permit), for a future.
    pub async fn permit_async(&self) -> Permit<'_> {
        self.acquire_async().await;
        Permit { semaphore: self }
    }

    /// How many permits are free, at this moment.
    pub fn permits(&self) -> usize {
        self.list.state().load(Ordering::Relaxed) / UNIT
    }

    /// Gives a permit back, or adds one.
    ///
    /// # Errors
    ///
    /// The semaphore would have too many: [`ErrorKind::InvalidInput`].
    pub fn release(&self) -> Result<(), Error> {
        // Release and Acquire: who takes the permit sees what was done before it was given back.
        let changed =
            self.list.state().fetch_update(Ordering::AcqRel, Ordering::Relaxed, |state| {
                (state / UNIT < self.most).then(|| state + UNIT)
            });
        match changed {
            Ok(before) => {
                // Who went to the line before this is seen here; who goes there after it finds the permit.
                if before & WAITED != 0 {
                    self.list.notify_one();
                }
                Ok(())
            }
            Err(_) => Err(Error::new(ErrorKind::InvalidInput)
                .with_message("more permits are given back than there were")),
        }
    }

    /// Takes a permit unless one of these bits is set.
    #[inline]
    fn take_now(&self, barred: usize) -> bool {
        let taken = self.list.state().fetch_update(Ordering::AcqRel, Ordering::Relaxed, |state| {
            (state & barred == 0 && state >= UNIT).then(|| state - UNIT)
        });
        taken.is_ok()
    }

    #[inline]
    fn take(&self, wait: &Wait, deadline: impl FnOnce() -> Option<Instant>) -> bool {
        self.take_now(STARVED) || self.take_slowly(wait, deadline())
    }

    #[cold]
    fn take_slowly(&self, wait: &Wait, deadline: Option<Instant>) -> bool {
        if self.list.look(|| self.take_now(STARVED)) {
            return true;
        }
        let mut waiter = Waiter::new(&self.list, Kind::One);
        park::block(wait, deadline, |context| self.poll(&mut waiter, context)).is_some()
    }

    fn poll(&self, waiter: &mut Waiter<'_>, context: &mut Context<'_>) -> Poll<()> {
        let poll = waiter.poll(context, || self.take_now(0).then_some(()));
        // Somebody may have gone to the line, although there was a permit, because of one that was starved.
        if poll.is_ready() && self.list.is_waited() && self.permits() > 0 {
            self.list.notify_one();
        }
        poll
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("permits", &self.permits()).finish()
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // A bounded semaphore that was given too many meanwhile has no need of this one.
        let _ = self.semaphore.release();
    }
}
