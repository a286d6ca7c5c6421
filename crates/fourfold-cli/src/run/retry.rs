//! Jobs that failed and wait for their next try.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::job::Job;

/// The longest wait before a try, unless the first is longer.
const LONGEST: Duration = Duration::from_secs(600);

/// The most jobs that wait for another try before no new ones are started.
const MANY: usize = 10_000;

/// How long a job waits after so many tries: `first`, and twice as long each time.
fn wait_after(tries: u32, first: Duration) -> Duration {
    let factor = 1u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(LONGEST.max(first))
}

/// The jobs that wait.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    waiting: BinaryHeap<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    job: Job,
}

impl Retries {
    /// Has a job wait as long as it must after the tries that it had.
    pub(crate) fn add(&mut self, job: Job, backoff: Duration) {
        let due = Instant::now() + wait_after(job.tries, backoff);
        self.waiting.push(Waiting { due, job });
    }

    /// A job whose wait is over.
    pub(crate) fn take_due(&mut self) -> Option<Job> {
        match self.waiting.peek() {
            Some(first) if first.due <= Instant::now() => self.take(),
            _ => None,
        }
    }

    /// A job, whether or not its wait is over.
    pub(crate) fn take(&mut self) -> Option<Job> {
        self.waiting.pop().map(|waiting| waiting.job)
    }

    /// When the next wait is over.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.peek().map(|waiting| waiting.due)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether so many wait that no new jobs should be started.
    pub(crate) fn are_many(&self) -> bool {
        self.waiting.len() >= MANY
    }
}

/// The earliest is the greatest.
impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> Ordering {
        let key = |waiting: &Waiting| (waiting.due, waiting.job.sequence);
        key(other).cmp(&key(self))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let seconds = |tries, first| wait_after(tries, Duration::from_secs(first)).as_secs();
        assert_eq!(
            [1, 2, 3, 10, 11, 40, 4000].map(|tries| seconds(tries, 1)),
            [1, 2, 4, 512, 600, 600, 600]
        );
        assert_eq!([1, 2].map(|tries| seconds(tries, 1000)), [1000, 1000]);
        assert_eq!(seconds(50, 0), 0);
    }

    #[test]
    fn the_earliest_comes_first() {
        let mut retries = Retries::default();
        for (sequence, tries) in [(1, 3), (2, 1), (3, 2)] {
            let job = Job { sequence, inputs: Vec::new(), tries };
            retries.add(job, Duration::from_secs(5));
        }
        assert!(retries.take_due().is_none());
        let order: Vec<u64> =
            std::iter::from_fn(|| retries.take()).map(|job| job.sequence).collect();
        assert_eq!(order, [2, 3, 1]);
    }
}
