//! Whether to look again for a moment before going to sleep.
//!
//! To be woken from a sleep on another core costs more than a short task does. So who has had a short wait looks for a
//! moment before the next one, giving way to whoever else wants the core; one that was not short ends that. A thread that
//! waits long, or seldom, spends [`SPIN`] once, and nothing after it; and where there is one processor, nothing at all.

use std::hint;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

/// How long to look before sleeping, mostly.
const SPIN: Duration = Duration::from_micros(50);
/// A wait that is short, mostly: two wake-ups, and what is done between them.
const SHORT: Duration = Duration::from_micros(150);

/// Whether this machine has more than one processor. Those that this process may use do not count: the other side may be
/// kept to others.
static HAS_OTHERS: LazyLock<bool> = LazyLock::new(|| {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    !matches!(online.trim(), "" | "0")
});

/// What the last wait has taught.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    short: bool,
    /// How long to look, and which waits are short.
    limits: [Duration; 2],
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { short: false, limits: [SPIN, SHORT] }
    }
}

impl Patience {
    /// One that looks no longer than this, and only after waits that were no longer.
    #[cfg(feature = "cluster")]
    pub(crate) fn of(limit: Duration) -> Patience {
        Patience { short: false, limits: [limit; 2] }
    }

    /// Notes how long a wait was.
    pub(crate) fn learn(&mut self, waited: Duration) {
        self.short = waited < self.limits[1];
    }

    /// Looks, by `look`, until it has seen something or the time for it is over, if this is a time to look at all.
    pub(crate) fn look(self, look: impl FnMut() -> bool) {
        if self.short {
            look_for(self.limits[0], look);
        }
    }
}

/// Looks, by `look`, until it has seen something or the time is over, where there is more than one processor.
pub(crate) fn look_for(limit: Duration, mut look: impl FnMut() -> bool) {
    if !*HAS_OTHERS {
        return;
    }
    let began = Instant::now();
    for round in 1.. {
        if look() || began.elapsed() > limit {
            return;
        }
        // Now and then somebody else has the core, who may be the one that is waited for.
        if round % 4 == 0 { thread::yield_now() } else { hint::spin_loop() }
    }
}
