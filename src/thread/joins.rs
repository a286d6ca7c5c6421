//! Tasks that wait for tasks of their own executor: how a worker lends its slot meanwhile.
//!
//! A worker that waits for a task of its own pool lends its slot, so that the task can run: on another worker, a
//! substitute, if it has not begun yet. The task that is waited for comes first from then on: so a tree of tasks is gone
//! through depth first, and the number of workers that wait at once grows with its depth, not with its size.
//!
//! ```text
//! lease:   lent ◄── holding          holding: it was not lent, since SUBSTITUTES were; it is, when one of these is over
//!           └───────► over ◄──┘      by who wakes the joiner, in the same moment; or by itself, at its deadline
//! ```
//!
//! At most [`SUBSTITUTES`] slots are lent at once. When no more can be, and all workers wait without a deadline, none of
//! them woken, then nothing would ever run again: then one of the tasks that are waited for and have not begun is dropped,
//! with an error of the kind `Deadlock`, and its joiner goes on with that. That is looked for where it may come about: one
//! more joins, a worker that was one too many steps down, or one could not be started. A worker that goes idle otherwise has
//! found nothing to run.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Instant;

use super::pool::{Pool, State, error};
use super::task::{Fate, Work};
use crate::error::ErrorKind;
use crate::sync::park::Wait;
use crate::vocab::wait::{Pending, park};

/// How many slots of one pool may be lent at once, and so how many workers there may be beyond its limit.
const SUBSTITUTES: usize = 256;

/// A worker's wait for a task of its own pool.
pub(super) struct Lease {
    pool: Arc<Pool>,
    stuck: bool,
    /// Changes under the pool's lock.
    lent: AtomicBool,
    over: AtomicBool,
}

impl Pool {
    /// The calling worker waits until `pending` has come to pass, for which `task` must finish.
    pub(super) fn join(
        &self,
        task: Arc<dyn Work>,
        pending: &dyn Pending,
        wait: &Wait,
        deadline: Option<Instant>,
    ) {
        if pending.is_done() {
            return;
        }
        let lease = self.transition_to_joining(task, deadline.is_none());
        let lease = Ending(lease);
        park(&Leased { pending, lease: &lease.0, waker: OnceCell::new() }, wait, deadline);
    }

    fn transition_to_joining(&self, task: Arc<dyn Work>, stuck: bool) -> Arc<Lease> {
        let mut state = self.lock();
        if task.is_first_wish() {
            self.wished.push(task);
        }
        let lent = state.lent < SUBSTITUTES;
        state.stuck += usize::from(stuck);
        let lease = Arc::new(Lease {
            pool: self.me(),
            stuck,
            lent: AtomicBool::new(lent),
            over: AtomicBool::new(false),
        });
        if lent {
            state.lent += 1;
            self.slots.transition_to_idle(false);
            self.staff(state);
        } else {
            state.holding.push_back(lease.clone());
            self.end_deadlock(state);
        }
        lease
    }

    /// If nothing would ever run again, has one of those that wait go on with an error.
    pub(super) fn end_deadlock<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        while state.lent == SUBSTITUTES && self.slots.active() + state.lent == state.stuck {
            let Some(task) = self.wished.pop() else { return };
            drop(state);
            let message = format!(
                "all workers wait for tasks of their own executor, {SUBSTITUTES} more than it has slots"
            );
            if task.drop_as(Fate::Failed, &|| error(ErrorKind::Deadlock, &message)) {
                return;
            }
            state = self.lock();
        }
    }

    /// A worker's wait has ended.
    fn transition_to_busy(&self, lease: &Arc<Lease>) {
        let mut state = self.lock();
        state.stuck -= usize::from(lease.stuck);
        if !lease.lent.load(Ordering::Relaxed) {
            state.holding.retain(|other| !Arc::ptr_eq(other, lease));
            return;
        }
        state.lent -= 1;
        self.slots.transition_to_regained();
        if let Some(next) = state.holding.pop_front() {
            next.lent.store(true, Ordering::Relaxed);
            state.lent += 1;
            self.slots.transition_to_idle(false);
            self.staff(state);
        }
    }
}

impl Lease {
    fn end(self: &Arc<Self>) {
        // Relaxed: what it guards is under the pool's lock.
        if !self.over.swap(true, Ordering::Relaxed) {
            self.pool.transition_to_busy(self);
        }
    }
}

/// Ends the lease with the wait, also where the coroutine that waits is cancelled.
struct Ending(Arc<Lease>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What a worker waits for, such that waking it ends its lease.
struct Leased<'a> {
    pending: &'a dyn Pending,
    lease: &'a Arc<Lease>,
    /// What was left with `pending`.
    waker: OnceCell<Waker>,
}

impl Pending for Leased<'_> {
    fn is_done(&self) -> bool {
        self.pending.is_done()
    }

    fn register(&self, waker: &Waker) {
        let both = || Both { lease: self.lease.clone(), waker: waker.clone() };
        self.pending.register(self.waker.get_or_init(|| Waker::from(Arc::new(both()))));
    }

    fn forget(&self, _waker: &Waker) {
        if let Some(waker) = self.waker.get() {
            self.pending.forget(waker);
        }
    }
}

struct Both {
    lease: Arc<Lease>,
    waker: Waker,
}

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.lease.end();
        self.waker.wake_by_ref();
    }
}
