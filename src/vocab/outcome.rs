//! The place where a task's outcome is put, waited for, shown to callbacks, and taken.
//!
//! ```text
//! Waiting ──finish──► Ready ──take──► Taken          (or abandoned, by the one who might have taken it)
//!    │                  ▲ │
//!    └ with callbacks ► Calling (the callbacks hold the outcome; joiners wait)
//! ```
//!
//! The state changes under one lock and only in the `transition_to_*` functions. Wakers are collected under the lock
//! and woken outside it, callbacks run outside it: neither can meet a lock of ours. A waker is registered under the same
//! lock that the change of state takes, so it is either registered before the change, and woken by it, or finds the
//! changed state.
//!
//! `progress` says without the lock whether there is an outcome, and whether it may be taken. It is stored under the lock, with the
//! phase, before anyone is woken: who reads it too early knows less than is so, and is woken; who must not miss the change registers.
//! Only by a callback that comes late does an outcome that might be taken become one that may not: who read it before finds under the
//! lock that it is so, and waits again.

use std::any::Any;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::wait::{Backend, Pending};
use crate::error::{Error, ErrorKind, Outcome, shield};
use crate::sync::park::{self, Wait};
use crate::system::{forks, is_here, this_thread};

/// What a handle holds: a task's outcome, and what stands behind it.
pub(crate) trait Promise<T>: Send + Sync {
    fn core(&self) -> &Core<T>;

    /// Ends the task without a value: if it waits, and `even_running` if it runs. Whether it will be so.
    fn cancel(&self, even_running: bool) -> bool;

    /// Whether a worker has taken the task up, and has not finished it.
    fn is_running(&self) -> bool;

    /// What its scale knows of the task, for that scale's own handles.
    fn known(&self) -> &dyn Any {
        &()
    }

    /// The handle is gone: nobody will take the outcome. For those whose memory outlives the handle and the end of the task, both.
    fn abandon(&self) {}

    /// Why the task will never have an outcome in this process, which is a fork of the one that the task is in. `None` if that is not so.
    fn lost(&self) -> Option<Error> {
        None
    }

    /// Runs callbacks that are due where this task's callbacks are run.
    fn call(self: Arc<Self>, due: Due<T>);

    /// Blocks the caller, thread or coroutine, until `pending` has come to pass, for which this task must finish, or the
    /// deadline has.
    fn wait(self: Arc<Self>, pending: &dyn Pending, wait: &Wait, deadline: Option<Instant>);
}

/// A task's outcome, whoever runs it.
pub(crate) struct Core<T> {
    pub(crate) id: u64,
    progress: AtomicU8,
    /// Which fork it was made in.
    fork: u32,
    state: Mutex<State<T>>,
    /// What stands in for `state` in a fork where that is locked for ever.
    lost: OnceLock<Box<Mutex<State<T>>>>,
}

/// Longer than any thread has the lock of an outcome.
const LONGEST_HELD: Duration = Duration::from_millis(200);

// The values of `progress`, one for each phase.
const WAITING: u8 = 0;
const CALLING: u8 = 1;
const DONE: u8 = 2;
const TAKEN: u8 = 3;

struct State<T> {
    phase: Phase<T>,
    cancelled: bool,
    /// Whether nobody will take the outcome: who puts it drops it.
    abandoned: bool,
    /// The thread that calls the callbacks, or hands them on, in `Calling`.
    caller: u32,
    /// Most often there is one who waits.
    waker: Option<Waker>,
    /// Boxed, since most tasks have none when they finish: a task is all the smaller.
    left: Option<Box<Left<T>>>,
}

/// What was left for when the outcome is there.
struct Left<T> {
    /// Those after the first.
    wakers: Vec<Waker>,
    callbacks: Vec<Callback<T>>,
}

impl<T> Default for Left<T> {
    fn default() -> Left<T> {
        Left { wakers: Vec::new(), callbacks: Vec::new() }
    }
}

type Callback<T> = Box<dyn FnOnce(&Outcome<T>) + Send>;

enum Phase<T> {
    /// The task has not finished.
    Waiting,
    /// Callbacks are looking at the outcome, in this thread or coroutine once it is known.
    Calling(Option<u64>),
    /// The outcome is there.
    Ready(Value<T>),
    /// The outcome has been taken by a join.
    Taken,
}

