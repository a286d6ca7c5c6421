//! The job log, in GNU parallel's format, and what an earlier one says when a run is resumed.

use std::collections::hash_map::DefaultHasher;
use std::fs::{File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::job::{Ended, Job};
use super::plan::Resume;

const HEADER: &[u8] =
    b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// Bytes of lines from which on they should be written out.
const BUFFER: usize = 32 << 10;

/// A job log that is being written.
#[derive(Debug)]
pub(crate) struct JobLog {
    file: File,
    lines: Vec<u8>,
}

impl JobLog {
    /// Begins a log, or goes on with an earlier one and reads what it has.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, is no job log, or cannot be read.
    pub(crate) fn open(path: &Path, resume: Resume) -> io::Result<(JobLog, Earlier)> {
        let mut options = OpenOptions::new();
        options.write(true).create(true);
        if resume == Resume::Anew {
            let mut log = JobLog { file: options.truncate(true).open(path)?, lines: HEADER.into() };
            log.flush()?;
            return Ok((log, Earlier::default()));
        }
        let mut file = options.read(true).truncate(false).open(path)?;
        let (earlier, end) = Earlier::read(&file, resume == Resume::SkipSucceeded)?;
        // A line that was cut short has no end, and says nothing.
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        let mut log = JobLog { file, lines: Vec::new() };
        if end == 0 {
            log.lines.extend_from_slice(HEADER);
            log.flush()?;
        }
        Ok((log, earlier))
    }

    /// Adds the line of a job.
    pub(crate) fn add(&mut self, job: &Job, command: &[u8], ended: &Ended) -> io::Result<()> {
        let started = ended.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (exit, signal) = ended.outcome.exit_and_signal();
        write!(
            self.lines,
            "{}\t:\t{}.{:03}\t{:10.3}\t0\t{}\t{exit}\t{signal}\t",
            job.sequence,
            started.as_secs(),
            started.subsec_millis(),
            ended.wall.as_secs_f64(),
            ended.written,
        )?;
        // One line a job: as in GNU parallel's own, a newline becomes a NUL, which no command can hold.
        self.lines.extend(command.iter().map(|&byte| if byte == b'\n' { 0 } else { byte }));
        self.lines.push(b'\n');
        Ok(())
    }

    /// Whether there are so many lines that they should be written out.
    pub(crate) fn is_full(&self) -> bool {
        self.lines.len() >= BUFFER
    }

    /// Writes out what was added.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let result = self.file.write_all(&self.lines);
        self.lines.clear();
        result
    }
}

/// What an earlier log says of each job: eight bytes a job.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    /// A digest of the command of each job, by its number from 1; 0 for those that are not there.
    digests: Vec<u64>,
}

/// What an earlier log says of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    NotThere,
    Ended,
    /// It ended, with another command.
    Differs,
}

