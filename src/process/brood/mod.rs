//! A process for each piece of work, by a fork of one that does nothing but that.
//!
//! What starts any function in a process of its own has to tell it what it is, to hold a line to it, and to watch it: several
//! descriptors and a dozen changes between processes. Where all run one function, and very many of them, a process
//! of one thread is made for it, whose forks know all that from their beginning. It waits for them itself, and tells how each has ended.
//!
//! # Protocol
//!
//! A child has a place in memory that it shares with who forks it: for its answer, and for what it says as it crashes. The place is
//! taken before the fork, and free again once the child has been waited for; only the child writes there meanwhile.
//!
//! Its life hangs on that of who forks it by a pipe, one for all. Each child has the reading end as two open files of its own, and aims both at its
//! group with SIGKILL (why two, and why it keeps them: `sys/README.md`). It inherits the writing end with the fork:
//!
//! | step of the child | a death of its parent just behind it leaves |
//! | --- | --- |
//! | `fork` | the child has a copy of the writing end, so for the others too the pipe is whole still |
//! | `setpgid`, both readers aimed | the same |
//! | closes its copy of the writing end | if it was the last one, all groups are told now, its own among them; else they were, or will be by another child at this step |
//!
//! Who forks opens both readers for it before the fork. For a few places it keeps them, for the next child there: all children inherit those, so they
//! are not many. Beside them each child asks for the kernel's signal for the death of its parent, which has one thread, so that this is exact. It is for
//! the child alone, not for what that has started; but it goes on where the child executes another program, which closes the readers, or where
//! there are none (no `/proc`, no descriptor).

mod code;
mod forks;
mod place;

pub(crate) use self::forks::{Brood, Ended, Newborn, Side};
pub(crate) use self::place::ROOM;

#[cfg(test)]
mod tests;
