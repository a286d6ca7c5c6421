//! What all queues that are served have in common.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::handle::{
    Handle, done, give_back, me_who_holds, nobody, number, pack, pack_all, truth, unexpected,
    unpack,
};
use super::wire::{AT_ONCE, Answer, Ask, Blank, FOR_EVER, Fate, Got, Load};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::process::queue_error::{GetError, OnDeath, PutError};
use crate::sync::park::Wait;
use crate::task::Payload;
use crate::task::ticket::Tickets;
use crate::words::Order;

/// What a queue that is served does.
fn fate(on_death: OnDeath) -> Fate {
    match on_death {
        OnDeath::HandBack => Fate::HandBack,
        OnDeath::Report => Fate::Report,
        OnDeath::Drop => Fate::Drop,
    }
}

/// An item, and whether it came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked<T> {
    /// The item.
    pub item: T,
    /// A consumer had taken it, and died with it: it may have been worked on.
    pub redelivered: bool,
}

/// How a queue is made: by its `builder`.
///
/// # Examples
///
/// ```
/// use fourfold::process::{LifoQueue, OnDeath};
///
/// let queue = LifoQueue::builder().capacity(2).on_death(OnDeath::Report).build()?;
/// queue.put("first".to_owned())?;
/// assert_eq!(queue.capacity(), Some(2));
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
pub struct QueueBuilder<Q> {
    order: Order,
    capacity: Option<usize>,
    on_death: OnDeath,
    make: fn(Handle, Option<usize>) -> Q,
}

impl<Q> QueueBuilder<Q> {
    pub(super) fn new(
        order: Order,
        on_death: OnDeath,
        make: fn(Handle, Option<usize>) -> Q,
    ) -> QueueBuilder<Q> {
        QueueBuilder { order, capacity: None, on_death, make }
    }

    /// Room for so many items; without this, for any number.
    pub fn capacity(mut self, capacity: usize) -> QueueBuilder<Q> {
        self.capacity = Some(capacity);
        self
    }

    /// What becomes of what a consumer had taken, and not said to be done by `task_done`, when its process dies. One that hands
    /// back or reports keeps each item until it is said to be done, so every consumer has to say so; one that drops keeps no
    /// item that was taken. What is handed back is marked, see `get_marked`; what is reported is `lost`. An item that is
    /// dropped or reported counts as done.
    pub fn on_death(mut self, on_death: OnDeath) -> QueueBuilder<Q> {
        self.on_death = on_death;
        self
    }

    /// Makes the queue.
    ///
    /// # Errors
    ///
    /// The root is gone: [`ErrorKind::RootGone`]. The capacity is 0: [`ErrorKind::InvalidInput`].
    pub fn build(self) -> Result<Q> {
        let QueueBuilder { order, capacity, on_death, make } = self;
        if capacity == Some(0) {
            return Err(Error::invalid("a queue has room for one item at least"));
        }
        let fate = fate(on_death);
        let handle = Handle::new(
            Blank::Queue { order, capacity: capacity.unwrap_or(0), fate },
            Tickets::default(),
        )?;
        Ok(make(handle, capacity))
    }
}

/// The part of a queue that is the same for all orders.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Channel<T> {
    handle: Handle,
    capacity: Option<usize>,
    #[serde(skip)]
    items: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Channel<T> {
    fn clone(&self) -> Self {
        Channel { handle: self.handle.clone(), capacity: self.capacity, items: PhantomData }
    }
}

impl<T> Channel<T> {
    pub(super) fn new(handle: Handle, capacity: Option<usize>) -> Channel<T> {
        Channel { handle, capacity, items: PhantomData }
    }

    pub(super) fn number(&self) -> u64 {
        self.handle.number()
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(super) fn len(&self) -> Result<usize> {
        number(self.handle.ask(nobody(), &Ask::Len)?)
    }

    pub(super) fn task_done(&self) -> Result<()> {
        match self.handle.ask(me_who_holds(), &Ask::TaskDone)? {
            Answer::TooManyDone => Err(Error::new(ErrorKind::InvalidInput)
                .with_message("more items are said to be done than were put")
                .with_scale(Scale::Process)),
            answer => done(answer),
        }
    }

    /// Whether all are done within the time.
    pub(super) fn join(&self, limit: u64, wait: &Wait) -> Result<bool> {
        joined(self.handle.wait(nobody(), limit, &Ask::Join, wait)?)
    }

    pub(super) async fn join_async(&self) -> Result<()> {
        joined(self.handle.wait_async(nobody(), &Ask::Join).await?).map(drop)
    }

    pub(super) fn shut_down(&self, immediate: bool) -> Result<()> {
        done(self.handle.ask(nobody(), &Ask::ShutDown { immediate })?)
    }
}

fn joined(answer: Answer) -> Result<bool> {
    match answer {
        Answer::Done => Ok(true),
        answer => truth(answer),
    }
}

impl<T: Payload> Channel<T> {
    pub(super) fn put(
        &self,
        item: T,
        key: Vec<u8>,
        limit: u64,
        wait: &Wait,
    ) -> Result<(), PutError<T>> {
        let answer = pack(&item, "item").and_then(|(load, tickets)| {
            let ask = Ask::Put(vec![(load, key)]);
            match limit {
                AT_ONCE => self.handle.give(nobody(), &ask, tickets),
                limit => self.handle.give_waiting(nobody(), limit, &ask, tickets, wait),
            }
        });
        put(answer, item)
    }

    pub(super) async fn put_async(&self, item: T, key: Vec<u8>) -> Result<(), PutError<T>> {
        let answer = match pack(&item, "item") {
            Ok((load, tickets)) => {
                let ask = Ask::Put(vec![(load, key)]);
                self.handle.give_async(nobody(), &ask, tickets).await
            }
            Err(error) => Err(error),
        };
        put(answer, item)
    }

