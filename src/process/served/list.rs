//! A list that processes share.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::handle::{Handle, done, nobody, number, pack, pack_all, truth, unexpected, unpack};
use super::wire::{Answer, Ask, Blank};
use crate::error::Result;
use crate::task::Payload;
use crate::task::ticket::Tickets;

/// A list that processes share. Each call is carried out as a whole. A clone is the same list.
///
/// Two items are equal if they are written the same.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `process` | served by the root |
/// | `cluster` | on a server; items are compared as Python does |
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, List};
///
/// let names = List::new()?;
/// let add = |names: List<String>| names.push(&"b".to_owned()).unwrap();
/// process::spawn(add, names.clone())?.join()?;
/// names.push(&"a".to_owned())?;
/// names.sort()?;
/// assert_eq!(names.to_vec()?, ["a", "b"]);
/// assert_eq!(names.get(-1)?, Some("b".to_owned()));
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct List<T> {
    handle: Handle,
    #[serde(skip)]
    items: PhantomData<fn(T) -> T>,
}

impl<T: Payload> List<T> {
    /// An empty list.
    ///
    /// # Errors
    ///
    /// There is no room for it, an item cannot be serialised or read back, or the root is gone, here and below:
    /// [`ErrorKind::RootGone`](crate::ErrorKind::RootGone).
    pub fn new() -> Result<List<T>> {
        Ok(List { handle: Handle::new(Blank::List, Tickets::default())?, items: PhantomData })
    }

    /// How many items it has.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn len(&self) -> Result<usize> {
        number(self.ask(&Ask::Len)?)
    }

    /// Whether it has no items.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Adds an item at the end.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn push(&self, item: &T) -> Result<()> {
        let (load, tickets) = pack(item, "item")?;
        done(self.give(&Ask::Extend(vec![load]), tickets)?)
    }

    /// Adds items at the end, all at once.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn extend(&self, items: &[T]) -> Result<()> {
        let (loads, tickets) = pack_all(items, "item")?;
        done(self.give(&Ask::Extend(loads), tickets)?)
    }

    /// Puts an item before the one of this index. A negative index counts from the end; one beyond it is the end.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn insert(&self, index: i64, item: &T) -> Result<()> {
        let (load, tickets) = pack(item, "item")?;
        done(self.give(&Ask::Insert(index, load), tickets)?)
    }

    /// Takes the last item.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn pop(&self) -> Result<Option<T>> {
        self.remove(-1)
    }

    /// Takes an item. A negative index counts from the end.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn remove(&self, index: i64) -> Result<Option<T>> {
        first(self.ask(&Ask::Pop(index))?)
    }

    /// An item. A negative index counts from the end.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn get(&self, index: i64) -> Result<Option<T>> {
        first(self.ask(&Ask::At(index))?)
    }

    /// Replaces an item, and says whether it was there.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn set(&self, index: i64, item: &T) -> Result<bool> {
        let (load, tickets) = pack(item, "item")?;
        truth(self.give(&Ask::SetAt(index, load), tickets)?)
    }

    /// Where the first such item is.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn index(&self, item: &T) -> Result<Option<usize>> {
        match self.ask(&Ask::Find(pack(item, "item")?.0))? {
            Answer::Empty => Ok(None),
            answer => number(answer).map(Some),
        }
    }

    /// Whether there is such an item.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn contains(&self, item: &T) -> Result<bool> {
        Ok(self.index(item)?.is_some())
    }

    /// How many such items there are.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn count(&self, item: &T) -> Result<usize> {
        number(self.ask(&Ask::Count(pack(item, "item")?.0))?)
    }

    /// Takes all items out.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn clear(&self) -> Result<()> {
        done(self.ask(&Ask::Clear)?)
    }

    /// All items.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn to_vec(&self) -> Result<Vec<T>> {
        Ok(self.snapshot()?.1)
    }

    /// Changes the list as a whole: all items are fetched, changed here, and put in their place, and that again and again until
    /// nobody has changed the list meanwhile.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    ///
    /// # Examples
    ///
    /// ```
    /// let list = fourfold::process::List::new()?;
    /// list.extend(&[1, 2, 3, 4])?;
    /// list.update(|items| items.retain(|n| n % 2 == 0))?;
    /// assert_eq!(list.to_vec()?, [2, 4]);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn update(&self, mut change: impl FnMut(&mut Vec<T>)) -> Result<()> {
        loop {
            let (version, mut items) = self.snapshot()?;
            change(&mut items);
            let (items, tickets) = pack_all(&items, "item")?;
            match self.give(&Ask::Replace { version, items }, tickets)? {
                Answer::Changed => {}
                answer => return done(answer),
            }
        }
    }

    /// Sorts the items; equal ones keep their order.
    ///
    /// # Errors
    ///
    /// As [`new`](List::new).
    pub fn sort(&self) -> Result<()>
    where
        T: Ord,
    {
        self.update(|items| items.sort())
    }

    fn snapshot(&self) -> Result<(u64, Vec<T>)> {
        match self.ask(&Ask::All)? {
            Answer::Loads { version, loads } => {
                let items = loads.into_iter().map(|load| unpack(load, "item"));
                Ok((version, items.collect::<Result<_>>()?))
            }
            other => Err(unexpected(&other)),
        }
    }

    fn ask(&self, ask: &Ask) -> Result<Answer> {
        self.handle.ask(nobody(), ask)
    }

    fn give(&self, ask: &Ask, tickets: Tickets) -> Result<Answer> {
        self.handle.give(nobody(), ask, tickets)
    }
}

/// The value of an answer, if there is one.
pub(super) fn first<T: Payload>(answer: Answer) -> Result<Option<T>> {
    match answer {
        Answer::Loads { loads, .. } => {
            loads.into_iter().next().map(|load| unpack(load, "item")).transpose()
        }
        other => Err(unexpected(&other)),
    }
}

impl<T> Clone for List<T> {
    /// The same list.
    fn clone(&self) -> Self {
        List { handle: self.handle.clone(), items: PhantomData }
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("List").field(&self.handle.number()).finish()
    }
}
