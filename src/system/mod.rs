//! What several scales ask of the system.

mod signal_stack;

pub(crate) use self::signal_stack::SignalStack;
