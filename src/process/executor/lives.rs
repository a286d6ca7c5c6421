//! How workers come and go: starts, deaths, and what a death does to a task.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll;

use super::pool::{Pool, State};
use super::task::{After, Done};
use super::worker::{Phase, Worker};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::process::channel::{Kind, send_frame, unless_gone};
use crate::process::launch::{Settings, launch};
use crate::process::serve::Role;
use crate::process::status::Cause;
use crate::process::supervisor::supervisor;

/// Failed starts in a row after which the pool gives up.
const MAX_FAILED_STARTS: u32 = 5;
/// The pause before the second start in a row; twice as long before each further one.
const START_PAUSE: Duration = Duration::from_millis(20);

impl Pool {
    /// Starts a worker, which `State::starting` has been raised for.
    pub(super) fn launch_worker(self: &Arc<Self>) -> Result<()> {
        let settings = &self.settings;
        let role = Role::Worker { starts: settings.start.is_some(), workers: settings.workers };
        let mut child = Settings::new(settings.name.clone(), role);
        child.method = settings.method;
        child.env = settings.env.clone();
        child.cwd.clone_from(&settings.cwd);
        child.memory = settings.memory_limit;
        let started = launch(child).and_then(|proc| {
            proc.page.fetch_streams().inspect_err(|_| proc.end_and_reap())?;
            if let Some((entry, parcel)) = &settings.start {
                unless_gone(send_frame(&proc.socket, Kind::Task, 0, *entry, 0, parcel))
                    .inspect_err(|_| proc.end_and_reap())?;
            }
            Ok(Arc::new(proc))
        });
        let mut state = self.lock();
        state.starting -= 1;
        self.changed.notify_all();
        let proc = started?;
        state.last_worker += 1;
        let id = state.last_worker;
        let data = epoll::EventData::new_u64(id);
        if let Err(error) = epoll::add(&self.epoll, &proc.socket, data, epoll::EventFlags::IN) {
            drop(state);
            proc.end_and_reap();
            return Err(std::io::Error::from(error).into());
        }
        let mut worker = Worker::new(proc.clone());
        worker.meter = settings.memory_limit.and_then(|limit| {
            let pool = self.me.clone();
            proc.meter(limit, move |seen| {
                if let Some(pool) = pool.upgrade() {
                    pool.condemn(id, None, Cause::OutOfMemory { limit, seen });
                }
            })
        });
        let unwanted = state.closing && state.tasks.is_empty();
        if state.ending_now {
            proc.kill(Some(Cause::ShutDown));
        } else if unwanted {
            worker.retire();
        }
        state.workers.insert(id, worker);
        drop(state);
        let pool = self.me.clone();
        let watched = proc.watch(move |_| {
            if let Some(pool) = pool.upgrade() {
                pool.on_end(id);
            }
        });
        if watched.is_err() {
            // Nobody would learn of its end, so it ends here.
            proc.end_and_reap();
            self.on_end(id);
        }
        Ok(())
    }

    /// A worker has ended and has been waited for.
    pub(super) fn on_end(self: &Arc<Self>, id: u64) {
        let mut after = After::default();
        let mut state = self.lock();
        // Answers that it sent before it died.
        while let Some(worker) = state.workers.get_mut(&id) {
            match worker.read() {
                Ok(true) if self.on_frames(&mut state, id, &mut after) => {}
                Ok(_) | Err(_) => break,
            }
        }
        state.forget_nested(id);
        let Some(mut worker) = state.workers.remove(&id) else {
            return;
        };
        let _ = epoll::delete(&self.epoll, &worker.proc.socket);
        if let Some(victim) = worker.victim() {
            worker.sent.pop_front();
            self.on_victim(&mut state, victim, &worker, &mut after);
        }
        state.requeue(worker.sent.drain(..).collect());
        if worker.phase == Phase::Starting && !state.closing_now() {
            self.on_failed_start(&mut state, worker.why_not_started(), &mut after);
        } else {
            self.replace(&mut state, &mut after);
        }
        self.dispatch(&mut state, &mut after);
        self.changed.notify_all();
        drop(state);
        drop(worker);
        self.finish(after);
    }

    /// The task that a worker had taken up when it died.
    pub(super) fn on_victim(&self, state: &mut State, id: u64, worker: &Worker, after: &mut After) {
        let Some(task) = state.tasks.get(&id) else {
            // Cancelled: it has its outcome.
            return;
        };
        let error = worker.proc.explain().unwrap_or_else(|| Error::new(ErrorKind::NotStarted));
        if task.tries < self.settings.retries && !state.closing_now() {
            return self.delay(state, id);
        }
        if let Some(task) = state.take(id) {
            after.done.push(Done::Failed(task.sink, error.with_task((task.name)())));
        }
        self.tell_if_empty(state);
    }

    /// Starts as many workers as are missing. While the pool pauses after a failure, the end of the pause does.
    pub(super) fn replace(&self, state: &mut State, after: &mut After) {
        let wanted = !state.closing || !state.tasks.is_empty();
        if !wanted || state.broken.is_some() || state.pausing {
            return;
        }
        while state.workers.len() + state.starting < self.settings.workers {
            state.starting += 1;
            after.starts += 1;
        }
    }

    /// A worker could not be started. All that fail before the pause is over are one failure.
    pub(super) fn on_failed_start(&self, state: &mut State, why: String, after: &mut After) {
        if state.pausing {
            return;
        }
        state.failed_starts += 1;
        let lost = |worker: &Worker| worker.phase == Phase::Starting || worker.waits();
        if state.failed_starts >= MAX_FAILED_STARTS
            && state.starting == 0
            && state.workers.values().all(lost)
        {
            if state.waiting == 0 {
                return self.break_pool(state, why, after);
            }
            self.fail_nested(state, || not_started(Some(&why)), after);
        }
        let factor = 1 << (state.failed_starts - 1).min(8);
        let pool = self.me.clone();
        let go_on = move || {
            let Some(pool) = pool.upgrade() else {
                return;
            };
            let mut after = After::default();
            let mut state = pool.lock();
            state.pausing = false;
            pool.replace(&mut state, &mut after);
            pool.reinforce(&mut state, &mut after);
            drop(state);
            pool.finish(after);
        };
        match supervisor() {
            Ok(supervisor) => {
                state.pausing = true;
                supervisor.at(Instant::now() + START_PAUSE * factor, go_on);
            }
            // Nobody would look at workers that start.
            Err(_) => self.break_pool(state, why, after),
        }
    }

    /// No worker starts: every task is told so.
    pub(super) fn break_pool(&self, state: &mut State, why: String, after: &mut After) {
        state.broken = Some(why);
        state.queue.clear();
        for (_, task) in state.tasks.drain() {
            let error = not_started(state.broken.as_deref()).with_task((task.name)());
            after.done.push(Done::Failed(task.sink, error));
        }
        self.changed.notify_all();
    }
}

pub(super) fn not_started(why: Option<&str>) -> Error {
    Error::new(ErrorKind::NotStarted)
        .with_scale(Scale::Process)
        .with_message(format!("no worker could be started: {}", why.unwrap_or("unknown")))
}
