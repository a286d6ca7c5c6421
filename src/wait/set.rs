//! A set of things that are waited for again and again.

use std::fmt;
use std::panic::Location;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::any::{check, wait_round};
use super::round::Round;
use super::waitable::{Waitable, Watch};
use crate::error::Result;
use crate::sync::park::{Wait, after};

/// Things that are waited for together, and which of them are ready, again and again.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type: a wait suspends the coroutine, or blocks the thread |
/// | `process` | what is waited for may be in another process: the ends of pipes, children |
///
/// # Examples
///
/// ```
/// use fourfold::process;
/// use fourfold::wait::WaitSet;
/// use std::time::Duration;
///
/// fn count(sender: process::Sender<u32>) {
///     (0..3).for_each(|n| sender.send(n).unwrap());
/// }
///
/// let (sender, receiver) = process::pipe()?;
/// let child = process::spawn(count, sender)?;
///
/// let mut set = WaitSet::new();
/// let messages = set.add(&receiver);
/// let end = set.add(&child);
/// let too_late = set.add_timer(Duration::from_secs(60));
/// let mut got = Vec::new();
/// while set.contains(messages) || set.contains(end) {
///     for key in set.wait()? {
///         if key == messages {
///             match receiver.try_recv() {
///                 Ok(n) => got.push(n),
///                 Err(_) => drop(set.remove(messages)), // the end of the pipe
///             }
///         } else if key == end {
///             set.remove(end);
///         } else {
///             assert!(key != too_late, "it takes too long");
///         }
///     }
/// }
/// assert_eq!(got, [0, 1, 2]);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Default)]
pub struct WaitSet<'a> {
    /// In the order of their keys.
    members: Vec<(Key, Member<'a>)>,
    next: u64,
}

/// Names a member of a [`WaitSet`]. No other member of the set ever has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

enum Member<'a> {
    Thing(&'a dyn Waitable),
    /// `None` is never: it would be too far off to be told.
    Timer(Option<Instant>),
}

impl<'a> WaitSet<'a> {
    /// A set with nothing in it.
    pub fn new() -> WaitSet<'a> {
        WaitSet::default()
    }

    /// Adds a thing. The same may be added twice.
    pub fn add(&mut self, thing: &'a dyn Waitable) -> Key {
        self.insert(Member::Thing(thing))
    }

    /// Adds a moment, so far from now. Once it has been told of, it is in the set no more.
    pub fn add_timer(&mut self, limit: Duration) -> Key {
        self.insert(Member::Timer(after(limit)))
    }

    /// Takes a member out. False if it was not in it.
    pub fn remove(&mut self, key: Key) -> bool {
        match self.place(key) {
            Some(place) => {
                self.members.remove(place);
                true
            }
            None => false,
        }
    }

    /// Whether the member is in it.
    pub fn contains(&self, key: Key) -> bool {
        self.place(key).is_some()
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Waits until one is ready, or more: those that are, in the order in which they were added.
    ///
    /// # Errors
    ///
    /// As [`wait_any`](super::wait_any()).
    #[track_caller]
    pub fn wait(&mut self) -> Result<Vec<Key>> {
        let wait = Wait { what: "WaitSet::wait", place: Location::caller() };
        let mut round = self.round();
        check(&round)?;
        let ready = round.wait(&wait, None)?;
        Ok(self.told(ready))
    }

    /// As [`wait`](WaitSet::wait), for so long: nothing, if none is ready by then. With no time at all, it only looks.
    ///
    /// # Errors
    ///
    /// As [`wait_any_timeout`](super::wait_any_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::wait::WaitSet;
    /// use std::time::Duration;
    ///
    /// let mut set = WaitSet::new();
    /// set.add_timer(Duration::from_secs(3600));
    /// assert!(set.wait_timeout(Duration::ZERO)?.is_empty());
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    #[track_caller]
    pub fn wait_timeout(&mut self, limit: Duration) -> Result<Vec<Key>> {
        let wait = Wait { what: "WaitSet::wait_timeout", place: Location::caller() };
        let ready = self.round().wait(&wait, after(limit))?;
        Ok(self.told(ready))
    }

    /// As [`wait`](WaitSet::wait), for a future. Dropped before, it has left nothing behind, and told of no timer.
    ///
    /// # Errors
    ///
    /// As [`wait`](WaitSet::wait).
    pub async fn wait_async(&mut self) -> Result<Vec<Key>> {
        let ready = wait_round(self.round()).await?;
        Ok(self.told(ready))
    }

    fn insert(&mut self, member: Member<'a>) -> Key {
        let key = Key(self.next);
        self.next += 1;
        self.members.push((key, member));
        key
    }

    fn place(&self, key: Key) -> Option<usize> {
        self.members.binary_search_by_key(&key, |(key, _)| *key).ok()
    }

    fn round(&self) -> Round<'a> {
        Round::new(self.members.iter().map(|(_, member)| match member {
            Member::Thing(thing) => thing.watch(),
            Member::Timer(Some(moment)) => Watch::at(*moment),
            Member::Timer(None) => Watch::poll_fn(|_| Poll::Pending),
        }))
    }

    /// The keys of those at these places, of which the timers have been told.
    fn told(&mut self, ready: Vec<usize>) -> Vec<Key> {
        let keys: Vec<Key> = ready.iter().map(|place| self.members[*place].0).collect();
        for place in ready.into_iter().rev() {
            if let Member::Timer(_) = self.members[place].1 {
                self.members.remove(place);
            }
        }
        keys
    }
}

impl fmt::Debug for WaitSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitSet").field("len", &self.len()).finish_non_exhaustive()
    }
}
