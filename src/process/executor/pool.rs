//! The state of a pool, and how tasks come to workers and outcomes to handles.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, epoll, eventfd};

use super::builder::PoolSettings;
use super::drive::Lending;
use super::lives::not_started;
use super::queue::Queue;
use super::task::{After, Done, IdHasher, Place, Task};
use super::worker::{Worker, is_for_now, share};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::process::channel::Parcel;
use crate::process::fork;
use crate::process::supervisor::supervisor;
use crate::task::envelope::Envelope;
use crate::task::{Call, Payload, Stateless, catch, image, name_of, next_id};
use crate::vocab::Handle;
use crate::vocab::outcome::Cell;

/// The bell's number in the epoll set; workers count from 1.
pub(super) const BELL: u64 = 0;

pub(super) struct Pool {
    pub(super) settings: PoolSettings,
    /// The process that made the pool; a fork of it has none.
    pub(super) owner: fork::Generation,
    /// The workers' sockets, on which they ring, and the bell.
    pub(super) epoll: OwnedFd,
    /// Wakes the driver.
    pub(super) bell: OwnedFd,
    pub(super) lending: Mutex<Lending>,
    pub(super) me: Weak<Pool>,
    state: Mutex<State>,
    /// Told when there is no task left, and when a worker is gone.
    pub(super) changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) tasks: HashMap<u64, Task, BuildHasherDefault<IdHasher>>,
    /// Tasks that wait for a worker. Some may have been cancelled, and are no longer in `tasks`.
    pub(super) queue: Queue,
    pub(super) workers: BTreeMap<u64, Worker>,
    pub(super) last_worker: u64,
    /// Workers that may have nothing to do; looked at before they are believed.
    pub(super) idle: Vec<u64>,
    /// Workers being started.
    pub(super) starting: usize,
    pub(super) failed_starts: u32,
    /// After a failed start, none is tried for a while.
    pub(super) pausing: bool,
    /// Workers whose task has tasks of its own under way.
    pub(super) waiting: usize,
    /// There may be more workers than were asked for, that do not wait.
    pub(super) surplus: bool,
    /// Tasks that tasks submitted, by the worker and its number for them.
    pub(super) inside: HashMap<(u64, u64), u64>,
    pub(super) closing: bool,
    /// Workers that are being started are not to live.
    pub(super) ending_now: bool,
    pub(super) broken: Option<String>,
}

