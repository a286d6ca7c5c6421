//! Where the jobs' outputs go: whole, job by job, in the order of ending or of the inputs.

mod sink;

use std::fs::File;
use std::io::{self, Read, Write};

use fourfold::process::Capture;

use self::sink::{BUFFER, Collector, Sink, failure};
use super::hold::{Held, Output, Turn};
use super::plan::OutputPlan;
use super::progress::Progress;

pub(crate) use self::sink::{Failure, Meanwhile};

/// Outputs from this size on are copied from file to file.
const LARGE: u64 = 256 << 10;

/// Puts a tag before each line, and ends the last one.
struct Tagger<'a, W: Write> {
    to: W,
    tag: &'a [u8],
    in_line: bool,
}

impl<W: Write> Write for Tagger<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if !self.in_line {
                self.to.write_all(self.tag)?;
            }
            self.to.write_all(line)?;
            self.in_line = line.last() != Some(&b'\n');
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What a job wrote on one descriptor, and how much it is.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    capture: &'a Capture,
    length: u64,
}

impl<'a> Part<'a> {
    /// `None` if nothing was captured, or nothing written.
    fn of(capture: Option<&'a Capture>) -> io::Result<Option<Part<'a>>> {
        let Some(capture) = capture else { return Ok(None) };
        let length = capture.len()?;
        Ok((length > 0).then_some(Part { capture, length }))
    }

    /// Appends it to a buffer, without the detour of a second one.
    fn append(self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let begin = buffer.len();
        buffer.resize(begin + self.length as usize, 0);
        let result = self.capture.reader().read_exact(&mut buffer[begin..]);
        if result.is_err() {
            buffer.truncate(begin);
        }
        result
    }

    /// Copies it, tagged if asked to. A process that the job left behind may write on; that is not taken.
    fn copy(self, tag: Option<&[u8]>, to: &mut dyn Write) -> io::Result<()> {
        let mut reader = self.capture.reader().take(self.length);
        let Some(tag) = tag else { return io::copy(&mut reader, to).map(|_| ()) };
        let mut tagger = Tagger { to, tag, in_line: false };
        io::copy(&mut reader, &mut tagger)?;
        if tagger.in_line { tagger.to.write_all(b"\n") } else { Ok(()) }
    }

    fn collect(self, tag: Option<&[u8]>, buffer: &mut Vec<u8>) -> io::Result<()> {
        match tag {
            None => self.append(buffer),
            Some(_) => self.copy(tag, buffer),
        }
    }
}

/// What a job wrote, if it was kept.
#[derive(Clone, Copy, Default)]
pub(crate) struct Captured<'a> {
    stdout: Option<Part<'a>>,
    stderr: Option<Part<'a>>,
}

impl<'a> Captured<'a> {
    pub(crate) fn of(
        stdout: Option<&'a Capture>,
        stderr: Option<&'a Capture>,
    ) -> io::Result<Captured<'a>> {
        Ok(Captured { stdout: Part::of(stdout)?, stderr: Part::of(stderr)? })
    }

    /// How many bytes it wrote.
    pub(crate) fn len(self) -> u64 {
        [self.stdout, self.stderr].into_iter().flatten().map(|part| part.length).sum()
    }
}

/// Prints the outputs of jobs.
pub(crate) struct Printer {
    stdout: Sink,
    stderr: Sink,
    /// Standard output is not ours to write to.
    all_to_stderr: bool,
    held: Option<Held>,
}

impl Printer {
    pub(crate) fn new(
        plan: OutputPlan,
        progress: &Progress,
        meanwhile: &Meanwhile,
    ) -> io::Result<Printer> {
        Ok(Printer {
            stdout: Sink::new(io::stdout(), "standard output", progress, meanwhile)?,
            stderr: Sink::new(io::stderr(), "standard error", progress, meanwhile)?,
            all_to_stderr: plan.all_to_stderr,
            held: plan.in_order.then(|| Held::new(1)),
        })
    }

    /// Prints what a job wrote, now or when its turn comes.
    pub(crate) fn print(
        &mut self,
        sequence: u64,
        tag: Option<&[u8]>,
        captured: Captured<'_>,
    ) -> Result<(), Failure> {
        let Some(held) = &mut self.held else { return self.put(tag, captured) };
        if held.is_turn_of(sequence) {
            held.pass();
            self.put(tag, captured)?;
            return self.print_those_whose_turn_it_is();
        }
        let parts = [captured.stdout, captured.stderr];
        let result = if captured.len() < LARGE {
            let mut output = Output::default();
            let buffers = [&mut output.stdout, &mut output.stderr];
            let copied = parts.into_iter().zip(buffers).try_for_each(|(part, buffer)| match part {
                Some(part) => part.collect(tag, buffer),
                None => Ok(()),
            });
            copied.and_then(|()| held.hold(sequence, output))
        } else {
            held.spill(sequence, |file| {
                let mut lengths = [0; 2];
                for (length, part) in lengths.iter_mut().zip(parts) {
                    let begin = io::Seek::stream_position(file)?;
                    if let Some(part) = part {
                        let mut buffered = io::BufWriter::with_capacity(BUFFER, &mut *file);
                        part.copy(tag, &mut buffered)?;
                        buffered.flush()?;
                    }
                    *length = io::Seek::stream_position(file)? - begin;
                }
                Ok((lengths[0], lengths[1]))
            })
        };
        result.map_err(cannot_hold)
    }

