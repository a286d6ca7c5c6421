//! The resident memory of a process and all that it has started, and a limit on it.
//!
//! Where control groups are ours to make the kernel keeps the limit (`cgroup.rs`), and nothing here is needed. Elsewhere
//! the memory is sampled every [`INTERVAL`] by a thread that is there while anything is watched. A tree is the process, its
//! descendants, and the members of its process group, so that a grandchild whose parent has ended still counts. What is
//! compared with the limit is first the sum of the resident sizes, which is cheap and counts shared pages several times;
//! only if that is over, the sum of the proportional sizes, which counts a shared page once.

mod cgroup;
mod sampler;
mod tree;

pub(crate) use self::cgroup::{Group, settle};
pub(crate) use self::sampler::{INTERVAL, Meter, hold, watch};
pub(crate) use self::tree::Tree;
