//! Tasks that end before they give a value: over their time, over their memory, cancelled.

use std::time::{Duration, Instant};

use super::pool::{Pool, State, not_of_a_fork};
use super::task::{After, Done, Place};
use super::worker::{Phase, Worker};
use crate::error::{Error, ErrorKind, Scale};
use crate::process::callbacks;
use crate::process::serve::monotonic;
use crate::process::status::Cause;
use crate::process::supervisor::supervisor;
use crate::sync::park::{Wait, after};
use crate::vocab::wait::{Backend, Pending, park};

impl Pool {
    pub(super) fn set_timer(&self, worker: &mut Worker, id: u64) {
        let Some(limit) = self.settings.task_timeout else {
            return;
        };
        if worker.timer || worker.sent.is_empty() {
            return;
        }
        worker.timer = true;
        self.look_later(id, limit);
    }

    pub(super) fn look_later(&self, id: u64, left: Duration) {
        let pool = self.me.clone();
        let look = move || {
            if let Some(pool) = pool.upgrade() {
                pool.look_at_time(id);
            }
        };
        let moment = after(left);
        if let (Ok(supervisor), Some(moment)) = (supervisor(), moment) {
            supervisor.at(moment, look);
        }
    }

    /// Whether the task that a worker runs is over its time.
    pub(super) fn look_at_time(&self, id: u64) {
        let limit = self.settings.task_timeout.unwrap_or(Duration::MAX);
        let mut state = self.lock();
        let Some(worker) = state.workers.get_mut(&id) else {
            return;
        };
        worker.timer = false;
        let Some(task) = worker.sent.front().copied() else {
            return;
        };
        let (taken, at) = worker.proc.page.taken();
        let ran = match taken == worker.answered {
            true => Duration::ZERO,
            false => Duration::from_nanos(monotonic().saturating_sub(at)),
        };
        if ran < limit {
            worker.timer = true;
            drop(state);
            return self.look_later(id, limit - ran);
        }
        drop(state);
        self.condemn(id, Some(task), Cause::TimedOut(limit));
    }

    /// Kills a worker for what it runs, if it still runs it. A task that has not been taken up meanwhile is not lost, and
    /// one that was answered is not blamed.
    pub(super) fn condemn(&self, id: u64, task: Option<u64>, cause: Cause) -> bool {
        let mut after = After::default();
        let mut state = self.lock();
        let condemned = self.condemn_locked(&mut state, id, task, cause, &mut after);
        if !condemned {
            self.dispatch(&mut state, &mut after);
        }
        drop(state);
        self.finish(after);
        condemned
    }

    pub(super) fn condemn_locked(
        &self,
        state: &mut State,
        id: u64,
        task: Option<u64>,
        cause: Cause,
        after: &mut After,
    ) -> bool {
        let Some(worker) = state.workers.get_mut(&id) else {
            return false;
        };
        // From here on it takes up nothing more, and is sent nothing, so what it runs is what it has not answered.
        let ready = worker.phase == Phase::Ready;
        if ready {
            worker.phase = Phase::Retiring;
        }
        let back = worker.take_back();
        state.requeue(back);
        self.read(state, id, after);
        let Some(worker) = state.workers.get_mut(&id) else {
            return false;
        };
        let running = worker.victim();
        if running.is_none() && task.is_some() || task.is_some_and(|task| running != Some(task)) {
            if ready {
                worker.phase = Phase::Ready;
            }
            if worker.is_idle() {
                state.idle.push(id);
            }
            return false;
        }
        worker.proc.kill(Some(cause))
    }
}

impl Backend for Pool {
    fn cancel(&self, id: u64, even_running: bool) -> bool {
        if !self.is_ours() {
            return false;
        }
        let mut after = After::default();
        let mut state = self.lock();
        let cancelled = self.cancel_in(&mut state, id, even_running, &mut after);
        self.dispatch(&mut state, &mut after);
        drop(state);
        self.finish(after);
        cancelled
    }

    fn is_running(&self, id: u64) -> bool {
        self.is_ours() && self.lock().is_running(id)
    }

    fn call(&self, job: Box<dyn FnOnce() + Send>) {
        callbacks::run(job);
    }

    fn wait(&self, pending: &dyn Pending, wait: &Wait, deadline: Option<Instant>) {
        if !self.is_ours() {
            return self.wait_in_fork(pending, wait, deadline);
        }
        if !callbacks::wait(pending, deadline) {
            self.wait_or_drive(pending, wait, deadline);
        }
    }
}

impl Pool {
    /// Nobody here brings the outcome, so there is one at once: that this pool is not ours.
    fn wait_in_fork(&self, pending: &dyn Pending, wait: &Wait, deadline: Option<Instant>) {
        // A thread that this process does not have may have held the lock at the fork.
        let state = pending.task().and_then(|task| Some((self.try_lock()?, task)));
        let task = state.and_then(|(mut state, task)| state.tasks.remove(&task));
        match task {
            Some(task) => task.sink.fail(not_of_a_fork().with_task((task.name)())),
            None => park(pending, wait, deadline),
        }
    }

    /// Ends a task without a value, if it has none. Whether this call did.
    pub(super) fn cancel_in(
        &self,
        state: &mut State,
        id: u64,
        even_running: bool,
        after: &mut After,
    ) -> bool {
        let cancelled = self.prevent(state, id, even_running, after);
        if cancelled && let Some(task) = state.take(id) {
            let error = Error::new(ErrorKind::Cancelled).with_task((task.name)());
            after.done.push(Done::Failed(task.sink, error.with_scale(Scale::Process)));
            self.tell_if_empty(state);
        }
        cancelled
    }

    /// Sees to it that a task will not run, or no longer. Whether it is so.
    fn prevent(&self, state: &mut State, id: u64, even_running: bool, after: &mut After) -> bool {
        let Some(Place::Sent(worker)) = state.tasks.get(&id).map(|task| task.place) else {
            return state.tasks.contains_key(&id);
        };
        let Some(sent_to) = state.workers.get_mut(&worker) else {
            return false;
        };
        let back = sent_to.take_back();
        if sent_to.is_idle() {
            // It had taken up none of them, and says nothing about those that it will leave aside.
            state.idle.push(worker);
        }
        state.requeue(back);
        if state.tasks.get(&id).is_some_and(|task| task.place == Place::Queued) {
            return true;
        }
        even_running && self.condemn_locked(state, worker, Some(id), Cause::Cancelled, after)
    }
}

impl State {
    /// Whether a worker has taken the task up.
    pub(super) fn is_running(&self, id: u64) -> bool {
        match self.tasks.get(&id).map(|task| task.place) {
            Some(Place::Sent(worker)) => {
                self.workers.get(&worker).is_some_and(|worker| worker.has_taken(id))
            }
            Some(_) => false,
            // It has ended, and its outcome is on its way to who asks.
            None => true,
        }
    }
}
