//! The workers of an executor, and the tasks that wait for them.
//!
//! # States
//!
//! ```text
//! task:    waiting ──► taken(running) ──► gone       its outcome is put before it is gone; the callbacks run in between
//!             └──────► taken(dropped) ──► gone       cancelled, or no worker could be had for it
//!
//! worker:  starting ──► busy ◄──► idle ──► gone      idle: sleeps on `work`, and holds no slot
//!                        ▲ ▼
//!                      joining                       waits for a task of this same pool: its slot may be lent
//! ```
//!
//! A task is in exactly one place, and whoever moves it out of `waiting` has it alone: a worker to run it, a `cancel` to
//! drop it. All of this is one [`State`] under one lock. It changes only in this file, in the functions named
//! `transition_to_*`. No code of a user runs under the lock: no task, no callback, no destructor of an argument or a value.
//!
//! # Slots
//!
//! There are `limit` slots. A worker holds one from when it is counted (before its thread starts) except while it is idle
//! or has lent it, so `busy = threads - idle - lent`. A worker takes a task only if `busy <= limit`, itself counted. So no
//! more than `limit` tasks run at once, with one exception: a worker whose join has ended goes on at once, and there may
//! for a while be one more for each of these; the next workers to finish a task take no other until it is even again. To
//! make the joiner wait for a slot would be strict, but could hang a program whose tasks also wait for each other by
//! other means. A joiner holds its slot again from the moment it is woken, so where its substitute has just finished the
//! very task it waited for, the slot goes straight back and there is none too many.
//!
//! # No wake-up is lost
//!
//! The rule: *if a task waits and `busy < limit`, then a worker is going to look.* A worker that looks does so under the
//! lock and goes idle under the same hold of it, so between its look and its sleep nothing comes in. The rule can be
//! broken by two events only, a task more and a slot more, and both end in `staff`, which notifies an idle worker, or
//! starts one if there are more tasks than idle workers. A notified worker that is not yet awake still counts as idle, its
//! task still counts as waiting, so the comparison holds. A slot that comes free because a worker has finished needs no
//! notification: that worker looks itself.
//!
//! # Joins inside the pool
//!
//! A worker that waits for a task of its own pool lends its slot, so that the task can run: on another worker, a
//! substitute, if it has not begun yet. The task that is waited for is moved to the front: so a tree of tasks is gone
//! through depth first, and the number of workers that wait at once grows with its depth, not with its size. At most
//! [`SUBSTITUTES`] slots are lent at once. When no more can be, and all workers wait without a deadline, none of them woken,
//! then nothing would ever run again: then one of the tasks that are waited for and have not begun is dropped, with an
//! error of the kind `Deadlock`, and its joiner goes on with that.
//!
//! # The end
//!
//! `closed` is set once. From then on nothing is taken in, and a worker that finds nothing waiting leaves; each that leaves
//! wakes all that are idle, so that these look too. `quiet` is notified when the last task is gone, and when the last
//! worker is.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::task::{Wake, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::registry::{self, Kind, Plan};
use crate::error::{Error, ErrorKind};
use crate::task::catch::{catch, shield};
use crate::vocab::wait::{Backend, Pending, park};

/// How many slots of one pool may be lent at once, and so how many workers there may be beyond its limit.
const SUBSTITUTES: usize = 256;

/// How long a worker beyond the limit stays, idle, for the next join.
const SPARE_TIME: Duration = Duration::from_secs(5);

/// A task: called with `None` to run, with an error to be dropped with that as its outcome. Does not panic but by the
/// destructor of a value.
pub(super) type Job = Box<dyn FnOnce(Option<Error>) + Send>;

pub(super) struct Settings {
    pub(super) limit: usize,
    pub(super) name: String,
    pub(super) stack_size: Option<usize>,
    pub(super) on_start: Option<Arc<dyn Fn() + Send + Sync>>,
}

pub(super) struct Pool {
    id: u64,
    pub(super) settings: Settings,
    me: Weak<Pool>,
    state: Mutex<State>,
    /// Idle workers sleep here.
    work: Condvar,
    /// Who waits for the end of all tasks, or of all workers, sleeps here.
    quiet: Condvar,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<Place, Job>,
    taken: HashMap<u64, Fate>,
    /// Workers: those starting, busy, idle and joining.
    threads: usize,
    idle: usize,
    /// Joining workers whose slot is lent, until they are woken.
    lent: usize,
    /// Joining workers that have no deadline, until they are woken.
    stuck: usize,
    closed: bool,
    submitted: u64,
    started: u64,
    handles: Vec<JoinHandle<()>>,
}

/// Tasks that a worker waits for come first; else the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Awaited(u64),
    InTurn(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Running,
    Cancelled,
    Failed,
}

thread_local! {
    /// The pool that this thread is a worker of; 0 for none.
    static WORKS_FOR: Cell<u64> = const { Cell::new(0) };
}

static POOLS: Mutex<Vec<Weak<Pool>>> = Mutex::new(Vec::new());

impl State {
    fn busy(&self) -> usize {
        self.threads - self.idle - self.lent
    }

