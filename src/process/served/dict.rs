//! A dict that processes share.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::handle::{Handle, done, nobody, number, pack, unexpected, unpack};
use super::list::first;
use super::wire::{Answer, Ask, Blank, Load};
use crate::error::Result;
use crate::task::Payload;
use crate::task::ticket::Tickets;

/// A dict that processes share, in the order of insertion. Each call is carried out as a whole. A clone is the same dict.
///
/// Two keys are equal if they are written the same.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `process` | served by the root |
/// | `cluster` | on a server; keys are compared as Python does |
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Dict};
///
/// let ages = Dict::new()?;
/// let add = |ages: Dict<String, u32>| ages.insert(&"ann".to_owned(), &7).unwrap().is_none();
/// assert!(process::spawn(add, ages.clone())?.join()?);
/// assert_eq!(ages.insert(&"ann".to_owned(), &8)?, Some(7));
/// assert_eq!(ages.to_vec()?, [("ann".to_owned(), 8)]);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Dict<K, V> {
    handle: Handle,
    #[serde(skip)]
    entries: PhantomData<Entries<K, V>>,
}

/// Takes entries and gives them; it holds none.
type Entries<K, V> = fn(K, V) -> (K, V);

impl<K: Payload, V: Payload> Dict<K, V> {
    /// An empty dict.
    ///
    /// # Errors
    ///
    /// There is no room for it, a key or value cannot be serialised or read back, or the root is gone, here and below:
    /// [`ErrorKind::RootGone`](crate::ErrorKind::RootGone).
    pub fn new() -> Result<Dict<K, V>> {
        Ok(Dict { handle: Handle::new(Blank::Dict, Tickets::default())?, entries: PhantomData })
    }

    /// How many entries it has.
    ///
    /// # Errors
    ///
    /// As [`new`](Dict::new).
    pub fn len(&self) -> Result<usize> {
        number(self.ask(&Ask::Len)?)
    }

    /// Whether it has no entries.
    ///
    /// # Errors
    ///
    /// As [`new`](Dict::new).
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// As [`new`](Dict::new).
    pub fn get(&self, key: &K) -> Result<Option<V>> {
        first(self.ask(&Ask::Value(bytes(key)?))?)
    }

    /// Sets the value of a key, and gives the one it had.
    ///
    /// # Errors
    ///
    /// As [`new`](Dict::new).
    pub fn insert(&self, key: &K, value: &V) -> Result<Option<V>> {
        let ((key, mut tickets), (value, more)) = (pack(key, "key")?, pack(value, "value")?);
        tickets.join(more);
        first(self.handle.give(nobody(), &Ask::SetValue { key, value }, tickets)?)
    }

    /// Takes the value of a key out.
    ///
    /// # Errors
    ///
    /// As [`new`](Dict::new).
    pub fn remove(&self, key: &K) -> Result<Option<V>> {
        first(self.ask(&Ask::Remove(bytes(key)?))?)
    }

    /// Takes the entry out that came last.
    ///
    /// # Errors
    ///
    /// As [`new`](Dict::new).
    pub fn pop_last(&self) -> Result<Option<(K, V)>> {
        Ok(self.pairs(&Ask::PopLast)?.pop())
    }

    /// Whether there is a value of that key.
    ///
    /// # Errors
    ///
    /// As [`new`](Dict::new).
    pub fn contains_key(&self, key: &K) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// Takes all entries out.
    ///
    /// # Errors
    ///
    /// As [`new`](Dict::new).
    pub fn clear(&self) -> Result<()> {
        done(self.ask(&Ask::Clear)?)
    }

    /// All entries.
    ///
    /// # Errors
    ///
    /// As [`new`](Dict::new).
    pub fn to_vec(&self) -> Result<Vec<(K, V)>> {
        self.pairs(&Ask::Entries)
    }

    fn pairs(&self, ask: &Ask) -> Result<Vec<(K, V)>> {
        let Answer::Loads { loads, .. } = self.ask(ask)? else {
            return Err(unexpected(&Answer::Misplaced));
        };
        let mut loads = loads.into_iter();
        let pair = |key: Load, value: Load| Ok((unpack(key, "key")?, unpack(value, "value")?));
        std::iter::from_fn(|| Some(pair(loads.next()?, loads.next()?))).collect()
    }

    fn ask(&self, ask: &Ask) -> Result<Answer> {
        self.handle.ask(nobody(), ask)
    }
}

/// What a key is looked for by.
fn bytes<K: Payload>(key: &K) -> Result<Vec<u8>> {
    Ok(Arc::unwrap_or_clone(pack(key, "key")?.0.bytes))
}

impl<K, V> Clone for Dict<K, V> {
    /// The same dict.
    fn clone(&self) -> Self {
        Dict { handle: self.handle.clone(), entries: PhantomData }
    }
}

impl<K, V> fmt::Debug for Dict<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dict").field(&self.handle.number()).finish()
    }
}
