//! The tasks of an executor, and the hubs they run on.
//!
//! # Protocol
//!
//! The state is under one lock, under which no function of the user's is called, and of wakers only those of who waits for the end: a
//! thread's, or a coroutine's. The locks of `hubs`, and of a hub's remote, come after it. A task is
//!
//! ```text
//! waiting ──► running ──► gone            waiting ──► gone   (cancelled)
//! ```
//!
//! and is in `waiting` or in `running` exactly as long as that. Whoever takes it out of `waiting` answers for it: so it is started
//! once, or cancelled once; while its outcome is being told, it is in `cancelling`, so that nobody else who cancels it hears that it
//! goes on. `busy` counts those that run and do not wait for a task of this executor. Where it falls, by an end or by
//! such a wait, the same thread starts the next one: so none waits while there is room.
//!
//! `unfinished` counts all that are not gone. Who waits for the end leaves a waker before it looks at that number.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::body::{Body, Done};
use super::control::{Control, Name, Place, Record};
use super::fork;
use super::hub::{self, Hub, Remote};
use super::shared_hub::{self, Presence, Serving};
use super::stack::Class;
use crate::error::{Error, ErrorKind, Outcome, Result, Scale, shield};
use crate::sync::park::Wait;
use crate::system::forks;
use crate::task::name_of;
use crate::vocab::wait::{Backend, Pending, park};

/// How long a pool makes do with fewer hubs before it asks for another again.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Pool {
    id: u64,
    /// Which fork its threads are in: a fork of that one takes along none of them.
    fork: u32,
    pub(super) settings: Settings,
    state: Mutex<State>,
    hubs: Mutex<Hubs>,
}

pub(super) struct Settings {
    /// How many run at a time.
    pub(super) limit: usize,
    /// How many threads have a hub for them.
    pub(super) hubs: usize,
    pub(super) name: String,
    pub(super) class: Class,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    running: HashMap<u64, Arc<Record>>,
    cancelling: HashSet<u64>,
    busy: usize,
    unfinished: usize,
    closed: bool,
    /// Whether its hubs were told to end. Once only: what another hub has by then may be what they had.
    stopped: bool,
    wakers: Vec<Waker>,
}

struct Waiting {
    task: u64,
    control: Arc<Record>,
    job: Job,
}

/// Begins the task on a hub, or tells its outcome without.
type Job = Box<dyn FnOnce(Fate) + Send>;

enum Fate {
    Begin(&'static Remote),
    Refuse(Error),
}

#[derive(Default)]
struct Hubs {
    all: Vec<Serving>,
    /// Who gets the next task.
    turn: usize,
    /// When the system refused the last one.
    refused: Option<Instant>,
}

impl Pool {
    pub(super) fn new(settings: Settings) -> Arc<Pool> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        fork::look_after();
        Arc::new(Pool {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            fork: forks(),
            settings,
            state: Mutex::default(),
            hubs: Mutex::default(),
        })
    }

