//! What the workers say: their answers, and that they are ready.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll;

use super::pool::{BELL, Pool, State};
use super::task::{After, Done, Place};
use super::worker::{Phase, Worker};
use crate::process::channel::{Body, Frame, Kind, Parcel, Received};
use crate::process::launch::Proc;
use crate::process::supervisor::supervisor;

/// The pause before a task is tried again is never longer.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

impl Pool {
    /// Does what the workers that have rung have to say.
    pub(super) fn on_events(&self, events: impl Iterator<Item = u64>) {
        let mut after = After::default();
        let mut state = self.lock();
        for id in events {
            if id != BELL {
                self.read(&mut state, id, &mut after);
            }
        }
        self.dispatch(&mut state, &mut after);
        drop(state);
        self.finish(after);
    }

    /// Does what all workers have to say, and has all ring from here on.
    pub(super) fn sweep(&self) {
        let mut after = After::default();
        let mut state = self.lock();
        let ids: Vec<u64> = state.workers.keys().copied().collect();
        for id in ids {
            if self.read_stream(&mut state, id, &mut after) {
                self.after_reading(&mut state, id, &mut after);
            }
        }
        self.dispatch(&mut state, &mut after);
        drop(state);
        self.finish(after);
    }

    /// Has the worker that has this task not ring, and gives where to look for what it writes.
    pub(super) fn stay_awake(&self, task: u64) -> Option<Arc<Proc>> {
        let state = self.lock();
        let proc = state.sent_to(task)?.proc.clone();
        proc.page.stream_from_worker().stay_awake();
        Some(proc)
    }

    /// Where to look for what the worker writes that has this task.
    pub(super) fn where_to_look(&self, task: u64) -> Option<Arc<Proc>> {
        Some(self.lock().sent_to(task)?.proc.clone())
    }

    /// Reads from the worker that has this task, without waiting.
    pub(super) fn look_for(&self, task: u64) {
        let mut after = After::default();
        let mut state = self.lock();
        let Some(Place::Sent(id)) = state.tasks.get(&task).map(|task| task.place) else {
            return;
        };
        let Some(worker) = state.workers.get_mut(&id) else {
            return;
        };
        // What is wrong is found by whoever reads next, too.
        if !matches!(worker.read(), Ok(true)) {
            return;
        }
        self.on_frames(&mut state, id, &mut after);
        self.after_reading(&mut state, id, &mut after);
        self.dispatch(&mut state, &mut after);
        drop(state);
        self.finish(after);
    }

    /// Reads what a worker has written, and writes what waits for room.
    pub(super) fn read(&self, state: &mut State, id: u64, after: &mut After) {
        let Some(worker) = state.workers.get_mut(&id) else {
            return;
        };
        match worker.inbox.receive_calls(&worker.proc.socket, true) {
            Ok(Received::Some | Received::WouldBlock) => {}
            Ok(Received::End) | Err(_) => {
                // Its pidfd tells of its death. Until then this would be ready for ever.
                let _ = epoll::delete(&self.epoll, &worker.proc.socket);
                worker.give_up();
                return;
            }
        }
        if self.read_stream(state, id, after) {
            self.after_reading(state, id, after);
        }
    }

    /// Takes all frames that a worker has written, and has it ring at the next. False if nothing more is to be had of it.
    fn read_stream(&self, state: &mut State, id: u64, after: &mut After) -> bool {
        while let Some(worker) = state.workers.get_mut(&id) {
            let Ok(some) = worker.read() else {
                // A task has written where only its worker does.
                worker.give_up();
                return false;
            };
            if some && !self.on_frames(state, id, after) {
                return false;
            }
            if !some {
                let is_there = state.workers.get(&id).is_some_and(Worker::fall_asleep);
                if !is_there {
                    return true;
                }
            }
        }
        false
    }

