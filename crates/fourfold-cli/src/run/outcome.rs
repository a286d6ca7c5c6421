//! How a job ended, in words and numbers.

use std::fmt;
use std::time::Duration;

use fourfold::process::End;

use crate::units::{Bytes, Time};

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    Exited(i32),
    Signaled {
        signal: i32,
        core_dumped: bool,
    },
    TimedOut {
        limit: Duration,
    },
    OutOfMemory {
        limit: u64,
        seen: u64,
    },
    /// Its program could not be executed.
    NotStarted(String),
    /// What it wrote could not be kept.
    OutputLost(String),
    /// It ended, and the system did not say how.
    Unknown(String),
    /// Cut off, by a signal or by `--halt now`.
    Cancelled,
}

impl Outcome {
    /// What the library says, in the terms of a run.
    pub(crate) fn new(end: &End, time_limit: Option<Duration>) -> Outcome {
        match *end {
            End::Exited(0) => Outcome::Succeeded,
            End::Exited(code) => Outcome::Exited(code),
            End::Signaled { signal, core_dumped } => Outcome::Signaled { signal, core_dumped },
            End::TimedOut => Outcome::TimedOut { limit: time_limit.unwrap_or_default() },
            End::OutOfMemory { limit, seen } => Outcome::OutOfMemory { limit, seen },
            End::Cancelled => Outcome::Cancelled,
            ref end @ End::Unknown => Outcome::Unknown(end.to_string()),
            ref other => Outcome::OutputLost(other.to_string()),
        }
    }

    pub(crate) fn is_success(&self) -> bool {
        *self == Outcome::Succeeded
    }

    /// GNU parallel's columns `Exitval` and `Signal`.
    pub(crate) fn exit_and_signal(&self) -> (i32, i32) {
        match *self {
            Outcome::Succeeded => (0, 0),
            Outcome::Exited(code) => (code, 0),
            Outcome::Signaled { signal, .. } => (0, signal),
            Outcome::TimedOut { .. } => (-1, 15),
            Outcome::OutOfMemory { .. } => (-1, 9),
            Outcome::NotStarted(_) => (127, 0),
            Outcome::OutputLost(_) | Outcome::Unknown(_) | Outcome::Cancelled => (-1, 0),
        }
    }

    /// One word for programs to look at.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Exited(_) => "failed",
            Outcome::Signaled { .. } => "signaled",
            Outcome::TimedOut { .. } => "timed out",
            Outcome::OutOfMemory { .. } => "out of memory",
            Outcome::NotStarted(_) => "not started",
            Outcome::OutputLost(_) => "output lost",
            Outcome::Unknown(_) => "unknown",
            Outcome::Cancelled => "cancelled",
        }
    }

    /// What jobs are counted under: the outcome without what differs from job to job.
    pub(crate) fn class(&self) -> Outcome {
        match self {
            Outcome::OutOfMemory { limit, .. } => Outcome::OutOfMemory { limit: *limit, seen: 0 },
            Outcome::NotStarted(_) => Outcome::NotStarted(String::new()),
            Outcome::OutputLost(_) => Outcome::OutputLost(String::new()),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Succeeded => f.write_str("succeeded"),
            Outcome::Exited(code) => write!(f, "exited with code {code}"),
            // The library names the signal.
            &Outcome::Signaled { signal, core_dumped } => {
                write!(f, "{}", End::Signaled { signal, core_dumped })
            }
            Outcome::TimedOut { limit } => write!(f, "timed out after {}", Time(*limit)),
            Outcome::OutOfMemory { limit, seen: 0 } => {
                write!(f, "over its memory limit ({})", Bytes(*limit))
            }
            Outcome::OutOfMemory { limit, seen } => {
                write!(f, "over its memory limit ({}; saw {})", Bytes(*limit), Bytes(*seen))
            }
            Outcome::NotStarted(reason) if reason.is_empty() => f.write_str("not started"),
            Outcome::NotStarted(reason) => write!(f, "not started: {reason}"),
            Outcome::OutputLost(reason) if reason.is_empty() => f.write_str("output lost"),
            Outcome::OutputLost(reason) | Outcome::Unknown(reason) => f.write_str(reason),
            Outcome::Cancelled => f.write_str("cut off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_words() {
        let segfault = Outcome::Signaled { signal: 11, core_dumped: false };
        assert_eq!(segfault.to_string(), "killed by signal 11 (SIGSEGV)");
        let late = Outcome::TimedOut { limit: Duration::from_secs(2) };
        assert_eq!(late.to_string(), "timed out after 2 s");
        let large = Outcome::OutOfMemory { limit: 512 << 20, seen: 530 << 20 };
        assert_eq!(large.to_string(), "over its memory limit (512 MiB; saw 530 MiB)");
        assert_eq!(large.class().to_string(), "over its memory limit (512 MiB)");
    }

    #[test]
    fn as_gnu_parallel_logs_them() {
        assert_eq!(Outcome::Exited(3).exit_and_signal(), (3, 0));
        assert_eq!(Outcome::Signaled { signal: 9, core_dumped: false }.exit_and_signal(), (0, 9));
        assert_eq!(Outcome::TimedOut { limit: Duration::ZERO }.exit_and_signal(), (-1, 15));
    }
}
