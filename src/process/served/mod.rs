//! The words between processes that the root of their tree serves. See `README.md`.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `README.md` | the protocol: who says what to whom, what a death at each step leaves |
//! | `server.rs`, `world.rs`, `thing.rs` | the root's thread; the words and who has handles to them; what each is asked |
//! | `wire.rs` | requests and replies as bytes |
//! | `link.rs`, `undo.rs` | the connection of a process; what is done about answers that nobody waits for |
//! | `handle.rs` | handles, and how they travel |
//! | `rlock.rs`, `rwlock.rs`, `condition.rs`, `barrier.rs` | locks and meeting places |
//! | `queue.rs`, `priority.rs`, `rank.rs` | queues, on `channel.rs`; `queue_methods.rs` has what they share |
//! | `list.rs`, `dict.rs` | containers |

mod barrier;
mod channel;
mod condition;
mod dict;
mod handle;
mod link;
mod list;
mod lock_error;
mod priority;
mod queue;
mod queue_methods;
mod rank;
mod rlock;
mod rwlock;
mod server;
#[cfg(test)]
mod tests;
mod thing;
mod undo;
mod wire;
mod world;

pub use self::barrier::Barrier;
pub use self::channel::{Marked, QueueBuilder};
pub use self::condition::{Condition, ConditionGuard};
pub use self::dict::Dict;
pub use self::list::List;
pub use self::lock_error::LockError;
pub use self::priority::PriorityQueue;
pub use self::queue::{JoinableQueue, LifoQueue, UnboundedQueue};
pub use self::rank::Rank;
pub use self::rlock::{RLock, RLockGuard};
pub use self::rwlock::{ReadGuard, RwLock, WriteGuard};

pub(crate) use self::link::{catch_up, inherit, with_heir};
pub(crate) use self::server::{hold_ends, take_ends, watch};
