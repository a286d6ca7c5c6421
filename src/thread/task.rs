//! A task of an executor: its function, how far it has come and its outcome, in one allocation.
//!
//! ```text
//! Waiting ──► Running                    a worker has taken the function out, and will put the outcome
//!    ├──────► Cancelled                  whoever cancelled it has taken it out, drops it, and puts the outcome
//!    └──────► Failed                     likewise: no worker could be had, nobody would ever run it, or it came too late
//! ```
//!
//! Whoever takes the function out of the slot, under its lock, has the task alone. What is left of a task in a queue is
//! thrown away by the worker that comes upon it: so a task may be in two queues at once.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::pool::{Dropping, Pool};
use super::spin::spin;
use crate::error::{Error, ErrorKind, Outcome, Scale, shield};
use crate::sync::park::Wait;
use crate::task::catch::catch;
use crate::task::next_id;
use crate::vocab::outcome::{Core, Due, Promise, Value};
use crate::vocab::wait::{Pending, park};

/// A task as the pool knows it.
pub(super) trait Work: Send + Sync {
    /// Runs it, and puts the outcome, if nobody has taken it before. Panics only by the destructor of a value.
    fn run(&self);

    /// Drops it, with an error for an outcome, if nobody has taken it before. Whether it was this call.
    fn drop_as(&self, fate: Fate, error: &dyn Fn() -> Error) -> bool;

    /// Whether it waits, and this was not asked before.
    fn is_first_wish(&self) -> bool;
}

/// Why a task was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Cancelled,
    Failed,
}

pub(super) struct Task<J, T> {
    core: Core<T>,
    /// The pool it was submitted to.
    pool: u64,
    /// What to call it in errors.
    name: fn() -> String,
    slot: Mutex<Slot<J>>,
}

enum Slot<J> {
    /// `wished`: somebody waits for it, and it is in the queue of those that come first.
    Waiting {
        job: J,
        wished: bool,
    },
    Running,
    Dropped(Fate),
}

impl<J> Slot<J> {
    fn transition_to_running(&mut self) -> Option<J> {
        self.transition_from_waiting(Slot::Running)
    }

    fn transition_to_dropped(&mut self, fate: Fate) -> Option<J> {
        self.transition_from_waiting(Slot::Dropped(fate))
    }

    fn transition_from_waiting(&mut self, to: Slot<J>) -> Option<J> {
        if !matches!(self, Slot::Waiting { .. }) {
            return None;
        }
        match std::mem::replace(self, to) {
            Slot::Waiting { job, .. } => Some(job),
            _ => unreachable!("looked at just now"),
        }
    }

    fn transition_to_wished(&mut self) -> bool {
        match self {
            Slot::Waiting { wished, .. } => !std::mem::replace(wished, true),
            _ => false,
        }
    }
}

impl<J: FnOnce() -> T + Send + 'static, T: Send + 'static> Task<J, T> {
    pub(super) fn new(pool: u64, name: fn() -> String, job: J) -> Arc<Self> {
        let slot = Mutex::new(Slot::Waiting { job, wished: false });
        Arc::new(Task { core: Core::new(next_id()), pool, name, slot })
    }

    fn complete(&self, outcome: Outcome<T>) {
        let outcome =
            outcome.map_err(|error| error.with_task((self.name)()).with_scale(Scale::Thread));
        if let (_, Some(due)) = self.core.finish(Value::Plain(outcome)) {
            self.core.run(due);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot<J>> {
        self.slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<J: FnOnce() -> T + Send + 'static, T: Send + 'static> Work for Task<J, T> {
    fn run(&self) {
        // Bound to a statement of its own, so that the lock is free while it runs.
        let job = self.lock().transition_to_running();
        if let Some(job) = job {
            self.complete(catch(job).map_err(Error::panicked));
        }
    }

    fn drop_as(&self, fate: Fate, error: &dyn Fn() -> Error) -> bool {
        let _dropping = Dropping::begin();
        let Some(job) = self.lock().transition_to_dropped(fate) else { return false };
        shield(move || drop(job));
        shield(|| self.complete(Err(error())));
        true
    }

    fn is_first_wish(&self) -> bool {
        self.lock().transition_to_wished()
    }
}

impl<J: FnOnce() -> T + Send + 'static, T: Send + 'static> Promise<T> for Task<J, T> {
    fn core(&self) -> &Core<T> {
        &self.core
    }

    fn cancel(&self, _even_running: bool) -> bool {
        self.drop_as(Fate::Cancelled, &|| Error::new(ErrorKind::Cancelled))
            || matches!(*self.lock(), Slot::Dropped(Fate::Cancelled))
    }

    fn is_running(&self) -> bool {
        matches!(*self.lock(), Slot::Running)
    }

    fn call(self: Arc<Self>, due: Due<T>) {
        self.core.run(due);
    }

    fn wait(self: Arc<Self>, pending: &dyn Pending, wait: &Wait, deadline: Option<Instant>) {
        match Pool::of_this_worker(self.pool) {
            Some(pool) => pool.join(self, pending, wait, deadline),
            None if spin(deadline, || pending.is_done()) => {}
            None => park(pending, wait, deadline),
        }
    }
}
