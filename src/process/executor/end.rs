//! The end of a pool.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::pool::{Pool, State};
use super::task::{After, Done};
use crate::error::{Error, ErrorKind, Scale};
use crate::process::status::Cause;

/// How long workers may take to end by themselves at a shutdown.
const END_GRACE: Duration = Duration::from_secs(5);

impl Pool {
    pub(super) fn shutdown(&self) {
        if !self.is_ours() {
            return;
        }
        let mut state = self.lock();
        state.closing = true;
        while !state.tasks.is_empty() {
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        for worker in state.workers.values_mut() {
            worker.retire();
        }
        self.wait_for_workers(state);
    }

    pub(super) fn shutdown_now(&self) {
        if !self.is_ours() {
            return;
        }
        let mut after = After::default();
        let mut state = self.lock();
        state.closing = true;
        state.ending_now = true;
        state.queue.clear();
        for (_, task) in state.tasks.drain() {
            let error = Error::new(ErrorKind::Cancelled).with_task((task.name)());
            after.done.push(Done::Failed(task.sink, error.with_scale(Scale::Process)));
        }
        state.inside.clear();
        for worker in state.workers.values() {
            worker.proc.kill(Some(Cause::ShutDown));
        }
        drop(state);
        self.finish(after);
        self.wait_for_workers(self.lock());
    }

    fn wait_for_workers(&self, mut state: MutexGuard<'_, State>) {
        let deadline = Instant::now() + END_GRACE;
        while !state.workers.is_empty() || state.starting > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = if left.is_zero() { END_GRACE } else { left };
            let result = self.changed.wait_timeout(state, wait);
            let (next, timeout) = result.unwrap_or_else(|poisoned| poisoned.into_inner());
            state = next;
            if timeout.timed_out() {
                for worker in state.workers.values() {
                    worker.proc.kill(Some(Cause::ShutDown));
                }
            }
        }
        drop(state);
        self.end_supervision();
    }
}
