//! How a process ended, and what that means for the work it had.

use std::fmt;

use super::entry::CANNOT_SERVE;
use super::page::{CrashKind, Front, Stage};
use super::sys::{Status, forgets_children};
use crate::error::{Error, ErrorKind, signal_name};
use crate::process::crash;

/// How a process ended: by itself with a code, or by a signal.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, ExitStatus};
///
/// let mut child = process::spawn(|| std::process::exit(3), ())?;
/// let outcome: fourfold::Outcome<()> = child.join_timeout(std::time::Duration::from_secs(60)).unwrap();
/// assert_eq!(child.exit_status(), Some(ExitStatus::Exited(3)));
/// assert_eq!(outcome.unwrap_err().exit_code(), Some(3));
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// It exited by itself, with this code: 0 to 255.
    Exited(i32),
    /// A signal killed it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether it left a core file.
        core_dumped: bool,
    },
    /// It has ended, and how is not known. See [`ErrorKind::EndUnknown`].
    Unknown,
}

impl ExitStatus {
    /// Whether it exited with code 0.
    pub fn success(self) -> bool {
        self == ExitStatus::Exited(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ExitStatus::Exited(code) => write!(f, "exited with code {code}"),
            ExitStatus::Signaled { signal, core_dumped } => {
                write!(f, "killed by signal {signal}")?;
                if let Some(name) = signal_name(signal) {
                    write!(f, " ({name})")?;
                }
                if core_dumped { f.write_str(", core dumped") } else { Ok(()) }
            }
            ExitStatus::Unknown => f.write_str("ended, and how is not known"),
        }
    }
}

/// Why it is not known how a process ended that has ended just now, and what to do.
pub(super) fn why_unknown() -> &'static str {
    if forgets_children() {
        "this program ignores SIGCHLD, so the kernel forgets its children as they end: leave SIGCHLD alone, or run on Linux 6.15"
    } else {
        "something else in this program has waited for it: wait only for what you started, by its number, or run on Linux 6.15"
    }
}

impl From<Status> for ExitStatus {
    fn from(status: Status) -> ExitStatus {
        match status {
            Status::Exited(code) => ExitStatus::Exited(code),
            Status::Signaled { signal, core_dumped } => {
                ExitStatus::Signaled { signal, core_dumped }
            }
            Status::Unknown => ExitStatus::Unknown,
        }
    }
}

/// Why we killed a process.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    Cancelled,
    TimedOut(std::time::Duration),
    OutOfMemory { limit: u64, seen: u64 },
    ShutDown,
}

/// Why a process gave no value, from how it ended, what it left in its page, and why we killed it, if we did.
pub(crate) fn explain(page: &Front, status: ExitStatus, cause: Option<&Cause>) -> Error {
    match cause {
        Some(Cause::Cancelled) => return Error::new(ErrorKind::Cancelled),
        Some(Cause::ShutDown) => return Error::new(ErrorKind::ShutDown),
        Some(Cause::TimedOut(limit)) => {
            return Error::new(ErrorKind::TimedOut).with_message(format!("after {limit:?}"));
        }
        Some(Cause::OutOfMemory { limit, seen }) => {
            return Error::new(ErrorKind::OutOfMemory)
                .with_message(format!("{seen} bytes resident, limit {limit}"));
        }
        None => {}
    }
    let crash = page.crash();
    match (status, crash) {
        (ExitStatus::Signaled { signal, .. }, Some(crash))
            if crash.kind == CrashKind::StackOverflow =>
        {
            Error::new(ErrorKind::StackOverflow)
                .with_signal(signal)
                .with_message(format!("at address {:#x}", crash.address))
        }
        (ExitStatus::Signaled { signal: libc::SIGABRT, .. }, Some(crash))
            if crash.kind == CrashKind::Panic =>
        {
            Error::panicked(crash::parse_panic(&crash.text)).with_signal(libc::SIGABRT)
        }
        (ExitStatus::Signaled { signal, .. }, crash) => {
            let error = Error::new(ErrorKind::Signaled(signal));
            match crash.filter(|crash| crash.kind == CrashKind::Signal && crash.signal == signal) {
                Some(crash) => error.with_message(format!("at address {:#x}", crash.address)),
                None => error,
            }
        }
        (ExitStatus::Unknown, _) => Error::new(ErrorKind::EndUnknown).with_message(why_unknown()),
        (ExitStatus::Exited(code), _) if page.stage() == Stage::Ready => {
            Error::new(ErrorKind::Exited(code))
        }
        (ExitStatus::Exited(code), _) => {
            Error::new(ErrorKind::NotStarted).with_message(match code {
                CANNOT_SERVE => {
                    "it could not reach its parent; its standard error says why".to_owned()
                }
                code => format!("it exited with code {code} before it took up its work"),
            })
        }
    }
}
