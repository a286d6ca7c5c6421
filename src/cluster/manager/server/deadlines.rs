//! When the server has something to do that nobody tells it to.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rustix::event::Timespec;

use super::crowd::Crowd;

/// What ends at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The time for a handshake.
    Handshake,
    /// A wait, by its number within its connection.
    Wait(u64),
    /// The time for the rest of a message that was refused.
    Rest,
}

/// The deadlines of connections. Those of what ended in time are void, and stay for a while.
#[derive(Debug)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, u64, What)>>,
    crowd: Crowd,
}

/// How many there may be before it is worth the time to look which of them are void.
const CROWDED: usize = 256;

/// How long the poller waits at most: older kernels know no more than 2^31 milliseconds.
const LONGEST: Duration = Duration::from_secs(3600);

impl Deadlines {
    pub(super) fn new() -> Deadlines {
        Deadlines { heap: BinaryHeap::new(), crowd: Crowd::beyond(CROWDED) }
    }

    pub(super) fn add(&mut self, at: Instant, connection: u64, what: What) {
        self.heap.push(Reverse((at, connection, what)));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next one that is over by now.
    pub(super) fn take(&mut self, now: Instant) -> Option<(u64, What)> {
        self.next().filter(|&at| at <= now)?;
        self.heap.pop().map(|Reverse((_, connection, what))| (connection, what))
    }

    /// Forgets the void ones, if there are many.
    pub(super) fn tidy(&mut self, is_live: impl Fn(u64, What) -> bool) {
        self.crowd.tidy(self.heap.len(), || {
            self.heap.retain(|&Reverse((_, connection, what))| is_live(connection, what));
            self.heap.shrink_to(2 * self.heap.len());
            self.heap.len()
        });
    }
}

/// How long the poller waits when so much time is left.
pub(super) fn timeout(left: Duration) -> Timespec {
    let left = left.min(LONGEST);
    Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn void_deadlines_do_not_pile_up_and_the_others_stay_in_order() {
        let begin = Instant::now();
        let mut deadlines = Deadlines::new();
        let is_live = |id: u64, _| id.is_multiple_of(1000);
        for id in 0..100_000 {
            // The later ones are over earlier.
            let at = begin + Duration::from_secs(200_000 - id);
            deadlines.add(at, id, What::Wait(id));
            deadlines.tidy(is_live);
            assert!(deadlines.heap.len() <= CROWDED.max(2 * (1 + id as usize / 1000)), "{id}");
        }
        assert!(deadlines.heap.capacity() < 4 * CROWDED, "{}", deadlines.heap.capacity());
        assert_eq!(deadlines.take(begin), None);
        let mut live = Vec::new();
        while let Some((id, what)) = deadlines.take(begin + Duration::from_secs(200_000)) {
            assert_eq!(what, What::Wait(id));
            live.extend(is_live(id, what).then_some(id));
        }
        assert_eq!(live, (0..100).rev().map(|id| id * 1000).collect::<Vec<_>>());
    }

    #[test]
    fn the_poller_never_waits_longer_than_every_kernel_can() {
        for seconds in [3601, 1 << 31, u64::MAX] {
            let timeout = timeout(Duration::from_secs(seconds));
            assert_eq!((timeout.tv_sec, timeout.tv_nsec), (3600, 0));
        }
        let timeout = timeout(Duration::new(5, 7));
        assert_eq!((timeout.tv_sec, timeout.tv_nsec), (5, 7));
    }
}
