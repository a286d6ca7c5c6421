//! The state of a pool, and how tasks come to workers and outcomes to handles.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, epoll, eventfd};

use super::builder::PoolSettings;
use super::drive::Lending;
use super::worker::{Phase, Worker};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::process::channel::{Body, Frame, Kind, Parcel, Received, send_frame};
use crate::process::child::value_of;
use crate::process::launch::{Settings, launch};
use crate::process::serve::{Role, monotonic};
use crate::process::status::Cause;
use crate::process::supervisor::supervisor;
use crate::process::{callbacks, memory};
use crate::task::envelope::Envelope;
use crate::task::{Call, Payload, catch, image, name_of, next_id};
use crate::vocab::Handle;
use crate::vocab::outcome::Cell;
use crate::vocab::wait::{Backend, Pending};

/// Failed starts in a row after which the pool gives up.
const MAX_FAILED_STARTS: u32 = 5;
/// The pause before the second start in a row; twice as long before each further one.
const START_PAUSE: Duration = Duration::from_millis(20);
/// How long workers may take to end by themselves at a shutdown.
const END_GRACE: Duration = Duration::from_secs(5);
/// The pause before a task is tried again is never longer.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// The bell's number in the epoll set; workers count from 1.
pub(super) const BELL: u64 = 0;

pub(super) struct Pool {
    pub(super) settings: PoolSettings,
    /// The process that made the pool; a fork of it has none.
    pub(super) owner: u32,
    /// The workers' sockets, and the bell.
    pub(super) epoll: OwnedFd,
    /// Wakes the driver.
    pub(super) bell: OwnedFd,
    pub(super) lending: Mutex<Lending>,
    pub(super) me: Weak<Pool>,
    state: Mutex<State>,
    /// Told when there is no task left, and when a worker is gone.
    changed: Condvar,
}

pub(super) struct State {
    tasks: HashMap<u64, Task, BuildHasherDefault<IdHasher>>,
    /// Tasks that wait for a worker. Some may have been cancelled, and are no longer in `tasks`.
    queue: VecDeque<u64>,
    workers: BTreeMap<u64, Worker>,
    next_worker: u64,
    /// Workers that may have nothing to do; looked at before they are believed.
    idle: Vec<u64>,
    /// Workers being started.
    starting: usize,
    failed_starts: u32,
    closing: bool,
    broken: Option<String>,
}

/// A task that has no outcome yet.
pub(super) struct Task {
    pub(super) entry: u64,
    pub(super) parcel: Parcel,
    name: fn() -> String,
    sink: Arc<dyn Sink>,
    tries: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queued,
    /// It waits for its next try.
    Delayed,
    Sent(u64),
}

impl Task {
    pub(super) fn has_fds(&self) -> bool {
        !self.parcel.fds.is_empty() || matches!(self.parcel.body, Body::Memfd(_))
    }
}

/// Where an outcome goes.
trait Sink: Send + Sync {
    fn answer(self: Arc<Self>, answer: Frame, pid: u32, name: fn() -> String);
    fn fail(self: Arc<Self>, error: Error);
}

impl<T: Payload> Sink for Cell<T> {
    fn answer(self: Arc<Self>, answer: Frame, pid: u32, name: fn() -> String) {
        self.complete_later(Box::new(move || value_of(answer, pid, name)));
    }

    fn fail(self: Arc<Self>, error: Error) {
        self.complete(Err(error));
    }
}

/// An outcome that is to be put once the lock is free: it wakes others, and they may be quick.
enum Done {
    Answer(Arc<dyn Sink>, Frame, u32, fn() -> String),
    Failed(Arc<dyn Sink>, Error),
}

/// What is to be done once the lock is free.
#[derive(Default)]
pub(super) struct After {
    done: Vec<Done>,
    starts: usize,
}

