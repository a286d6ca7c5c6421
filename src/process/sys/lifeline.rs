//! What ends a child's process group when this process dies. See `README.md`.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard};

use rustix::fs::{Mode, OFlags, open};
use rustix::pipe::{PipeFlags, pipe_with};

/// From `asm-generic/fcntl.h`; the libc crate has it for some architectures only.
const F_SETSIG: libc::c_int = 10;

/// A pipe whose ends make the kernel kill a process group when we die: two that read, where there can be, and one to write.
#[derive(Debug)]
pub(crate) struct Lifeline {
    readers: [Option<OwnedFd>; 2],
    writer: OwnedFd,
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
pub(crate) fn let_go_of_all(null: &OwnedFd, kept: [RawFd; 2]) {
    for end in std::mem::take(&mut *ends()) {
        if !kept.contains(&end) {
            // SAFETY: a call on numbers. Who has the number as a descriptor of its own only closes it.
            unsafe { libc::dup3(null.as_raw_fd(), end, libc::O_CLOEXEC) };
        }
    }
}

impl Lifeline {
    pub(crate) fn new() -> io::Result<Lifeline> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        // The same end, as another open file.
        let again = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let again = reader_of(&again);
        let readers = [Some(reader), again.ok()];
        let lifeline = Lifeline { readers, writer, owner: std::process::id() };
        ends().extend(lifeline.open());
        lifeline.open().try_for_each(arm)?;
        Ok(lifeline)
    }

    /// The reading end at this path as an open file of its own, armed, for a child that aims it itself.
    pub(crate) fn armed(path: &str) -> io::Result<OwnedFd> {
        let end = reader_of(path)?;
        arm(end.as_raw_fd())?;
        Ok(end)
    }

    /// The ends that the child keeps open as long as it lives; -1 where there is none.
    pub(crate) fn readers(&self) -> [RawFd; 2] {
        self.readers.each_ref().map(|end| end.as_ref().map_or(-1, AsRawFd::as_raw_fd))
    }

    /// All ends, for the child that aims them; -1 where there is none.
    pub(crate) fn descriptors(&self) -> [RawFd; 3] {
        let [first, second] = self.readers();
        [self.writer.as_raw_fd(), first, second]
    }

    fn open(&self) -> impl Iterator<Item = RawFd> + use<> {
        self.descriptors().into_iter().filter(|end| *end != -1)
    }

    /// In a fork of this process, which is the child: keeps those that read for good.
    pub(crate) fn keep(self) {
        for end in self.readers() {
            // SAFETY: a call on a number. The copy has no owner, so nobody closes it.
            unsafe { libc::fcntl(end, libc::F_DUPFD_CLOEXEC, 3) };
        }
    }

    /// Copies of all ends, that to write first, for a child that another process forks.
    pub(crate) fn copies(&self) -> io::Result<Vec<OwnedFd>> {
        let readers = self.readers.iter().flatten();
        std::iter::once(&self.writer).chain(readers).map(OwnedFd::try_clone).collect()
    }

    /// Aims the ends at the group `group`. Async-signal-safe.
    pub(crate) fn aim(
        descriptors: impl IntoIterator<Item = RawFd>,
        group: libc::pid_t,
    ) -> io::Result<()> {
        for end in descriptors.into_iter().filter(|end| *end != -1) {
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
        for end in self.open() {
            ends.remove(&end);
        }
        drop(ends);
        // Closing an end that is armed would kill the group of a parent that lives.
        for end in self.open() {
            let _ = set(end, libc::F_SETFL, 0);
        }
    }
}

fn reader_of(path: &str) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?)
}

/// Has the kernel send SIGKILL for it, once it is aimed.
fn arm(end: RawFd) -> io::Result<()> {
    set(end, F_SETSIG, libc::SIGKILL)?;
    set(end, libc::F_SETFL, libc::O_ASYNC)
}

fn set(fd: RawFd, command: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: these commands of `fcntl` take an int and touch no memory of ours.
    match unsafe { libc::fcntl(fd, command, value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