    /// Prints a line of our own on standard output, as the output of a job would be.
    pub(crate) fn print_line(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.stdout.buffer.extend_from_slice(line);
        self.stdout.buffer.push(b'\n');
        self.stdout.flush_if_full()
    }

    /// A job that has nothing to print, and never will.
    pub(crate) fn pass(&mut self, sequence: u64) -> Result<(), Failure> {
        self.print(sequence, None, Captured::default())
    }

    /// Prints what is still held, though jobs before it never ended; then writes out all.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        while let Some(held) = &mut self.held
            && held.skip_missing().map_err(cannot_hold)?
        {
            self.print_those_whose_turn_it_is()?;
        }
        self.flush()
    }

    /// Writes out what was printed.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush()?;
        self.stderr.flush()
    }

    fn print_those_whose_turn_it_is(&mut self) -> Result<(), Failure> {
        loop {
            let Some(held) = &mut self.held else { return Ok(()) };
            let to = if self.all_to_stderr { &mut self.stderr } else { &mut self.stdout };
            match held.turn().map_err(cannot_hold)? {
                None => return Ok(()),
                Some(Turn::Memory(output)) => {
                    to.buffer.extend_from_slice(&output.stdout);
                    to.flush_if_full()?;
                    if !output.stderr.is_empty() {
                        to.flush()?;
                        self.stderr.buffer.extend_from_slice(&output.stderr);
                        self.stderr.flush()?;
                    }
                }
                Some(Turn::File(file, stdout, stderr)) => {
                    copy_part(file, stdout, to)?;
                    if stderr > 0 {
                        to.flush()?;
                        copy_part(file, stderr, &mut self.stderr)?;
                        self.stderr.flush()?;
                    }
                }
            }
        }
    }

    fn put(&mut self, tag: Option<&[u8]>, captured: Captured<'_>) -> Result<(), Failure> {
        let to = if self.all_to_stderr { &mut self.stderr } else { &mut self.stdout };
        if let Some(stdout) = captured.stdout {
            put(stdout, tag, to)?;
        }
        if let Some(stderr) = captured.stderr {
            // In their order, where both go to the same place.
            to.flush()?;
            put(stderr, tag, &mut self.stderr)?;
            self.stderr.flush()?;
        }
        Ok(())
    }
}

fn put(part: Part<'_>, tag: Option<&[u8]>, to: &mut Sink) -> Result<(), Failure> {
    if part.length < LARGE {
        let name = to.name;
        part.collect(tag, &mut to.buffer).map_err(|error| failure(error, name))?;
        return to.flush_if_full();
    }
    let mut collector = Collector { sink: to, failure: None };
    part.copy(tag, &mut collector).map_err(|error| {
        let name = collector.sink.name;
        collector.failure.take().unwrap_or_else(|| failure(error, name))
    })
}

/// Copies so many bytes from where the file is.
fn copy_part(file: &mut File, mut length: u64, to: &mut Sink) -> Result<(), Failure> {
    while length > 0 {
        let part = length.min(BUFFER as u64);
        let read = Read::take(&mut *file, part).read_to_end(&mut to.buffer).map_err(cannot_hold)?;
        if read == 0 {
            return Err(cannot_hold(io::ErrorKind::UnexpectedEof.into()));
        }
        length -= read as u64;
        to.flush_if_full()?;
    }
    Ok(())
}

fn cannot_hold(error: io::Error) -> Failure {
    Failure::Failed(format!("keeping outputs for --keep-order: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(parts: &[&str]) -> String {
        let mut tagger = Tagger { to: Vec::new(), tag: b"t\t", in_line: false };
        for part in parts {
            tagger.write_all(part.as_bytes()).unwrap();
        }
        String::from_utf8(tagger.to).unwrap()
    }

    #[test]
    fn each_line_is_tagged_once() {
        assert_eq!(tagged(&["a\nb\n"]), "t\ta\nt\tb\n");
        assert_eq!(tagged(&["a", "b\n\n", "c"]), "t\tab\nt\t\nt\tc");
        assert_eq!(tagged(&[]), "");
    }
}
