//! The place where a task's outcome is put, waited for, shown to callbacks, and taken.
//!
//! ```text
//! Waiting ──complete──► Ready ──take──► Taken
//!    │                    ▲ │
//!    └─ with callbacks ─► Calling (the callbacks hold the outcome; joiners wait)
//! ```
//!
//! The state changes under one lock and only in the `transition_to_*` functions. Wakers are collected under the lock
//! and woken outside it, callbacks run outside it: neither can meet a lock of ours. A waker is registered under the same
//! lock that the change of state takes, so it is either registered before the change, and woken by it, or finds the
//! changed state.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::thread::{self, ThreadId};

use super::wait::{Backend, Pending};
use crate::error::{Error, ErrorKind, Outcome};

/// One task's outcome, shared by whoever runs the task and whoever has its handle.
pub(crate) struct Cell<T> {
    pub(crate) id: u64,
    pub(crate) backend: Arc<dyn Backend>,
    state: Mutex<State<T>>,
}

struct State<T> {
    phase: Phase<T>,
    cancelled: bool,
    wakers: Vec<Waker>,
    callbacks: Vec<Callback<T>>,
}

type Callback<T> = Box<dyn FnOnce(&Outcome<T>) + Send>;

enum Phase<T> {
    /// The task has not finished.
    Waiting,
    /// Callbacks are looking at the outcome, in this thread once it is known.
    Calling(Option<ThreadId>),
    /// The outcome is there.
    Ready(Value<T>),
    /// The outcome has been taken by a join.
    Taken,
}

enum Value<T> {
    Plain(Outcome<T>),
    /// Still as it came over the wire: made into a value by the thread that wants it.
    Deferred(Box<dyn FnOnce() -> Outcome<T> + Send>),
}

impl<T> Value<T> {
    fn get(self) -> Outcome<T> {
        match self {
            Value::Plain(outcome) => outcome,
            Value::Deferred(make) => make(),
        }
    }
}

impl<T: Send + 'static> Cell<T> {
    pub(crate) fn new(id: u64, backend: Arc<dyn Backend>) -> Arc<Cell<T>> {
        let state =
            State { phase: Phase::Waiting, cancelled: false, wakers: vec![], callbacks: vec![] };
        Arc::new(Cell { id, backend, state: Mutex::new(state) })
    }

    /// Puts the outcome, unless there is one. Whether it was put.
    pub(crate) fn complete(self: &Arc<Self>, outcome: Outcome<T>) -> bool {
        let cancelled = matches!(&outcome, Err(error) if error.is_cancelled());
        self.finish(Value::Plain(outcome), cancelled)
    }

    /// Puts what makes the outcome; it runs in the thread that takes it, or that runs the callbacks.
    pub(crate) fn complete_later(
        self: &Arc<Self>,
        make: Box<dyn FnOnce() -> Outcome<T> + Send>,
    ) -> bool {
        self.finish(Value::Deferred(make), false)
    }

    fn finish(self: &Arc<Self>, value: Value<T>, cancelled: bool) -> bool {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Waiting) {
            return false;
        }
        state.cancelled = cancelled;
        if state.callbacks.is_empty() {
            Self::transition_to_ready(state, value);
        } else {
            self.transition_to_calling(state, value);
        }
        true
    }

    /// Has `callback` called with the outcome, once.
    pub(crate) fn on_done(self: &Arc<Self>, callback: Callback<T>) {
        let mut state = self.lock();
        match state.phase {
            Phase::Waiting | Phase::Calling(_) => state.callbacks.push(callback),
            Phase::Ready(_) => {
                state.callbacks.push(callback);
                let Phase::Ready(value) = std::mem::replace(&mut state.phase, Phase::Taken) else {
                    unreachable!("matched above")
                };
                self.transition_to_calling(state, value);
            }
            Phase::Taken => {
                drop(state);
                let outcome = Err(Error::new(ErrorKind::AlreadyTaken));
                self.backend.call(Box::new(move || call(callback, &outcome)));
            }
        }
    }

    /// Takes the outcome if it is there.
    pub(crate) fn take(&self) -> Option<Outcome<T>> {
        let mut state = self.lock();
        match state.phase {
            Phase::Waiting => None,
            Phase::Calling(thread) if thread == Some(thread::current().id()) => Some(Err(
                Error::new(ErrorKind::Deadlock).with_message("joined by its own callback"),
            )),
            Phase::Calling(_) => None,
            Phase::Taken => Some(Err(Error::new(ErrorKind::AlreadyTaken))),
            Phase::Ready(_) => {
                let phase = Self::transition_to_taken(&mut state);
                drop(state);
                match phase {
                    Phase::Ready(value) => Some(value.get()),
                    _ => unreachable!("matched above"),
                }
            }
        }
    }

    /// Whether the task has an outcome, seen by callbacks or not.
    pub(crate) fn is_finished(&self) -> bool {
        !matches!(self.lock().phase, Phase::Waiting)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn transition_to_ready(mut state: MutexGuard<'_, State<T>>, value: Value<T>) {
        state.phase = Phase::Ready(value);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        for waker in wakers {
            // Of async code, it may panic: the next one is woken all the same.
            shield(|| waker.wake());
        }
    }

    fn transition_to_taken(state: &mut State<T>) -> Phase<T> {
        std::mem::replace(&mut state.phase, Phase::Taken)
    }

    fn transition_to_calling(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State<T>>,
        value: Value<T>,
    ) {
        state.phase = Phase::Calling(None);
        drop(state);
        let cell = self.clone();
        self.backend.call(Box::new(move || {
            let outcome = value.get();
            let mut state = cell.lock();
            state.phase = Phase::Calling(Some(thread::current().id()));
            while !state.callbacks.is_empty() {
                let callbacks = std::mem::take(&mut state.callbacks);
                drop(state);
                for callback in callbacks {
                    call(callback, &outcome);
                }
                state = cell.lock();
            }
            Self::transition_to_ready(state, Value::Plain(outcome));
        }));
    }
}

/// A callback's panic is its own: the panic hook has told of it, the other callbacks and the outcome are unharmed.
fn call<T>(callback: Callback<T>, outcome: &Outcome<T>) {
    shield(|| callback(outcome));
}

/// Calls `f`, whose panic harms nothing: the panic hook has told of it.
fn shield(f: impl FnOnce()) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { return };
    // What a panic carries may panic when it is dropped. What that panic carries is leaked.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

impl<T: Send + 'static> Pending for Cell<T> {
    fn is_done(&self) -> bool {
        self.lock().is_done()
    }

    fn register(&self, waker: &Waker) {
        let mut state = self.lock();
        if state.is_done() {
            drop(state);
            waker.wake_by_ref();
        } else if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
    }

    fn forget(&self, waker: &Waker) {
        self.lock().wakers.retain(|known| !known.will_wake(waker));
    }

    fn task(&self) -> Option<u64> {
        Some(self.id)
    }

    fn is_of(&self, task: u64) -> bool {
        task == self.id
    }
}

impl<T> State<T> {
    /// Whether `take` has an answer for this thread: for a callback, that it cannot wait for itself.
    fn is_done(&self) -> bool {
        match self.phase {
            Phase::Waiting => false,
            Phase::Calling(thread) => thread == Some(thread::current().id()),
            Phase::Ready(_) | Phase::Taken => true,
        }
    }
}
