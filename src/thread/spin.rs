//! Looking again for some microseconds before going to sleep, since sleeping and being woken takes tens of them.

use std::hint;
use std::num::NonZero;
use std::sync::OnceLock;
use std::thread;
use std::time::Instant;

/// Looks in a row, with ever longer pauses, up to 64 instructions of pause.
const LOOKS: u32 = 24;
const LONGEST_PAUSE: u32 = 6;

/// Then looks with a yield before each, so that who is to bring what is waited for can run.
const YIELDS: u32 = 8;

/// Looks until `look` is true, or the deadline has passed, or a few microseconds have: whether it was true.
///
/// Where this process may use one core only, looking in a row is in vain: it yields at once.
pub(super) fn spin(deadline: Option<Instant>, mut look: impl FnMut() -> bool) -> bool {
    static ALONE: OnceLock<bool> = OnceLock::new();
    let alone = *ALONE
        .get_or_init(|| thread::available_parallelism().is_ok_and(|n| n == NonZero::<usize>::MIN));
    let is_over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    for round in 0..if alone { 0 } else { LOOKS } {
        if look() {
            return true;
        }
        for _ in 0..1 << round.min(LONGEST_PAUSE) {
            hint::spin_loop();
        }
    }
    for _ in 0..YIELDS {
        if look() || is_over() {
            break;
        }
        thread::yield_now();
    }
    look()
}