impl Earlier {
    /// Reads a log. `only_succeeded`: the others count as not there. Also gives where its last whole line ends.
    fn read(file: &File, only_succeeded: bool) -> io::Result<(Earlier, u64)> {
        let size = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(64 << 10, file);
        let (mut earlier, mut line, mut end) = (Earlier::default(), Vec::new(), 0);
        let invalid = |number: u64| {
            let text = format!("line {number} is not of a job log");
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        for number in 1.. {
            line.clear();
            reader.read_until(b'\n', &mut line)?;
            if line.pop() != Some(b'\n') {
                // Nothing but a piece of a header or of a line may be cut off by us.
                if number == 1 && !HEADER.starts_with(&line) {
                    return Err(invalid(number));
                }
                break;
            }
            end += line.len() as u64 + 1;
            if number == 1 {
                if line[..] != HEADER[..HEADER.len() - 1] {
                    return Err(invalid(number));
                }
                continue;
            }
            let (sequence, succeeded, command) = parse(&line).ok_or_else(|| invalid(number))?;
            // A log is longer than its number of jobs; a number beyond that is not from a run.
            if sequence == 0 || sequence > size {
                return Err(invalid(number));
            }
            let index = sequence as usize - 1;
            if index >= earlier.digests.len() {
                earlier.digests.resize(index + 1, 0);
            }
            earlier.digests[index] = if succeeded || !only_succeeded { digest(command) } else { 0 };
        }
        Ok((earlier, end))
    }

    /// Whether nothing is known of any job.
    pub(crate) fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// What is known of a job with this number and command.
    pub(crate) fn of(&self, sequence: u64, command: &[u8]) -> Before {
        match self.digests.get(sequence as usize - 1) {
            None | Some(0) => Before::NotThere,
            Some(&known) if known == digest(command) => Before::Ended,
            Some(_) => Before::Differs,
        }
    }
}

/// The job's number, whether it succeeded, and its command.
fn parse(line: &[u8]) -> Option<(u64, bool, &[u8])> {
    let mut fields = line.splitn(9, |&byte| byte == b'\t');
    let mut next = || fields.next();
    let sequence = std::str::from_utf8(next()?).ok()?.parse().ok()?;
    for _ in 0..5 {
        next()?;
    }
    let (exit, signal) = (next()?, next()?);
    Some((sequence, exit == b"0" && signal == b"0", next()?))
}

/// Of a command, with its newlines as in the log. Never 0.
fn digest(command: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (index, part) in command.split(|&byte| byte == b'\n' || byte == 0).enumerate() {
        if index > 0 {
            hasher.write_u8(0);
        }
        hasher.write(part);
    }
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Outcome;
    use super::super::template::Input;
    use super::*;
    use std::time::Duration;

    fn ended(outcome: Outcome) -> Ended {
        Ended {
            outcome,
            slot: 1,
            started: UNIX_EPOCH + Duration::from_millis(1_795_236_370_423),
            wall: Duration::from_millis(1500),
            user: Duration::ZERO,
            system: Duration::ZERO,
            peak_memory: 0,
            written: 7,
        }
    }

    fn job(sequence: u64) -> Job {
        Job { sequence, inputs: vec![Input::from(&b"x"[..])], tries: 1 }
    }

    fn write(path: &Path, resume: Resume) -> Earlier {
        let (mut log, earlier) = JobLog::open(path, resume).unwrap();
        log.add(&job(2), b"echo a\nb", &ended(Outcome::Succeeded)).unwrap();
        log.add(&job(1), b"echo 'c\td'", &ended(Outcome::Exited(3))).unwrap();
        log.flush().unwrap();
        earlier
    }

    #[test]
    fn lines_are_gnu_parallels() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(write(file.path(), Resume::Anew).is_empty());
        let expected = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n\
            2\t:\t1795236370.423\t     1.500\t0\t7\t0\t0\techo a\0b\n\
            1\t:\t1795236370.423\t     1.500\t0\t7\t3\t0\techo 'c\td'\n";
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), expected);
    }

    #[test]
    fn an_earlier_log_tells_which_jobs_ended() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), Resume::Anew);
        let earlier = write(file.path(), Resume::SkipEnded);
        assert_eq!(earlier.of(1, b"echo 'c\td'"), Before::Ended);
        assert_eq!(earlier.of(2, b"echo a\nb"), Before::Ended);
        assert_eq!(earlier.of(2, b"echo ab"), Before::Differs);
        assert_eq!(earlier.of(3, b"echo"), Before::NotThere);
        let earlier = write(file.path(), Resume::SkipSucceeded);
        assert_eq!(earlier.of(1, b"echo 'c\td'"), Before::NotThere);
        assert_eq!(earlier.of(2, b"echo a\nb"), Before::Ended);
    }

    #[test]
    fn a_line_that_was_cut_short_is_not_there_and_is_cut_off() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), Resume::Anew);
        let whole = std::fs::read(file.path()).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(file.path(), &whole[..cut]).unwrap();
            let (_, earlier) = JobLog::open(file.path(), Resume::SkipEnded).unwrap();
            let is_whole = |wanted: &[u8]| whole[..cut].windows(wanted.len()).any(|w| w == wanted);
            let expected = |wanted| if is_whole(wanted) { Before::Ended } else { Before::NotThere };
            assert_eq!(earlier.of(2, b"echo a\nb"), expected(b"echo a\0b\n"), "{cut}");
            assert_eq!(earlier.of(1, b"echo 'c\td'"), expected(b"echo 'c\td'\n"), "{cut}");
            let left = std::fs::read(file.path()).unwrap();
            assert!(left.ends_with(b"\n") && left.len() <= cut.max(HEADER.len()), "{cut}");
        }
    }

    #[test]
    fn what_is_no_job_log_is_not_touched() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in ["important\n", "important", "Seq\tHost\n1\t2\n"] {
            std::fs::write(file.path(), text).unwrap();
            assert!(JobLog::open(file.path(), Resume::SkipEnded).is_err());
            assert_eq!(std::fs::read_to_string(file.path()).unwrap(), text);
        }
        let absurd = [HEADER, b"99999999999\t:\t1.0\t1.0\t0\t0\t0\t0\techo\n"].concat();
        std::fs::write(file.path(), absurd).unwrap();
        assert!(JobLog::open(file.path(), Resume::SkipEnded).is_err());
    }
}
