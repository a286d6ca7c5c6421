//! `--json`: a record for each job.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::job::{Ended, Job};
use super::outcome::Outcome;

/// What is told of a job, in one line. Times are in seconds, memory in bytes. Bytes of the command that are no text are
/// replaced.
#[derive(Serialize)]
struct Record<'a> {
    seq: u64,
    command: std::borrow::Cow<'a, str>,
    outcome: &'static str,
    /// The outcome in words.
    message: String,
    exit_code: Option<i32>,
    signal: Option<i32>,
    tries: u32,
    slot: usize,
    start: f64,
    wall: f64,
    user: f64,
    system: f64,
    peak_memory: u64,
    memory_limit: Option<u64>,
    /// What a job over its memory limit was seen to hold.
    memory_seen: Option<u64>,
}

impl<'a> Record<'a> {
    fn new(job: &Job, command: &'a [u8], ended: &Ended, memory_limit: Option<u64>) -> Record<'a> {
        let outcome = &ended.outcome;
        let seconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e6;
        Record {
            seq: job.sequence,
            command: String::from_utf8_lossy(command),
            outcome: outcome.word(),
            message: outcome.to_string(),
            exit_code: match *outcome {
                Outcome::Succeeded => Some(0),
                Outcome::Exited(code) => Some(code),
                _ => None,
            },
            signal: match *outcome {
                Outcome::Signaled { signal, .. } => Some(signal),
                _ => None,
            },
            tries: job.tries,
            slot: ended.slot,
            start: seconds(ended.started.duration_since(UNIX_EPOCH).unwrap_or_default()),
            wall: seconds(ended.wall),
            user: seconds(ended.user),
            system: seconds(ended.system),
            peak_memory: ended.peak_memory,
            memory_limit,
            memory_seen: match *outcome {
                Outcome::OutOfMemory { seen, .. } => Some(seen),
                _ => None,
            },
        }
    }
}

/// The record of a job, as text.
pub(crate) fn line(
    job: &Job,
    command: &[u8],
    ended: &Ended,
    memory_limit: Option<u64>,
) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&Record::new(job, command, ended, memory_limit))?)
}

/// A file that records are written to.
pub(crate) struct Records {
    file: BufWriter<File>,
}

impl Records {
    pub(crate) fn new(file: File) -> Records {
        Records { file: BufWriter::with_capacity(32 << 10, file) }
    }

    pub(crate) fn add(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.file.write_all(b"\n")
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
