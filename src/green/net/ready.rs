//! Waiting for any descriptor.

use std::io;
use std::os::fd::AsFd;
use std::panic::Location;
use std::time::{Duration, Instant};

use super::super::hub::{Direction, poll_until, wait_for_any};
use crate::sync::park::Wait;

/// Waits until a read of this descriptor would not block, at most this long: false, if it would still.
///
/// It may be of any kind: a pipe, a child's end, a terminal, a timer, another epoll. A file is always ready. For reads, the end of
/// what can be read counts as well, and so does an error.
///
/// # Errors
///
/// If the descriptor is not one, or the system has no room to watch it.
///
/// # Examples
///
/// ```
/// use fourfold::green::{self, net::wait_readable};
/// use std::io::{Read, Write};
/// use std::time::Duration;
///
/// let (mut reader, mut writer) = std::io::pipe()?;
/// let text = green::run(|| -> Result<String, Box<dyn std::error::Error>> {
///     assert!(!wait_readable(&reader, Some(Duration::ZERO))?);
///     let hello = green::spawn(move || writer.write_all(b"hello"), ())?;
///     assert!(wait_readable(&reader, None)?);
///     hello.join()??;
///     let mut text = String::new();
///     reader.read_to_string(&mut text)?; // the writer is gone
///     Ok(text)
/// })??;
/// assert_eq!(text, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn wait_readable(fd: impl AsFd, limit: Option<Duration>) -> io::Result<bool> {
    let wait = Wait { what: "net::wait_readable", place: Location::caller() };
    wait_ready(&fd, Direction::Read, &wait, limit)
}

/// Waits until a write to this descriptor would not block, at most this long: false, if it would still. See [`wait_readable`].
///
/// # Errors
///
/// As [`wait_readable`].
///
/// # Examples
///
/// ```
/// use fourfold::green::net::wait_writable;
///
/// let (_reader, writer) = std::io::pipe()?;
/// assert!(wait_writable(&writer, None)?); // a thread waits as well
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn wait_writable(fd: impl AsFd, limit: Option<Duration>) -> io::Result<bool> {
    let wait = Wait { what: "net::wait_writable", place: Location::caller() };
    wait_ready(&fd, Direction::Write, &wait, limit)
}

fn wait_ready(
    fd: &impl AsFd,
    direction: Direction,
    wait: &Wait,
    limit: Option<Duration>,
) -> io::Result<bool> {
    let now = Instant::now();
    let deadline = limit.and_then(|limit| now.checked_add(limit));
    let fds = [(fd.as_fd(), direction)];
    loop {
        if poll_until(&fds, Some(now))? {
            return Ok(true);
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(false);
        }
        wait_for_any(&fds, wait, deadline)?;
    }
}
