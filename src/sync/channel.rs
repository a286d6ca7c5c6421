//! What every queue does beyond keeping items: waiting for one, for room, and for all to be done.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

use super::error::{GetError, PutError, Refused};
use super::list::{Kind, WaitList, Waiter};
use super::park::{self, Wait};
use super::primitive::atomic::{AtomicUsize, Ordering};
use super::primitive::{Backoff, Padded};
use super::store::Store;
use crate::error::{Error, ErrorKind};

pub(super) struct Channel<S> {
    store: S,
    /// Those who wait for an item.
    getters: Padded<WaitList>,
    /// Those who wait for room.
    putters: Padded<WaitList>,
    /// How many items are done. Never more than were put.
    done: Padded<AtomicUsize>,
    /// Those who wait for all to be done.
    joiners: WaitList,
}

/// Tells the first in line when it is dropped: also if the order of the user's panics, which leaves the item put, or taken.
struct Tell<'a>(&'a WaitList);

impl Drop for Tell<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_waited() {
            self.0.notify_one();
        }
    }
}

impl<S: Store> Channel<S> {
    pub(super) fn new(store: S) -> Channel<S> {
        Channel {
            store,
            getters: Padded(WaitList::new(0)),
            putters: Padded(WaitList::new(0)),
            done: Padded(AtomicUsize::new(0)),
            joiners: WaitList::new(0),
        }
    }

    pub(super) fn store(&self) -> &S {
        &self.store
    }

    #[inline]
    fn fill(&self, room: S::Room<'_>, item: S::Put) {
        // Who waits went to the line before this item was put, and is seen; or finds it: `Store::meet_putters`.
        let _tell = Tell(&self.getters);
        S::fill(room, item);
    }

    #[inline]
    fn take(&self, ready: S::Ready<'_>) -> S::Item {
        let _tell = Tell(&self.putters);
        S::take(ready)
    }

    #[inline]
    pub(super) fn try_put(&self, item: S::Put) -> Result<(), PutError<S::Item>> {
        match self.store.reserve() {
            Ok(room) => {
                self.fill(room, item);
                Ok(())
            }
            Err(refused) => Err(refused.with(S::back(item))),
        }
    }

    #[inline]
    pub(super) fn try_get(&self) -> Result<S::Item, GetError> {
        match self.store.claim() {
            Ok(ready) => Ok(self.take(ready)),
            Err(error) => Err(error),
        }
    }

    /// Puts, and waits for room, for ever or until then.
    #[inline]
    pub(super) fn put(
        &self,
        item: S::Put,
        wait: &Wait,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<(), PutError<S::Item>> {
        match self.reserve_unless_starved() {
            Ok(room) => {
                self.fill(room, item);
                Ok(())
            }
            Err(Refused::Full) => self.put_slowly(item, wait, deadline()),
            Err(Refused::ShutDown) => Err(PutError::ShutDown(S::back(item))),
        }
    }

    #[cold]
    fn put_slowly(
        &self,
        item: S::Put,
        wait: &Wait,
        deadline: Option<Instant>,
    ) -> Result<(), PutError<S::Item>> {
        if park::may_spin() {
            let mut backoff = Backoff::unhurried();
            while !backoff.is_over() {
                backoff.pause();
                match self.reserve_unless_starved() {
                    Ok(room) => {
                        self.fill(room, item);
                        return Ok(());
                    }
                    Err(Refused::Full) => {}
                    // As the poll below tells.
                    Err(Refused::ShutDown) => break,
                }
            }
        }
        let mut item = Some(item);
        let mut waiter = Waiter::new(&self.putters, Kind::One);
        let put =
            park::block(wait, deadline, |context| self.poll_put(&mut waiter, context, &mut item));
        match (put.unwrap_or(Err(Refused::Full)), item) {
            (Err(refused), Some(item)) => Err(refused.with(S::back(item))),
            _ => Ok(()),
        }
    }

    /// A queue with one who has waited for too long counts as full.
    #[inline]
    fn reserve_unless_starved(&self) -> Result<S::Room<'_>, Refused> {
        if self.putters.is_starved() {
            return Err(Refused::Full);
        }
        self.store.reserve()
    }

