//! Work as coroutines: plain blocking code, so cheap that there may be a million at once, on one thread.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`run`] | makes this thread a hub, and runs a function in it as the first coroutine |
//! | [`spawn`], [`spawn_local`], [`Builder`] | start a coroutine |
//! | [`Child`], [`LocalChild`] | a coroutine that was started: wait for it, cancel it, ask about it |
//! | [`Executor`], [`ExecutorBuilder`] | runs tasks as coroutines, at most so many at a time |
//! | [`sleep`], [`yield_now`], [`timeout`], [`no_suspend`] | time, and giving way |
//! | [`scope()`] | coroutines that borrow |
//! | [`net`] | sockets, and waiting for any descriptor |
//! | [`offload()`], [`lookup_host`] | calls that must block the thread, such as the lookup of a name |
//! | [`join_all`], [`select`], [`block_on`] | waiting for several, and for futures |
//! | [`Lock`], [`RLock`], [`RwLock`], [`Semaphore`], [`Event`], [`Condition`], [`Barrier`] | keeping out of each other's way |
//! | [`Queue`], [`LifoQueue`], [`PriorityQueue`], [`pipe`], [`duplex`] | passing things on |
//! | [`Coroutine`], [`Greenlet`] | coroutines without a hub, that are switched to by hand |
//! | [`current()`], [`enumerate`], [`active_count`] | who am I, and who else is there |
//!
//! A coroutine runs on the *hub* of a thread and never leaves it. A hub runs one coroutine at a time, until it waits: for time, a
//! lock, a queue, a socket of this crate, another coroutine. So between two waits no other coroutine of the thread runs, and what
//! is only used by the coroutines of one hub needs no lock.
//!
//! A coroutine has a stack of its own, and what waits is an ordinary call anywhere in it: no function has another colour.
//!
//! # What to know
//!
//! - Code that does not wait holds up all coroutines of its thread; so does a call that blocks the thread. `watch`, of the feature of
//!   that name, finds such a one and tells where.
//! - A lock of std held across a wait may be asked for by another coroutine of the thread, which then blocks the thread for ever:
//!   hold locks of this crate across waits.
//! - A coroutine is never suspended while it unwinds: a wait in a destructor then makes the thread wait.
//! - Cancelling unwinds, so it needs `panic = "unwind"`.

mod body;
mod builder;
mod child;
mod control;
mod coroutine;
mod current;
mod executor;
mod fault;
mod fork;
mod future;
mod greenlet;
mod hub;
mod jump;
mod local;
mod main;
pub mod net;
mod offload;
#[cfg(feature = "patch")]
pub mod patch;
mod pool;
mod scope;
mod shared_hub;
mod stack;
mod thread_end;
mod time;
#[cfg(feature = "watch")]
mod watch;

pub use self::builder::{Builder, spawn, spawn_local};
pub use self::child::{Child, LocalChild};
pub use self::coroutine::{Coroutine, State, Suspender};
pub use self::current::{Identity, active_count, current, enumerate};
pub use self::executor::{Executor, ExecutorBuilder};
pub use self::future::{block_on, join_all, select};
pub use self::greenlet::Greenlet;
pub use self::main::run;
pub use self::net::lookup_host;
pub use self::offload::{offload, set_offload_limit};
pub use self::scope::{Scope, ScopedChild, scope};
pub(crate) use self::shared_hub::wait_for_foreground;
pub use self::time::{no_suspend, sleep, timeout, yield_now};
#[cfg(feature = "watch")]
pub use self::watch::{Hog, Watch, watch, watch_with};
pub use crate::sync::{
    Barrier, Condition, ConditionGuard, Duplex, Event, GetError, Itself, LifoQueue, Lock,
    LockGuard, Permit, Priority, PriorityQueue, PutError, Queue, RLock, RLockGuard, ReadGuard,
    Receiver, RwLock, Semaphore, Sender, WriteGuard, duplex, pipe, pipe_with_room,
};
