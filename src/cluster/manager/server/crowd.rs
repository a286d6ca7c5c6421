//! When it is time to forget what is void of a collection to which things are only added.

/// Counts so that each thing is looked at a few times at most, and no more than half of those kept are void.
#[derive(Debug)]
pub(super) struct Crowd {
    /// How many there may be before it is worth the time to look.
    least: usize,
    /// How many there are when it is time to look again.
    most: usize,
}

impl Crowd {
    pub(super) fn beyond(least: usize) -> Crowd {
        Crowd { least, most: least }
    }

    /// Has the void ones forgotten if there are too many. `forget` says how many are left.
    pub(super) fn tidy(&mut self, len: usize, forget: impl FnOnce() -> usize) {
        if len > self.most {
            self.most = self.least.max(2 * forget());
        }
    }
}
