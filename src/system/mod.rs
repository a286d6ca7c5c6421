//! What several scales ask of the system.

mod forks;
mod signal_stack;

pub(crate) use self::forks::{count_forks, forks};
pub(crate) use self::signal_stack::SignalStack;