    fn has_task(&self) -> bool {
        !self.waiting.is_empty() || !self.taken.is_empty()
    }

    /// The next task, if the calling worker may take one.
    fn transition_to_running(&mut self, limit: usize) -> Option<(u64, Job)> {
        if self.busy() > limit {
            return None;
        }
        let (place, job) = self.waiting.pop_first()?;
        self.taken.insert(place.task(), Fate::Running);
        Some((place.task(), job))
    }

    fn transition_to_dropped(&mut self, task: u64, fate: Fate) -> Option<Job> {
        let job = self.waiting.remove(&Place::InTurn(task));
        let job = job.or_else(|| self.waiting.remove(&Place::Awaited(task)))?;
        self.taken.insert(task, fate);
        Some(job)
    }

    fn transition_to_awaited(&mut self, task: u64) {
        if let Some(job) = self.waiting.remove(&Place::InTurn(task)) {
            self.waiting.insert(Place::Awaited(task), job);
        }
    }
}

impl Place {
    fn task(self) -> u64 {
        match self {
            Place::Awaited(task) | Place::InTurn(task) => task,
        }
    }
}

impl Pool {
    pub(super) fn new(settings: Settings) -> Arc<Pool> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let pool = Arc::new_cyclic(|me| Pool {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            settings,
            me: me.clone(),
            state: Mutex::default(),
            work: Condvar::new(),
            quiet: Condvar::new(),
        });
        let mut pools = POOLS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(&pool));
        pool
    }

    /// Takes a task in, or drops it with an error at once.
    pub(super) fn submit(&self, task: u64, job: Job) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            let message = "the executor was shut down and takes nothing new";
            return shield(|| job(Some(error(ErrorKind::ShutDown, message))));
        }
        state.submitted += 1;
        state.waiting.insert(Place::InTurn(task), job);
        self.staff(state);
    }

    /// Drops all tasks that wait, as cancelled. How many there were.
    pub(super) fn cancel_waiting(&self) -> usize {
        let mut state = self.lock();
        let tasks: Vec<u64> = state.waiting.keys().map(|place| place.task()).collect();
        let jobs: Vec<_> = tasks
            .into_iter()
            .filter_map(|task| Some((task, state.transition_to_dropped(task, Fate::Cancelled)?)))
            .collect();
        drop(state);
        let count = jobs.len();
        self.drop_jobs(jobs, || Error::new(ErrorKind::Cancelled));
        count
    }

    /// Takes nothing new from here on.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Closes, and waits until all tasks and all workers have ended. A worker of the pool, which would wait for itself,
    /// does not wait.
    pub(super) fn shutdown(&self) {
        self.close();
        if self.is_mine() {
            return;
        }
        let state = self.quiet.wait_while(self.lock(), |state| state.threads > 0);
        let mut state = state.unwrap_or_else(|poisoned| poisoned.into_inner());
        let handles = std::mem::take(&mut state.handles);
        drop(state);
        for handle in handles {
            // For the destructors of its thread-locals. A worker does not panic.
            let _ = handle.join();
        }
    }

    /// Sees that somebody takes the next waiting task, if a slot is free.
    fn staff(&self, mut state: MutexGuard<'_, State>) {
        if state.waiting.is_empty() || state.busy() >= self.settings.limit {
            return;
        }
        if state.idle > 0 {
            self.work.notify_one();
        }
        if state.waiting.len() > state.idle && state.threads - state.lent < self.settings.limit {
            state.threads += 1;
            state.started += 1;
            let number = state.started;
            drop(state);
            self.start_worker(number);
        }
    }

    fn start_worker(&self, number: u64) {
        let pool = self.me.upgrade().expect("who calls holds the pool");
        let plan = Plan {
            name: format!("{}-{number}", self.settings.name),
            stack_size: self.settings.stack_size,
            kind: Kind::Worker,
        };
        match registry::start(plan, move |_| pool.work()) {
            Ok((_, handle)) => {
                let mut state = self.lock();
                state.handles.retain(|handle| !handle.is_finished());
                state.handles.push(handle);
            }
            Err(error) => self.give_up(&error),
        }
    }

    /// A worker that was counted did not come to be. If no other is there to take them, the waiting tasks are dropped with
    /// an error that says why; a later one gets a new try.
    fn give_up(&self, why: &Error) {
        let mut state = self.lock();
        state.threads -= 1;
        let mut jobs = Vec::new();
        if state.threads == state.lent {
            while let Some((&place, _)) = state.waiting.first_key_value() {
                let job = state.transition_to_dropped(place.task(), Fate::Failed);
                jobs.push((place.task(), job.expect("looked at just now")));
            }
        }
        self.notify_if_quiet(&state);
        drop(state);
        self.drop_jobs(jobs, || error(ErrorKind::NotStarted, &format!("no worker: {why}")));
    }

    /// What a worker does all its life.
    fn work(&self) {
        WORKS_FOR.set(self.id);
        if let Some(on_start) = &self.settings.on_start
            && let Err(panic) = catch(|| on_start())
        {
            return self.give_up(&Error::panicked(panic).with_task("on_start"));
        }
        let limit = self.settings.limit;
        let mut rested = false;
        let mut state = self.lock();
        loop {
            if let Some((task, job)) = state.transition_to_running(limit) {
                drop(state);
                shield(|| job(None));
                state = self.lock();
                state.taken.remove(&task);
                self.notify_if_quiet(&state);
                rested = false;
                continue;
            }
            let surplus = state.threads - state.lent > limit;
            if (state.closed && state.waiting.is_empty()) || (rested && surplus) {
                break;
            }
            state.idle += 1;
            (state, rested) = if surplus {
                let slept = self.work.wait_timeout(state, SPARE_TIME);
                let (state, timeout) = slept.unwrap_or_else(|poisoned| poisoned.into_inner());
                (state, timeout.timed_out())
            } else {
                let slept = self.work.wait(state);
                (slept.unwrap_or_else(|poisoned| poisoned.into_inner()), false)
            };
            state.idle -= 1;
        }
        state.threads -= 1;
        if state.closed {
            self.work.notify_all();
        }
        self.notify_if_quiet(&state);
    }

    /// Calls, outside the lock, jobs that have been taken, with an error.
    fn drop_jobs(&self, jobs: Vec<(u64, Job)>, why: impl Fn() -> Error) {
        for (task, job) in jobs {
            shield(|| job(Some(why())));
            let mut state = self.lock();
            state.taken.remove(&task);
            self.notify_if_quiet(&state);
        }
    }

    fn notify_if_quiet(&self, state: &State) {
        if state.threads == 0 || !state.has_task() {
            self.quiet.notify_all();
        }
    }

    /// Whether the calling thread is one of this pool's workers.
    fn is_mine(&self) -> bool {
        WORKS_FOR.try_with(Cell::get).is_ok_and(|pool| pool == self.id)
    }

    /// The calling worker is about to wait: lends its slot if it may.
    fn transition_to_joining(&self, pending: &dyn Pending, stuck: bool) -> Arc<Lease> {
        let mut state = self.lock();
        if let Some(task) = pending.task() {
            state.transition_to_awaited(task);
        }
        let lent = state.lent < SUBSTITUTES;
        state.lent += usize::from(lent);
        state.stuck += usize::from(stuck);
        let nobody_runs = state.stuck == state.threads - state.idle;
        let first = state.waiting.first_key_value().map(|(&place, _)| place);
        match first {
            _ if lent => self.staff(state),
            Some(Place::Awaited(task)) if nobody_runs => {
                let job = state.transition_to_dropped(task, Fate::Failed);
                drop(state);
                let message = format!(
                    "all workers wait for tasks of their own executor, {SUBSTITUTES} more than it has slots"
                );
                self.drop_jobs(job.map(|job| (task, job)).into_iter().collect(), || {
                    error(ErrorKind::Deadlock, &message)
                });
            }
            _ => drop(state),
        }
        let pool = self.me.upgrade().expect("who calls holds the pool");
        Arc::new(Lease { pool, lent, stuck, over: AtomicBool::new(false) })
    }

    /// A worker's wait has ended.
    fn transition_to_busy(&self, lent: bool, stuck: bool) {
        let mut state = self.lock();
        state.lent -= usize::from(lent);
        state.stuck -= usize::from(stuck);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Backend for Pool {
    fn cancel(&self, task: u64, _even_running: bool) -> bool {
        let mut state = self.lock();
        let Some(job) = state.transition_to_dropped(task, Fate::Cancelled) else {
            return state.taken.get(&task) == Some(&Fate::Cancelled);
        };
        drop(state);
        self.drop_jobs(vec![(task, job)], || Error::new(ErrorKind::Cancelled));
        true
    }

    fn is_running(&self, task: u64) -> bool {
        self.lock().taken.get(&task) == Some(&Fate::Running)
    }

    fn wait(&self, pending: &dyn Pending, deadline: Option<Instant>) {
        if !self.is_mine() || pending.is_done() {
            return park(pending, deadline);
        }
        let lease = self.transition_to_joining(pending, deadline.is_none());
        park(&Leased { pending, lease: &lease, waker: OnceCell::new() }, deadline);
        lease.end();
    }
}

/// A worker's wait for a task of its own pool: ended, once, by who wakes it, or by itself at its deadline.
struct Lease {
    pool: Arc<Pool>,
    lent: bool,
    stuck: bool,
    over: AtomicBool,
}

impl Lease {
    fn end(&self) {
        // Relaxed: what it guards is under the pool's lock.
        if !self.over.swap(true, Ordering::Relaxed) {
            self.pool.transition_to_busy(self.lent, self.stuck);
        }
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

fn error(kind: ErrorKind, message: &str) -> Error {
    Error::new(kind).with_message(message)
}

/// Waits until no executor has a task. How many tasks have ever been submitted to those that are left.
pub(super) fn wait_until_idle() -> u64 {
    let pools = POOLS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
    let pools = pools.iter().filter_map(Weak::upgrade);
    pools
        .map(|pool| {
            let state = pool.quiet.wait_while(pool.lock(), |state| state.has_task());
            state.unwrap_or_else(|poisoned| poisoned.into_inner()).submitted
        })
        .sum()
}
