//! The part of a hub that other threads reach: what they wake, place and ask.
//!
//! A hub belongs to a stack frame and ends with it, but its wakers may live on, in the wait list of some word. So a waker holds
//! no memory of the hub: it is a reference to a [`Slot`], the place of a coroutine in its hub, and slots and [`Remote`]s are never
//! freed. The next hub uses them again, so a waker that is too old wakes a coroutine that has nothing to do with it, which
//! looks, finds that what it waits for has not come, and waits on.
//!
//! # No wake-up is lost
//!
//! A flag of the slot is set by who wakes and cleared by the hub before it lets the coroutine run: so a wake-up that finds it set
//! came before the coroutine looks again, and one that finds it clear puts the coroutine in a queue. There are two of each, and
//! each flag stands for one place in its queue: `queued_here`, which only the thread of the hub touches, for `ready`; `queued`
//! for what comes from elsewhere, which is added to `wakes` under the lock. One that is in both runs twice, and finds the second
//! time, as with any waker that is too old, that there is nothing new.
//!
//! The hub goes to sleep by [`Remote::fall_asleep`], which under the same lock finds `wakes` and `requests` empty and notes that it
//! sleeps; who adds to them and finds that note rings the bell, an eventfd that the hub's epoll watches.
#![allow(unsafe_code)]

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::task::{RawWaker, RawWakerVTable, Waker};

use rustix::event::{EventfdFlags, eventfd};

use super::{Hub, with_hub};
use crate::system::forks;

/// What another thread asks of a hub.
pub(in crate::green) type Request = Box<dyn FnOnce(&Hub) + Send>;

pub(in crate::green) struct Remote {
    inner: Mutex<Inner>,
    /// Whether there is something in `inner`: looked at between coroutines, without the lock.
    pub(super) has_incoming: AtomicBool,
    /// Odd while a coroutine runs, and another number each time.
    #[cfg(feature = "watch")]
    pub(in crate::green) pulse: std::sync::atomic::AtomicU64,
    /// The kernel's number of the thread that the hub is on.
    #[cfg(feature = "watch")]
    pub(in crate::green) thread: std::sync::atomic::AtomicI32,
    /// Made by the first hub, and for good.
    bell: OnceLock<OwnedFd>,
    /// Which fork its hub is in.
    fork: AtomicU32,
}

struct Inner {
    wakes: Vec<u32>,
    requests: Vec<Request>,
    asleep: bool,
    /// Whether there is a hub.
    open: bool,
    slots: Vec<&'static Slot>,
}

/// The place of a coroutine in its hub.
pub(in crate::green) struct Slot {
    pub(in crate::green) remote: &'static Remote,
    pub(in crate::green) index: u32,
    /// Whether somebody elsewhere has woken the coroutine, and it has not run since.
    pub(super) queued: AtomicBool,
    /// The same of the hub's own thread, which alone touches it: so it needs no order, and no read-modify-write.
    pub(super) queued_here: AtomicBool,
}

/// Every one that was ever made.
#[cfg(feature = "watch")]
static ALL: Mutex<Vec<&'static Remote>> = Mutex::new(Vec::new());

/// Remotes without a hub.
static SPARE: Mutex<Vec<&'static Remote>> = Mutex::new(Vec::new());

fn spares() -> MutexGuard<'static, Vec<&'static Remote>> {
    SPARE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(feature = "watch")]
fn all() -> MutexGuard<'static, Vec<&'static Remote>> {
    ALL.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Holds still what all hubs have in common, and what others reach of the hub of this thread, for a fork: the child finds the locks free.
/// Those of other hubs are left alone in the child.
pub(in crate::green) fn hold() -> impl Sized + 'static {
    #[cfg(feature = "watch")]
    let all = all();
    #[cfg(not(feature = "watch"))]
    let all = ();
    (all, spares(), with_hub(|hub| hub.remote.lock()))
}

