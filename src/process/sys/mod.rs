//! What the kernel is asked for: starting a child, tying its life to ours, and learning how it ended.
//!
//! The protocol of the lifeline, and what a death at each step leaves behind, is in `README.md` beside this file.

pub(crate) mod lifeline;
mod pidfd;
mod spawn;

pub(crate) use self::lifeline::Lifeline;
pub(crate) use self::pidfd::{
    Reaped, Status, Usage, adopt, forgets_children, group_exists, kill_group, peek, peek_any, reap,
    reap_blocking, reap_number, signal, wait_for_end, wait_for_input,
};
pub(crate) use self::spawn::{Plan, Spawned, spawn};
