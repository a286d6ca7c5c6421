//! The words that every scale shares: what an executor does, and what the handle of a task tells.
//!
//! | word | what it is |
//! | --- | --- |
//! | [`Executor`] | takes functions with their arguments, and runs them on its workers |
//! | [`Handle`] | one task that was submitted: wait for it, cancel it, be called when it is done |
//! | [`TaskState`] | pending, running, finished, cancelled |
//! | [`Map`], [`Unordered`] | the outcomes of one function over many arguments, as an iterator |
//! | [`as_completed()`] | handles, as they finish |
//!
//! # What may be submitted
//!
//! The bounds of `submit(f, args)` say what crosses at a scale, so that the compiler refuses what cannot. The executor at the scale
//! `cluster` is still to come; its bounds are here since one trait must have room for all four.
//!
//! | scale | the function `F` | the arguments `A`, the value | crosses |
//! | --- | --- | --- | --- |
//! | `green` | `Send + 'static` | `Send + 'static` | to a hub, before it begins |
//! | `thread` | `Send + 'static` | `Send + 'static` | cores |
//! | `process` | [`Stateless`](crate::task::Stateless): `Copy + Send + Sync + 'static`, and of no size | [`Payload`](crate::task::Payload) | address spaces |
//! | `cluster` | [`Task`](crate::task::Task), of `#[fourfold::task]` | [`Payload`](crate::task::Payload) | machines |
//!
//! What capture, cancel, time limit, memory limit, panic and crash mean at each scale is the table at [`Executor`].

mod as_completed;
mod executor;
mod handle;
mod map;
pub(crate) mod outcome;
pub(crate) mod wait;

pub use self::as_completed::{AsCompleted, as_completed};
pub use self::executor::Executor;
pub use self::handle::{Handle, TaskState};
pub use self::map::{Map, Unordered};