impl Remote {
    /// One for a new hub, and the slots it has already.
    pub(super) fn take() -> std::io::Result<(&'static Remote, Vec<&'static Slot>)> {
        // One of before a fork may be locked for ever: somebody woke what was long gone.
        let spare = {
            let mut spares = spares();
            std::iter::from_fn(|| spares.pop()).find(|remote| !remote.is_left_behind())
        };
        let remote = spare.unwrap_or_else(|| {
            let remote = Box::leak(Box::new(Remote {
                inner: Mutex::new(Inner {
                    wakes: Vec::new(),
                    requests: Vec::new(),
                    asleep: false,
                    open: false,
                    slots: Vec::new(),
                }),
                has_incoming: AtomicBool::new(false),
                #[cfg(feature = "watch")]
                pulse: Default::default(),
                #[cfg(feature = "watch")]
                thread: Default::default(),
                bell: OnceLock::new(),
                fork: AtomicU32::new(forks()),
            }));
            #[cfg(feature = "watch")]
            all().push(remote);
            remote
        });
        #[cfg(feature = "watch")]
        remote.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Relaxed);
        if remote.bell.get().is_none() {
            let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .inspect_err(|_| remote.put_back())?;
            let _ = remote.bell.set(bell);
        }
        let mut inner = remote.lock();
        inner.open = true;
        inner.asleep = false;
        // What is left was for an earlier hub.
        inner.wakes.clear();
        let slots = std::mem::take(&mut inner.slots);
        drop(inner);
        Ok((remote, slots))
    }

    /// All of them, in the order in which they were made.
    #[cfg(feature = "watch")]
    pub(in crate::green) fn all() -> Vec<&'static Remote> {
        all().iter().copied().filter(|remote| !remote.is_left_behind()).collect()
    }

    /// A coroutine begins or ends to run.
    #[cfg(feature = "watch")]
    #[inline]
    pub(super) fn beat(&self) {
        // Relaxed, and no read-modify-write: one thread writes it, others only compare it with what it was.
        self.pulse.store(self.pulse.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// The hub is gone, but for its slots.
    pub(super) fn close(&'static self, slots: Vec<&'static Slot>) {
        let mut inner = self.lock();
        inner.open = false;
        inner.slots = slots;
        let requests = std::mem::take(&mut inner.requests);
        drop(inner);
        // Outside the lock: what is dropped with them may be anything.
        drop(requests);
        self.put_back();
    }

    fn put_back(&'static self) {
        spares().push(self);
    }

    pub(super) fn new_slot(&'static self, index: u32) -> &'static Slot {
        Box::leak(Box::new(Slot {
            remote: self,
            index,
            queued: AtomicBool::new(false),
            queued_here: AtomicBool::new(false),
        }))
    }

    pub(super) fn bell(&self) -> &OwnedFd {
        self.bell.get().expect("made before the hub")
    }

    /// Whether its hub is on a thread of the process that this one is a fork of, and so is not here. Its lock may be held for ever.
    #[inline]
    pub(in crate::green) fn is_left_behind(&self) -> bool {
        // Relaxed: it changes in a fork that has one thread.
        self.fork.load(Ordering::Relaxed) != forks()
    }

    /// In a fork that was made on its thread: the hub goes on here, with the coroutines at `slots`. All of them look again: who was about to
    /// wake one may not be here, and what one waits for may be lost.
    pub(super) fn come_along(&self, slots: impl Iterator<Item = &'static Slot>) {
        self.fork.store(forks(), Ordering::Relaxed);
        let mut inner = self.lock();
        inner.asleep = false;
        // In place of those that are there.
        inner.wakes.clear();
        inner.wakes.extend(slots.map(|slot| {
            slot.queued.store(true, Ordering::Relaxed);
            slot.index
        }));
        self.has_incoming.store(true, Ordering::Relaxed);
    }

    /// Has the hub carry out a request. It comes back if the hub is gone.
    pub(in crate::green) fn ask(&self, request: Request) -> Result<(), Request> {
        if self.is_left_behind() {
            return Err(request);
        }
        let mut inner = self.lock();
        if !inner.open {
            return Err(request);
        }
        inner.requests.push(request);
        self.announce(inner);
        Ok(())
    }

    fn wake(&self, index: u32) {
        if self.is_left_behind() {
            return;
        }
        let mut inner = self.lock();
        if inner.open {
            inner.wakes.push(index);
            self.announce(inner);
        }
    }

    fn announce(&self, mut inner: MutexGuard<'_, Inner>) {
        // Relaxed: what it tells of is read under the lock.
        self.has_incoming.store(true, Ordering::Relaxed);
        let asleep = std::mem::take(&mut inner.asleep);
        drop(inner);
        if asleep {
            // The one error is that the counter is full, and then the bell rings already.
            let _ = rustix::io::write(self.bell(), &1u64.to_ne_bytes());
        }
    }

    /// What has come in, into vectors that are empty; theirs are filled next.
    pub(super) fn receive(&self, wakes: &mut Vec<u32>, requests: &mut Vec<Request>) {
        let mut inner = self.lock();
        self.has_incoming.store(false, Ordering::Relaxed);
        inner.asleep = false;
        std::mem::swap(&mut inner.wakes, wakes);
        std::mem::swap(&mut inner.requests, requests);
    }

    /// Notes that the hub sleeps from now on, unless something has come in. Whether it may sleep.
    pub(super) fn fall_asleep(&self) -> bool {
        let mut inner = self.lock();
        inner.asleep = inner.wakes.is_empty() && inner.requests.is_empty();
        inner.asleep
    }

    /// Whether nothing has come in.
    pub(super) fn is_quiet(&self) -> bool {
        let inner = self.lock();
        inner.wakes.is_empty() && inner.requests.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Slot {
    /// Has the coroutine run soon, wherever this is called.
    pub(in crate::green) fn wake(&'static self) {
        if Hub::push_if_own(self) {
            return;
        }
        // AcqRel: the coroutine sees what was done before any of the wake-ups that became this one run of it.
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.remote.wake(self.index);
        }
    }

    pub(in crate::green) fn waker(&'static self) -> Waker {
        // SAFETY: the functions of the table take the pointer for what it is, a `&'static Slot`, which is valid for ever and may be
        // used by any thread; none of them owns anything.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(self).cast(), &TABLE)) }
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(
    |pointer| RawWaker::new(pointer, &TABLE),
    wake_by_pointer,
    wake_by_pointer,
    |_| {},
);

fn wake_by_pointer(pointer: *const ()) {
    // SAFETY: the pointer is that of `Slot::waker`, to a slot that is never freed.
    let slot: &'static Slot = unsafe { &*pointer.cast::<Slot>() };
    slot.wake();
}
