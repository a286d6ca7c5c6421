//! What a job wrote, kept without a pipe: nobody has to read it for the job to go on, and a process that the job leaves
//! behind with its output open holds nobody up.
//!
//! A job writes into a memfd. While it runs, what has gathered there is moved to an unlinked file now and then, and its
//! memory is freed, so a job may write more than there is memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, MemfdFlags, OFlags};

/// What gathers in memory before it is moved to a file, in bytes.
const KEEP: u64 = 4 << 20;

/// What a job wrote on its standard output or error.
///
/// Up to 4 MiB of it is kept in memory; what is more is in an unlinked file, in `TMPDIR` or `/tmp`.
///
/// # Examples
///
/// ```
/// use fourfold::process::{Command, Stdio};
/// use std::io::Read;
///
/// let done = Command::new("echo").arg("hello").stdout(Stdio::Capture).run()?;
/// let capture = done.stdout.unwrap();
/// assert_eq!(capture.len()?, 6);
/// let mut text = String::new();
/// capture.reader().read_to_string(&mut text)?;
/// assert_eq!(text, "hello\n");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
pub struct Capture {
    memfd: File,
    spill: Option<File>,
    /// How much of it has been moved to `spill`, and freed in `memfd`.
    moved: u64,
}

impl Capture {
    pub(crate) fn new() -> io::Result<Capture> {
        let memfd = rustix::fs::memfd_create("fourfold-output", MemfdFlags::CLOEXEC)?;
        // All who write into it write at its end, whoever else does.
        rustix::fs::fcntl_setfl(&memfd, OFlags::APPEND)?;
        Ok(Capture { memfd: memfd.into(), spill: None, moved: 0 })
    }

    /// The number of bytes.
    ///
    /// # Errors
    ///
    /// If the kernel does not tell the size.
    pub fn len(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.memfd)?.st_size as u64)
    }

    /// Whether nothing was written.
    ///
    /// # Errors
    ///
    /// As [`len`](Capture::len).
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Writes all of it to `to`, in pieces. Gives the number of bytes.
    ///
    /// # Errors
    ///
    /// What reading or writing gives.
    pub fn write_to(&self, to: &mut (impl Write + ?Sized)) -> io::Result<u64> {
        let mut reader = self.reader();
        let mut buffer = [0; 64 << 10];
        loop {
            let count = reader.read(&mut buffer)?;
            if count == 0 {
                return Ok(reader.offset);
            }
            to.write_all(&buffer[..count])?;
        }
    }

    /// All of it.
    ///
    /// # Errors
    ///
    /// What reading gives.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads it from the start.
    pub fn reader(&self) -> CaptureReader<'_> {
        CaptureReader { capture: self, offset: 0 }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.memfd.as_fd()
    }

    /// Moves what has gathered to the file, if it is much.
    pub(crate) fn spill(&mut self) -> io::Result<()> {
        let len = self.len()?;
        if len - self.moved < KEEP {
            return Ok(());
        }
        let file = match &self.spill {
            Some(file) => file,
            None => self.spill.insert(unlinked_file()?),
        };
        let mut buffer = vec![0; 1 << 20];
        while self.moved < len {
            let want = buffer.len().min((len - self.moved) as usize);
            self.memfd.read_exact_at(&mut buffer[..want], self.moved)?;
            file.write_all_at(&buffer[..want], self.moved)?;
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(&self.memfd, flags, self.moved, want as u64)?;
            self.moved += want as u64;
        }
        Ok(())
    }

    /// Makes it empty, for the next job. Nobody else may have it open.
    pub(crate) fn reset(&mut self) -> io::Result<()> {
        if !self.is_empty()? {
            rustix::fs::ftruncate(&self.memfd, 0)?;
        }
        self.spill = None;
        self.moved = 0;
        Ok(())
    }
}

/// A file without a name, where temporary files go.
fn unlinked_file() -> io::Result<File> {
    let directory = std::env::temp_dir();
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("no temporary file in {}: {error}", directory.display()),
        )
    };
    match rustix::fs::open(&directory, flags, mode) {
        Ok(fd) => Ok(fd.into()),
        // A file system that has no files without names.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
            let name = format!("fourfold-{}-{}", std::process::id(), crate::task::next_id());
            let path = directory.join(name);
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
            let fd: OwnedFd = rustix::fs::open(&path, flags, mode).map_err(|e| named(e.into()))?;
            std::fs::remove_file(&path).map_err(named)?;
            Ok(fd.into())
        }
        Err(error) => Err(named(error.into())),
    }
}

/// Reads a [`Capture`] from its start. Made by [`Capture::reader`].
#[derive(Debug)]
pub struct CaptureReader<'a> {
    capture: &'a Capture,
    offset: u64,
}

impl Read for CaptureReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let moved = self.capture.moved;
        let count = match &self.capture.spill {
            Some(spill) if self.offset < moved => {
                let want =
                    buffer.len().min(usize::try_from(moved - self.offset).unwrap_or(usize::MAX));
                spill.read_at(&mut buffer[..want], self.offset)?
            }
            _ => self.capture.memfd.read_at(buffer, self.offset)?,
        };
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spills_is_read_back_in_order() {
        let mut capture = Capture::new().unwrap();
        let mut whole = Vec::new();
        for round in 0..10u8 {
            let part = vec![round; 1 << 20];
            (&capture.memfd).write_all(&part).unwrap();
            whole.extend(part);
            capture.spill().unwrap();
        }
        (&capture.memfd).write_all(b"end").unwrap();
        whole.extend(b"end");
        assert!(capture.moved >= 8 << 20, "{} moved", capture.moved);
        // What was moved is freed: the blocks are of 512 bytes.
        let blocks = rustix::fs::fstat(&capture.memfd).unwrap().st_blocks as u64;
        assert!(blocks * 512 <= KEEP + (1 << 20), "{blocks} blocks kept");
        assert!(capture.to_vec().unwrap() == whole);
        capture.reset().unwrap();
        assert!(capture.is_empty().unwrap());
        (&capture.memfd).write_all(b"again").unwrap();
        assert_eq!(capture.to_vec().unwrap(), b"again");
    }
}