    /// Sends a worker more, or lets it go, as its answers allow.
    fn after_reading(&self, state: &mut State, id: u64, after: &mut After) {
        let Some(worker) = state.workers.get_mut(&id) else {
            return;
        };
        if !worker.out.is_empty() {
            self.flush(worker, id);
        }
        let limit = self.settings.tasks_per_worker.unwrap_or(u64::MAX);
        if worker.phase == Phase::Ready && worker.total >= limit && worker.sent.is_empty() {
            worker.retire();
        } else if worker.is_idle() {
            if state.idle.last() != Some(&id) {
                state.idle.push(id);
            }
        } else if worker.sent.len() <= worker.depth() / 2 && !state.queue.is_empty() {
            self.feed(state, id, after);
        } else {
            self.set_timer(worker, id);
        }
    }

    /// Takes the frames that have come. False if what has come is none.
    pub(super) fn on_frames(&self, state: &mut State, id: u64, after: &mut After) -> bool {
        loop {
            let Some(worker) = state.workers.get_mut(&id) else {
                return false;
            };
            let frame = match worker.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return true,
                Err(_) => {
                    // A task has written in what its worker tells us.
                    worker.give_up();
                    return false;
                }
            };
            match frame.kind {
                Kind::Ready if worker.phase == Phase::Starting => {
                    worker.phase = Phase::Ready;
                    state.idle.push(id);
                    if std::mem::take(&mut state.failed_starts) > 0 {
                        self.replace(state, after);
                    }
                }
                Kind::Failed
                    if worker.phase == Phase::Starting
                        && matches!(frame.parcel.body, Body::Inline(_)) =>
                {
                    let text = frame.parcel.open().map(|(body, _)| body).unwrap_or_default();
                    worker.failure = Some(String::from_utf8_lossy(&text).into_owned());
                }
                Kind::Value | Kind::Panicked | Kind::NotSerializable
                    if worker.sent.front() == Some(&frame.id) =>
                {
                    worker.sent.pop_front();
                    worker.answered = worker.answered.wrapping_add(1);
                    worker.learn(frame.word);
                    let pid = worker.proc.pid;
                    state.forget_nested(id);
                    self.on_answer(state, frame, pid, after);
                }
                Kind::Taken if worker.sent.front() == Some(&frame.id) => {
                    // Ours would keep a connection open that the task closes. Should it be tried again, they are kept.
                    let task = state.tasks.get_mut(&frame.id);
                    if let Some(task) = task.filter(|_| self.settings.retries == 0) {
                        task.parcel = Parcel::default();
                    }
                }
                Kind::Submit if worker.phase != Phase::Starting => {
                    self.on_submit(state, id, frame, after);
                }
                Kind::Ask => self.on_ask(state, id, &frame, after),
                _ => {
                    worker.give_up();
                    return false;
                }
            }
        }
    }

    pub(super) fn on_answer(&self, state: &mut State, frame: Frame, pid: u32, after: &mut After) {
        let Some(task) = state.tasks.get(&frame.id) else {
            return;
        };
        if frame.kind == Kind::Panicked && task.tries < self.settings.retries {
            return self.delay(state, frame.id);
        }
        if let Some(task) = state.take(frame.id) {
            after.done.push(Done::Answer(task.sink, frame, pid, task.name));
        }
        self.tell_if_empty(state);
    }

    /// Has a task tried again after its pause.
    pub(super) fn delay(&self, state: &mut State, id: u64) {
        let Some(task) = state.tasks.get_mut(&id) else {
            return;
        };
        let factor = 1u32.checked_shl(task.tries).unwrap_or(u32::MAX);
        task.tries += 1;
        task.place = Place::Delayed;
        let pause = self.settings.backoff.saturating_mul(factor).min(MAX_BACKOFF);
        let pool = self.me.clone();
        let again = move || {
            if let Some(pool) = pool.upgrade() {
                pool.again(id);
            }
        };
        match supervisor() {
            Ok(supervisor) => {
                supervisor.at(Instant::now() + pause, again);
            }
            Err(_) => state.requeue(vec![id]),
        }
    }

    pub(super) fn again(&self, id: u64) {
        let mut after = After::default();
        let mut state = self.lock();
        state.requeue(vec![id]);
        self.dispatch(&mut state, &mut after);
        drop(state);
        self.finish(after);
    }
}
