//! What several scales ask of the system.

mod by_default;
mod forks;
mod handlers;
mod prefetch;
pub(crate) mod reactor;
pub(crate) mod ready;
mod signal_stack;
mod withheld;

pub(crate) use self::by_default::{ByDefault, go_by_signals};
pub(crate) use self::forks::{Still, count_forks, forks, hold_over_forks, is_here, this_thread};
pub(crate) use self::handlers::{Handlers, raise_default};
pub(crate) use self::prefetch::{LINE, prefetch};
pub(crate) use self::signal_stack::SignalStack;
pub(crate) use self::withheld::Withheld;

/// Writes a line on standard error. One that is closed, or full, is not worth a panic, least of all in a panic hook.
pub(crate) fn tell(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}