pub(crate) enum Value<T> {
    Plain(Outcome<T>),
    /// Still as it came over the wire: made into a value by the thread that wants it.
    Deferred(Box<dyn FnOnce() -> Outcome<T> + Send>),
}

/// Callbacks that are to be run, with [`Core::run`].
pub(crate) enum Due<T> {
    /// Those that were left, with the outcome.
    Left(Value<T>),
    /// One that came after the outcome had been taken.
    Late(Callback<T>),
}

impl<T> Value<T> {
    fn get(self) -> Outcome<T> {
        match self {
            Value::Plain(outcome) => outcome,
            Value::Deferred(make) => make(),
        }
    }

    fn is_cancelled(&self) -> bool {
        matches!(self, Value::Plain(Err(error)) if error.is_cancelled())
    }
}

impl<T> Core<T> {
    pub(crate) fn new(id: u64) -> Core<T> {
        let state = State::of(Phase::Waiting);
        let progress = AtomicU8::new(WAITING);
        Core { id, progress, fork: forks(), state: Mutex::new(state), lost: OnceLock::new() }
    }

    /// Puts the outcome, unless there is one: then false. Callbacks are for the caller to run.
    pub(crate) fn finish(&self, value: Value<T>) -> (bool, Option<Due<T>>) {
        let state = self.lock();
        if !matches!(state.phase, Phase::Waiting) {
            return (false, None);
        }
        self.put(state, value)
    }

    /// In a fork that does not have the thread which would bring the outcome: puts this one, as `finish` does, also where that thread was
    /// just running the callbacks.
    pub(crate) fn finish_lost(&self, error: Error) -> (bool, Option<Due<T>>) {
        let state = self.lock();
        match state.phase {
            Phase::Waiting => {}
            Phase::Calling(_) if !is_here(state.caller) => {}
            _ => return (false, None),
        }
        self.put(state, Value::Plain(Err(error)))
    }

    fn put(&self, mut state: MutexGuard<'_, State<T>>, value: Value<T>) -> (bool, Option<Due<T>>) {
        state.cancelled = value.is_cancelled();
        if state.callbacks().is_empty() {
            self.transition_to_ready(state, value);
            return (true, None);
        }
        self.transition_to_calling(&mut state);
        (true, Some(Due::Left(value)))
    }

    /// Has `callback` called with the outcome, once: now, by the caller, if it is due.
    pub(crate) fn on_done(&self, callback: Callback<T>) -> Option<Due<T>> {
        let mut state = self.lock();
        match state.phase {
            Phase::Waiting | Phase::Calling(_) => state.left().callbacks.push(callback),
            Phase::Ready(_) => {
                state.left().callbacks.push(callback);
                let Phase::Ready(value) = self.transition_to_calling(&mut state) else {
                    unreachable!("matched above")
                };
                return Some(Due::Left(value));
            }
            Phase::Taken => return Some(Due::Late(callback)),
        }
        None
    }

    /// Runs callbacks that are due.
    pub(crate) fn run(&self, due: Due<T>) {
        let value = match due {
            Due::Left(value) => value,
            Due::Late(callback) => {
                return call(callback, &Err(Error::new(ErrorKind::AlreadyTaken)));
            }
        };
        let outcome = value.get();
        let mut state = self.lock();
        state.phase = Phase::Calling(Some(park::current_id()));
        state.caller = this_thread();
        while !state.callbacks().is_empty() {
            let callbacks = std::mem::take(&mut state.left().callbacks);
            drop(state);
            for callback in callbacks {
                call(callback, &outcome);
            }
            state = self.lock();
        }
        self.transition_to_ready(state, Value::Plain(outcome));
    }

    /// Takes the outcome if it is there.
    pub(crate) fn take(&self) -> Option<Outcome<T>> {
        if !self.is_finished() {
            return None;
        }
        let mut state = self.lock();
        match state.phase {
            Phase::Waiting => None,
            Phase::Calling(who) if who == Some(park::current_id()) => Some(Err(Error::new(
                ErrorKind::Deadlock,
            )
            .with_message("joined by its own callback"))),
            Phase::Calling(_) => None,
            Phase::Taken => Some(Err(Error::new(ErrorKind::AlreadyTaken))),
            Phase::Ready(_) => {
                let phase = self.transition_to_taken(&mut state);
                drop(state);
                match phase {
                    Phase::Ready(value) => Some(value.get()),
                    _ => unreachable!("matched above"),
                }
            }
        }
    }

