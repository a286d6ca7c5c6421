//! Who is to be woken when.

use std::collections::BTreeSet;
use std::time::Instant;

/// The coroutines of a hub that wait with a deadline. Each waits for one thing at a time, so it is in here once at most.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeSet<(Instant, u32)>,
}

impl Timers {
    pub(super) fn insert(&mut self, deadline: Instant, index: u32) {
        self.set.insert((deadline, index));
    }

    /// Takes it out, unless it has fired.
    pub(super) fn remove(&mut self, deadline: Instant, index: u32) {
        self.set.remove(&(deadline, index));
    }

    /// Takes out one whose time has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let first = self.set.first()?;
        if first.0 > now {
            return None;
        }
        self.set.pop_first().map(|(_, index)| index)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}
