//! A death at each step of each operation in shared memory harms nobody: see `ci/steps`. Not in the harness, since it forks.
//!
//! Built with `--cfg fourfold_steps` only. A victim is a fork that kills itself at its n-th step, for each n of its operation; or a worker of a pool.
//! Then others use the word; and when all have gone, the memory must be as it was, each block free or in use by one.

#[cfg(not(fourfold_steps))]
fn main() {}

#[cfg(fourfold_steps)]
mod objects;
#[cfg(fourfold_steps)]
mod pools;
#[cfg(fourfold_steps)]
mod queues;
#[cfg(fourfold_steps)]
mod support;
#[cfg(fourfold_steps)]
mod words;

#[cfg(fourfold_steps)]
fn main() {
    let mut cases = Vec::new();
    words::cases(&mut cases);
    queues::cases(&mut cases);
    objects::cases(&mut cases);
    pools::cases(&mut cases);
    support::run(cases);
}
