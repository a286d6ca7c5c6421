//! A number of permits in shared memory, which those who die give back.
//!
//! How many are free, and how many each participant has, is changed under a lock word, with an undo record beside it: who
//! takes the lock from a dead holder writes back what the record has. So a permit is either free or with somebody, at each step
//! of each participant's life. A participant's own number lies in its reference to the semaphore; what it had is
//! given back before the reference goes, by itself or by who buries it. Who buries only tries for the lock, which one that is
//! stopped may have, and leaves what it could not give back to the next.
#![allow(unsafe_code)]

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::arena::Arena;
use super::atomic::{Number64, Ordering, fence};
use super::gate::{Gate, Look};
use super::lock_word::{LockWord, Taken};
use super::object::{Attached, ObjectKind};
use super::wait::{self, Watch};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::park::{Wait, after};
use crate::system::forks;

/// What lies in shared memory.
#[repr(C)]
struct Body {
    lock: LockWord,
    /// How many permits are free.
    free: Number64,
    /// How many there may be.
    most: Number64,
    /// Where the number of a participant is that is being changed with `free`; 0: none is.
    undo: Number64,
    undo_free: Number64,
    undo_held: Number64,
    /// Not 0: what its takers have taken is nobody's.
    unowned: Number64,
    /// Not 0: somebody could not bury one who has died, since somebody else had the lock.
    unburied: Number64,
    gate: Gate,
}

/// A number of permits between processes.
///
/// What a process has taken and not given back, when it ends in whatever way or drops its last handle, is free again. Anybody
/// may give a permit back; who has none adds one.
///
/// So it is who takes a permit that should give it back. Where one process gives and another takes, as to count what is
/// there, or to say "go on" to another, that rule would bring back at the taker's end all that it has ever taken: such a semaphore is made by
/// [`unowned`](Semaphore::unowned). To say something once, and to all, an [`Event`](super::Event) is simpler.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | what its taker does not give back is lost, but for a [`Permit`] |
/// | `process` | it can lack room when it is made; a process that dies gives back what it had |
/// | `cluster` | on a server: each call can fail, and a connection that ends gives back what it had taken |
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Semaphore};
///
/// let seats = Semaphore::new(1)?;
/// let child: process::Child<()> = process::spawn(
///     |seats: Semaphore| {
///         seats.acquire();
///         std::process::abort()
///     },
///     seats.clone(),
/// )?;
/// child.join().unwrap_err();
/// seats.acquire();
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone)]
pub struct Semaphore {
    attached: Arc<Attached>,
    body: &'static Body,
}

/// A permit that is given back when this is dropped.
#[derive(Debug)]
#[must_use = "the permit is given back when this is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    /// In a fork it is the parent's.
    forks: u32,
}

impl Semaphore {
    /// The most permits that a semaphore can have.
    pub const MAX_PERMITS: usize = u32::MAX as usize;

    /// A semaphore with so many permits.
    ///
    /// # Errors
    ///
    /// There is no room for it in the memory that processes share: [`ErrorKind::OutOfMemory`]. There are more permits than
    /// [`MAX_PERMITS`](Semaphore::MAX_PERMITS): [`ErrorKind::InvalidInput`].
    pub fn new(permits: usize) -> Result<Semaphore> {
        Semaphore::make(permits, Semaphore::MAX_PERMITS, false)
    }

    /// As [`new`](Semaphore::new), but what was taken is nobody's, and comes back only if somebody gives it back: for permits that
    /// one process gives and another takes.
    ///
    /// A permit is taken or not at each instant. Who dies in the middle of taking one may have taken it; and a [`Permit`] is not
    /// given back if its process is killed.
    ///
    /// # Errors
    ///
    /// As [`new`](Semaphore::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::process::{self, Semaphore};
    ///
    /// let ready = Semaphore::unowned(0)?;
    /// let child = process::spawn(|ready: Semaphore| ready.acquire(), ready.clone())?;
    /// ready.release()?;
    /// child.join()?;
    /// assert!(!ready.try_acquire(), "what the child took went with it");
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn unowned(permits: usize) -> Result<Semaphore> {
        Semaphore::make(permits, Semaphore::MAX_PERMITS, true)
    }

    /// As [`new`](Semaphore::new), but never with more permits than at the start: giving back one too many is an error.
    ///
    /// # Errors
    ///
    /// As [`new`](Semaphore::new).
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(fourfold::process::Semaphore::bounded(1)?.release().is_err());
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn bounded(permits: usize) -> Result<Semaphore> {
        Semaphore::make(permits, permits, false)
    }

