//! The forkserver: one small child, run afresh once, that is forked for each further child.
//!
//! The zygote has one thread and has done nothing but read its channel, so a fork of it is in a sound state, and costs the
//! same however big the parent has become. Its forks are made with `CLONE_PARENT`: they are children of the parent, not of
//! the zygote, so the parent waits for them, knows them by the number that comes back over the channel, and they survive
//! the zygote. Should the zygote die as it forks, the kernel has left that number in the page of the child.
//!
//! A few forks are always made ahead: each has its channel, its page and its lifeline, and waits to be told what it is to be.
//! So a start waits for no fork; the next ones are made while the child runs.

mod ahead;
mod fork;
mod shape;
mod stock;

pub(crate) use fork::{is_possible, run};
pub(crate) use shape::{Shape, apply, rights, shape};
pub(crate) use stock::{hold, leave, order_spares, start};
