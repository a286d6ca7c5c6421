//! A place where members in several processes wait for each other.

use std::panic::Location;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::handle::{Handle, done, limit, nobody, number, truth, unexpected};
use super::wire::{Answer, Ask, Blank, FOR_EVER};
use crate::error::Result;
use crate::sync::park::Wait;
use crate::task::ticket::Tickets;

/// A place where a number of members, in any processes, wait until all are there, again and again.
///
/// A member that goes away while it waits, because its process dies, its time is over, it is cancelled or its future is dropped,
/// breaks the barrier: all who wait are told so, and who comes later is too, until [`reset`](Barrier::reset).
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; no call can fail |
/// | `process` | each call can fail; a process that dies is a member that goes away |
/// | `cluster` | on a server: each call can fail, and a connection that ends is a member that goes away |
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Barrier};
///
/// let barrier = Barrier::new(2)?;
/// let child = process::spawn(|barrier: Barrier| barrier.wait().unwrap(), barrier.clone())?;
/// let mut places = [barrier.wait()?, child.join()?];
/// places.sort();
/// assert_eq!(places, [Some(0), Some(1)]);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Barrier {
    handle: Handle,
}

impl Barrier {
    /// A barrier for so many members; for none it is as for one.
    ///
    /// # Errors
    ///
    /// There is no room for it, or the root is gone, here and below:
    /// [`ErrorKind::RootGone`](crate::ErrorKind::RootGone).
    pub fn new(parties: usize) -> Result<Barrier> {
        Ok(Barrier { handle: Handle::new(Blank::Barrier(parties), Tickets::default())? })
    }

    /// Waits until all are there, and says in which place this one came, from 0. `None`: the barrier is broken.
    ///
    /// # Errors
    ///
    /// As [`new`](Barrier::new), here and below.
    #[track_caller]
    pub fn wait(&self) -> Result<Option<usize>> {
        let wait = Wait { what: "Barrier::wait", place: Location::caller() };
        place(self.handle.wait(nobody(), FOR_EVER, &Ask::Meet, &wait)?)
    }

    /// As [`wait`](Barrier::wait), for so long; then the barrier is broken for all.
    ///
    /// # Errors
    ///
    /// As [`new`](Barrier::new).
    #[track_caller]
    pub fn wait_timeout(&self, time: Duration) -> Result<Option<usize>> {
        let wait = Wait { what: "Barrier::wait_timeout", place: Location::caller() };
        place(self.handle.wait(nobody(), limit(time), &Ask::Meet, &wait)?)
    }

    /// As [`wait`](Barrier::wait), for a future. Dropped while it waits, it breaks the barrier.
    ///
    /// # Errors
    ///
    /// As [`new`](Barrier::new).
    pub async fn wait_async(&self) -> Result<Option<usize>> {
        place(self.handle.wait_async(nobody(), &Ask::Meet).await?)
    }

    /// Makes it as new; whoever waits is told that it is broken.
    ///
    /// # Errors
    ///
    /// As [`new`](Barrier::new).
    pub fn reset(&self) -> Result<()> {
        done(self.handle.ask(nobody(), &Ask::Reset)?)
    }

    /// Breaks it until it is reset.
    ///
    /// # Errors
    ///
    /// As [`new`](Barrier::new).
    pub fn abort(&self) -> Result<()> {
        done(self.handle.ask(nobody(), &Ask::Abort)?)
    }

    /// Whether it is broken.
    ///
    /// # Errors
    ///
    /// As [`new`](Barrier::new).
    pub fn is_broken(&self) -> Result<bool> {
        truth(self.handle.ask(nobody(), &Ask::IsBroken)?)
    }

    /// How many wait at it.
    ///
    /// # Errors
    ///
    /// As [`new`](Barrier::new).
    pub fn waiting(&self) -> Result<usize> {
        number(self.handle.ask(nobody(), &Ask::Waiting)?)
    }

    /// How many it waits for.
    ///
    /// # Errors
    ///
    /// As [`new`](Barrier::new).
    pub fn parties(&self) -> Result<usize> {
        number(self.handle.ask(nobody(), &Ask::Parties)?)
    }
}

fn place(answer: Answer) -> Result<Option<usize>> {
    match answer {
        Answer::Passed(place) => Ok(Some(place as usize)),
        Answer::Broken => Ok(None),
        other => Err(unexpected(&other)),
    }
}