    fn make(permits: usize, most: usize, unowned: bool) -> Result<Semaphore> {
        if permits > Semaphore::MAX_PERMITS {
            return Err(Error::invalid(format!(
                "a semaphore with {permits} permits; it can have {} at most",
                Semaphore::MAX_PERMITS
            )));
        }
        let arena = super::arena()?;
        let size = size_of::<Body>() as u64;
        let attached = Attached::create(arena, ObjectKind::Semaphore, 0, size, |body| {
            let body = body_at(arena, body);
            body.free.store(permits as u64, Ordering::Relaxed);
            body.most.store(most as u64, Ordering::Relaxed);
            body.unowned.store(u64::from(unowned), Ordering::Relaxed);
        })?;
        Ok(Semaphore::of(attached))
    }

    pub(super) fn of(attached: Arc<Attached>) -> Semaphore {
        let body = body_at(attached.enter().0, attached.body());
        Semaphore { attached, body }
    }

    pub(super) fn attached(&self) -> &Arc<Attached> {
        &self.attached
    }

    /// Takes a permit, and waits for one.
    #[track_caller]
    pub fn acquire(&self) {
        self.take(&Wait { what: "Semaphore::acquire", place: Location::caller() }, None);
    }

    /// Takes a permit if there is one, and says whether it did.
    pub fn try_acquire(&self) -> bool {
        self.look(Look { slept: false, ask: true }).is_some()
    }

    /// Takes a permit, waits for one for so long, and says whether it did.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let none = fourfold::process::Semaphore::new(0)?;
    /// assert!(!none.acquire_timeout(Duration::from_millis(1)));
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    #[track_caller]
    pub fn acquire_timeout(&self, limit: Duration) -> bool {
        let wait = Wait { what: "Semaphore::acquire_timeout", place: Location::caller() };
        self.take(&wait, Some(limit))
    }

    /// Takes a permit, for a future. Dropped before, it has taken none.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let semaphore = fourfold::process::Semaphore::new(1).unwrap();
    /// semaphore.acquire_async().await;
    /// assert_eq!(semaphore.permits(), 0);
    /// # });
    /// ```
    pub async fn acquire_async(&self) {
        let mut watch = Watch::new(&self.attached, &self.body.gate);
        std::future::poll_fn(|context| watch.poll(context, |now| self.look(now))).await;
    }

    /// Takes a permit, and waits for one; it goes back by itself.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = fourfold::process::Semaphore::new(1)?;
    /// let permit = semaphore.permit();
    /// assert_eq!(semaphore.permits(), 0);
    /// drop(permit);
    /// assert_eq!(semaphore.permits(), 1);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    #[track_caller]
    pub fn permit(&self) -> Permit<'_> {
        self.take(&Wait { what: "Semaphore::permit", place: Location::caller() }, None);
        Permit { semaphore: self, forks: forks() }
    }

    /// As [`permit`](Semaphore::permit), for a future.
    pub async fn permit_async(&self) -> Permit<'_> {
        self.acquire_async().await;
        Permit { semaphore: self, forks: forks() }
    }

    /// How many permits are free, at this moment.
    pub fn permits(&self) -> usize {
        self.body.free.load(Ordering::Relaxed) as usize
    }

    /// Gives a permit back, or adds one.
    ///
    /// # Errors
    ///
    /// The semaphore would have too many: [`ErrorKind::InvalidInput`].
    pub fn release(&self) -> Result<()> {
        let (arena, _) = self.attached.enter();
        let given = self.change(arena, |free, mine| {
            (free < self.body.most.load(Ordering::Relaxed))
                .then(|| (free + 1, mine.saturating_sub(1)))
        });
        if !given {
            return Err(Error::new(ErrorKind::InvalidInput)
                .with_message("more permits are given back than there were"));
        }
        self.body.gate.open_one(arena);
        Ok(())
    }

    fn take(&self, wait: &Wait, limit: Option<Duration>) -> bool {
        if self.look(Look::FIRST).is_some() {
            return true;
        }
        let deadline = limit.and_then(after);
        wait::wait(&self.attached, &self.body.gate, wait, deadline, |now| self.look(now)).is_some()
    }

    fn look(&self, now: Look) -> Option<()> {
        let (arena, _) = self.attached.enter();
        if now.ask && self.permits() == 0 {
            // What the dead had comes back here.
            arena.look_after_some();
        }
        // A semaphore whose lock holder died has an old number here, which its next user puts right.
        if self.permits() == 0 && self.body.undo.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let own = u64::from(self.body.unowned.load(Ordering::Relaxed) == 0);
        self.change(arena, |free, mine| Some((free.checked_sub(1)?, mine + own))).then_some(())
    }

    /// Changes how many are free, and how many this process has, if `change` gives new numbers.
    fn change(&self, arena: &Arena, change: impl FnOnce(u64, u64) -> Option<(u64, u64)>) -> bool {
        let body = self.body;
        let changed = body.change(arena, body.lock.lock(arena), self.attached.held(), change);
        // After the lock was given back, which is SeqCst: see `give_back_of_the_dead`.
        if body.unburied.load(Ordering::SeqCst) != 0 {
            body.unburied.store(0, Ordering::SeqCst);
            arena.look_after_all();
        }
        changed
    }
}

