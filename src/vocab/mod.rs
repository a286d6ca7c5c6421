//! The words that every scale shares: what an executor does, and what the handle of a task tells.
//!
//! | word | what it is |
//! | --- | --- |
//! | [`Executor`] | takes functions with their arguments, and runs them on its workers |
//! | [`Handle`] | one task that was submitted: wait for it, cancel it, be called when it is done |
//! | [`TaskState`] | pending, running, finished, cancelled |
//! | [`Map`], [`Unordered`] | the outcomes of one function over many arguments, as an iterator |
//! | [`as_completed()`] | handles, as they finish |

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
