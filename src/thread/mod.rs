//! Work on threads of this process: cheap, on all cores, sharing memory.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`spawn`], [`Builder`] | start a thread, with a name, a stack size, as a daemon |
//! | [`Child`] | a thread that was started: wait for it, ask about it, rename it |
//! | [`scope()`], [`Scope`], [`ScopedChild`] | threads that borrow, and have ended when the scope has |
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
//! | `scope.rs` | threads that borrow |
//! | `executor.rs` | the executor, as its users see it |
//! | `pool.rs` | its workers: what they do, where tasks wait, and the end |
//! | `slots.rs` | who holds a slot and who searches, and why no wake-up is lost |
//! | `task.rs`, `joins.rs`, `spin.rs` | a task; tasks that wait for others of their executor; looking before sleeping |
//!
//! # Foreground and daemon threads
//!
//! When `main` under `#[fourfold::main]` ends, threads started here are waited for, and so is what was submitted to
//! an [`Executor`]. A daemon thread is not: it is cut off when the process exits.

mod builder;
mod child;
mod current;
mod executor;
mod joins;
mod pool;
mod registry;
mod scope;
mod slots;
mod spin;
mod task;

pub use self::builder::{Builder, spawn};
pub use self::child::Child;
pub use self::current::{Thread, active_count, current, enumerate};
pub use self::executor::{Executor, ExecutorBuilder};
pub(crate) use self::registry::wait_for_foreground;
pub use self::scope::{Scope, ScopedChild, scope};
pub use crate::sync::{
    Barrier, Condition, ConditionGuard, Duplex, Event, GetError, Itself, LifoQueue, Lock,
    LockGuard, Permit, Priority, PriorityQueue, PutError, Queue, RLock, RLockGuard, ReadGuard,
    Receiver, RwLock, Semaphore, Sender, WriteGuard, duplex, pipe, pipe_with_room,
};
