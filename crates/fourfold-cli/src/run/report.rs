//! The table at the end: which jobs failed, and how.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use super::args::Summary;
use super::job::{Ended, Job};
use super::outcome::Outcome;
use super::progress;
use crate::units::Time;

/// The most jobs that are told of one by one.
const ROWS: usize = 20;

/// The most jobs that are told of one by one where all are asked for.
const ALL_ROWS: usize = 1000;

/// The widest command that is shown, in characters.
const WIDEST: usize = 80;

/// What has ended so far.
#[derive(Debug)]
pub(crate) struct Report {
    which: Summary,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cut_off: u64,
    rows: Vec<Row>,
    /// How many ended in each way. The ways are few: exit codes, signals, limits.
    counts: Vec<(Outcome, u64)>,
}

#[derive(Debug)]
struct Row {
    sequence: u64,
    outcome: Outcome,
    tries: u32,
    wall: Duration,
    command: String,
}

impl Report {
    pub(crate) fn new(which: Summary) -> Report {
        Report { which, succeeded: 0, failed: 0, cut_off: 0, rows: Vec::new(), counts: Vec::new() }
    }

    /// How many have ended by themselves.
    pub(crate) fn ended(&self) -> u64 {
        self.succeeded + self.failed
    }

    /// Counts a job. `line` gives its command, and is asked only if the job gets a row.
    pub(crate) fn add(&mut self, job: &Job, ended: &Ended, line: impl FnOnce() -> Vec<u8>) {
        let is_failure = match ended.outcome {
            Outcome::Succeeded => {
                self.succeeded += 1;
                false
            }
            Outcome::Cancelled => {
                self.cut_off += 1;
                false
            }
            _ => {
                self.failed += 1;
                true
            }
        };
        let most = match self.which {
            Summary::None => return,
            Summary::Failed if !is_failure => return,
            Summary::Failed => ROWS,
            Summary::All => ALL_ROWS,
        };
        let class = ended.outcome.class();
        match self.counts.iter_mut().find(|(known, _)| *known == class) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((class, 1)),
        }
        if self.rows.len() < most {
            self.rows.push(Row {
                sequence: job.sequence,
                outcome: ended.outcome.clone(),
                tries: job.tries,
                wall: ended.wall,
                command: shown(&line()),
            });
        }
    }

    /// Prints the table, if there is something to tell.
    pub(crate) fn print(&mut self) {
        if !self.counts.is_empty() {
            let text = self.table(progress::may_colour());
            // Nobody who cannot be written to misses it.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }

    fn table(&mut self, colour: bool) -> String {
        self.rows.sort_by_key(|row| row.sequence);
        let paint = |code: &str, text: &str| match colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_string(),
        };
        let total = self.ended() + self.cut_off;
        let jobs = if total == 1 { "job" } else { "jobs" };
        let cut_off = match self.cut_off {
            0 => String::new(),
            count => format!(", {count} cut off"),
        };
        let headline = format!("{} of {total} {jobs} failed{cut_off}", self.failed);
        let mut text = format!("fourfold: {}\n", paint("1", &headline));
        let outcomes: Vec<String> = self.rows.iter().map(|row| row.outcome.to_string()).collect();
        let wide = outcomes.iter().map(String::len).max().unwrap_or(0).clamp(7, 60);
        let _ = writeln!(
            text,
            "{:>7}  {:wide$}  {:>5}  {:>11}  command",
            "seq", "outcome", "tries", "time"
        );
        for (row, outcome) in self.rows.iter().zip(&outcomes) {
            let padded = format!("{outcome:wide$}");
            let painted = match row.outcome {
                Outcome::Succeeded => paint("32", &padded),
                Outcome::Cancelled => padded,
                _ => paint("31", &padded),
            };
            let time = Time(row.wall).to_string();
            let Row { sequence, tries, command, .. } = row;
            let _ = writeln!(text, "{sequence:>7}  {painted}  {tries:>5}  {time:>11}  {command}");
        }
        let told: u64 = self.counts.iter().map(|(_, count)| count).sum();
        if told > self.rows.len() as u64 {
            let _ = writeln!(text, "        and {} more; in all:", told - self.rows.len() as u64);
            self.counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            for (outcome, count) in &self.counts {
                let _ = writeln!(text, "{count:>7}  {outcome}");
            }
        }
        text
    }
}

/// A command as text on one line that does nothing to a terminal.
fn shown(command: &[u8]) -> String {
    let text = String::from_utf8_lossy(command);
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == WIDEST {
            shown.push('…');
            break;
        }
        match character {
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn report(which: Summary, outcomes: impl IntoIterator<Item = Outcome>) -> Report {
        let mut report = Report::new(which);
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let job = Job { sequence: index as u64 + 1, inputs: Vec::new(), tries: 1 };
            let ended = Ended {
                outcome,
                slot: 1,
                started: SystemTime::UNIX_EPOCH,
                wall: Duration::from_secs(2),
                user: Duration::ZERO,
                system: Duration::ZERO,
                peak_memory: 0,
                written: 0,
            };
            report.add(&job, &ended, || b"echo a\nb".into());
        }
        report
    }

    #[test]
    fn tells_of_the_failed_only() {
        let segfault = Outcome::Signaled { signal: 11, core_dumped: false };
        let mut report =
            report(Summary::Failed, [Outcome::Succeeded, segfault, Outcome::Cancelled]);
        let expected = "fourfold: 1 of 3 jobs failed, 1 cut off\n\
            \x20   seq  outcome                        tries         time  command\n\
            \x20     2  killed by signal 11 (SIGSEGV)      1          2 s  echo a\\nb\n";
        assert_eq!(report.table(false), expected);
        assert!(report.table(true).contains("\x1b[31mkilled by signal 11 (SIGSEGV)\x1b[0m"));
    }

    #[test]
    fn tells_of_all_if_asked_to() {
        let mut report = report(Summary::All, [Outcome::Succeeded, Outcome::Exited(3)]);
        let table = report.table(false);
        assert!(
            table.contains("      1  succeeded") && table.contains("      2  exited with code 3"),
            "{table}"
        );
    }

    #[test]
    fn counts_where_there_are_too_many_to_name() {
        let ends =
            (0..1000).map(|n| if n % 4 == 0 { Outcome::Exited(1) } else { Outcome::Exited(2) });
        let mut report = report(Summary::Failed, ends);
        let table = report.table(false);
        assert!(
            table.ends_with(
                "and 980 more; in all:\n    750  exited with code 2\n    250  exited with code 1\n"
            ),
            "{table}"
        );
        assert_eq!(table.lines().count(), 2 + ROWS + 3);
    }

    #[test]
    fn long_commands_are_cut() {
        assert_eq!(shown(&[b'x'; 200]).chars().count(), WIDEST + 1);
        assert_eq!(shown(b"\x1b[31m\xff"), "\\u{1b}[31m\u{fffd}");
    }
}