    /// Nobody will take the outcome: it is dropped, here if it is there, else by who puts it.
    pub(crate) fn abandon(&self) {
        // Relaxed: whoever took it has nothing left to give up.
        if self.progress.load(Ordering::Relaxed) == TAKEN {
            return;
        }
        let mut state = self.lock();
        state.abandoned = true;
        let is_there = matches!(state.phase, Phase::Ready(_));
        let phase = is_there.then(|| self.transition_to_taken(&mut state));
        // Outside the lock: it is the user's.
        drop(state);
        drop(phase);
    }

    /// Whether the task has an outcome, seen by callbacks or not.
    pub(crate) fn is_finished(&self) -> bool {
        // Acquire: who sees the end sees what the task did.
        self.progress.load(Ordering::Acquire) != WAITING
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        if self.fork != forks() {
            return self.lock_in_fork();
        }
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// In a fork of the process that it was made in. A thread that is not here may have held the lock at that moment, and then holds it for
    /// ever: from when somebody has waited longer than anything here takes, all get the state of an outcome that is lost instead.
    #[cold]
    fn lock_in_fork(&self) -> MutexGuard<'_, State<T>> {
        let begun = Instant::now();
        loop {
            if let Some(lost) = self.lost.get() {
                return lost.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            }
            match self.state.try_lock() {
                Ok(state) => return state,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LONGEST_HELD => {
                    std::thread::yield_now();
                }
                Err(TryLockError::WouldBlock) => break,
            }
        }
        let lost = self.lost.get_or_init(|| {
            let lost = Error::new(ErrorKind::NotStarted).with_message(
                "this process is a fork, and its parent was just putting the outcome",
            );
            // Before anyone has that state: what becomes of it is noted as of any other.
            self.progress.store(DONE, Ordering::Release);
            Box::new(Mutex::new(State::of(Phase::Ready(Value::Plain(Err(lost))))))
        });
        lost.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn transition_to_ready(&self, mut state: MutexGuard<'_, State<T>>, value: Value<T>) {
        let unwanted = match state.abandoned {
            true => {
                self.transition_to_taken(&mut state);
                Some(value)
            }
            false => {
                state.phase = Phase::Ready(value);
                self.progress.store(DONE, Ordering::Release);
                None
            }
        };
        let (first, left) = (state.waker.take(), state.left.take());
        drop(state);
        for waker in first.into_iter().chain(left.map(|left| left.wakers).unwrap_or_default()) {
            // Of async code, it may panic: the next one is woken all the same.
            shield(|| waker.wake());
        }
        drop(unwanted);
    }

    /// What the phase was.
    fn transition_to_taken(&self, state: &mut State<T>) -> Phase<T> {
        self.progress.store(TAKEN, Ordering::Release);
        std::mem::replace(&mut state.phase, Phase::Taken)
    }

    /// What the phase was. Who could take the outcome and has not must wait for the callbacks from now on.
    fn transition_to_calling(&self, state: &mut State<T>) -> Phase<T> {
        self.progress.store(CALLING, Ordering::Release);
        state.caller = this_thread();
        std::mem::replace(&mut state.phase, Phase::Calling(None))
    }
}

/// An outcome with a [`Backend`] behind it.
pub(crate) struct Cell<T> {
    backend: Arc<dyn Backend>,
    core: Core<T>,
}

impl<T: Send + 'static> Cell<T> {
    pub(crate) fn new(id: u64, backend: Arc<dyn Backend>) -> Arc<Cell<T>> {
        Arc::new(Cell { backend, core: Core::new(id) })
    }

    /// The number of the task.
    pub(crate) fn id(&self) -> u64 {
        self.core.id
    }

    /// Puts the outcome, unless there is one. Whether it was put.
    pub(crate) fn complete(self: &Arc<Self>, outcome: Outcome<T>) -> bool {
        self.finish(Value::Plain(outcome))
    }

    /// Puts what makes the outcome; it runs in the thread that takes it, or that runs the callbacks.
    pub(crate) fn complete_later(
        self: &Arc<Self>,
        make: Box<dyn FnOnce() -> Outcome<T> + Send>,
    ) -> bool {
        self.finish(Value::Deferred(make))
    }

    fn finish(self: &Arc<Self>, value: Value<T>) -> bool {
        let (put, due) = self.core.finish(value);
        if let Some(due) = due {
            self.clone().call(due);
        }
        put
    }
}

