//! A task that has no outcome yet, where its outcome goes, and what is put off until the lock is free.

use std::hash::Hasher;
use std::sync::Arc;

use crate::error::Error;
use crate::process::callbacks::Late;
use crate::process::channel::{Body, Frame, Parcel};
use crate::process::child::value_of;
use crate::task::Payload;
use crate::vocab::outcome::Cell;

/// A task that has no outcome yet.
pub(super) struct Task {
    pub(super) entry: u64,
    pub(super) parcel: Parcel,
    /// Of its arguments, until it has an outcome.
    _tickets: Late,
    pub(super) name: fn() -> String,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) tries: u32,
    pub(super) place: Place,
    /// Where it was submitted, if a task of this pool did.
    pub(super) origin: Option<Origin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Queued,
    /// It waits for its next try.
    Delayed,
    /// To this worker.
    Sent(u64),
}

/// Who submitted a task from within the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) worker: u64,
    /// The task that ran there; 0 if none did.
    pub(super) task: u64,
    /// The number by which the worker knows what it submitted.
    pub(super) number: u64,
}

impl Task {
    pub(super) fn new(
        entry: u64,
        mut parcel: Parcel,
        name: fn() -> String,
        sink: Arc<dyn Sink>,
    ) -> Task {
        let _tickets = Late::of(&mut parcel);
        Task { entry, parcel, _tickets, name, sink, tries: 0, place: Place::Queued, origin: None }
    }

    pub(super) fn has_fds(&self) -> bool {
        !self.parcel.fds.is_empty() || matches!(self.parcel.body, Body::Memfd(_))
    }
}

/// Where an outcome goes.
pub(super) trait Sink: Send + Sync {
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
pub(super) enum Done {
    Answer(Arc<dyn Sink>, Frame, u32, fn() -> String),
    Failed(Arc<dyn Sink>, Error),
}

/// What is to be done once the lock is free.
#[derive(Default)]
pub(super) struct After {
    pub(super) done: Outcomes,
    /// Workers to start.
    pub(super) starts: usize,
}

/// Outcomes to put, in their order. Most often there is one: it needs no memory of its own.
#[derive(Default)]
pub(super) struct Outcomes {
    first: Option<Done>,
    others: Vec<Done>,
}

impl Outcomes {
    pub(super) fn push(&mut self, done: Done) {
        match self.first {
            None => self.first = Some(done),
            Some(_) => self.others.push(done),
        }
    }
}

impl IntoIterator for Outcomes {
    type Item = Done;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Done>, std::vec::IntoIter<Done>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}

/// Task numbers are their own hash: they count up.
#[derive(Default)]
pub(super) struct IdHasher(u64);

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
