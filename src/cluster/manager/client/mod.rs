//! The client: proxies for the words of a server, of ours or of a stock Python program.
//!
//! A thread has one lasting connection to each server, as in a stock client. A lock is held by the thread's connection:
//! when the thread ends, what it held is free.
//!
//! A call with a limit, and one that does not wait, has an end even where the server has none to give: see
//! [`ClientBuilder::grace`]. Other calls last as long as their connection does.

mod builder;
mod containers;
mod error;
mod failures;
mod handle;
mod hold;
mod link;
mod locks;
mod proxy;
mod queue;
mod stream;
mod waits;

pub use self::builder::ClientBuilder;
pub use self::containers::{Dict, List, SharedValue};
pub use self::error::{CallError, GetError, PutError};
pub use self::handle::Client;
pub use self::locks::{Lock, LockGuard, RLock, RLockGuard, Semaphore, SemaphoreGuard};
pub use self::proxy::Proxy;
pub use self::queue::Queue;
pub use self::waits::{Barrier, Condition, ConditionGuard, Event};
