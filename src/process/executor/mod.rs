//! A pool of worker processes. The protocol is in `README.md` beside this file.

mod answers;
mod builder;
mod drive;
mod end;
mod front;
mod inside;
mod limits;
mod lives;
mod nested;
mod outgoing;
mod pool;
mod queue;
mod task;
mod worker;

pub use self::builder::ExecutorBuilder;
pub use self::front::Executor;
pub(crate) use self::inside::Tasks;
pub(crate) use self::outgoing::Outgoing;
