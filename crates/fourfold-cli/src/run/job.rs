//! A job on its way: what it is to do, and what came of it.

use std::time::{Duration, SystemTime};

use super::outcome::Outcome;
use super::template::{Input, Template, Values};

/// A job that is to run.
#[derive(Debug)]
pub(crate) struct Job {
    /// From 1.
    pub(crate) sequence: u64,
    pub(crate) inputs: Vec<Input>,
    /// How often it was started.
    pub(crate) tries: u32,
}

impl Job {
    /// Its command as one line, whatever slot it runs in.
    pub(crate) fn line(&self, template: &Template) -> Vec<u8> {
        template.line(Values { inputs: &self.inputs, sequence: self.sequence, slot: None })
    }
}

/// What a job, or its last try, came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) slot: usize,
    pub(crate) started: SystemTime,
    pub(crate) wall: Duration,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) peak_memory: u64,
    /// Bytes that it wrote and that were kept.
    pub(crate) written: u64,
}

impl Ended {
    /// Of a job that could not be started.
    pub(crate) fn unstarted(slot: usize, reason: String) -> Ended {
        Ended::without_running(Outcome::NotStarted(reason), slot)
    }

    /// Of a job that waited for another try, and did not get it.
    pub(crate) fn cut_off() -> Ended {
        Ended::without_running(Outcome::Cancelled, 0)
    }

    fn without_running(outcome: Outcome, slot: usize) -> Ended {
        Ended {
            outcome,
            slot,
            started: SystemTime::now(),
            wall: Duration::ZERO,
            user: Duration::ZERO,
            system: Duration::ZERO,
            peak_memory: 0,
            written: 0,
        }
    }
}
