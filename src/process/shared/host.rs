//! What the protocols of shared memory need of the world around them: to sleep, to wake, and to know who has died.
//!
//! Outside of tests there is one implementation, [`Arena`](super::arena::Arena). The model checker has its own, in which a
//! participant dies at a step of the model's choice.

use std::time::Duration;

use super::gate::Gate;

/// A participant in one of its lives: the slot in its low half, counted from 1, and above it how often the slot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Member(pub(super) u64);

impl Member {
    pub(super) fn new(slot: usize, life: u32) -> Member {
        Member(u64::from(life) << 32 | (slot as u64 + 1))
    }

    pub(super) fn slot(self) -> usize {
        (self.0 as u32 as usize).wrapping_sub(1)
    }

    pub(super) fn life(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The world of a protocol.
pub(super) trait Host {
    /// Who runs this.
    fn me(&self) -> Member;

    /// Whether that participant has ended. What it did before is visible to who is told so. Asks the kernel.
    fn is_dead(&self, member: Member) -> bool;

    /// As `is_dead`, for the life of a slot of which only the last bits are known.
    fn is_dead_brief(&self, slot: usize, life: u32, bits: u32) -> bool;

    /// Sleeps while the gate's word is `seen`, for so long at most.
    fn sleep(&self, gate: &Gate, seen: u32, limit: Duration);

    /// Wakes so many of those who sleep at the gate, and says how many there were.
    fn wake(&self, gate: &Gate, count: u32) -> u32;

    /// Rings the bell of each participant whose bit is among these.
    fn ring(&self, who: u64);
}
