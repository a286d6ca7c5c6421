//! Chance, the same each time, and how often it is tried: `FOURFOLD_ROUNDS` says it; 100 by default.

pub(crate) fn rounds() -> usize {
    std::env::var("FOURFOLD_ROUNDS").map_or(100, |rounds| rounds.parse().unwrap())
}

/// A number out of a number, spread well.
pub(crate) fn mix(n: usize) -> usize {
    let n = (n as u64).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((n ^ (n >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32) as usize
}

/// Numbers that look random, the same each time for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
