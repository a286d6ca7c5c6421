//! Work on threads of this process: cheap, on all cores, sharing memory.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`spawn`], [`Builder`] | start a thread, with a name, a stack size, as a daemon |
//! | [`Child`] | a thread that was started: wait for it, ask about it, rename it |
//! | [`Executor`], [`ExecutorBuilder`] | runs tasks on a few threads, at most so many at a time |
//! | [`Queue`], [`LifoQueue`], [`PriorityQueue`], [`pipe`] | hand items from one to another |
//! | [`Lock`], [`RLock`], [`RwLock`], [`Semaphore`] | let one in at a time, or a few |
//! | [`Event`], [`Condition`], [`Barrier`] | wait for each other |
//! | [`current()`], [`enumerate`], [`active_count`] | who am I, and who else is there |
//!
//! | file | what is in it |
//! | --- | --- |
//! | `builder.rs`, `child.rs` | starting a thread, and what the starter keeps of it |
//! | `registry.rs`, `current.rs` | the threads that are alive, and waiting for those in the foreground |
//! | `executor.rs`, `pool.rs` | the executor, and the protocol between its workers |
//!
//! # Foreground and daemon threads
//!
//! When `main` under `#[fourfold::main]` ends, threads started here are waited for, and so is what was submitted to
//! an [`Executor`]. A daemon thread is not: it is cut off when the process exits.

mod builder;
mod child;
mod current;
mod executor;
mod pool;
mod registry;

pub use self::builder::{Builder, spawn};
pub use self::child::Child;
pub use self::current::{Thread, active_count, current, enumerate};
pub use self::executor::{Executor, ExecutorBuilder};
pub(crate) use self::registry::wait_for_foreground;
pub use crate::sync::{
    Barrier, Condition, ConditionGuard, Duplex, Event, GetError, Itself, LifoQueue, Lock,
    LockGuard, Permit, Priority, PriorityQueue, PutError, Queue, RLock, RLockGuard, ReadGuard,
    Receiver, RwLock, Semaphore, Sender, WriteGuard, duplex, pipe, pipe_with_room,
};
