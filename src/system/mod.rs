//! What several scales ask of the system.

mod forks;
mod handlers;
pub(crate) mod reactor;
pub(crate) mod ready;
mod signal_stack;

pub(crate) use self::forks::{ByDefault, Withheld, count_forks, forks, go_by_signals};
pub(crate) use self::handlers::{Handlers, raise_default};
pub(crate) use self::signal_stack::SignalStack;

/// Writes a line on standard error. One that is closed, or full, is not worth a panic, least of all in a panic hook.
pub(crate) fn tell(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}