    pub(super) async fn put_async(&self, item: S::Put) -> Result<(), PutError<S::Item>> {
        // Room is not held across the wait: what is reserved is filled at once.
        let mut item = Some(item);
        let mut waiter = Waiter::new(&self.putters, Kind::One);
        let put = poll_fn(|context| {
            if !waiter.has_queued() {
                match self.reserve_unless_starved() {
                    Ok(room) => return Poll::Ready(self.fill_once(room, &mut item)),
                    Err(Refused::ShutDown) => return Poll::Ready(Err(Refused::ShutDown)),
                    Err(Refused::Full) => {}
                }
            }
            self.poll_put(&mut waiter, context, &mut item)
        });
        match put.await {
            Ok(()) => Ok(()),
            Err(refused) => Err(refused.with(S::back(item.take().expect("it was not put")))),
        }
    }

    fn fill_once(&self, room: S::Room<'_>, item: &mut Option<S::Put>) -> Result<(), Refused> {
        self.fill(room, item.take().expect("an item is put once"));
        Ok(())
    }

    fn poll_put(
        &self,
        waiter: &mut Waiter<'_>,
        context: &mut Context<'_>,
        item: &mut Option<S::Put>,
    ) -> Poll<Result<(), Refused>> {
        let poll = waiter.poll(context, || {
            self.store.meet_getters();
            match self.store.reserve() {
                Ok(room) => Some(self.fill_once(room, item)),
                Err(Refused::Full) => None,
                Err(Refused::ShutDown) => Some(Err(Refused::ShutDown)),
            }
        });
        // Somebody may have gone to the line in spite of room, or of the end, because of one that was starved.
        if poll.is_ready() && self.putters.is_waited() && self.answers_putters() {
            self.putters.notify_one();
        }
        poll
    }

    /// Whether who wants to put has no need to wait.
    fn answers_putters(&self) -> bool {
        let has_room = |capacity| self.store.len() < capacity;
        self.store.capacity().is_none_or(has_room) || self.store.is_closed()
    }

    /// Gets, and waits for an item, for ever or until then.
    #[inline]
    pub(super) fn get(
        &self,
        wait: &Wait,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<S::Item, GetError> {
        match self.claim_unless_starved() {
            Ok(ready) => Ok(self.take(ready)),
            Err(GetError::Empty) => self.get_slowly(wait, deadline()),
            Err(GetError::ShutDown) => Err(GetError::ShutDown),
        }
    }

    #[cold]
    fn get_slowly(&self, wait: &Wait, deadline: Option<Instant>) -> Result<S::Item, GetError> {
        if park::may_spin() {
            let mut backoff = Backoff::unhurried();
            while !backoff.is_over() {
                backoff.pause();
                match self.claim_unless_starved() {
                    Ok(ready) => return Ok(self.take(ready)),
                    Err(GetError::Empty) => {}
                    Err(GetError::ShutDown) => break,
                }
            }
        }
        let mut waiter = Waiter::new(&self.getters, Kind::One);
        let given = park::block(wait, deadline, |context| self.poll_get(&mut waiter, context));
        given.unwrap_or(Err(GetError::Empty))
    }

    /// A queue with one who has waited for too long counts as empty.
    #[inline]
    fn claim_unless_starved(&self) -> Result<S::Ready<'_>, GetError> {
        if self.getters.is_starved() {
            return Err(GetError::Empty);
        }
        self.store.claim()
    }

    pub(super) async fn get_async(&self) -> Result<S::Item, GetError> {
        let mut waiter = Waiter::new(&self.getters, Kind::One);
        poll_fn(|context| {
            if !waiter.has_queued() {
                match self.claim_unless_starved() {
                    Ok(ready) => return Poll::Ready(Ok(self.take(ready))),
                    Err(GetError::ShutDown) => return Poll::Ready(Err(GetError::ShutDown)),
                    Err(GetError::Empty) => {}
                }
            }
            self.poll_get(&mut waiter, context)
        })
        .await
    }