impl Pool {
    pub(super) fn start(settings: PoolSettings) -> Result<Arc<Pool>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(std::io::Error::from)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(std::io::Error::from)?;
        let data = epoll::EventData::new_u64(BELL);
        epoll::add(&epoll, &bell, data, epoll::EventFlags::IN).map_err(std::io::Error::from)?;
        let pool = Arc::new_cyclic(|me| Pool {
            settings,
            owner: fork::generation(),
            epoll,
            bell,
            lending: Mutex::new(Lending::default()),
            me: me.clone(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        pool.begin_supervision()?;
        for _ in 0..pool.settings.workers {
            pool.lock().starting += 1;
            if let Err(error) = pool.launch_worker() {
                pool.shutdown_now();
                return Err(error);
            }
        }
        Ok(pool)
    }

    pub(super) fn submit<F, A, M>(self: &Arc<Self>, _function: F, args: A) -> Handle<F::Output>
    where
        F: Call<A, M> + Stateless,
        A: Payload,
        F::Output: Payload,
    {
        let cell = Cell::new(next_id(), self.clone());
        // A user's `Serialize` may panic; it does so on behalf of this task.
        let packed = catch::catch(|| -> Result<(u64, Parcel)> {
            let entry = image::entry_of::<F, A, M>()?;
            let args = Envelope::pack(&args, "argument")?;
            Ok((entry, Parcel::of(args)?))
        });
        drop(args);
        match packed.map_err(Error::panicked).flatten() {
            Ok((entry, parcel)) => {
                let sink = cell.clone();
                let name = name_of::<F>;
                self.enqueue(cell.id(), Task::new(entry, parcel, name, sink));
            }
            Err(error) => {
                cell.complete(Err(error.with_task(name_of::<F>()).with_scale(Scale::Process)));
            }
        }
        Handle::new(cell)
    }

    /// Whether this is the process that made the pool, and not a fork of it, which shares its workers' sockets and pages.
    pub(super) fn is_ours(&self) -> bool {
        self.owner == fork::generation()
    }

    pub(super) fn enqueue(&self, id: u64, task: Task) {
        if !self.is_ours() {
            return task.sink.fail(not_of_a_fork().with_task((task.name)()));
        }
        let mut state = self.lock();
        if let Some(error) = state.refusal() {
            drop(state);
            let error = error.with_task((task.name)()).with_scale(Scale::Process);
            return task.sink.fail(error);
        }
        state.tasks.insert(id, task);
        state.queue.push_back(id, None);
        let mut after = After::default();
        self.dispatch(&mut state, &mut after);
        drop(state);
        self.finish(after);
    }

    /// Gives waiting tasks to workers that have nothing to do.
    pub(super) fn dispatch(&self, state: &mut State, after: &mut After) {
        loop {
            // Idle, and cannot be sent what comes next: not now.
            let mut aside = Vec::new();
            while !state.queue.is_empty() {
                let Some(id) = state.pop_idle() else {
                    break;
                };
                let before = state.queue.len();
                self.feed(state, id, after);
                if state.workers.get(&id).is_some_and(Worker::is_idle) {
                    // What waited had been cancelled, or it has no room for it.
                    let list =
                        if state.queue.len() < before { &mut state.idle } else { &mut aside };
                    list.push(id);
                }
            }
            let stuck = !aside.is_empty();
            state.idle.append(&mut aside);
            if stuck || state.idle.is_empty() || !state.share_out() {
                break;
            }
        }
        if state.waiting > 0 {
            self.reinforce(state, after);
        }
        state.trim(self.settings.workers);
    }

    /// Sends a worker as many tasks as it should have.
    pub(super) fn feed(&self, state: &mut State, id: u64, after: &mut After) {
        let share = share(state.queue.len(), state.workers.values());
        let State { tasks, queue, workers, .. } = state;
        let Some(worker) = workers.get_mut(&id) else {
            return;
        };
        let limit = self.settings.tasks_per_worker.unwrap_or(u64::MAX);
        if worker.total >= limit && worker.is_idle() {
            return worker.retire();
        }
        let mut failed = None;
        for _ in 0..share {
            if !worker.has_room() || worker.total >= limit {
                break;
            }
            let Some(next) = queue.pop_front() else {
                break;
            };
            let Some(task) = tasks.get_mut(&next) else {
                continue;
            };
            if task.has_fds() && !(worker.sent.is_empty() && worker.out.is_empty()) {
                queue.push_front(next, task.origin);
                break;
            }
            task.place = Place::Sent(id);
            if let Err(error) = worker.send(next, task) {
                failed = Some((next, error));
                break;
            }
            if task.has_fds() {
                break;
            }
        }
        if let Some((next, error)) = failed {
            worker.sent.pop_back();
            worker.total -= 1;
            if is_for_now(&error) {
                // Nothing of it has gone.
                worker.out.clear();
                state.requeue(vec![next]);
                return self.dispatch_soon();
            }
            // It is dead, or waits for the rest of a frame: its end tells what becomes of its other tasks.
            worker.give_up();
            use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
            if matches!(error.kind(), BrokenPipe | ConnectionReset) {
                return state.requeue(vec![next]);
            }
            // Descriptors that the kernel does not take.
            if let Some(task) = state.take(next) {
                let error = Error::new(ErrorKind::NotSerializable)
                    .with_message("the descriptors cannot be sent")
                    .with_source(error)
                    .with_task((task.name)());
                after.done.push(Done::Failed(task.sink, error.with_scale(Scale::Process)));
            }
            return;
        }
        self.flush(worker, id);
        self.set_timer(worker, id);
    }

    /// Looks once more for what can be sent, a moment later: descriptors that are on their way have arrived by then.
    fn dispatch_soon(&self) {
        let pool = self.me.clone();
        let again = move || {
            if let Some(pool) = pool.upgrade() {
                let mut after = After::default();
                let mut state = pool.lock();
                pool.dispatch(&mut state, &mut after);
                drop(state);
                pool.finish(after);
            }
        };
        if let Ok(supervisor) = supervisor() {
            supervisor.at(Instant::now() + Duration::from_millis(1), again);
        }
    }

    pub(super) fn flush(&self, worker: &mut Worker, id: u64) {
        let had = worker.wants_writable;
        worker.wants_writable = !worker.flush().unwrap_or_else(|_| {
            // It is dead, or does not get what it was to have: its end tells what becomes of its task.
            worker.give_up();
            true
        });
        if worker.wants_writable != had {
            let mut flags = epoll::EventFlags::IN;
            if worker.wants_writable {
                flags |= epoll::EventFlags::OUT;
            }
            let data = epoll::EventData::new_u64(id);
            let _ = epoll::modify(&self.epoll, &worker.proc.socket, data, flags);
        }
    }

    /// Does what was left for when the lock is free.
    pub(super) fn finish(&self, after: After) {
        for done in after.done {
            match done {
                Done::Answer(sink, frame, pid, name) => sink.answer(frame, pid, name),
                Done::Failed(sink, error) => sink.fail(error),
            }
        }
        for _ in 0..after.starts {
            let Some(pool) = self.me.upgrade() else {
                return;
            };
            if let Err(error) = pool.launch_worker() {
                let mut after = After::default();
                let mut state = pool.lock();
                pool.on_failed_start(&mut state, error.to_string(), &mut after);
                drop(state);
                pool.finish(after);
            }
        }
    }

    pub(super) fn tell_if_empty(&self, state: &State) {
        if state.tasks.is_empty() && state.closing {
            self.changed.notify_all();
        }
    }

    pub(super) fn worker_pids(&self) -> Vec<u32> {
        self.lock().workers.values().map(|worker| worker.proc.pid).collect()
    }

    pub(super) fn has_tasks(&self) -> bool {
        !self.lock().tasks.is_empty()
    }

    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock().ok()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What is told in a fork of the process that made a pool.
pub(super) fn not_of_a_fork() -> Error {
    Error::new(ErrorKind::ShutDown)
        .with_message("this pool belongs to the process that this one was forked from")
        .with_scale(Scale::Process)
}

impl State {
    /// Why nothing new is taken, if so.
    pub(super) fn refusal(&self) -> Option<Error> {
        if self.closing {
            Some(Error::new(ErrorKind::ShutDown).with_message("this pool takes no more tasks"))
        } else {
            self.broken.as_deref().map(|why| not_started(Some(why)))
        }
    }

    pub(super) fn closing_now(&self) -> bool {
        self.closing && self.tasks.is_empty()
    }

    pub(super) fn pop_idle(&mut self) -> Option<u64> {
        while let Some(id) = self.idle.pop() {
            if self.workers.get(&id).is_some_and(Worker::is_idle) {
                return Some(id);
            }
        }
        None
    }

    /// The worker that has this task.
    pub(super) fn sent_to(&self, task: u64) -> Option<&Worker> {
        match self.tasks.get(&task)?.place {
            Place::Sent(id) => self.workers.get(&id),
            Place::Queued | Place::Delayed => None,
        }
    }

    /// Puts tasks at the head of the queue, in this order.
    pub(super) fn requeue(&mut self, ids: Vec<u64>) {
        for id in ids.into_iter().rev() {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.place = Place::Queued;
                self.queue.push_front(id, task.origin);
            }
        }
    }

    /// Takes back what a busy worker has not taken up, for those that have nothing to do. Whether there was any.
    pub(super) fn share_out(&mut self) -> bool {
        if self.tasks.len() < 2 {
            return false;
        }
        while let Some(id) = self.idle.last() {
            if self.workers.get(id).is_some_and(Worker::is_idle) {
                break;
            }
            self.idle.pop();
        }
        if self.idle.is_empty() {
            return false;
        }
        let busiest = self.workers.iter_mut().max_by_key(|(_, worker)| worker.sent.len());
        let Some((id, worker)) = busiest.filter(|(_, worker)| worker.sent.len() > 1) else {
            return false;
        };
        let back = worker.take_back();
        if worker.is_idle() {
            // It had taken up none of them, and says nothing about those that it will leave aside.
            self.idle.push(*id);
        }
        let any = !back.is_empty();
        self.requeue(back);
        any
    }
}
