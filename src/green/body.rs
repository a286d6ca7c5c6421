//! What a coroutine does from its beginning to its end: calls its function, and tells the outcome, once, whatever happens.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::control::{Control, Record};
use super::hub::Interrupt;
use crate::error::{Error, ErrorKind, Outcome, Scale, shield};
use crate::task::catch;

/// The function of a coroutine, and whom its outcome is told to.
pub(super) struct Body<T, C, F, K = Arc<Record>>
where
    C: FnOnce(K, Outcome<T>),
    K: Holds,
{
    pub(super) done: Done<T, C, K>,
    pub(super) call: F,
}

impl<T, C, F, K> Body<T, C, F, K>
where
    C: FnOnce(K, Outcome<T>),
    F: FnOnce() -> T,
    K: Holds,
{
    /// Runs in the coroutine. Does not panic.
    pub(super) fn run(self) {
        let Body { done, call } = self;
        if done.control().is_cancelled() {
            // It had not begun. Dropping `done` tells that it was cancelled.
            shield(|| drop(call));
            return;
        }
        done.control().transition_to_started();
        // Unwind safe: what `call` shares with others is as safe as it is between threads.
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(value) => done.returned(value),
            Err(payload) => done.unwound(payload),
        }
    }
}

/// What a coroutine's own control is reached through: itself, or the place of the outcome, which holds it.
pub(super) trait Holds {
    fn control(&self) -> &Control;
}

/// Tells an outcome, once; if it is dropped before, that the coroutine was cancelled.
pub(super) struct Done<T, C, K = Arc<Record>>
where
    C: FnOnce(K, Outcome<T>),
    K: Holds,
{
    holder: Option<K>,
    name: fn() -> String,
    complete: Option<C>,
    of: std::marker::PhantomData<fn(T)>,
}

impl<T, C, K> Done<T, C, K>
where
    C: FnOnce(K, Outcome<T>),
    K: Holds,
{
    pub(super) fn new(holder: K, name: fn() -> String, complete: C) -> Done<T, C, K> {
        Done { holder: Some(holder), name, complete: Some(complete), of: std::marker::PhantomData }
    }

    fn control(&self) -> &Control {
        self.holder.as_ref().expect("there until the outcome is told").control()
    }

    fn returned(mut self, value: T) {
        if self.control().transition_to_ended() {
            // Whoever cancelled it was told that it would have no value.
            shield(|| drop(value));
            self.tell(Err(Error::new(ErrorKind::Cancelled)));
        } else {
            self.tell(Ok(value));
        }
    }

    fn unwound(mut self, payload: Box<dyn Any + Send>) {
        self.control().transition_to_ended();
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
        self.control().transition_to_ended();
        self.tell(Err(error));
    }

    fn tell(&mut self, outcome: Outcome<T>) {
        let Some((complete, holder)) = self.complete.take().zip(self.holder.take()) else { return };
        let name = self.name;
        let outcome = outcome.map_err(|error| error.with_task(name()).with_scale(Scale::Green));
        // Wakers and callbacks of the user's may panic, and so may the value, which is dropped with its place if nobody has a handle.
        shield(|| complete(holder, outcome));
    }
}

impl<T, C, K> Drop for Done<T, C, K>
where
    C: FnOnce(K, Outcome<T>),
    K: Holds,
{
    fn drop(&mut self) {
        if self.complete.is_some() {
            self.control().transition_to_ended_as_cancelled();
            self.tell(Err(Error::new(ErrorKind::Cancelled)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::super::control::{Name, Place, Record};
    use super::*;

    #[test]
    fn who_cancels_what_is_dropped_before_its_beginning_is_told_so_at_each_moment() {
        let name = Name::Given(String::new());
        let place = Place::Elsewhere(OnceLock::new());
        let record = Record::alone(Control::new(name, None, false, place));
        let told = std::rc::Rc::new(std::cell::Cell::new(false));
        let tell = {
            let told = told.clone();
            move |record: Arc<Record>, outcome: Outcome<()>| {
                // The outcome is not there yet.
                told.set(record.transition_to_cancelled() && outcome.unwrap_err().is_cancelled());
            }
        };
        drop(Done::new(record.clone(), String::new, tell));
        assert!(told.get() && record.transition_to_cancelled());
    }
}
