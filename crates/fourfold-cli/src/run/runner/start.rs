//! Starting a job in a free slot, and what it means if that fails.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error as _;
use std::io;

use fourfold::process::{Command, Stdio};

use super::Runner;
use crate::run::job::Job;
use crate::run::template::Values;

/// What came of starting a job.
pub(super) enum Started {
    Yes,
    /// The system has no room for it while others run.
    NoRoom(Job),
    /// This job, in this slot, cannot be run, and why.
    Failed(Job, usize, String),
    /// No job can: the command is at fault.
    Never(String),
}

/// The places for jobs that run at once, numbered from 1.
pub(super) struct Slots {
    /// The job in each place, by its number less 1.
    jobs: Vec<Option<Job>>,
    /// The places that were used and are free. The lowest is used first.
    free: BinaryHeap<Reverse<usize>>,
    used: usize,
    at_once: usize,
}

impl Slots {
    pub(super) fn new(at_once: usize) -> Slots {
        Slots { jobs: Vec::new(), free: BinaryHeap::new(), used: 0, at_once }
    }

    pub(super) fn has_free(&self) -> bool {
        self.used < self.at_once
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The place that is used next.
    fn next(&self) -> usize {
        self.free.peek().map_or(self.jobs.len() + 1, |Reverse(slot)| *slot)
    }

    fn take(&mut self, slot: usize, job: Job) {
        match self.free.pop() {
            Some(_) => self.jobs[slot - 1] = Some(job),
            None => self.jobs.push(Some(job)),
        }
        self.used += 1;
    }

    /// Frees the place of a job that has ended, which was started with this key.
    pub(super) fn give_back(&mut self, key: u64) -> Option<(usize, Job)> {
        let slot = key as usize;
        let job = self.jobs.get_mut(slot.checked_sub(1)?)?.take()?;
        self.free.push(Reverse(slot));
        self.used -= 1;
        Some((slot, job))
    }
}

impl Runner {
    /// Starts a job in the next free slot.
    pub(super) fn start(&mut self, job: Job) -> Started {
        let slot = self.slots.next();
        let values = Values { inputs: &job.inputs, sequence: job.sequence, slot: Some(slot) };
        let arguments = self.plan.template.arguments(values);
        let Some((program, rest)) = arguments.split_first().filter(|(first, _)| !first.is_empty())
        else {
            return Started::Failed(job, slot, "no command".into());
        };
        let mut command = Command::new(program);
        command.args(rest);
        if self.plan.output.grouped {
            command.stdout(Stdio::Capture).stderr(Stdio::Capture);
        }
        if let Some(limit) = self.plan.limits.time {
            command.timeout(limit);
        }
        if let Some(limit) = self.plan.limits.memory {
            command.memory_limit(limit);
        }
        let error = match self.desk.start(slot as u64, &command) {
            Ok(_) => {
                self.slots.take(slot, job);
                return Started::Yes;
            }
            Err(error) => error,
        };
        let cause = root_io_error(&error);
        let number = cause.and_then(io::Error::raw_os_error);
        if number.is_some_and(is_for_want_of_room) && !self.slots.is_empty() {
            return Started::NoRoom(job);
        }
        let kind = cause.map(io::Error::kind);
        let reason = match kind {
            Some(io::ErrorKind::NotFound) => "command not found".to_string(),
            _ => cause.map_or_else(|| error.to_string(), io::Error::to_string),
        };
        let is_the_commands =
            matches!(kind, Some(io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied))
                || number == Some(rustix::io::Errno::NOEXEC.raw_os_error());
        match is_the_commands && self.plan.template.has_one_program() {
            true => Started::Never(format!("{}: {reason}", program.display())),
            false => Started::Failed(job, slot, reason),
        }
    }
}

/// The innermost error of the system in a chain of errors.
fn root_io_error(error: &fourfold::Error) -> Option<&io::Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = error.source();
    let mut found = None;
    while let Some(error) = next {
        next = error.source();
        if let Some(io) = error.downcast_ref::<io::Error>() {
            found = Some(io);
            // An `io::Error` gives the source of what it holds, not what it holds.
            if let Some(inner) = io.get_ref() {
                next = Some(inner);
            }
        }
    }
    found
}

/// Whether the system may have room when another job has ended.
fn is_for_want_of_room(number: i32) -> bool {
    use rustix::io::Errno;
    [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| errno.raw_os_error() == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_used_first() {
        let mut slots = Slots::new(3);
        let job = |sequence| Job { sequence, inputs: Vec::new(), tries: 0 };
        for sequence in 1..=3 {
            let slot = slots.next();
            slots.take(slot, job(sequence));
        }
        assert!(!slots.has_free());
        assert_eq!(slots.give_back(3).map(|(slot, job)| (slot, job.sequence)), Some((3, 3)));
        assert_eq!(slots.give_back(1).map(|(slot, job)| (slot, job.sequence)), Some((1, 1)));
        assert!(slots.give_back(1).is_none() && slots.give_back(0).is_none());
        assert_eq!(slots.next(), 1);
        slots.take(1, job(4));
        assert_eq!(slots.next(), 3);
    }
}
