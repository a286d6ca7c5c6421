//! Faults: processes killed at every state and at random, parents that die, starts that fail, and what is left of it all.
//!
//! What is to be lost or counted runs in a process of its own: a role of the programs in `tests/programs`, which fails by a
//! panic that says why. `FOURFOLD_SOAK` makes each test at random go on for 10,000 rounds.

mod bombs;
mod ends;
mod kills;
mod left;
mod limits;
mod orphans;
mod support;
