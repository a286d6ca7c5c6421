//! Standard output and standard error: collected, and written without leaving the jobs alone.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::run::progress::Progress;

/// Bytes that are collected before they are written.
pub(super) const BUFFER: usize = 64 << 10;

/// How often the jobs are looked after while we write.
const LOOK: Duration = Duration::from_millis(20);

/// Why printing ended.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader went away.
    Closed,
    Failed(String),
    /// A second signal, this one first, came while the reader did not read.
    Interrupted(i32),
}

/// Called again and again by whoever is held up, so that the jobs are looked after meanwhile.
pub(crate) type Meanwhile = Rc<dyn Fn() -> Result<(), Failure>>;

/// Standard output or standard error.
pub(super) struct Sink {
    file: File,
    pub(super) name: &'static str,
    pub(super) buffer: Vec<u8>,
    /// How much is written at once: to a pipe, so little that it never blocks when the pipe says that it has room.
    at_once: usize,
    progress: Progress,
    meanwhile: Meanwhile,
    looked_after: Instant,
}

impl Sink {
    pub(super) fn new(
        descriptor: impl AsFd,
        name: &'static str,
        progress: &Progress,
        meanwhile: &Meanwhile,
    ) -> io::Result<Sink> {
        let file = File::from(descriptor.as_fd().try_clone_to_owned()?);
        let may_block = !file.metadata()?.is_file();
        Ok(Sink {
            file,
            name,
            buffer: Vec::new(),
            at_once: if may_block { 4096 } else { BUFFER },
            progress: progress.clone(),
            meanwhile: Rc::clone(meanwhile),
            looked_after: Instant::now(),
        })
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.write(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        result
    }

    pub(super) fn flush_if_full(&mut self) -> Result<(), Failure> {
        match self.buffer.len() >= BUFFER {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let progress = self.progress.clone();
        progress.aside(|| {
            bytes.chunks(self.at_once).try_for_each(|part| {
                self.write_part(part)?;
                self.look_after_jobs()
            })
        })
    }

    fn write_part(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            self.wait_for_room()?;
            match self.file.write(bytes) {
                Ok(0) => return Err(failure(io::ErrorKind::WriteZero.into(), self.name)),
                Ok(written) => bytes = &bytes[written..],
                Err(error) => match error.kind() {
                    // Whoever shares the descriptor may have made it non-blocking.
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                    _ => return Err(failure(error, self.name)),
                },
            }
        }
        Ok(())
    }

    fn wait_for_room(&mut self) -> Result<(), Failure> {
        if self.at_once == BUFFER {
            return Ok(());
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK.subsec_nanos()) };
        loop {
            match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&timeout)) {
                Ok(0) => self.look_after_jobs()?,
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failure(error.into(), self.name)),
            }
        }
    }

    fn look_after_jobs(&mut self) -> Result<(), Failure> {
        if self.looked_after.elapsed() < LOOK {
            return Ok(());
        }
        self.looked_after = Instant::now();
        (self.meanwhile)()
    }
}

/// Collects for a sink, and keeps what failed, which [`io::Error`] has no room for.
pub(super) struct Collector<'a> {
    pub(super) sink: &'a mut Sink,
    pub(super) failure: Option<Failure>,
}

impl Write for Collector<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.buffer.extend_from_slice(bytes);
        match self.sink.flush_if_full() {
            Ok(()) => Ok(bytes.len()),
            Err(failure) => {
                self.failure = Some(failure);
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells what a failure to write means.
pub(super) fn failure(error: io::Error, name: &str) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::Failed(format!("{name}: {error}")),
    }
}
