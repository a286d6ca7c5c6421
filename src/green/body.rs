//! What a coroutine does from its beginning to its end: calls its function, and tells the outcome, once, whatever happens.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::control::Control;
use super::hub::Interrupt;
use crate::error::{Error, ErrorKind, Outcome, Scale, shield};
use crate::task::catch;

/// The function of a coroutine, and whom its outcome is told to.
pub(super) struct Body<T, C, F>
where
    C: FnOnce(Outcome<T>),
{
    pub(super) done: Done<T, C>,
    pub(super) call: F,
}

impl<T, C, F> Body<T, C, F>
where
    C: FnOnce(Outcome<T>),
    F: FnOnce() -> T,
{
    /// Runs in the coroutine. Does not panic.
    pub(super) fn run(self) {
        let Body { done, call } = self;
        if done.control.is_cancelled() {
            // It had not begun. Dropping `done` tells that it was cancelled.
            shield(|| drop(call));
            return;
        }
        done.control.transition_to_started();
        // Unwind safe: what `call` shares with others is as safe as it is between threads.
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(value) => done.returned(value),
            Err(payload) => done.unwound(payload),
        }
    }
}

/// Tells an outcome, once; if it is dropped before, that the coroutine was cancelled.
pub(super) struct Done<T, C>
where
    C: FnOnce(Outcome<T>),
{
    control: Arc<Control>,
    name: fn() -> String,
    complete: Option<C>,
    of: std::marker::PhantomData<fn(T)>,
}

impl<T, C> Done<T, C>
where
    C: FnOnce(Outcome<T>),
{
    pub(super) fn new(control: Arc<Control>, name: fn() -> String, complete: C) -> Done<T, C> {
        Done { control, name, complete: Some(complete), of: std::marker::PhantomData }
    }

    fn returned(mut self, value: T) {
        if self.control.transition_to_ended() {
            // Whoever cancelled it was told that it would have no value.
            shield(|| drop(value));
            self.tell(Err(Error::new(ErrorKind::Cancelled)));
        } else {
            self.tell(Ok(value));
        }
    }

    fn unwound(mut self, payload: Box<dyn Any + Send>) {
        self.control.transition_to_ended();
        let error = match payload.downcast_ref::<Interrupt>() {
            Some(Interrupt::Cancelled) => Error::new(ErrorKind::Cancelled),
            Some(Interrupt::TimedOut(_)) => Error::new(ErrorKind::TimedOut),
            Some(Interrupt::Stuck) => Error::new(ErrorKind::Deadlock),
            None => Error::panicked(catch::explain(payload)),
        };
        self.tell(Err(error));
    }

    /// It will not run.
    pub(super) fn refuse(mut self, error: Error) {
        self.control.transition_to_ended();
        self.tell(Err(error));
    }

    fn tell(&mut self, outcome: Outcome<T>) {
        let Some(complete) = self.complete.take() else { return };
        let name = self.name;
        let outcome = outcome.map_err(|error| error.with_task(name()).with_scale(Scale::Green));
        // Wakers and callbacks of the user's may panic.
        shield(|| complete(outcome));
    }
}

impl<T, C> Drop for Done<T, C>
where
    C: FnOnce(Outcome<T>),
{
    fn drop(&mut self) {
        if self.complete.is_some() {
            self.control.transition_to_ended();
            self.tell(Err(Error::new(ErrorKind::Cancelled)));
        }
    }
}
