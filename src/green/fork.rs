//! What becomes of coroutines in a fork of their process.
//!
//! The hub of the thread that forks is there with all its coroutines, and goes on in both. Other hubs are on threads that the child does
//! not have: their coroutines never go on there. Who waits for one is told so; who wakes one has no effect; and nothing of theirs is looked
//! at, since a lock of theirs may be held for ever. What all hubs have in common is held still meanwhile, so the child may have hubs
//! of its own: see `src/system/forks.rs`.
//!
//! In the order in which they are taken within each other: the shared hub, which is made under its lock, by a thread that needs
//! all of the others; the foreground coroutines; the hubs without a thread; what other threads reach of this one's hub; the stacks.

use super::hub::{self, with_hub};
use super::{shared_hub, stack};
use crate::error::{Error, ErrorKind, Scale};
use crate::system::{Still, hold_over_forks};

/// Looks after this process's forks from now on.
pub(super) fn look_after() {
    let hold = || Box::new((shared_hub::hold(), hub::hold(), stack::pool())) as _;
    hold_over_forks(Still { hold, in_child });
}

fn in_child() {
    with_hub(|hub| hub.come_along());
}

/// What is told of a coroutine that was left behind.
pub(super) fn left_behind(name: String) -> Error {
    Error::new(ErrorKind::NotStarted)
        .with_task(name)
        .with_scale(Scale::Green)
        .with_message("this process is a fork, and the coroutine is on a thread of its parent")
}

/// What is told of a task of the parent's executor.
pub(super) fn of_an_executor() -> Error {
    let message = "this process is a fork, and has none of the executor's threads: it may make an executor of its own";
    Error::new(ErrorKind::NotStarted).with_message(message).with_scale(Scale::Green)
}
