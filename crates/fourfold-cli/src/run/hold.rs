//! Outputs that wait for their turn under `--keep-order`: in memory while they are few, else in one unlinked file.
//!
//! However many wait, this takes two descriptors and a fixed amount of memory: the data go to one file as they come, and
//! a record for each job to another, at a place given by the job's number.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};

/// Bytes of output, and number of jobs, that are held in memory.
const MEMORY: usize = 1 << 20;
const JOBS: usize = 4096;

/// Data from which on the file's blocks are given back when they have been read.
const WORTH_PUNCHING: u64 = 64 << 10;

/// What a job wrote, on its standard output and then on its standard error.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Output {
    fn size(&self) -> usize {
        self.stdout.len() + self.stderr.len()
    }
}

/// One held output that is to be printed now.
pub(crate) enum Turn<'a> {
    Memory(Output),
    /// So many bytes of standard output, then of standard error, from here on in this file.
    File(&'a mut File, u64, u64),
}

/// The outputs that wait.
#[derive(Debug)]
pub(crate) struct Held {
    /// The job whose turn it is.
    next: u64,
    memory: BTreeMap<u64, Output>,
    bytes: usize,
    spill: Option<Spill>,
}

#[derive(Debug)]
struct Spill {
    data: File,
    index: File,
    end: u64,
    /// How many records have not been read, and the highest job among them.
    waiting: u64,
    highest: u64,
    /// Read, and to be given back to the file system.
    read: Option<(u64, u64)>,
}

/// A record of the index: where the data begin, plus one so that it is never 0, and the two lengths.
type Record = [u64; 3];
const RECORD: u64 = size_of::<Record>() as u64;

impl Held {
    /// Nothing yet; the first to be printed is this job.
    pub(crate) fn new(next: u64) -> Held {
        Held { next, memory: BTreeMap::new(), bytes: 0, spill: None }
    }

    /// Whether it is this job's turn.
    pub(crate) fn is_turn_of(&self, sequence: u64) -> bool {
        self.next == sequence
    }

    /// The job whose turn it is has been printed.
    pub(crate) fn pass(&mut self) {
        self.next += 1;
    }

    /// Keeps an output that is in memory.
    pub(crate) fn hold(&mut self, sequence: u64, output: Output) -> io::Result<()> {
        let size = output.size();
        if self.memory.len() < JOBS && self.bytes + size <= MEMORY {
            self.bytes += size;
            self.memory.insert(sequence, output);
            return Ok(());
        }
        self.spill(sequence, |data| {
            data.write_all(&output.stdout)?;
            data.write_all(&output.stderr)?;
            Ok((output.stdout.len() as u64, output.stderr.len() as u64))
        })
    }

    /// Keeps an output in the file. `write` appends it, and gives the lengths of its two parts.
    pub(crate) fn spill(
        &mut self,
        sequence: u64,
        write: impl FnOnce(&mut File) -> io::Result<(u64, u64)>,
    ) -> io::Result<()> {
        if self.spill.is_none() {
            self.spill = Some(Spill {
                data: tempfile::tempfile()?,
                index: tempfile::tempfile()?,
                end: 0,
                waiting: 0,
                highest: 0,
                read: None,
            });
        }
        let Some(spill) = &mut self.spill else { return Ok(()) };
        spill.data.seek(SeekFrom::Start(spill.end))?;
        let (stdout, stderr) = write(&mut spill.data)?;
        spill.put(sequence, [spill.end + 1, stdout, stderr])?;
        spill.end += stdout + stderr;
        spill.waiting += 1;
        spill.highest = spill.highest.max(sequence);
        Ok(())
    }

    /// The output of the job whose turn it is, if it is held; then it is the next one's turn.
    pub(crate) fn turn(&mut self) -> io::Result<Option<Turn<'_>>> {
        let sequence = self.next;
        if let Some(output) = self.memory.remove(&sequence) {
            self.bytes -= output.size();
            self.next += 1;
            return Ok(Some(Turn::Memory(output)));
        }
        let Some(spill) = &mut self.spill else { return Ok(None) };
        spill.give_back()?;
        let Some((stdout, stderr)) = spill.take(sequence)? else { return Ok(None) };
        self.next += 1;
        Ok(Some(Turn::File(&mut spill.data, stdout, stderr)))
    }

    /// Goes on to the next job that is held, over those that never came. False if there is none.
    pub(crate) fn skip_missing(&mut self) -> io::Result<bool> {
        let mut next = self.memory.keys().next().copied();
        if let Some(spill) = &mut self.spill
            && spill.waiting > 0
        {
            let last = next.unwrap_or(u64::MAX).min(spill.highest);
            for sequence in self.next..=last {
                if spill.get(sequence)?[0] != 0 {
                    next = Some(sequence);
                    break;
                }
            }
        }
        self.next = next.unwrap_or(self.next);
        Ok(next.is_some())
    }
}

