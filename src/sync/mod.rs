//! The words within one process, for threads, coroutines and futures alike, on one way to wait.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `README.md` | the protocol: states, who may touch what, why no wake-up is lost |
//! | `park.rs` | how the caller waits: as a thread, or as the coroutine that runs on it |
//! | `list.rs` | who waits for a word, and in which order |
//! | `raw.rs`, `lock.rs`, `rlock.rs`, `rwlock.rs`, `condition.rs` | locks |
//! | `semaphore.rs`, `event.rs`, `barrier.rs` | permits, flags and meeting places |
//! | `queue.rs`, `priority.rs`, `pipe.rs` | queues and pipes, on `channel.rs`; `queue_methods.rs` has what they share |
//! | `store.rs`, `ring.rs`, `growing.rs` | where their items are; `error.rs` says why one was not put, or not got |
//! | `primitive.rs` | what the words are made of: std's, or those of the model checker |

mod barrier;
mod channel;
mod condition;
mod error;
mod event;
mod growing;
mod list;
mod lock;
pub(crate) mod park;
mod pipe;
pub(crate) mod primitive;
mod priority;
mod queue;
mod queue_methods;
mod raw;
mod ring;
mod rlock;
mod rwlock;
mod semaphore;
mod store;

pub use self::barrier::Barrier;
pub use self::condition::{Condition, ConditionGuard};
pub use self::error::{GetError, PutError};
pub use self::event::Event;
pub use self::lock::{Lock, LockGuard};
pub use self::pipe::{Duplex, Receiver, Sender, duplex, pipe, pipe_with_room};
pub use self::priority::{Itself, Priority, PriorityQueue};
pub use self::queue::{LifoQueue, Queue};
pub use self::rlock::{RLock, RLockGuard};
pub use self::rwlock::{ReadGuard, RwLock, WriteGuard};
pub use self::semaphore::{Permit, Semaphore};

#[cfg(test)]
mod tests;