    /// Takes a task in: `call` runs in a coroutine, named as `F` is, and `complete` is told the outcome.
    pub(super) fn submit<F, T: Send + 'static>(
        self: &Arc<Self>,
        task: u64,
        call: impl FnOnce() -> T + Send + 'static,
        complete: impl FnOnce(Outcome<T>) + Send + 'static,
    ) {
        if self.is_the_parents() {
            shield(|| drop(call));
            let error = fork::of_an_executor().with_task(name_of::<F>());
            return shield(|| complete(Err(error)));
        }
        let name = Name::Of(name_of::<F>, std::any::type_name::<F>);
        let place = Place::Elsewhere(OnceLock::new());
        let control =
            Record::alone(Control::new(name, hub::current_id(), true, place).of_pool(self.id));
        let job: Job = {
            let pool = self.clone();
            let (control, presence) = (control.clone(), Presence::of(std::process::id()));
            Box::new(move |fate| {
                let class = pool.settings.class;
                match fate {
                    Fate::Refuse(error) => {
                        let complete = |_: Arc<Record>, outcome| complete(outcome);
                        Done::new(control, name_of::<F>, complete).refuse(error);
                    }
                    Fate::Begin(remote) => {
                        let done = Done::new(
                            control.clone(),
                            name_of::<F>,
                            move |_: Arc<Record>, outcome| {
                                // It may drop the value, which is the user's.
                                shield(|| complete(outcome));
                                pool.transition_to_gone(task);
                                drop(presence);
                            },
                        );
                        // A hub that has ended drops the body, which tells that it was cancelled.
                        let _ = shared_hub::start_on(remote, control, class, Body { done, call });
                    }
                }
            })
        };
        let mut state = self.lock();
        if state.closed {
            drop(state);
            let message = "the executor was shut down and takes nothing new";
            return job(Fate::Refuse(Error::new(ErrorKind::ShutDown).with_message(message)));
        }
        state.unfinished += 1;
        state.waiting.push_back(Waiting { task, control, job });
        self.staff(state);
    }

    /// Begins those that wait, while there is room.
    fn staff<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        while state.busy < self.settings.limit
            && let Some(next) = state.waiting.pop_front()
        {
            state.busy += 1;
            state.running.insert(next.task, next.control);
            drop(state);
            let refused = match self.next_hub() {
                Ok(remote) => {
                    (next.job)(Fate::Begin(remote));
                    false
                }
                Err(error) => {
                    (next.job)(Fate::Refuse(error));
                    true
                }
            };
            state = self.lock();
            if refused {
                // Not by `transition_to_gone`, which would come back here: there may be any number of them.
                state.running.remove(&next.task);
                state.busy -= 1;
                self.count_off(&mut state);
            }
        }
    }

    /// One that ran has ended.
    fn transition_to_gone(&self, task: u64) {
        let mut state = self.lock();
        let control = state.running.remove(&task);
        state.busy -= 1;
        self.count_off(&mut state);
        self.staff(state);
        drop(control);
    }

    /// One is gone. The last wakes who waits for the end; after it the hubs of an executor that is closed end.
    fn count_off(&self, state: &mut State) {
        state.unfinished -= 1;
        if state.unfinished > 0 {
            return;
        }
        state.wakers.drain(..).for_each(Waker::wake);
        if state.closed {
            self.transition_to_stopped(state);
        }
    }

    fn next_hub(&self) -> Result<&'static Remote> {
        let mut hubs = self.lock_hubs();
        let again = hubs.refused.is_none_or(|refused| refused.elapsed() > PAUSE);
        if hubs.all.is_empty() || (hubs.all.len() < self.settings.hubs && again) {
            let number = hubs.all.len() + 1;
            match shared_hub::begin(format!("{}-{number}", self.settings.name)) {
                Ok(hub) => {
                    let remote = hub.remote;
                    hubs.all.push(hub);
                    return Ok(remote);
                }
                Err(error) if hubs.all.is_empty() => return Err(error),
                // Fewer will do.
                Err(_) => hubs.refused = Some(Instant::now()),
            }
        }
        hubs.turn = (hubs.turn + 1) % hubs.all.len();
        Ok(hubs.all[hubs.turn].remote)
    }

    /// All tasks are gone, and no others come: its hubs end.
    fn transition_to_stopped(&self, state: &mut State) {
        if std::mem::replace(&mut state.stopped, true) {
            return;
        }
        for hub in &self.lock_hubs().all {
            // It is there: a hub of an executor ends at this word, and not before.
            let _ = hub.remote.ask(Box::new(Hub::stop));
        }
    }

    /// Cancels those that wait. How many there were.
    pub(super) fn cancel_waiting(&self) -> usize {
        if self.is_the_parents() {
            return 0;
        }
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.waiting);
        state.cancelling.extend(waiting.iter().map(|one| one.task));
        drop(state);
        let count = waiting.len();
        waiting.into_iter().for_each(|one| self.transition_to_cancelled(one));
        count
    }

    fn transition_to_cancelled(&self, waiting: Waiting) {
        (waiting.job)(Fate::Refuse(Error::new(ErrorKind::Cancelled)));
        let mut state = self.lock();
        state.cancelling.remove(&waiting.task);
        self.count_off(&mut state);
    }

    /// Takes nothing new from here on.
    pub(super) fn close(&self) {
        if self.is_the_parents() {
            return;
        }
        let mut state = self.lock();
        state.closed = true;
        if state.unfinished == 0 {
            self.transition_to_stopped(&mut state);
        }
    }

    /// Closes, and waits until all tasks and all threads have ended. Who is on one of those threads, and would wait for itself, does
    /// not wait; nor does a fork, which has none of them.
    #[track_caller]
    pub(super) fn shutdown(&self) {
        if self.is_the_parents() {
            return;
        }
        self.close();
        if self.is_inside() {
            return;
        }
        let wait = Wait { what: "Executor::shutdown", place: Location::caller() };
        park(self, &wait, None);
        // Coroutines that tasks have started may be left, and may wait for others on the hub of the caller: so it waits as they do,
        // and joins threads that have nothing left to do. Until then they stay known, for `is_inside`.
        let ends: Vec<_> = self.lock_hubs().all.iter().map(|hub| hub.ended.clone()).collect();
        ends.iter().for_each(|ended| ended.wait_for(&wait));
        let hubs = std::mem::take(&mut self.lock_hubs().all);
        for hub in hubs {
            // A hub does not panic.
            let _ = hub.thread.join();
        }
    }

    /// Whether this process is a fork of the one that made it. Then its locks may be held by threads that are not there.
    #[inline]
    fn is_the_parents(&self) -> bool {
        self.fork != forks()
    }

    /// Whether the caller is on a thread of this executor: a task, a coroutine that one has started, a callback.
    fn is_inside(&self) -> bool {
        let me = std::thread::current().id();
        self.lock_hubs().all.iter().any(|hub| hub.thread.thread().id() == me)
    }

    /// Whether the caller is a task of this executor.
    fn is_mine(&self) -> bool {
        hub::current_pool() == Some(self.id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn lock_hubs(&self) -> MutexGuard<'_, Hubs> {
        self.hubs.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// That all that was submitted has finished.
impl Pending for Pool {
    fn is_done(&self) -> bool {
        self.lock().unfinished == 0
    }

    fn register(&self, waker: &Waker) {
        let mut state = self.lock();
        if state.unfinished == 0 {
            drop(state);
            waker.wake_by_ref();
        } else {
            state.wakers.push(waker.clone());
        }
    }

    fn forget(&self, waker: &Waker) {
        self.lock().wakers.retain(|known| !known.will_wake(waker));
    }
}

impl Backend for Pool {
    fn lost(&self) -> Option<Error> {
        self.is_the_parents().then(fork::of_an_executor)
    }

    fn cancel(&self, task: u64, even_running: bool) -> bool {
        let mut state = self.lock();
        if let Some(index) = state.waiting.iter().position(|one| one.task == task) {
            let waiting = state.waiting.remove(index).expect("found just now");
            state.cancelling.insert(task);
            drop(state);
            self.transition_to_cancelled(waiting);
            return true;
        }
        if state.cancelling.contains(&task) {
            return true;
        }
        let control = state.running.get(&task).cloned();
        drop(state);
        control.is_some_and(|control| {
            (even_running || !control.is_started()) && control.transition_to_cancelled()
        })
    }

    fn is_running(&self, task: u64) -> bool {
        self.lock().running.contains_key(&task)
    }

    fn wait(&self, pending: &dyn Pending, wait: &Wait, deadline: Option<Instant>) {
        if !self.is_mine() || pending.is_done() {
            return park(pending, wait, deadline);
        }
        let mut state = self.lock();
        state.busy -= 1;
        self.staff(state);
        let _busy = Busy(self);
        park(pending, wait, deadline);
    }
}

/// A task that has waited for one of its own executor, and counts as busy again, also if it is cancelled.
struct Busy<'a>(&'a Pool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().busy += 1;
    }
}

/// The error of an executor that cannot be made.
pub(super) fn invalid(message: &str) -> Error {
    Error::invalid(message).with_scale(Scale::Green)
}
