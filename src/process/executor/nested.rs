//! Tasks that tasks of the pool submit to it: the pool's side. The worker's side is `inside.rs`.
//!
//! A worker whose task has tasks of its own under way *waits*: it is not counted as one of the pool's workers, is sent
//! nothing more, and another may be started in its place, up to [`MAX_SUBSTITUTES`]. Whether the task really waits, by a
//! join, a future, a callback, or goes on computing for a while, is not asked: that is what makes it impossible that all
//! workers wait for what none of them can run. When no further substitute may be started and nobody is left to run
//! anything, what the tasks have submitted and nobody has taken up ends with `Deadlock`, and their submitters go on.

use std::sync::{Arc, Weak};

use super::pool::{Pool, State};
use super::task::{After, Done, Origin, Sink, Task};
use super::worker::Worker;
use crate::error::{Error, ErrorKind, Scale};
use crate::process::channel::{Frame, Kind, Parcel};
use crate::task::{codec, next_id};

/// Workers beyond those asked for, while as many wait.
pub(super) const MAX_SUBSTITUTES: usize = 64;

/// What a task asks about one that it has submitted.
pub(super) const IS_RUNNING: u64 = 0;
pub(super) const CANCEL_WAITING: u64 = 1;
pub(super) const CANCEL: u64 = 2;

/// The outcome of a task that failed without an answer: the `word` of its frame.
pub(super) const FAILED: u8 = 0;

/// Sends an outcome to the worker that submitted the task.
struct Relay {
    pool: Weak<Pool>,
    origin: Origin,
}

impl Sink for Relay {
    fn answer(self: Arc<Self>, answer: Frame, pid: u32, _name: fn() -> String) {
        self.send(answer.kind as u8, pid, answer.parcel);
    }

    fn fail(self: Arc<Self>, error: Error) {
        let body = codec::encode(&error, "error").unwrap_or_default();
        // Without memory for a long one it is told without its text.
        self.send(FAILED, 0, Parcel::new(body, Vec::new()).unwrap_or_default());
    }
}

impl Relay {
    fn send(&self, kind: u8, pid: u32, parcel: Parcel) {
        if let Some(pool) = self.pool.upgrade() {
            let word = u64::from(pid) << 8 | u64::from(kind);
            let mut state = pool.lock();
            pool.tell(
                &mut state,
                self.origin.worker,
                Kind::Outcome,
                self.origin.number,
                word,
                parcel,
            );
        }
    }
}

/// Name of a task in errors of the pool's own: the submitter puts in the one that it knows.
fn unnamed() -> String {
    "task".into()
}

impl Pool {
    /// A task of a worker submits another.
    pub(super) fn on_submit(
        &self,
        state: &mut State,
        worker: u64,
        frame: Frame,
        after: &mut After,
    ) {
        let task = state.workers.get(&worker).and_then(Worker::running);
        let origin = Origin { worker, task: task.unwrap_or(0), number: frame.id };
        let sink = Arc::new(Relay { pool: self.me.clone(), origin });
        if let Some(error) = state.refusal() {
            after.done.push(Done::Failed(sink, error.with_scale(Scale::Process)));
            return;
        }
        let id = next_id();
        if let Some(from) = state.workers.get_mut(&worker).filter(|_| task.is_some()) {
            state.waiting += usize::from(from.nested.is_empty());
            from.nested.insert(id);
            // What it was sent ahead would wait for a task that waits for others.
            let back = from.take_back();
            state.requeue(back);
        }
        let mut nested = Task::new(frame.word, frame.parcel, unnamed, sink);
        nested.origin = Some(origin);
        state.inside.insert((worker, frame.id), id);
        state.tasks.insert(id, nested);
        state.queue.push_back(id, Some(origin));
        self.reinforce(state, after);
    }

    /// A task of a worker asks about one that it has submitted.
    pub(super) fn on_ask(&self, state: &mut State, worker: u64, frame: &Frame, after: &mut After) {
        let id = state.inside.get(&(worker, frame.id)).copied();
        let yes = match (id, frame.word) {
            // It has ended, and its outcome is on its way.
            (None, word) => word == IS_RUNNING,
            (Some(id), IS_RUNNING) => state.is_running(id),
            (Some(id), word) => self.cancel_in(state, id, word == CANCEL, after),
        };
        self.tell(state, worker, Kind::Told, frame.id, u64::from(yes), Parcel::default());
    }

    fn tell(&self, state: &mut State, id: u64, kind: Kind, number: u64, word: u64, parcel: Parcel) {
        if let Some(worker) = state.workers.get_mut(&id) {
            worker.tell(kind, number, word, parcel);
            self.flush(worker, id);
        }
    }

    /// Starts a worker in the place of one that waits, if there is something for it to do.
    pub(super) fn reinforce(&self, state: &mut State, after: &mut After) {
        let there = state.workers.len() + state.starting;
        let wanted = self.settings.workers;
        if state.queue.is_empty()
            || there - state.waiting >= wanted
            || state.broken.is_some()
            || state.pausing
        {
            return;
        }
        if there < wanted + MAX_SUBSTITUTES {
            state.starting += 1;
            after.starts += 1;
        } else if there == state.waiting {
            let message = format!("{there} tasks of this pool wait for tasks of their own");
            let error = || Error::new(ErrorKind::Deadlock).with_message(message.clone());
            self.fail_nested(state, error, after);
        }
    }

    /// Ends what tasks have submitted and nobody has taken up.
    pub(super) fn fail_nested(
        &self,
        state: &mut State,
        error: impl Fn() -> Error,
        after: &mut After,
    ) {
        for id in state.queue.drain_nested() {
            if let Some(task) = state.take(id) {
                after.done.push(Done::Failed(task.sink, error().with_scale(Scale::Process)));
            }
        }
    }
}

impl State {
    /// Takes out a task that has its outcome.
    pub(super) fn take(&mut self, id: u64) -> Option<Task> {
        let task = self.tasks.remove(&id)?;
        if let Some(origin) = task.origin {
            self.inside.remove(&(origin.worker, origin.number));
            if let Some(worker) = self.workers.get_mut(&origin.worker)
                && worker.nested.remove(&id)
                && worker.nested.is_empty()
            {
                self.waiting -= 1;
                self.surplus = true;
            }
        }
        Some(task)
    }

    /// The task that a worker ran is over: what it has submitted goes on, and nobody waits for it.
    pub(super) fn forget_nested(&mut self, worker: u64) {
        if let Some(worker) = self.workers.get_mut(&worker)
            && !worker.nested.is_empty()
        {
            worker.nested.clear();
            self.waiting -= 1;
            self.surplus = true;
        }
    }

    /// Ends workers that were started in the place of others which go on now, once they have nothing to do.
    pub(super) fn trim(&mut self, wanted: usize) {
        if !std::mem::take(&mut self.surplus) {
            return;
        }
        let active = |state: &State| {
            let counts = |worker: &&Worker| !worker.is_retiring() && !worker.waits();
            state.workers.values().filter(counts).count() + state.starting
        };
        while active(self) > wanted {
            let Some(id) = self.pop_idle() else {
                // Looked at again when one of them has finished its task.
                self.surplus = true;
                return;
            };
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.retire();
            }
        }
    }
}
