//! Work on threads of this process: cheap, on all cores, sharing memory.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`spawn`], [`Builder`] | start a thread, with a name, a stack size, as a daemon |
//! | [`Child`] | a thread that was started: wait for it, ask about it, rename it |
//! | [`Executor`], [`ExecutorBuilder`] | runs tasks on a few threads, at most so many at a time |
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
mod joins;
mod pool;
mod registry;
mod slots;
mod spin;
mod task;

pub use self::builder::{Builder, spawn};
pub use self::child::Child;
pub use self::current::{Thread, active_count, current, enumerate};
pub use self::executor::{Executor, ExecutorBuilder};
pub(crate) use self::registry::wait_for_foreground;