    /// Puts all at once where there is room for any number, and else one after the other.
    pub(super) fn put_many(
        &self,
        items: Vec<T>,
        key: impl Fn(&T) -> Vec<u8>,
        wait: &Wait,
    ) -> Result<(), PutError<Vec<T>>> {
        if items.is_empty() {
            return Ok(());
        }
        if self.capacity.is_none() {
            let answer = pack_all(&items, "item").and_then(|(loads, tickets)| {
                let loads = loads.into_iter().zip(items.iter().map(key)).collect();
                self.handle.give(nobody(), &Ask::Put(loads), tickets)
            });
            return put(answer, items);
        }
        let mut left = items.into_iter();
        while let Some(item) = left.next() {
            let key = key(&item);
            let mut with = |item| std::iter::once(item).chain(left.by_ref()).collect();
            match self.put(item, key, FOR_EVER, wait) {
                Ok(()) => {}
                Err(PutError::Full(item)) => return Err(PutError::Full(with(item))),
                Err(PutError::ShutDown(item)) => return Err(PutError::ShutDown(with(item))),
                Err(PutError::Failed(item, error)) => {
                    return Err(PutError::Failed(with(item), error));
                }
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, limit: u64, wait: &Wait) -> Result<Marked<T>, GetError> {
        one(self.take(1, limit, wait)?)
    }

    pub(super) async fn get_async(&self) -> Result<T, GetError> {
        let who = nobody();
        let answer = self.handle.wait_async(who, &Ask::Get(1)).await;
        let answer = answer.map_err(GetError::Failed)?;
        one(self.items(who, answer)?).map(|marked| marked.item)
    }

    pub(super) fn get_many(
        &self,
        most: usize,
        limit: u64,
        wait: &Wait,
    ) -> Result<Vec<T>, GetError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        Ok(self.take(most, limit, wait)?.into_iter().map(|marked| marked.item).collect())
    }

    pub(super) fn lost(&self) -> Result<Vec<T>> {
        let Answer::Loads { loads, .. } = self.handle.ask(nobody(), &Ask::Lost)? else {
            return Err(unexpected(&Answer::Misplaced));
        };
        let back = |left: Vec<Load>| {
            let words: Vec<u64> = left.iter().flat_map(|load| load.words.clone()).collect();
            self.handle.tell(nobody(), &Ask::Lose(left));
            give_back(words);
        };
        read_all(loads, |load| unpack(load, "item"), back)
    }

    fn take(&self, most: usize, limit: u64, wait: &Wait) -> Result<Vec<Marked<T>>, GetError> {
        let (who, ask) = (me_who_holds(), Ask::Get(most as u64));
        let answer = match limit {
            AT_ONCE => self.handle.ask(who, &ask),
            limit => self.handle.wait(who, limit, &ask, wait),
        };
        self.items(who, answer.map_err(GetError::Failed)?)
    }

    fn items(&self, who: u64, answer: Answer) -> Result<Vec<Marked<T>>, GetError> {
        let marked = |Got { item, redelivered, .. }| {
            unpack(item, "item").map(|item| Marked { item, redelivered })
        };
        let back = |left: Vec<Got>| {
            for got in left {
                let words = got.item.words.clone();
                self.handle.tell(who, &got.back());
                give_back(words);
            }
        };
        match answer {
            Answer::Items(items) => read_all(items, marked, back).map_err(GetError::Failed),
            Answer::Empty => Err(GetError::Empty),
            Answer::Shut => Err(GetError::ShutDown),
            other => Err(GetError::Failed(unexpected(&other))),
        }
    }
}

/// Reads items that have come together. One that cannot be read costs none of the others: if it is the first, it is told of and
/// those behind it go `back`; and else it goes back as well, and is the first of the next call.
fn read_all<I: Clone, T>(
    items: Vec<I>,
    read: impl Fn(I) -> Result<T>,
    back: impl Fn(Vec<I>),
) -> Result<Vec<T>> {
    /// Also when a user's `Deserialize` panics.
    struct Left<I, F: Fn(Vec<I>)> {
        unread: Option<I>,
        behind: std::vec::IntoIter<I>,
        back: F,
    }
    impl<I, F: Fn(Vec<I>)> Drop for Left<I, F> {
        fn drop(&mut self) {
            let left: Vec<I> = self.unread.take().into_iter().chain(&mut self.behind).collect();
            if !left.is_empty() {
                (self.back)(left);
            }
        }
    }
    let mut done = Vec::with_capacity(items.len());
    let mut left = Left { unread: None, behind: items.into_iter(), back };
    for item in left.behind.by_ref() {
        let again = (!done.is_empty()).then(|| item.clone());
        match read(item) {
            Ok(item) => done.push(item),
            Err(error) if done.is_empty() => return Err(error),
            Err(_) => {
                left.unread = again;
                break;
            }
        }
    }
    Ok(done)
}

/// What an answer says about what was to be put.
fn put<T>(answer: Result<Answer>, item: T) -> Result<(), PutError<T>> {
    match answer {
        Ok(Answer::Done) => Ok(()),
        Ok(Answer::Full) => Err(PutError::Full(item)),
        Ok(Answer::Shut) => Err(PutError::ShutDown(item)),
        Ok(other) => Err(PutError::Failed(item, unexpected(&other))),
        Err(error) => Err(PutError::Failed(item, error)),
    }
}

fn one<T>(mut items: Vec<Marked<T>>) -> Result<Marked<T>, GetError> {
    items.pop().ok_or(GetError::Empty)
}
