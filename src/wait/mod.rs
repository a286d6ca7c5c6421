//! Waiting for several things at once, whatever they are: descriptors, pipes, queues, events, moments, tasks and children.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`wait_any()`], [`wait_any_timeout`], [`wait_any_async`] | which of a few things are ready |
//! | [`WaitSet`] | things that are waited for again and again, by their keys; timers among them |
//! | [`Waitable`] | what can be waited for: anything with a descriptor, and the words |
//! | [`Watch`] | how one thing is watched during a wait: what a type of your own gives |
//!
//! # What "ready" means
//!
//! | thing | it is ready when | and then |
//! | --- | --- | --- |
//! | anything that is [`AsFd`](std::os::fd::AsFd): a socket, a listener, a pipe of the system, a terminal, an epoll | a read would not block: there are bytes, a connection, the end, or an error | `read`, `accept`, … |
//! | [`writable`] of such a thing | a write would not block | `write`, … |
//! | a file, `/dev/null` | always | |
//! | the receiving end of a pipe, a queue | there is a message, or nothing more comes | `try_recv`, `try_get` |
//! | the sending end of a pipe | there is room, or the other end is closed | `try_send` |
//! | an event | it is set, or was set for a moment while you waited | |
//! | a handle, a child | there is an outcome | `try_join` |
//! | a timer of a set | its moment has come: told once | |
//!
//! **It is a hint.** What is ready may be taken by another thread, coroutine or process before you come to it, so what follows is a
//! `try_` call, or one on a socket that does not block. Looking takes nothing, and holds up nobody who does take. A thing that stays
//! ready is told of at each wait.
//!
//! # Who waits
//!
//! A thread waits in the kernel, in one call for all descriptors, without a thread beside it; a coroutine by its hub, while others
//! run; a future (`_async`) by a thread that the library has for them. None looks again and again.
//!
//! A task that waits here for another task of its own executor counts as busy meanwhile, other than in
//! [`Handle::join`](crate::Handle::join): if all workers do so at once, nobody is left to run what they wait for.
//!
//! # Examples
//!
//! ```
//! use fourfold::process;
//! use fourfold::thread::Queue;
//! use fourfold::wait::wait_any;
//! use std::net::TcpListener;
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let queue = Queue::new();
//! let mut child = process::spawn(|| 3, ())?;
//! queue.put("item")?;
//! assert_eq!(wait_any(&[&listener, &queue])?, [1]);
//! assert_eq!(wait_any(&[&listener, &child])?, [1]);
//! assert_eq!(child.try_join().unwrap()?, 3);
//! # Ok::<(), fourfold::Error>(())
//! ```

mod any;
mod round;
mod set;
mod waitable;
mod words;

pub use self::any::{wait_any, wait_any_async, wait_any_timeout};
pub use self::set::{Key, WaitSet};
pub use self::waitable::{Waitable, Watch, Writable, writable};
