//! Waiting for a few things, once.

use std::future::poll_fn;
use std::panic::Location;
use std::time::Duration;

use super::round::Round;
use super::waitable::Waitable;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::park::{Wait, after};

/// Waits until one of them is ready, or more: the places of those that are, counting from 0.
///
/// See the [module](crate::wait) for what ready means.
///
/// # Errors
///
/// [`Deadlock`](ErrorKind::Deadlock) if there is nothing to wait for; [`Io`](ErrorKind::Io) if the system has no descriptor or memory left for
/// the wait.
///
/// # Examples
///
/// ```
/// use fourfold::thread::{Event, Queue};
/// use fourfold::wait::wait_any;
///
/// let (queue, stop) = (Queue::new(), Event::new());
/// queue.put(7)?;
/// assert_eq!(wait_any(&[&queue, &stop])?, [0]);
/// stop.set();
/// assert_eq!(wait_any(&[&queue, &stop])?, [0, 1]);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[track_caller]
pub fn wait_any(things: &[&dyn Waitable]) -> Result<Vec<usize>> {
    let wait = Wait { what: "wait_any", place: Location::caller() };
    let mut round = Round::new(things.iter().map(|thing| thing.watch()));
    check(&round)?;
    Ok(round.wait(&wait, None)?)
}

/// As [`wait_any`], for so long: nothing, if none is ready by then. With no time at all, it only looks.
///
/// # Errors
///
/// [`Io`](ErrorKind::Io), as [`wait_any`].
///
/// # Examples
///
/// ```
/// use fourfold::wait::wait_any_timeout;
/// use std::time::Duration;
///
/// let (reader, _writer) = std::io::pipe()?;
/// assert!(wait_any_timeout(&[&reader], Duration::from_millis(1))?.is_empty());
/// # Ok::<(), fourfold::Error>(())
/// ```
#[track_caller]
pub fn wait_any_timeout(things: &[&dyn Waitable], limit: Duration) -> Result<Vec<usize>> {
    let wait = Wait { what: "wait_any_timeout", place: Location::caller() };
    let mut round = Round::new(things.iter().map(|thing| thing.watch()));
    Ok(round.wait(&wait, after(limit))?)
}

/// As [`wait_any`], for a future. Dropped before, it has left nothing behind.
///
/// # Errors
///
/// As [`wait_any`].
///
/// # Examples
///
/// ```
/// use fourfold::wait::wait_any_async;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (reader, writer) = std::io::pipe()?;
/// drop(writer);
/// assert_eq!(wait_any_async(&[&reader]).await?, [0]);
/// # Ok::<(), fourfold::Error>(())
/// # }).unwrap();
/// ```
pub async fn wait_any_async(things: &[&dyn Waitable]) -> Result<Vec<usize>> {
    wait_round(Round::new(things.iter().map(|thing| thing.watch()))).await
}

/// Waits as a future.
pub(super) async fn wait_round(mut round: Round<'_>) -> Result<Vec<usize>> {
    check(&round)?;
    let mut left = Vec::new();
    Ok(poll_fn(|context| round.poll(context, &mut left)).await?)
}

/// An error, if the wait would never end.
pub(super) fn check(round: &Round<'_>) -> Result<()> {
    match round.is_empty() {
        true => Err(Error::new(ErrorKind::Deadlock).with_message("there is nothing to wait for")),
        false => Ok(()),
    }
}
