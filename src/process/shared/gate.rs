//! Where threads, and the bells of other processes, wait for a word in shared memory to change.
//!
//! The protocol is told in `README.md`, under *The gate*.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::atomic::{Number32, Number64, Ordering, fence};
use super::host::{Host, Member};

/// Until a thread that waits first asks who has died: what it waits for mostly comes before.
const FIRST_ASK: Duration = Duration::from_millis(2);
/// Between two such questions; so a death that nobody tells of is found within this time.
pub(super) const ASK: Duration = Duration::from_millis(if cfg!(fourfold_steps) { 5 } else { 50 });
/// For how long a thread looks before it goes to sleep: about what it costs to be woken, so it never waits for more than
/// twice as long as who knew beforehand what is better.
const SPIN: Duration = Duration::from_micros(if cfg!(fourfold_steps) { 0 } else { 40 });
/// After this long it lets others run in between, one of whom it may wait for.
const ALONE: Duration = Duration::from_micros(20);
/// The same, if letting others run was what helped the last time.
const CROWDED: Duration = Duration::from_micros(1);
/// Looks between those at the clock.
const SPINS: u32 = 16;
/// The longest pause between two looks. They grow with the time that has passed, so little is lost by them, and who changes
/// what is looked at is left in peace to do so several times.
const LONGEST: u32 = 32;

thread_local! {
    /// Whether what this thread last waited for came after it had let others run: it is on their core, maybe.
    static IS_CROWDED: Cell<bool> = const { Cell::new(false) };
}

/// Threads sleep here.
const SLEEPERS: u32 = 1;
/// Participants want their bell rung: see `who`.
const WATCHED: u32 = 2;
/// One wake-up.
const ONE: u32 = 4;

/// Waiting threads, and participants with waiting futures.
#[repr(C)]
pub(super) struct Gate {
    /// Two flags, and above them a count of wake-ups. The futex.
    pub(super) word: Number32,
    _unused: u32,
    /// A bit for each participant whose bell is to be rung: that of its slot, modulo 64.
    who: Number64,
}

/// What was seen before a last look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen(pub(super) u32);

impl Gate {
    #[cfg(test)]
    pub(super) fn new() -> Gate {
        Gate { word: Number32::new(0), _unused: 0, who: Number64::new(0) }
    }

    /// Says that a thread is about to sleep. Look once more after this, then [`sleep`](Gate::sleep).
    pub(super) fn prepare(&self) -> Seen {
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & SLEEPERS == 0 {
            match self.word.exchange(seen, seen | SLEEPERS, Ordering::Relaxed) {
                Ok(()) => seen |= SLEEPERS,
                Err(now) => seen = now,
            }
        }
        // Pairs with the fence of `open`: either the look that follows sees the change, or `open` sees the flag.
        fence(Ordering::SeqCst);
        Seen(seen)
    }

    /// Sleeps until the gate is opened, or for so long. May return early.
    pub(super) fn sleep(&self, host: &impl Host, seen: Seen, limit: Duration) {
        host.sleep(self, seen.0, limit);
    }

    /// Says that this participant's bell is to be rung when the gate is opened. Look once more after this.
    ///
    /// Who opens the gate takes the flag and then the bits. If both happen between our two steps, or the second between an
    /// opening's two, the bell rings at once and the flag stands without a bit: so a bell that rings has those who still
    /// wait [`watch_again`](Gate::watch_again).
    pub(super) fn watch(&self, me: Member) {
        self.who.fetch_or(bit(me), Ordering::Relaxed);
        self.word.fetch_or(WATCHED, Ordering::AcqRel);
        // As in `prepare`.
        fence(Ordering::SeqCst);
    }

    /// Restores a watch that a ring may have undone. True if there may be something to see.
    pub(super) fn watch_again(&self, me: Member, count: u32) -> bool {
        // Who has taken the flag, and not the bits yet, may be stopped there: then others do not count what they change.
        let missed = self.word.load(Ordering::Acquire) & WATCHED == 0;
        if missed || self.who.load(Ordering::Acquire) & bit(me) == 0 {
            self.watch(me);
        }
        missed || self.count() != count
    }