impl<T: Send + 'static> Promise<T> for Cell<T> {
    fn core(&self) -> &Core<T> {
        &self.core
    }

    fn cancel(&self, even_running: bool) -> bool {
        self.backend.lost().is_none() && self.backend.cancel(self.core.id, even_running)
    }

    fn is_running(&self) -> bool {
        self.backend.lost().is_none() && self.backend.is_running(self.core.id)
    }

    fn lost(&self) -> Option<Error> {
        self.backend.lost()
    }

    fn call(self: Arc<Self>, due: Due<T>) {
        let backend = self.backend.clone();
        backend.call(Box::new(move || self.core.run(due)));
    }

    fn wait(self: Arc<Self>, pending: &dyn Pending, wait: &Wait, deadline: Option<Instant>) {
        self.backend.wait(pending, wait, deadline);
    }
}

/// A callback's panic is its own: the panic hook has told of it, the other callbacks and the outcome are unharmed.
fn call<T>(callback: Callback<T>, outcome: &Outcome<T>) {
    shield(|| callback(outcome));
}

impl<T> Pending for Core<T> {
    fn is_done(&self) -> bool {
        // Acquire: as in `is_finished`.
        match self.progress.load(Ordering::Acquire) {
            WAITING => false,
            DONE | TAKEN => true,
            _ => self.lock().is_done(),
        }
    }

    fn register(&self, waker: &Waker) {
        let mut state = self.lock();
        if state.is_done() {
            drop(state);
            waker.wake_by_ref();
        } else if state.waker.is_none() {
            state.waker = Some(waker.clone());
        } else if !state.wakers().any(|known| known.will_wake(waker)) {
            state.left().wakers.push(waker.clone());
        }
    }

    fn forget(&self, waker: &Waker) {
        let mut state = self.lock();
        let first = state.waker.take_if(|known| known.will_wake(waker));
        if let Some(left) = &mut state.left {
            left.wakers.retain(|known| !known.will_wake(waker));
        }
        drop(state);
        drop(first);
    }

    fn task(&self) -> Option<u64> {
        Some(self.id)
    }

    fn is_of(&self, task: u64) -> bool {
        task == self.id
    }
}

impl<T> State<T> {
    fn of(phase: Phase<T>) -> State<T> {
        State { phase, cancelled: false, abandoned: false, caller: 0, waker: None, left: None }
    }

    fn left(&mut self) -> &mut Left<T> {
        self.left.get_or_insert_default()
    }

    fn wakers(&self) -> impl Iterator<Item = &Waker> {
        self.waker.iter().chain(self.left.iter().flat_map(|left| &left.wakers))
    }

    fn callbacks(&self) -> &[Callback<T>] {
        self.left.as_ref().map_or(&[], |left| &left.callbacks)
    }

    /// Whether `take` has an answer for this thread: for a callback, that it cannot wait for itself.
    fn is_done(&self) -> bool {
        match self.phase {
            Phase::Waiting => false,
            Phase::Calling(who) => who == Some(park::current_id()),
            Phase::Ready(_) | Phase::Taken => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_for_ever_in_a_fork_gives_a_lost_outcome() {
        // Of a process that this one is a fork of, as far as it knows.
        let core = Core::<u32> { fork: forks().wrapping_sub(1), ..Core::new(1) };
        assert!(matches!(core.lock_in_fork().phase, Phase::Waiting));
        // By a thread that a fork would not have.
        let held = core.state.lock().unwrap();
        let state = core.lock_in_fork();
        assert!(core.is_finished() && state.is_done());
        let Phase::Ready(Value::Plain(Err(error))) = &state.phase else { panic!("an outcome") };
        assert_eq!(error.kind(), ErrorKind::NotStarted);
        drop(state);
        // The same one from then on: a callback is called with it, and it is taken once.
        let (sender, called) = std::sync::mpsc::channel();
        let due = core.on_done(Box::new(move |outcome: &Outcome<u32>| {
            sender.send(outcome.is_err()).unwrap();
        }));
        core.run(due.unwrap());
        assert!(called.try_recv().unwrap());
        let kind = || core.take().unwrap().unwrap_err().kind();
        assert_eq!([kind(), kind()], [ErrorKind::NotStarted, ErrorKind::AlreadyTaken]);
        drop(held);
    }
}
