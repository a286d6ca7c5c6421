//! The exit statuses of `fourfold`, in one table.
//!
//! | status | meaning |
//! | --- | --- |
//! | 0 | every job succeeded, or `--halt …,success=N` was met |
//! | 1–100 | so many jobs failed |
//! | 101 | more than 100 jobs failed |
//! | 130, 143, 129 | ended by SIGINT (Ctrl-C), SIGTERM, SIGHUP: 128 and the signal's number |
//! | 141 | standard output was closed by its reader |
//! | 255 | anything else: usage, an unreadable input, a command that cannot be run, a full disk |

/// Anything but failed jobs and signals.
pub(crate) const ERROR: u8 = 255;

/// The reader of standard output went away: 128 + SIGPIPE.
pub(crate) const CLOSED_PIPE: u8 = 141;

/// The most failed jobs that are counted in the status.
const COUNTED: u64 = 100;

/// The status that tells how many jobs failed.
pub(crate) fn of_failures(failed: u64) -> u8 {
    failed.min(COUNTED + 1) as u8
}

/// The status of a run that a signal ended.
pub(crate) fn of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_up_to_a_hundred() {
        assert_eq!([0, 1, 100, 101, 1_000_000].map(of_failures), [0, 1, 100, 101, 101]);
        assert_eq!(of_signal(2), 130);
        assert_eq!(of_signal(1000), ERROR);
    }
}