/// Task numbers are their own hash: they count up.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only numbers are hashed")
    }

    fn write_u64(&mut self, id: u64) {
        // The table takes its seven tag bits from the top.
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
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
            owner: std::process::id(),
            epoll,
            bell,
            lending: Mutex::new(Lending::default()),
            me: me.clone(),
            state: Mutex::new(State {
                tasks: HashMap::default(),
                queue: VecDeque::new(),
                workers: BTreeMap::new(),
                next_worker: BELL + 1,
                idle: Vec::new(),
                starting: 0,
                failed_starts: 0,
                closing: false,
                broken: None,
            }),
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
        F: Call<A, M> + Copy + Send + Sync + 'static,
        A: Payload,
        F::Output: Payload,
    {
        let cell = Cell::new(next_id(), self.clone());
        // A user's `Serialize` may panic; it does so on behalf of this task.
        let packed = catch::catch(|| -> Result<(u64, Parcel)> {
            let entry = image::entry_of::<F, A, M>()?;
            let args = Envelope::pack(&args, "argument")?;
            Ok((entry, Parcel::new(args.body, args.fds)?))
        });
        drop(args);
        match packed.map_err(Error::panicked).flatten() {
            Ok((entry, parcel)) => {
                let sink = cell.clone();
                let name = name_of::<F>;
                let task = Task { entry, parcel, name, sink, tries: 0, place: Place::Queued };
                self.enqueue(cell.id, task);
            }
            Err(error) => {
                cell.complete(Err(error.with_task(name_of::<F>()).with_scale(Scale::Process)));
            }
        }
        Handle::new(cell)
    }

    fn enqueue(&self, id: u64, task: Task) {
        let mut state = self.lock();
        if let Some(error) = state.refusal() {
            drop(state);
            let error = error.with_task((task.name)()).with_scale(Scale::Process);
            return task.sink.fail(error);
        }
        state.tasks.insert(id, task);
        state.queue.push_back(id);
        let mut after = After::default();
        self.dispatch(&mut state, &mut after);
        drop(state);
        self.finish(after);
    }

    /// Gives waiting tasks to workers that have nothing to do.
    fn dispatch(&self, state: &mut State, after: &mut After) {
        while !state.queue.is_empty() {
            let Some(id) = state.pop_idle() else {
                return;
            };
            self.feed(state, id, after);
        }
        if state.idle.last().is_some() && state.share_out() {
            self.dispatch(state, after);
        }
    }

    /// Sends a worker as many tasks as it should have.
    fn feed(&self, state: &mut State, id: u64, after: &mut After) {
        let ready = state.workers.values().filter(|worker| worker.phase == Phase::Ready).count();
        let share = state.queue.len().div_ceil(ready.max(1)).max(1);
        let State { tasks, queue, workers, .. } = state;
        let Some(worker) = workers.get_mut(&id) else {
            return;
        };
        let limit = self.settings.tasks_per_worker.unwrap_or(u64::MAX);
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
                queue.push_front(next);
                break;
            }
            task.place = Place::Sent(id);
            if let Err(error) = worker.send(next, task) {
                failed = Some((next, error));
                break;
            }
            if task.has_fds() && self.settings.retries == 0 {
                // On their way: our copies would keep a connection open that the task closes.
                task.parcel = Parcel::default();
                break;
            }
        }
        if let Some((next, error)) = failed {
            // Descriptors that the kernel does not take. The worker waits for the rest of a frame, perhaps: it is replaced.
            worker.sent.pop_back();
            worker.proc.kill(None);
            if let Some(task) = tasks.remove(&next) {
                let error = Error::new(ErrorKind::NotSerializable)
                    .with_message("the descriptors cannot be sent")
                    .with_source(error)
                    .with_task((task.name)());
                after.done.push(Done::Failed(task.sink, error));
            }
            return;
        }
        self.flush(worker, id);
        self.set_timer(worker, id);
    }

    fn flush(&self, worker: &mut Worker, id: u64) {
        let had = worker.wants_writable;
        // An error is the worker's death, which its pidfd tells.
        worker.wants_writable = !worker.flush().unwrap_or(true);
        if worker.wants_writable != had {
            let mut flags = epoll::EventFlags::IN;
            if worker.wants_writable {
                flags |= epoll::EventFlags::OUT;
            }
            let data = epoll::EventData::new_u64(id);
            let _ = epoll::modify(&self.epoll, &worker.proc.socket, data, flags);
        }
    }

    /// Does what the workers' sockets have to say.
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

    /// Reads once from a worker, and writes what waits for room.
    fn read(&self, state: &mut State, id: u64, after: &mut After) {
        let Some(worker) = state.workers.get_mut(&id) else {
            return;
        };
        match worker.inbox.receive(&worker.proc.socket, true) {
            Ok(Received::Some) => self.on_frames(state, id, after),
            Ok(Received::WouldBlock) => {}
            Ok(Received::End) | Err(_) => {
                // Its pidfd tells of its death. Until then this would be ready for ever.
                let _ = epoll::delete(&self.epoll, &worker.proc.socket);
                worker.proc.kill(None);
                return;
            }
        }
        let Some(worker) = state.workers.get_mut(&id) else {
            return;
        };
        if worker.wants_writable {
            self.flush(worker, id);
        }
        let limit = self.settings.tasks_per_worker.unwrap_or(u64::MAX);
        if worker.phase == Phase::Ready && worker.total >= limit && worker.sent.is_empty() {
            worker.retire();
        } else if worker.is_idle() {
            state.idle.push(id);
        } else if worker.sent.len() <= worker.depth() / 2 && !state.queue.is_empty() {
            self.feed(state, id, after);
        } else {
            self.set_timer(worker, id);
        }
    }

    /// Takes the frames that have come.
    fn on_frames(&self, state: &mut State, id: u64, after: &mut After) {
        loop {
            let Some(worker) = state.workers.get_mut(&id) else {
                return;
            };
            let frame = match worker.inbox.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(_) => {
                    // A task has written on the channel of its worker.
                    worker.proc.kill(None);
                    return;
                }
            };
            match frame.kind {
                Kind::Ready if worker.phase == Phase::Starting => {
                    worker.phase = Phase::Ready;
                    state.failed_starts = 0;
                    state.idle.push(id);
                }
                Kind::Failed => {
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
                    self.on_answer(state, frame, pid, after);
                }
                _ => {
                    worker.proc.kill(None);
                    return;
                }
            }
        }
    }

    fn on_answer(&self, state: &mut State, frame: Frame, pid: u32, after: &mut After) {
        let Some(task) = state.tasks.get(&frame.id) else {
            return;
        };
        if frame.kind == Kind::Panicked && task.tries < self.settings.retries {
            return self.delay(state, frame.id);
        }
        let task = state.tasks.remove(&frame.id).expect("found just now");
        after.done.push(Done::Answer(task.sink, frame, pid, task.name));
        self.tell_if_empty(state);
    }

    /// Has a task tried again after its pause.
    fn delay(&self, state: &mut State, id: u64) {
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

    fn again(&self, id: u64) {
        let mut after = After::default();
        let mut state = self.lock();
        state.requeue(vec![id]);
        self.dispatch(&mut state, &mut after);
        drop(state);
        self.finish(after);
    }

    // Deaths and starts.

    /// Starts a worker, which `State::starting` has been raised for.
    fn launch_worker(self: &Arc<Self>) -> Result<()> {
        let settings = &self.settings;
        let role = Role::Worker { starts: settings.start.is_some() };
        let mut child = Settings::new(settings.name.clone(), role);
        child.method = settings.method;
        child.env = settings.env.clone();
        child.cwd.clone_from(&settings.cwd);
        let started = launch(child).and_then(|proc| {
            if let Some((entry, parcel)) = &settings.start {
                // It may be gone already, which its end tells.
                let _ = send_frame(&proc.socket, Kind::Task, 0, *entry, 0, parcel);
            }
            Ok(Arc::new(proc))
        });
        let mut state = self.lock();
        state.starting -= 1;
        let proc = started?;
        let id = state.next_worker;
        state.next_worker += 1;
        let data = epoll::EventData::new_u64(id);
        epoll::add(&self.epoll, &proc.socket, data, epoll::EventFlags::IN)
            .map_err(std::io::Error::from)?;
        let mut worker = Worker::new(proc.clone());
        worker.meter = settings.memory_limit.map(|limit| {
            let pool = self.me.clone();
            memory::watch(proc.pid, limit, move |seen| {
                if let Some(pool) = pool.upgrade() {
                    pool.condemn(id, None, Cause::OutOfMemory { limit, seen });
                }
            })
        });
        let unwanted = state.closing && state.tasks.is_empty();
        if unwanted {
            worker.retire();
        }
        state.workers.insert(id, worker);
        drop(state);
        let pool = self.me.clone();
        proc.watch(move |_| {
            if let Some(pool) = pool.upgrade() {
                pool.on_end(id);
            }
        })
    }

    /// A worker has ended and has been waited for.
    fn on_end(self: &Arc<Self>, id: u64) {
        let mut after = After::default();
        let mut state = self.lock();
        // Answers that it sent before it died.
        while let Some(worker) = state.workers.get_mut(&id) {
            match worker.inbox.receive(&worker.proc.socket, true) {
                Ok(Received::Some) => self.on_frames(&mut state, id, &mut after),
                Ok(_) | Err(_) => break,
            }
        }
        let Some(mut worker) = state.workers.remove(&id) else {
            return;
        };
        let _ = epoll::delete(&self.epoll, &worker.proc.socket);
        if let Some(victim) = worker.victim() {
            worker.sent.pop_front();
            self.on_victim(&mut state, victim, &worker, &mut after);
        }
        state.requeue(worker.sent.drain(..).collect());
        if worker.phase == Phase::Starting && !state.closing {
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
    fn on_victim(&self, state: &mut State, id: u64, worker: &Worker, after: &mut After) {
        let Some(task) = state.tasks.get(&id) else {
            // Cancelled: it has its outcome.
            return;
        };
        let error = worker.proc.explain().unwrap_or_else(|| Error::new(ErrorKind::NotStarted));
        if task.tries < self.settings.retries && !state.closing_now() {
            return self.delay(state, id);
        }
        let task = state.tasks.remove(&id).expect("found just now");
        after.done.push(Done::Failed(task.sink, error.with_task((task.name)())));
        self.tell_if_empty(state);
    }

    fn replace(&self, state: &mut State, after: &mut After) {
        let wanted = !state.closing || !state.tasks.is_empty();
        if wanted
            && state.broken.is_none()
            && state.workers.len() + state.starting < self.settings.workers
        {
            state.starting += 1;
            after.starts += 1;
        }
    }

    fn on_failed_start(&self, state: &mut State, why: String, after: &mut After) {
        state.failed_starts += 1;
        if state.failed_starts >= MAX_FAILED_STARTS {
            if state.workers.values().all(|worker| worker.phase == Phase::Starting) {
                self.break_pool(state, why, after);
            }
            return;
        }
        let factor = 1 << (state.failed_starts - 1).min(8);
        let pool = self.me.clone();
        let start = move || {
            let Some(pool) = pool.upgrade() else {
                return;
            };
            let mut after = After::default();
            let mut state = pool.lock();
            pool.replace(&mut state, &mut after);
            drop(state);
            pool.finish(after);
        };
        if let Ok(supervisor) = supervisor() {
            supervisor.at(Instant::now() + START_PAUSE * factor, start);
        }
    }

    /// No worker starts: every task is told so.
    fn break_pool(&self, state: &mut State, why: String, after: &mut After) {
        state.broken = Some(why);
        state.queue.clear();
        for (_, task) in state.tasks.drain() {
            let error = not_started(state.broken.as_deref()).with_task((task.name)());
            after.done.push(Done::Failed(task.sink, error));
        }
        self.changed.notify_all();
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

    // Limits and cancelling.

    fn set_timer(&self, worker: &mut Worker, id: u64) {
        let Some(limit) = self.settings.task_timeout else {
            return;
        };
        if worker.timer || worker.sent.is_empty() {
            return;
        }
        worker.timer = true;
        self.look_later(id, limit);
    }

    fn look_later(&self, id: u64, left: Duration) {
        let pool = self.me.clone();
        let look = move || {
            if let Some(pool) = pool.upgrade() {
                pool.look_at_time(id);
            }
        };
        let moment = Instant::now().checked_add(left);
        if let (Ok(supervisor), Some(moment)) = (supervisor(), moment) {
            supervisor.at(moment, look);
        }
    }

    /// Whether the task that a worker runs is over its time.
    fn look_at_time(&self, id: u64) {
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
    fn condemn(&self, id: u64, task: Option<u64>, cause: Cause) -> bool {
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

    fn condemn_locked(
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
        // From here on it takes up nothing more, so what it runs is what it has not answered.
        let back = worker.take_back();
        state.requeue(back);
        self.read(state, id, after);
        let Some(worker) = state.workers.get_mut(&id) else {
            return false;
        };
        let running = worker.victim();
        if running.is_none() && task.is_some() || task.is_some_and(|task| running != Some(task)) {
            return false;
        }
        worker.phase = match worker.phase {
            Phase::Starting => Phase::Starting,
            Phase::Ready | Phase::Retiring => Phase::Retiring,
        };
        worker.proc.kill(Some(cause))
    }

    fn tell_if_empty(&self, state: &State) {
        if state.tasks.is_empty() && state.closing {
            self.changed.notify_all();
        }
    }

    // The end.

    pub(super) fn shutdown(&self) {
        if std::process::id() != self.owner {
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
        if std::process::id() != self.owner {
            return;
        }
        let mut after = After::default();
        let mut state = self.lock();
        state.closing = true;
        state.queue.clear();
        for (_, task) in state.tasks.drain() {
            let error = Error::new(ErrorKind::Cancelled).with_task((task.name)());
            after.done.push(Done::Failed(task.sink, error.with_scale(Scale::Process)));
        }
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

    pub(super) fn worker_pids(&self) -> Vec<u32> {
        self.lock().workers.values().map(|worker| worker.proc.pid).collect()
    }

    pub(super) fn has_tasks(&self) -> bool {
        !self.lock().tasks.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn not_started(why: Option<&str>) -> Error {
    Error::new(ErrorKind::NotStarted)
        .with_scale(Scale::Process)
        .with_message(format!("no worker could be started: {}", why.unwrap_or("unknown")))
}

impl State {
    /// Why nothing new is taken, if so.
    fn refusal(&self) -> Option<Error> {
        if self.closing {
            Some(Error::new(ErrorKind::ShutDown).with_message("this pool takes no more tasks"))
        } else {
            self.broken.as_deref().map(|why| not_started(Some(why)))
        }
    }

    fn closing_now(&self) -> bool {
        self.closing && self.tasks.is_empty()
    }

    fn pop_idle(&mut self) -> Option<u64> {
        while let Some(id) = self.idle.pop() {
            if self.workers.get(&id).is_some_and(Worker::is_idle) {
                return Some(id);
            }
        }
        None
    }

    /// Puts tasks at the head of the queue, in this order.
    fn requeue(&mut self, ids: Vec<u64>) {
        for id in ids.into_iter().rev() {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.place = Place::Queued;
                self.queue.push_front(id);
            }
        }
    }

    /// Takes back what a busy worker has not taken up, for those that have nothing to do. Whether there was any.
    fn share_out(&mut self) -> bool {
        while let Some(id) = self.idle.last() {
            if self.workers.get(id).is_some_and(Worker::is_idle) {
                break;
            }
            self.idle.pop();
        }
        if self.idle.is_empty() {
            return false;
        }
        let busiest = self.workers.values_mut().max_by_key(|worker| worker.sent.len());
        let Some(worker) = busiest.filter(|worker| worker.sent.len() > 1) else {
            return false;
        };
        let back = worker.take_back();
        let any = !back.is_empty();
        self.requeue(back);
        any
    }
}

impl Backend for Pool {
    fn cancel(&self, id: u64, even_running: bool) -> bool {
        let mut after = After::default();
        let mut state = self.lock();
        let cancelled = self.cancel_locked(&mut state, id, even_running, &mut after);
        if cancelled && let Some(task) = state.tasks.remove(&id) {
            let error = Error::new(ErrorKind::Cancelled).with_task((task.name)());
            after.done.push(Done::Failed(task.sink, error.with_scale(Scale::Process)));
            self.tell_if_empty(&state);
        }
        self.dispatch(&mut state, &mut after);
        drop(state);
        self.finish(after);
        cancelled
    }

    fn is_running(&self, id: u64) -> bool {
        let state = self.lock();
        match state.tasks.get(&id).map(|task| task.place) {
            Some(Place::Sent(worker)) => {
                state.workers.get(&worker).is_some_and(|worker| worker.has_taken(id))
            }
            Some(_) => false,
            // It has ended, and its outcome is on its way to who asks.
            None => true,
        }
    }

    fn call(&self, job: Box<dyn FnOnce() + Send>) {
        callbacks::run(job);
    }

    fn wait(&self, pending: &dyn Pending, deadline: Option<Instant>) {
        self.wait_or_drive(pending, deadline);
    }
}

impl Pool {
    /// Sees to it that a task will not run, or no longer. Whether it is so.
    fn cancel_locked(
        &self,
        state: &mut State,
        id: u64,
        even_running: bool,
        after: &mut After,
    ) -> bool {
        let Some(Place::Sent(worker)) = state.tasks.get(&id).map(|task| task.place) else {
            return state.tasks.contains_key(&id);
        };
        let Some(sent_to) = state.workers.get_mut(&worker) else {
            return false;
        };
        let back = sent_to.take_back();
        state.requeue(back);
        if state.tasks.get(&id).is_some_and(|task| task.place == Place::Queued) {
            return true;
        }
        even_running && self.condemn_locked(state, worker, Some(id), Cause::Cancelled, after)
    }
}
