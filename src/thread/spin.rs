//! Looking again for some microseconds before going to sleep, since sleeping and being woken takes tens of them.
//!
//! Where looking was in vain, since what is waited for takes longer or the cores are busy with others, the thread goes to
//! sleep at once the next time, then the next three times, up to 63: then it tries again.

use std::cell::Cell;
use std::hint;
use std::num::NonZero;
use std::sync::OnceLock;
use std::thread;
use std::time::Instant;

/// Looks in a row, with ever longer pauses, up to 64 instructions of pause: about ten microseconds in all. There is no yield
/// in between: where the cores are busy, it gives away the rest of the thread's turn.
const LOOKS: u32 = 12;
const LONGEST_PAUSE: u32 = 6;

/// How often a glance looks.
const GLANCES: u32 = 16;

const MOST_SKIPPED: u8 = 63;

#[derive(Clone, Copy)]
struct Habit {
    /// How many times still to sleep at once.
    left: u8,
    /// How many times it was to do so after it last looked in vain.
    skipped: u8,
}

thread_local! {
    static HABIT: Cell<Habit> = const { Cell::new(Habit { left: 0, skipped: 0 }) };
}

/// Looks until `look` is true, or the deadline has passed, or a few microseconds have: whether it was true.
pub(super) fn spin(deadline: Option<Instant>, mut look: impl FnMut() -> bool) -> bool {
    // A thread that destroys its thread-locals is in no hurry.
    let Ok(mut habit) = HABIT.try_with(Cell::get) else { return look() };
    let found = if habit.left > 0 {
        habit.left -= 1;
        look()
    } else {
        let found = look_long(deadline, look);
        habit.skipped = if found { 0 } else { (habit.skipped * 2 + 1).min(MOST_SKIPPED) };
        habit.left = habit.skipped;
        found
    };
    let _ = HABIT.try_with(|known| known.set(habit));
    found
}

/// Looks for less than a microsecond: whether `look` was true.
pub(super) fn glance(look: impl Fn() -> bool) -> bool {
    (0..GLANCES).any(|_| {
        hint::spin_loop();
        look()
    })
}

fn look_long(deadline: Option<Instant>, mut look: impl FnMut() -> bool) -> bool {
    static ALONE: OnceLock<bool> = OnceLock::new();
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    // On one core, what is waited for cannot come while this thread runs.
    if *ALONE.get_or_init(|| cores() == 1) {
        return look();
    }
    let is_over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    for round in 0..LOOKS {
        if look() {
            return true;
        }
        if is_over() {
            return false;
        }
        for _ in 0..1 << round.min(LONGEST_PAUSE) {
            hint::spin_loop();
        }
    }
    look()
}
