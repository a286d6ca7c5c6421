//! What ends a child's process group when this process dies. See `README.md`.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard};

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

/// The ends of all lifelines of this process, for a fork of it.
static ENDS: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

fn ends() -> MutexGuard<'static, BTreeSet<RawFd>> {
    ENDS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Holds them still, for a fork: the child finds the lock free.
pub(crate) fn hold() -> impl Sized {
    ends()
}

/// In a fork of this process: puts `null` in the place of all ends that came with it, but for `kept`. Their numbers are
/// still somebody's.
pub(crate) fn let_go_of_all(null: &OwnedFd, kept: RawFd) {
    for end in std::mem::take(&mut *ends()) {
        if end != kept {
            // SAFETY: a call on numbers. Who has the number as a descriptor of its own only closes it.
            unsafe { libc::dup3(null.as_raw_fd(), end, libc::O_CLOEXEC) };
        }
    }
}

impl Lifeline {
    pub(crate) fn new() -> io::Result<Lifeline> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let lifeline = Lifeline { ends: [reader, writer], owner: std::process::id() };
        ends().extend(lifeline.descriptors());
        for end in lifeline.descriptors() {
            set(end, F_SETSIG, libc::SIGKILL)?;
            set(end, libc::F_SETFL, libc::O_ASYNC)?;
        }
        Ok(lifeline)
    }

    /// The end that the child keeps open as long as it lives.
    pub(crate) fn reader(&self) -> RawFd {
        self.ends[0].as_raw_fd()
    }

    /// In a fork of this process, which is the child: keeps that end for good.
    pub(crate) fn keep(self) {
        let Lifeline { ends: [reader, _writer], .. } = &self;
        // SAFETY: a call on a number. The copy has no owner, so nobody closes it.
        unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
    }

    /// Both ends, for the child that aims them.
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
        let mut ends = ends();
        for end in self.descriptors() {
            ends.remove(&end);
        }
        drop(ends);
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
