//! The process scale: functions that run in other processes, and exactly how each one ended.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`spawn()`], [`Builder`], [`Child`] | one function in one process of its own |
//! | [`fork()`] | this very process, twice |
//! | [`Executor`] | a pool of processes that take task after task |
//! | [`Command`], [`Jobs`] | programs to run, one or many at once |
//! | [`pipe()`], [`duplex`] | messages from process to process, whole and in order |
//! | [`Fd`] | a socket, a file, a pipe as an argument or a value |
//! | [`Lock`], [`Semaphore`], [`Event`], [`Queue`] | words in memory that processes share: well under a microsecond, whoever dies |
//! | [`Value`], [`Array`], [`Buffer`] | what lies in that memory: behind a lock, or handed over with no copy |
//! | [`RLock`], [`RwLock`], [`Condition`], [`Barrier`] | locks that survive their holder, and meeting places, served by the root of the tree of processes: a round trip to it |
//! | [`UnboundedQueue`], [`LifoQueue`], [`PriorityQueue`], [`JoinableQueue`], [`List`], [`Dict`] | what several processes share, served in the same way |
//! | [`current()`], [`active_children`] | who this process is, and whom it has started |
//!
//! A child is this executable, run again: see [`init`](crate::init) for where it begins. Sockets, files and locks are not
//! inherited; what a function needs is passed to it.

pub(crate) mod brood;
mod builder;
mod callbacks;
mod capture;
mod channel;
mod child;
mod command;
mod context;
mod crash;
mod current;
pub(crate) mod entry;
mod executor;
mod fork;
mod jobs;
mod launch;
mod maps;
mod memory;
mod owner_died;
mod page;
pub(crate) mod patience;
mod pipe;
mod queue;
mod queue_error;
mod registry;
mod serve;
mod served;
mod shared;
mod status;
mod supervisor;
mod sys;
mod zygote;

pub use self::builder::{Builder, Resource, StartMethod, Stdio, spawn};
pub use self::capture::{Capture, CaptureReader};
pub use self::child::Child;
pub use self::command::Command;
pub use self::current::{Current, current};
pub use self::executor::{Executor, ExecutorBuilder};
pub use self::fork::{Forked, fork};
pub use self::jobs::{End, Finished, Jobs, JobsWaker};
pub use self::owner_died::OwnerDied;
pub use self::pipe::{Duplex, Receiver, Sender, duplex, pipe};
pub use self::queue::Queue;
pub use self::queue_error::{GetError, OnDeath, PutError};
pub use self::registry::{ActiveChild, active_children};
pub use self::served::{
    Barrier, Condition, ConditionGuard, Dict, JoinableQueue, LifoQueue, List, LockError, Marked,
    PriorityQueue, QueueBuilder, RLock, RLockGuard, Rank, ReadGuard, RwLock, UnboundedQueue,
    WriteGuard,
};
#[cfg(fourfold_steps)]
#[doc(hidden)]
pub use self::shared::steps;
pub use self::shared::{
    Array, ArrayGuard, Buffer, Event, Lock, LockGuard, Permit, Plain, Semaphore, SharedBuffer,
    SharedMemory, Value, shared_memory,
};
pub use self::status::ExitStatus;
pub use crate::sync::Itself;
pub use crate::task::fd::Fd;

pub(crate) use self::callbacks::Late;
pub(crate) use self::registry::end_of_main;
pub(crate) use self::zygote::rights;