impl Body {
    /// Changes how many are free and how many a participant has, whose number is `held`: both, or neither if we die. The lock is
    /// ours, and is given back.
    fn change(
        &self,
        arena: &Arena,
        taken: Taken,
        held: &Number64,
        change: impl FnOnce(u64, u64) -> Option<(u64, u64)>,
    ) -> bool {
        if taken == Taken::OwnerDied {
            let undo = self.undo.load(Ordering::Acquire);
            if undo != 0 {
                self.free.store(self.undo_free.load(Ordering::Relaxed), Ordering::Release);
                arena.number(undo).store(self.undo_held.load(Ordering::Relaxed), Ordering::Release);
                self.undo.store(0, Ordering::Release);
            }
        }
        let (free, had) = (self.free.load(Ordering::Relaxed), held.load(Ordering::Relaxed));
        let new = change(free, had);
        if let Some((now_free, now_had)) = new {
            self.undo_free.store(free, Ordering::Relaxed);
            self.undo_held.store(had, Ordering::Relaxed);
            // Release, here and below: who finds the record finds it whole.
            self.undo.store(arena.offset_of(held), Ordering::Release);
            self.free.store(now_free, Ordering::Release);
            held.store(now_had, Ordering::Release);
            self.undo.store(0, Ordering::Release);
        }
        self.lock.unlock(arena);
        new.is_some()
    }

    /// Gives back all that a participant has. The lock is ours, and is given back.
    fn give_back(&self, arena: &Arena, taken: Taken, held: &Number64) {
        let most = self.most.load(Ordering::Relaxed);
        let all = |free: u64, had: u64| (had > 0).then(|| ((free + had).min(most), 0));
        if self.change(arena, taken, held, all) {
            self.gate.open_all(arena);
        }
    }
}

fn body_at(arena: &Arena, body: u64) -> &Body {
    // SAFETY: a `Body` is atomics only.
    unsafe { arena.get(body) }
}

/// Gives back what this process has, whose number is at `held`, and which has no handle any more. Not under the arena's lock: it
/// waits for the semaphore's, which one that is stopped may have.
pub(super) fn give_back(arena: &Arena, body: u64, held: u64) {
    let (body, held) = (body_at(arena, body), arena.number(held));
    if held.load(Ordering::Relaxed) != 0 {
        body.give_back(arena, body.lock.lock(arena), held);
    }
}

/// Gives back what a participant had that has died, whose number is at `held`, before the reference with the number is freed: under
/// the arena's lock, and so without waiting. False: somebody who lives has the semaphore's lock, and the reference must stay. Who
/// does it again finds nothing to give.
pub(super) fn give_back_of_the_dead(arena: &Arena, body: u64, held: u64) -> bool {
    let (body, held) = (body_at(arena, body), arena.number(held));
    // The record first. The dead one makes none any more; so if none names it now, its number is written by nobody else, and if
    // one was written back before this, the number that is read next is that.
    let is_recorded = body.undo.load(Ordering::Acquire) == arena.offset_of(held);
    if !is_recorded && held.load(Ordering::Acquire) == 0 {
        return true;
    }
    let taken = body.lock.try_lock(arena).or_else(|| {
        body.unburied.store(1, Ordering::SeqCst);
        // Either who has the lock sees this when it has given it back, or we see that it has.
        fence(Ordering::SeqCst);
        body.lock.try_lock(arena)
    });
    let Some(taken) = taken else { return false };
    body.give_back(arena, taken, held);
    true
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("permits", &self.permits()).finish()
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.forks != forks() {
            return;
        }
        // A bounded semaphore that was given too many meanwhile has no need of this one.
        let _ = self.semaphore.release();
    }
}