impl Spill {
    fn put(&mut self, sequence: u64, record: Record) -> io::Result<()> {
        let mut bytes = [0; RECORD as usize];
        for (bytes, number) in bytes.chunks_exact_mut(8).zip(record) {
            bytes.copy_from_slice(&number.to_ne_bytes());
        }
        self.index.write_all_at(&bytes, sequence * RECORD)
    }

    fn get(&mut self, sequence: u64) -> io::Result<Record> {
        let mut bytes = Vec::with_capacity(RECORD as usize);
        self.index.seek(SeekFrom::Start(sequence * RECORD))?;
        (&self.index).take(RECORD).read_to_end(&mut bytes)?;
        // What was not written is 0, beyond the file's end as well.
        bytes.resize(RECORD as usize, 0);
        let mut record = [0; 3];
        for (number, bytes) in record.iter_mut().zip(bytes.chunks_exact(8)) {
            *number = u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
        }
        Ok(record)
    }

    /// The lengths of a job's output, with the file set to where it begins.
    fn take(&mut self, sequence: u64) -> io::Result<Option<(u64, u64)>> {
        if self.waiting == 0 {
            return Ok(None);
        }
        let [begin, stdout, stderr] = self.get(sequence)?;
        let Some(begin) = begin.checked_sub(1) else { return Ok(None) };
        self.waiting -= 1;
        self.read = Some((begin, stdout + stderr));
        self.data.seek(SeekFrom::Start(begin))?;
        Ok(Some((stdout, stderr)))
    }

    /// Frees what was read: all, if nothing waits any more.
    fn give_back(&mut self) -> io::Result<()> {
        let Some((begin, length)) = self.read.take() else { return Ok(()) };
        if self.waiting == 0 {
            self.data.set_len(0)?;
            self.index.set_len(0)?;
            (self.end, self.highest) = (0, 0);
        } else if length >= WORTH_PUNCHING {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // A file system that cannot do it keeps the blocks until the end.
            let _ = fallocate(&self.data, flags, begin, length);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(sequence: u64) -> Output {
        Output {
            stdout: format!("out {sequence}\n").into_bytes(),
            stderr: vec![b'e'; (sequence % 5) as usize],
        }
    }

    fn next(held: &mut Held) -> Option<Output> {
        Some(match held.turn().unwrap()? {
            Turn::Memory(output) => output,
            Turn::File(file, stdout, stderr) => {
                let mut part = |length| {
                    let mut bytes = Vec::new();
                    Read::take(&mut *file, length).read_to_end(&mut bytes).unwrap();
                    bytes
                };
                Output { stdout: part(stdout), stderr: part(stderr) }
            }
        })
    }

    #[test]
    fn outputs_come_in_order_however_many_wait() {
        let mut held = Held::new(1);
        let last = 3 * JOBS as u64;
        for sequence in (2..=last).rev() {
            held.hold(sequence, output(sequence)).unwrap();
        }
        assert!(held.memory.len() <= JOBS && held.bytes <= MEMORY);
        assert_eq!(next(&mut held), None);
        assert!(held.is_turn_of(1));
        held.pass();
        for sequence in 2..=last {
            assert_eq!(next(&mut held), Some(output(sequence)), "{sequence}");
        }
        assert_eq!(next(&mut held), None);
        // What was read is given back, and the files serve again.
        assert_eq!(held.spill.as_ref().unwrap().data.metadata().unwrap().len(), 0);
        held.spill(last + 2, |data| data.write_all(b"again").map(|()| (5, 0))).unwrap();
        held.pass();
        assert_eq!(next(&mut held).unwrap().stdout, b"again");
    }

    #[test]
    fn large_outputs_are_held_in_the_file() {
        let mut held = Held::new(1);
        let large = || Output { stdout: vec![b'x'; MEMORY / 2 + 1], stderr: b"e".to_vec() };
        for sequence in 2..6 {
            held.hold(sequence, large()).unwrap();
        }
        assert_eq!(held.memory.len(), 1);
        held.pass();
        for _ in 2..6 {
            assert_eq!(next(&mut held), Some(large()));
        }
    }

    #[test]
    fn those_that_never_came_are_passed_over() {
        let mut held = Held::new(1);
        held.hold(3, output(3)).unwrap();
        held.spill(7, |data| data.write_all(b"7").map(|()| (1, 0))).unwrap();
        assert!(next(&mut held).is_none() && held.skip_missing().unwrap());
        assert_eq!(next(&mut held), Some(output(3)));
        assert!(next(&mut held).is_none() && held.skip_missing().unwrap());
        assert_eq!(next(&mut held).unwrap().stdout, b"7");
        assert!(next(&mut held).is_none() && !held.skip_missing().unwrap());
    }
}
