//! The lock without what it protects.

use std::task::{Context, Poll};
use std::time::Instant;

use super::list::{Kind, STARVED, UNIT, WAITED, WaitList, Waiter};
use super::park::{self, Wait};
use super::primitive::atomic::Ordering;
use super::primitive::const_fn;

/// Somebody holds it.
const LOCKED: usize = UNIT;

/// A lock word: free or held, and whether somebody waits.
pub(crate) struct RawLock {
    list: WaitList,
}

impl RawLock {
    const_fn! {
        pub(crate) fn new() -> RawLock {
            RawLock { list: WaitList::new(0) }
        }
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.list.state().load(Ordering::Relaxed) & LOCKED != 0
    }

    /// Takes it if it is free, and nobody has waited for it too long.
    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        // Acquire, here and below: this holder sees what the last one did, which released it by Release.
        let quick =
            self.list.state().compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed);
        quick.is_ok() || self.take(LOCKED | STARVED)
    }

    /// Takes it unless one of these bits is set.
    fn take(&self, barred: usize) -> bool {
        let state = self.list.state();
        let taken = state.fetch_update(Ordering::Acquire, Ordering::Relaxed, |now| {
            (now & barred == 0).then_some(now | LOCKED)
        });
        taken.is_ok()
    }

    /// Takes it, and waits for it, for ever or until then: then false.
    #[inline]
    pub(crate) fn lock(&self, wait: &Wait, deadline: impl FnOnce() -> Option<Instant>) -> bool {
        let quick =
            self.list.state().compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed);
        quick.is_ok() || self.lock_slowly(wait, deadline())
    }

    #[cold]
    fn lock_slowly(&self, wait: &Wait, deadline: Option<Instant>) -> bool {
        let take = || self.take(LOCKED | STARVED);
        if take() || self.list.look(take) {
            return true;
        }
        let mut waiter = self.waiter();
        park::block(wait, deadline, |context| self.poll(&mut waiter, context)).is_some()
    }

    pub(crate) fn waiter(&self) -> Waiter<'_> {
        Waiter::new(&self.list, Kind::One)
    }

    /// Polls for it, after [`try_lock`](RawLock::try_lock).
    pub(crate) fn poll(&self, waiter: &mut Waiter<'_>, context: &mut Context<'_>) -> Poll<()> {
        waiter.poll(context, || self.take(LOCKED).then_some(()))
    }

    /// Waits for it as a future does.
    pub(crate) async fn lock_async(&self) {
        if !self.try_lock() {
            let mut waiter = self.waiter();
            std::future::poll_fn(|context| self.poll(&mut waiter, context)).await;
        }
    }

    /// Releases it. Only for who holds it.
    #[inline]
    pub(crate) fn unlock(&self) {
        let quick =
            self.list.state().compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed);
        if quick.is_err() {
            self.unlock_slowly();
        }
    }

    #[cold]
    fn unlock_slowly(&self) {
        // Who went to the line before this is seen here; who goes there after it finds the lock free.
        if self.list.state().fetch_and(!LOCKED, Ordering::Release) & WAITED != 0 {
            self.list.notify_one();
        }
    }
}