    fn poll_get(
        &self,
        waiter: &mut Waiter<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<S::Item, GetError>> {
        let poll = waiter.poll(context, || {
            self.store.meet_putters();
            match self.try_get() {
                Err(GetError::Empty) => None,
                given => Some(given),
            }
        });
        // Somebody may have gone to the line in spite of an item, or of the end, because of one that was starved.
        if poll.is_ready() && self.getters.is_waited() && self.answers_getters() {
            self.getters.notify_one();
        }
        poll
    }

    /// Whether who wants an item has no need to wait.
    fn answers_getters(&self) -> bool {
        self.store.len() > 0 || self.store.is_closed()
    }

    /// Polls until there is an item, or nothing more is put, and takes none.
    pub(super) fn look_for_items(&self) -> impl FnMut(&mut Context<'_>) -> Poll<()> {
        let mut looks = Waiter::new(&self.getters, Kind::Look);
        move |context| {
            looks.poll(context, || {
                self.store.meet_putters();
                self.answers_getters().then_some(())
            })
        }
    }

    /// Polls until there is room, or nothing more is put, and fills none.
    pub(super) fn look_for_room(&self) -> impl FnMut(&mut Context<'_>) -> Poll<()> {
        let mut looks = Waiter::new(&self.putters, Kind::Look);
        move |context| {
            looks.poll(context, || {
                self.store.meet_getters();
                self.answers_putters().then_some(())
            })
        }
    }

    /// Nothing more is put; what is in it is dropped if `immediate`, and counts as done.
    pub(super) fn shut_down(&self, immediate: bool) {
        self.store.close();
        // Who waits went to the line before this, and is told; or sees that it is closed; or went there later without a look,
        // because of one that was starved, which then tells it.
        self.getters.notify_all(0);
        self.putters.notify_all(0);
        if immediate {
            while let Ok(ready) = self.store.claim() {
                let item = S::take(ready);
                let _ = self.task_done();
                drop(item);
            }
        }
    }

    /// Says that an item is done.
    pub(super) fn task_done(&self) -> Result<(), Error> {
        // Read before the number of puts, which only grows: so an item that was put is never missed.
        let mut done = self.done.load(Ordering::Acquire);
        loop {
            let puts = self.store.puts();
            if done >= puts {
                return Err(Error::new(ErrorKind::InvalidInput)
                    .with_message("more items are said to be done than were put"));
            }
            // Release: who joins sees what was done before.
            match self.done.compare_exchange_weak(
                done,
                done + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    // Who joins went to the line before this, and is seen; or sees this count.
                    if self.joiners.is_waited() && done + 1 >= self.store.puts() {
                        self.joiners.notify_all(0);
                    }
                    return Ok(());
                }
                Err(now) => done = now,
            }
        }
    }

    /// Whether all that was put is done, at some moment of this call.
    fn is_done(&self) -> bool {
        // As a change: it comes before the next `task_done`, which then sees what the caller did before; or after it.
        let done = self.done.fetch_or(0, Ordering::AcqRel);
        // Neither count ever goes back and `done` is never ahead, so if they agree, they did at the moment in between.
        done == self.store.puts()
    }

    pub(super) fn join(&self, wait: &Wait, deadline: Option<Instant>) -> bool {
        if self.is_done() {
            return true;
        }
        let mut waiter = Waiter::new(&self.joiners, Kind::All);
        park::block(wait, deadline, |context| self.poll_join(&mut waiter, context)).is_some()
    }

    pub(super) async fn join_async(&self) {
        let mut waiter = Waiter::new(&self.joiners, Kind::All);
        poll_fn(|context| match self.is_done() {
            true => Poll::Ready(()),
            false => self.poll_join(&mut waiter, context),
        })
        .await;
    }

    /// Who was told goes on, although more may have been put since: at a moment of the wait all was done.
    fn poll_join(&self, waiter: &mut Waiter<'_>, context: &mut Context<'_>) -> Poll<()> {
        let is_over = match waiter.has_queued() {
            true => waiter.poll_told(context.waker()).is_some(),
            false => {
                waiter.enter(context.waker().clone());
                self.is_done()
            }
        };
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }
}
