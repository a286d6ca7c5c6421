//! What ends a child's process group when this process dies. See `README.md`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::pipe::{PipeFlags, pipe_with};

/// From `asm-generic/fcntl.h`; the libc crate has it for some architectures only.
const F_SETSIG: libc::c_int = 10;

/// A pipe whose ends, both ours, make the kernel kill a process group when we die.
#[derive(Debug)]
pub(crate) struct Lifeline {
    ends: [OwnedFd; 2],
    /// The process that it stands for. A fork of it has copies, which mean nothing.
    owner: u32,
}

impl Lifeline {
    pub(crate) fn new() -> io::Result<Lifeline> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let lifeline = Lifeline { ends: [reader, writer], owner: std::process::id() };
        for end in lifeline.descriptors() {
            set(end, F_SETSIG, libc::SIGKILL)?;
            set(end, libc::F_SETFL, libc::O_ASYNC)?;
        }
        Ok(lifeline)
    }

    /// Both ends, for the child that aims them, and for a forked one that closes them.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        [self.ends[0].as_raw_fd(), self.ends[1].as_raw_fd()]
    }

    /// Copies of both ends, for a child that another process forks.
    pub(crate) fn copies(&self) -> io::Result<[OwnedFd; 2]> {
        let [reader, writer] = &self.ends;
        Ok([reader.try_clone()?, writer.try_clone()?])
    }

    /// Aims the ends at the group `group`. Async-signal-safe.
    pub(crate) fn aim(descriptors: [RawFd; 2], group: libc::pid_t) -> io::Result<()> {
        for end in descriptors {
            set(end, libc::F_SETOWN, -group)?;
        }
        Ok(())
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        if self.owner != std::process::id() {
            return;
        }
        // Closing an end that is armed would kill the group of a parent that lives.
        for end in self.descriptors() {
            let _ = set(end, libc::F_SETFL, 0);
        }
    }
}

fn set(fd: RawFd, command: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: these commands of `fcntl` take an int and touch no memory of ours.
    match unsafe { libc::fcntl(fd, command, value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
