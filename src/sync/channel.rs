//! What every queue does beyond keeping items: waiting for one, for room, and for all to be done.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

use super::error::{GetError, PutError};
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
    pub(super) fn try_put(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        self.store.put(item)?;
        // Who waits went to the line before this item was put, and is seen; or finds it: `Store::meet_putters`.
        if self.getters.is_waited() {
            self.getters.notify_one();
        }
        Ok(())
    }

    #[inline]
    pub(super) fn try_get(&self) -> Result<S::Item, GetError> {
        let item = self.store.get()?;
        if self.putters.is_waited() {
            self.putters.notify_one();
        }
        Ok(item)
    }

    /// Puts, and waits for room, for ever or until then.
    #[inline]
    pub(super) fn put(
        &self,
        item: S::Item,
        wait: &Wait,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<(), PutError<S::Item>> {
        match self.put_unless_starved(item) {
            Err(PutError::Full(item)) => self.put_slowly(item, wait, deadline()),
            put => put,
        }
    }

    #[cold]
    fn put_slowly(
        &self,
        mut item: S::Item,
        wait: &Wait,
        deadline: Option<Instant>,
    ) -> Result<(), PutError<S::Item>> {
        if park::may_spin() {
            let mut backoff = Backoff::new();
            while !backoff.is_over() {
                backoff.pause();
                match self.put_unless_starved(item) {
                    Err(PutError::Full(back)) => item = back,
                    put => return put,
                }
            }
        }
        let mut item = Some(item);
        let mut waiter = Waiter::new(&self.putters, Kind::One);
        let put =
            park::block(wait, deadline, |context| self.poll_put(&mut waiter, context, &mut item));
        put.unwrap_or_else(|| Err(PutError::Full(item.take().expect("it was not put"))))
    }

    /// As [`try_put`](Channel::try_put), but a queue with one who has waited for too long counts as full.
    #[inline]
    fn put_unless_starved(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        if self.putters.is_starved() {
            return Err(PutError::Full(item));
        }
        self.try_put(item)
    }

    pub(super) async fn put_async(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        match self.put_unless_starved(item) {
            Err(PutError::Full(item)) => {
                let mut item = Some(item);
                let mut waiter = Waiter::new(&self.putters, Kind::One);
                poll_fn(|context| self.poll_put(&mut waiter, context, &mut item)).await
            }
            put => put,
        }
    }

    fn poll_put(
        &self,
        waiter: &mut Waiter<'_>,
        context: &mut Context<'_>,
        item: &mut Option<S::Item>,
    ) -> Poll<Result<(), PutError<S::Item>>> {
        let poll = waiter.poll(context, || {
            self.store.meet_getters();
            match self.try_put(item.take().expect("it is put once")) {
                Err(PutError::Full(back)) => {
                    *item = Some(back);
                    None
                }
                put => Some(put),
            }
        });
        if poll.is_ready() {
            self.pass_on_room();
        }
        poll
    }

    /// Somebody may have gone to the line, although there was room, because of one that was starved.
    fn pass_on_room(&self) {
        let has_room = self.store.capacity().is_none_or(|capacity| self.store.len() < capacity);
        if self.putters.is_waited() && has_room {
            self.putters.notify_one();
        }
    }

    /// Gets, and waits for an item, for ever or until then.
    #[inline]
    pub(super) fn get(
        &self,
        wait: &Wait,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<S::Item, GetError> {
        match self.get_unless_starved() {
            Err(GetError::Empty) => self.get_slowly(wait, deadline()),
            given => given,
        }
    }

    #[cold]
    fn get_slowly(&self, wait: &Wait, deadline: Option<Instant>) -> Result<S::Item, GetError> {
        if park::may_spin() {
            let mut backoff = Backoff::new();
            while !backoff.is_over() {
                backoff.pause();
                match self.get_unless_starved() {
                    Err(GetError::Empty) => {}
                    given => return given,
                }
            }
        }
        let mut waiter = Waiter::new(&self.getters, Kind::One);
        let given = park::block(wait, deadline, |context| self.poll_get(&mut waiter, context));
        given.unwrap_or(Err(GetError::Empty))
    }

    /// As [`try_get`](Channel::try_get), but a queue with one who has waited for too long counts as empty.
    #[inline]
    fn get_unless_starved(&self) -> Result<S::Item, GetError> {
        if self.getters.is_starved() {
            return Err(GetError::Empty);
        }
        self.try_get()
    }

    pub(super) async fn get_async(&self) -> Result<S::Item, GetError> {
        match self.get_unless_starved() {
            Err(GetError::Empty) => {
                let mut waiter = Waiter::new(&self.getters, Kind::One);
                poll_fn(|context| self.poll_get(&mut waiter, context)).await
            }
            given => given,
        }
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
        // Somebody may have gone to the line, although there was an item, because of one that was starved.
        if poll.is_ready() && self.getters.is_waited() && self.store.len() > 0 {
            self.getters.notify_one();
        }
        poll
    }

    /// Nothing more is put; what is in it is dropped if `immediate`, and counts as done.
    pub(super) fn shut_down(&self, immediate: bool) {
        self.store.close();
        // Who waits went to the line before this, and is told; or sees that it is closed.
        self.getters.notify_all(0);
        self.putters.notify_all(0);
        if immediate {
            while let Ok(item) = self.store.get() {
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