    /// Whether a participant wants its bell rung, as far as this thread has heard.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.word.load(Ordering::Relaxed) & WATCHED != 0
    }

    /// How often it was opened for somebody.
    pub(super) fn count(&self) -> u32 {
        self.word.load(Ordering::Acquire) / ONE
    }

    /// After a change that one of those who wait can make use of.
    #[inline]
    pub(super) fn open_one(&self, host: &impl Host) {
        fence(Ordering::SeqCst);
        self.open_fenced(host, 1);
    }

    /// After a change that all who wait want to see.
    #[inline]
    pub(super) fn open_all(&self, host: &impl Host) {
        fence(Ordering::SeqCst);
        self.open_fenced(host, u32::MAX);
    }

    /// As `open_one` or `open_all`, after an access that was SeqCst itself and wrote.
    #[inline]
    pub(super) fn open_fenced(&self, host: &impl Host, count: u32) {
        if self.word.load(Ordering::SeqCst) & (SLEEPERS | WATCHED) != 0 {
            self.open_slowly(host, count);
        }
    }

    #[cold]
    fn open_slowly(&self, host: &impl Host, count: u32) {
        // The count first: who has looked and not slept yet does not go to sleep.
        let seen = self.word.fetch_add(ONE, Ordering::AcqRel).wrapping_add(ONE);
        if seen & WATCHED != 0 {
            self.word.fetch_and(!WATCHED, Ordering::AcqRel);
            host.ring(self.who.swap(0, Ordering::AcqRel));
        }
        if seen & SLEEPERS == 0 {
            return;
        }
        let woken = host.wake(self, count);
        if woken < count {
            // Nobody sleeps any more, it seems. Who came meanwhile either has seen the flag, and is woken below, or does not
            // sleep, since the word is another.
            let seen = seen & !WATCHED;
            if self.word.exchange(seen, seen & !SLEEPERS, Ordering::AcqRel).is_ok() {
                host.wake(self, u32::MAX);
            }
        }
    }
}

fn bit(member: Member) -> u64 {
    1 << (member.slot() % 64)
}

/// Between looks at what changes hands often: who has it does more with it before it loses its line of the cache to who looks.
pub(super) struct Patience(Cell<u32>);

impl Patience {
    pub(super) fn new() -> Patience {
        Patience(Cell::new(0))
    }

    /// Before a look: the longer, the more there were.
    pub(super) fn pause(&self, now: Look) {
        if now.slept || cfg!(all(loom, test)) {
            return;
        }
        let looks = self.0.get();
        self.0.set(looks + 1);
        (0..1u32 << looks.min(7)).for_each(|_| std::hint::spin_loop());
    }
}

/// What is known at a look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// The caller has waited for a wake-up before.
    pub(super) slept: bool,
    /// It is time to see whether those live on whom the caller waits.
    pub(super) ask: bool,
}

impl Look {
    pub(super) const FIRST: Look = Look { slept: false, ask: false };
}

/// Looks until there is something, and has the thread sleep in between. `tend` is called now and then, before a look that
/// asks. `None`: the deadline has passed.
pub(super) fn sleep_until<T>(
    host: &impl Host,
    gate: &Gate,
    deadline: Option<Instant>,
    tend: impl Fn(),
    mut look: impl FnMut(Look) -> Option<T>,
) -> Option<T> {
    let mut asked = Instant::now();
    let alone = if IS_CROWDED.get() { CROWDED } else { ALONE };
    let (mut looks, mut yielded) = (0, false);
    while !cfg!(all(loom, test)) {
        for _ in 0..SPINS {
            if let Some(found) = look(Look::FIRST) {
                IS_CROWDED.set(yielded);
                return Some(found);
            }
            looks += 1;
            (0..(looks / 8).clamp(1, LONGEST)).for_each(|_| std::hint::spin_loop());
        }
        let now = Instant::now();
        match now - asked {
            spun if spun >= SPIN => {
                asked = now;
                break;
            }
            spun if spun >= alone => {
                yielded = true;
                std::thread::yield_now();
            }
            _ => {}
        }
    }
    let mut slice = FIRST_ASK;
    let mut now = Look::FIRST;
    loop {
        let seen = gate.prepare();
        if let Some(found) = look(now) {
            return Some(found);
        }
        let mut left = slice;
        if let Some(deadline) = deadline {
            left = left.min(deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                // Those who wait for moments only, again and again, must find out, too, who has died.
                tend();
                if let Some(found) = look(Look { slept: true, ask: true }) {
                    return Some(found);
                }
                // Who gives up may have been woken in another's place.
                gate.open_one(host);
                return None;
            }
        }
        gate.sleep(host, seen, left);
        let ask = cfg!(all(loom, test)) || asked.elapsed() >= slice;
        now = Look { slept: true, ask };
        if now.ask {
            tend();
            (asked, slice) = (Instant::now(), ASK);
        }
    }
}
