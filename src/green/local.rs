//! The outcome of a coroutine, for those on its own hub.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::body::Holds;
use super::control::{Control, Record};
use crate::error::{Error, ErrorKind, Outcome, shield};
use crate::sync::park::Wait;
use crate::vocab::wait::{Pending, park};

/// A coroutine that never leaves its hub, as it itself and its starter know it.
pub(super) struct LocalTask<T> {
    pub(super) control: Arc<Record>,
    pub(super) cell: LocalCell<T>,
}

impl<T> Holds for Rc<LocalTask<T>> {
    fn control(&self) -> &Control {
        &self.control
    }
}

/// The place where the outcome is put, waited for and taken. One thread uses it.
pub(super) struct LocalCell<T> {
    state: RefCell<State<T>>,
}

struct State<T> {
    phase: Phase<T>,
    /// Most often there is one who waits.
    first: Option<Waker>,
    others: Vec<Waker>,
}

enum Phase<T> {
    Waiting,
    Ready(Outcome<T>),
    Taken,
}

impl<T> LocalCell<T> {
    pub(super) fn new() -> LocalCell<T> {
        LocalCell {
            state: RefCell::new(State { phase: Phase::Waiting, first: None, others: Vec::new() }),
        }
    }

    pub(super) fn complete(&self, outcome: Outcome<T>) {
        let mut state = self.state.borrow_mut();
        state.phase = Phase::Ready(outcome);
        let (first, others) = (state.first.take(), std::mem::take(&mut state.others));
        drop(state);
        // One of async code may panic: the next one is woken all the same.
        first.into_iter().chain(others).for_each(|waker| shield(|| waker.wake()));
    }

    pub(super) fn take(&self) -> Option<Outcome<T>> {
        let mut state = self.state.borrow_mut();
        match state.phase {
            Phase::Waiting => None,
            Phase::Taken => Some(Err(Error::new(ErrorKind::AlreadyTaken))),
            Phase::Ready(_) => match std::mem::replace(&mut state.phase, Phase::Taken) {
                Phase::Ready(outcome) => Some(outcome),
                Phase::Waiting | Phase::Taken => unreachable!("matched above"),
            },
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        !matches!(self.state.borrow().phase, Phase::Waiting)
    }

    /// Waits for the outcome and takes it. `None` if the deadline comes first.
    pub(super) fn wait(&self, wait: &Wait, deadline: Option<Instant>) -> Option<Outcome<T>> {
        loop {
            if let Some(outcome) = self.take() {
                return Some(outcome);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return None;
            }
            park(self, wait, deadline);
        }
    }
}

impl<T> Pending for LocalCell<T> {
    fn is_done(&self) -> bool {
        self.is_finished()
    }

    fn register(&self, waker: &Waker) {
        let mut state = self.state.borrow_mut();
        if !matches!(state.phase, Phase::Waiting) {
            drop(state);
            waker.wake_by_ref();
        } else if state.first.is_none() {
            state.first = Some(waker.clone());
        } else if !state.first.iter().chain(&state.others).any(|known| known.will_wake(waker)) {
            state.others.push(waker.clone());
        }
    }

    fn forget(&self, waker: &Waker) {
        let mut state = self.state.borrow_mut();
        state.first.take_if(|known| known.will_wake(waker));
        state.others.retain(|known| !known.will_wake(waker));
    }
}
