//! Whether to look again for a moment before going to sleep.
//!
//! To be woken from a sleep on another core costs more than a short task does. So who has had a short wait looks for a
//! moment before the next one, giving way to whoever else wants the core; one that was not short ends that. A thread that
//! waits long, or seldom, spends [`SPIN`] once, and nothing after it; and where there is one processor, nothing at all.
//!
//! To give way is a system call, in the middle of which the answer may come; and it has the kernel leave both sides on one core. So who
//! looks at memory, and found nobody to give way to the last time, does not do so for the first microseconds ([`ALONE`]). Where
//! both sides share a core, giving way takes as long as the other's turn: that ends it.

use std::hint;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use super::serve::monotonic;

/// How long to look before sleeping, mostly.
const SPIN: Duration = Duration::from_micros(50);
/// A wait that is short, mostly: two wake-ups, and what is done between them.
const SHORT: Duration = Duration::from_micros(150);

/// How long to look without giving way, if nobody else seems to want this core: less than it takes to change from one process to
/// another and back.
const ALONE: Duration = Duration::from_micros(3);
/// Between two looks, for longer than this, somebody else has had the core.
const AWAY: Duration = Duration::from_micros(2);
/// Looks for each one at the clock: while giving way, and while not.
const LOOKS: [u32; 2] = [4, 16];

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
    /// Whether nobody else had the core while it looked. `None`: it gives way from the start, always.
    alone: Option<bool>,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { short: false, limits: [SPIN, SHORT], alone: None }
    }
}

impl Patience {
    /// One that looks no longer than this, and only after waits that were no longer.
    #[cfg(feature = "cluster")]
    pub(crate) fn of(limit: Duration) -> Patience {
        Patience { short: false, limits: [limit; 2], alone: None }
    }

    /// One that looks at memory, where a look takes next to no time.
    pub(crate) fn at_memory() -> Patience {
        Patience { alone: Some(false), ..Patience::default() }
    }

    /// Notes how long a wait was.
    pub(crate) fn learn(&mut self, waited: Duration) {
        self.short = waited < self.limits[1];
    }

    /// Looks, by `look`, until it has seen something or the time for it is over, if this is a time to look at all. If it has seen
    /// something, the wait was short, and there is nothing more to learn of it: then it gives what time it was a few looks ago, as
    /// [`monotonic`] does.
    pub(crate) fn look(&mut self, look: impl FnMut() -> bool) -> Option<u64> {
        if !self.short {
            return None;
        }
        let alone = self.alone == Some(true);
        let (seen, away) =
            look_so(self.limits[0], if alone { ALONE } else { Duration::ZERO }, look);
        self.alone = self.alone.map(|_| !away);
        seen
    }
}

/// Looks, by `look`, until it has seen something or the time is over, where there is more than one processor.
#[cfg(feature = "cluster")]
pub(crate) fn look_for(limit: Duration, look: impl FnMut() -> bool) {
    look_so(limit, Duration::ZERO, look);
}

/// Looks for so long, from the second limit on giving way. When it has last looked at the clock, if it has seen something, and whether
/// somebody else has had the core meanwhile.
fn look_so(
    limit: Duration,
    alone: Duration,
    mut look: impl FnMut() -> bool,
) -> (Option<u64>, bool) {
    if !*HAS_OTHERS {
        return (None, true);
    }
    let nanos = |time: Duration| time.as_nanos() as u64;
    let (limit, alone) = (nanos(limit), nanos(alone));
    let began = monotonic();
    let (mut now, mut away) = (began, false);
    loop {
        for _ in 0..LOOKS[usize::from(now.saturating_sub(began) < alone)] {
            if look() {
                return (Some(now), away);
            }
            hint::spin_loop();
        }
        let mut next = |now: &mut u64| {
            let before = std::mem::replace(now, monotonic());
            away |= now.saturating_sub(before) > nanos(AWAY);
        };
        next(&mut now);
        let looked = now.saturating_sub(began);
        if looked > limit {
            return (None, away);
        }
        if looked >= alone {
            // Now and then somebody else has the core, who may be the one that is waited for.
            thread::yield_now();
            next(&mut now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience() -> Patience {
        Patience { short: true, alone: Some(true), ..Patience::at_memory() }
    }

    #[test]
    fn what_is_seen_at_once_was_a_short_wait_alone() {
        let mut patience = patience();
        let mut looks = 0;
        let seen = patience.look(|| {
            looks += 1;
            looks == 3
        });
        assert_eq!(seen.is_some(), *HAS_OTHERS);
        assert_eq!(patience.alone, Some(*HAS_OTHERS));
    }

    #[test]
    fn who_had_to_leave_the_core_to_others_gives_way_from_the_start_next_time() {
        let mut patience = patience();
        let mut looks = 0;
        patience.look(|| {
            looks += 1;
            thread::sleep(Duration::from_micros(10));
            looks > 2 * LOOKS[1]
        });
        assert_eq!(patience.alone, Some(false));
    }

    #[test]
    fn nobody_looks_after_a_long_wait() {
        let mut patience = patience();
        patience.learn(SHORT);
        assert!(patience.look(|| panic!("it looked")).is_none());
    }
}
