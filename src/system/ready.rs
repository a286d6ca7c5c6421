//! Which descriptors are ready: asked of the kernel, in the thread that waits.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// Which way a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// A descriptor that is waited for.
pub(crate) type Wanted<'a> = (BorrowedFd<'a>, Direction);

/// Blocks the thread until some are ready, or the deadline has passed. The places of those that are: none, if it was the deadline.
///
/// Ready is also what has failed, or is closed at the other side: the call that follows says so.
pub(crate) fn poll(fds: &[Wanted<'_>], deadline: Option<Instant>) -> io::Result<Vec<usize>> {
    let mut fds: Vec<PollFd<'_>> = fds
        .iter()
        .map(|(fd, direction)| PollFd::from_borrowed_fd(*fd, flags(*direction)))
        .collect();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // A limit of more seconds than the kernel counts is none.
        let limit = left.and_then(|left: Duration| Timespec::try_from(left).ok());
        match rustix::event::poll(&mut fds, limit.as_ref()) {
            Ok(0) => return Ok(Vec::new()),
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let ready = fds.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty());
    Ok(ready.map(|(place, _)| place).collect())
}

fn flags(direction: Direction) -> PollFlags {
    match direction {
        Direction::Read => PollFlags::IN | PollFlags::RDHUP,
        Direction::Write => PollFlags::OUT,
    }
}
