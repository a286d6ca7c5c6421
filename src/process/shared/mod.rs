//! Words in memory that processes share: on a `kill -9` at any instruction nobody hangs, and nothing is lost that was promised.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `README.md` | the protocols: states, who may touch what when, what a death at each step leaves |
//! | `arena.rs` | the mapping, what is where in it, and who takes part |
//! | `atomic.rs`, `host.rs` | what the protocols are made of, so that tests can end a process at each step |
//! | `gate.rs`, `wait.rs` | waiting: threads in the kernel, coroutines and futures by the process's bell |
//! | `lock_word.rs` | the lock that survives its holder |
//! | `journal.rs` | changes that are made all or not at all |
//! | `heap.rs`, `members.rs`, `object.rs` | blocks; participants and what the dead leave; words and references to them |
//! | `lock.rs`, `event.rs`, `semaphore.rs`, `values.rs`, `array.rs`, `buffer.rs`, `shared_buffer.rs` | the words |
//! | `ring.rs`, `item.rs`, `queue.rs` | the bounded queue: its cells, what is in them, and the calls on it |
//! | `stream.rs` | what a pool and its worker tell each other, in memory of their own |

mod arena;
mod array;
mod atomic;
#[cfg(any(all(test, not(loom)), fourfold_steps))]
mod audit;
mod buffer;
mod event;
mod gate;
mod heap;
mod host;
mod item;
mod journal;
mod lock;
mod lock_word;
mod members;
#[cfg(all(loom, test))]
mod models;
mod object;
mod plain;
mod queue;
mod ring;
mod semaphore;
mod shared_buffer;
mod stream;
#[cfg(all(loom, test))]
mod stream_models;
#[cfg(all(test, not(loom)))]
mod tests;
mod travel;
mod usage;
#[cfg(all(test, not(loom)))]
mod usage_tests;
mod values;
mod wait;

pub use self::array::{Array, ArrayGuard};
pub use self::buffer::Buffer;
pub use self::event::Event;
pub use self::lock::{Lock, LockGuard};
pub use self::plain::Plain;
pub(crate) use self::queue::{Bounded, MAX_CAPACITY};
pub use self::semaphore::{Permit, Semaphore};
pub use self::shared_buffer::SharedBuffer;
pub(super) use self::stream::{End, Stream, UNIT};
pub use self::usage::{SharedMemory, shared_memory};
pub use self::values::Value;

use std::sync::OnceLock;

use self::arena::Arena;
use super::context::context;
use crate::error::Result;

static ARENA: OnceLock<Arena> = OnceLock::new();

/// The memory of this process's context.
fn arena() -> Result<&'static Arena> {
    if let Some(arena) = ARENA.get() {
        return Ok(arena);
    }
    let arena = Arena::map(context()?.memory())?;
    Ok(ARENA.get_or_init(|| arena))
}

/// Holds still what this process keeps of its words, for a fork: the child finds it free.
pub(super) fn hold() -> impl Sized {
    (wait::hold(), object::hold(), ARENA.get().map(Arena::hold))
}

/// What `ci/steps` needs of the inside: a process that kills itself at its n-th step, and what is left of it.
#[cfg(fourfold_steps)]
#[doc(hidden)]
pub mod steps {
    use super::{arena, atomic};

    /// Has this process killed before its step number `steps`, counted from 0 and from now on; negative: never.
    pub fn arm(steps: i64) {
        atomic::steps::arm(steps);
    }

    /// As [`arm`], but has it stopped with SIGSTOP: it may go on.
    pub fn arm_stop(steps: i64) {
        atomic::steps::arm_stop(steps);
    }

    /// How many steps are left of those that it was armed with.
    pub fn left() -> i64 {
        atomic::steps::left()
    }

    /// How many words there are, and how many bytes of their memory are in use.
    pub fn usage() -> (u64, u64) {
        arena().unwrap().usage()
    }

    /// How many take part, and live as far as is known.
    pub fn members() -> usize {
        arena().unwrap().members()
    }

    /// Buries who has died, as a supervisor has done when a child ends.
    pub fn bury() {
        arena().unwrap().take_part().unwrap();
        arena().unwrap().look_after_all();
    }

    /// What is not in order in the memory, if anything.
    pub fn audit() -> Result<(), String> {
        arena().unwrap().take_part().unwrap();
        arena().unwrap().audit()
    }
}

/// A child of this process has ended: what it had is given back now, and need not be looked for by who waits.
pub(crate) fn child_has_ended() {
    // Not before this process takes part: it could not tell itself from the dead, in the middle of its registering.
    if let Some(arena) = ARENA.get().filter(|arena| arena.myself().is_some()) {
        arena.look_after_all();
    }
}
