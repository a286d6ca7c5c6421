//! The lock between processes that survives its holder.
//!
//! The protocol is told in `README.md`, under *The lock word*.

use std::time::{Duration, Instant};

use super::atomic::{Number32, Number64, Ordering};
use super::gate::{Gate, Look, Patience, sleep_until};
use super::host::{Host, Member};

/// Nobody holds it.
const FREE: u64 = 0;
/// Nobody holds it, and only who has slept for it may take it. No member: those have a life in their high half.
const KEPT: u64 = 1;
/// Who has waited for so long has the lock kept for those who sleep, when it is given back next.
const PATIENCE: Duration = Duration::from_millis(1);

/// Who holds the lock, in the same number as whether it is held.
#[repr(C)]
pub(super) struct LockWord {
    owner: Number64,
    gate: Gate,
    /// Not 0: somebody has waited for long.
    starved: Number32,
    _unused: u32,
}

/// How a lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what a dead holder left must be looked at"]
pub(super) enum Taken {
    /// It was free.
    Free,
    /// Who held it has died.
    OwnerDied,
}

impl LockWord {
    #[cfg(test)]
    pub(super) fn new() -> LockWord {
        LockWord {
            owner: Number64::new(FREE),
            gate: Gate::new(),
            starved: Number32::new(0),
            _unused: 0,
        }
    }

    /// Where futures wait.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Takes it if nobody holds it.
    #[inline]
    pub(super) fn try_fast(&self, me: Member) -> bool {
        // Acquire: what the last holder did is seen.
        self.owner.exchange(FREE, me.0, Ordering::Acquire).is_ok()
    }

    /// Takes it if nobody living holds it. Asks the kernel, if somebody does.
    pub(super) fn try_lock(&self, host: &impl Host) -> Option<Taken> {
        let me = host.me();
        if self.try_fast(me) {
            return Some(Taken::Free);
        }
        if self.owner.load(Ordering::Relaxed) == KEPT {
            // For whoever sleeps. If nobody does, it would be kept from all who only try.
            let nobody = host.wake(&self.gate, 1) == 0;
            return (nobody && self.poll(me, true)).then_some(Taken::Free);
        }
        self.reclaim(host, me).then_some(Taken::OwnerDied)
    }

    /// Takes it, and waits for it as a thread, whoever calls. For what is held for moments.
    #[inline]
    pub(super) fn lock(&self, host: &impl Host) -> Taken {
        let me = host.me();
        if self.try_fast(me) {
            return Taken::Free;
        }
        let began = Instant::now();
        let patience = Patience::new();
        let taken = sleep_until(
            host,
            &self.gate,
            None,
            || (),
            |now| {
                patience.pause(now);
                self.look(host, me, now, began)
            },
        );
        taken.expect("a wait without a deadline")
    }

    /// A look of one who waits since `began`.
    pub(super) fn look(
        &self,
        host: &impl Host,
        me: Member,
        now: Look,
        began: Instant,
    ) -> Option<Taken> {
        if self.poll(me, now.slept) {
            return Some(Taken::Free);
        }
        // The model checker has no clock.
        if now.slept && (cfg!(all(loom, test)) || began.elapsed() >= PATIENCE) {
            self.starved.store(1, Ordering::Relaxed);
            // It may have been given back just before.
            if self.poll(me, true) {
                return Some(Taken::Free);
            }
        }
        (now.ask && self.reclaim(host, me)).then_some(Taken::OwnerDied)
    }

    /// Takes it if it is free; for who has slept, also if it is kept.
    pub(super) fn poll(&self, me: Member, slept: bool) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        let may = owner == FREE || slept && owner == KEPT;
        if !may || self.owner.exchange(owner, me.0, Ordering::Acquire).is_err() {
            return false;
        }
        if slept {
            // It may have been us. Another who has waited for long says so again.
            self.starved.store(0, Ordering::Relaxed);
        }
        true
    }

    /// Takes it from a holder that has died.
    pub(super) fn reclaim(&self, host: &impl Host, me: Member) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        // What holds it as ourselves is another thread of ours, which lives.
        owner != FREE
            && owner != KEPT
            && owner != me.0
            && host.is_dead(Member(owner))
            && self.owner.exchange(owner, me.0, Ordering::Acquire).is_ok()
    }

    /// Gives it back. The caller holds it.
    #[inline]
    pub(super) fn unlock(&self, host: &impl Host) {
        let next = if self.starved.load(Ordering::Relaxed) == 0 { FREE } else { KEPT };
        // SeqCst: either who is about to sleep sees this, or we see that it is about to.
        self.owner.swap(next, Ordering::SeqCst);
        self.gate.open_fenced(host, 1);
    }

    /// Whether somebody holds it.
    pub(super) fn is_locked(&self) -> bool {
        !matches!(self.owner.load(Ordering::Relaxed), FREE | KEPT)
    }
}
