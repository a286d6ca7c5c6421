//! The jobs that run, looked after also while this thread is held up by whoever reads its output.
//!
//! Time and memory limits are kept by waiting for jobs, and signals are passed on between waits. A reader that does not
//! read must not put an end to either.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use fourfold::process::{Command, Finished, Jobs};

use super::Stop;
use crate::run::output::Failure;
use crate::run::signals::Interrupts;

pub(super) struct Desk {
    jobs: RefCell<Jobs>,
    /// Those that ended while this thread was held up.
    ended: RefCell<VecDeque<Finished>>,
    interrupts: Interrupts,
    /// How many signals the jobs have got.
    passed_on: Cell<u32>,
}

impl Desk {
    pub(super) fn new(jobs: Jobs, interrupts: Interrupts) -> Desk {
        let (ended, passed_on) = (RefCell::default(), Cell::new(0));
        Desk { jobs: RefCell::new(jobs), ended, interrupts, passed_on }
    }

    pub(super) fn start(&self, key: u64, command: &Command) -> fourfold::Result<u32> {
        self.jobs.borrow_mut().start(key, command)
    }

    /// The next that has ended, if one does in time.
    pub(super) fn wait(&self, patience: Option<Duration>) -> Result<Option<Finished>, Stop> {
        if let Some(finished) = self.ended.borrow_mut().pop_front() {
            return Ok(Some(finished));
        }
        self.jobs.borrow_mut().wait(patience).map_err(|error| Stop::Failed(error.to_string()))
    }

    pub(super) fn recycle(&self, finished: Finished) {
        self.jobs.borrow_mut().recycle(finished);
    }

    pub(super) fn terminate_all(&self) {
        self.jobs.borrow_mut().terminate_all();
    }

    pub(super) fn kill_all(&self) {
        self.jobs.borrow_mut().kill_all();
    }

    /// Passes on the first signal, and kills at the second. Gives how many there were.
    pub(super) fn pass_on_signals(&self) -> u32 {
        let (count, signal) = self.interrupts.seen();
        let before = self.passed_on.replace(count);
        if count != before {
            match count {
                1 => self.jobs.borrow().signal_all(signal),
                _ => self.jobs.borrow_mut().kill_all(),
            }
        }
        count
    }

    /// The first signal that came.
    pub(super) fn first_signal(&self) -> Option<i32> {
        self.interrupts.first()
    }

    /// To be called now and then by whoever is held up.
    ///
    /// # Errors
    ///
    /// If a second signal says not to wait any longer.
    pub(super) fn look_after(&self) -> Result<(), Failure> {
        if self.pass_on_signals() > 1
            && let Some(first) = self.first_signal()
        {
            return Err(Failure::Interrupted(first));
        }
        let mut jobs = self.jobs.borrow_mut();
        loop {
            match jobs.wait(Some(Duration::ZERO)) {
                Ok(Some(finished)) => self.ended.borrow_mut().push_back(finished),
                Ok(None) => return Ok(()),
                Err(error) => return Err(Failure::Failed(error.to_string())),
            }
        }
    }
}
