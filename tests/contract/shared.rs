//! The words in memory that processes share, as those of one process, for the suites: an error of a call is a panic.

use std::time::Duration;

pub(crate) use fourfold::thread::{GetError, PutError};

use fourfold::process::{self, LockGuard, Plain};
use fourfold::task::Payload;

pub(crate) struct Lock<T: Plain>(process::Lock<T>);

impl<T: Plain> Lock<T> {
    pub(crate) fn new(value: T) -> Lock<T> {
        Lock(process::Lock::new(value).unwrap())
    }

    pub(crate) fn lock(&self) -> LockGuard<'_, T> {
        self.0.lock().unwrap()
    }

    pub(crate) fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.0.try_lock().unwrap()
    }

    pub(crate) fn lock_timeout(&self, limit: Duration) -> Option<LockGuard<'_, T>> {
        self.0.lock_timeout(limit).unwrap()
    }
}

pub(crate) struct Event(process::Event);

impl Event {
    pub(crate) fn new() -> Event {
        Event(process::Event::new().unwrap())
    }

    pub(crate) fn set(&self) {
        self.0.set();
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_set()
    }

    pub(crate) fn wait(&self) {
        self.0.wait();
    }

    pub(crate) fn wait_timeout(&self, limit: Duration) -> bool {
        self.0.wait_timeout(limit)
    }
}

pub(crate) struct Semaphore(process::Semaphore);

impl Semaphore {
    pub(crate) fn new(permits: usize) -> Semaphore {
        Semaphore(process::Semaphore::new(permits).unwrap())
    }

    pub(crate) fn bounded(permits: usize) -> Semaphore {
        Semaphore(process::Semaphore::bounded(permits).unwrap())
    }

    pub(crate) fn acquire(&self) {
        self.0.acquire();
    }

    pub(crate) fn try_acquire(&self) -> bool {
        self.0.try_acquire()
    }

    pub(crate) fn acquire_timeout(&self, limit: Duration) -> bool {
        self.0.acquire_timeout(limit)
    }

    pub(crate) fn release(&self) -> fourfold::Result<()> {
        self.0.release()
    }

    pub(crate) fn permits(&self) -> usize {
        self.0.permits()
    }
}

pub(crate) struct Queue<T>(process::Queue<T>);

impl<T: Payload> Queue<T> {
    /// With room for all that a suite puts.
    pub(crate) fn new() -> Queue<T> {
        Queue::bounded(1000)
    }

    pub(crate) fn bounded(capacity: usize) -> Queue<T> {
        Queue(process::Queue::bounded(capacity).unwrap())
    }

    pub(crate) fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.0.put(item).map_err(not_put)
    }

    pub(crate) fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.0.try_put(item).map_err(not_put)
    }

    pub(crate) fn put_timeout(&self, item: T, limit: Duration) -> Result<(), PutError<T>> {
        self.0.put_timeout(item, limit).map_err(not_put)
    }

    pub(crate) fn get(&self) -> Result<T, GetError> {
        self.0.get().map_err(not_got)
    }

    pub(crate) fn try_get(&self) -> Result<T, GetError> {
        self.0.try_get().map_err(not_got)
    }

    pub(crate) fn get_timeout(&self, limit: Duration) -> Result<T, GetError> {
        self.0.get_timeout(limit).map_err(not_got)
    }

    pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
        self.0.try_iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full()
    }

    pub(crate) fn shut_down(&self, immediate: bool) {
        self.0.shut_down(immediate);
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue(self.0.clone())
    }
}

fn not_put<T>(error: process::PutError<T>) -> PutError<T> {
    match error {
        process::PutError::Full(item) => PutError::Full(item),
        process::PutError::ShutDown(item) => PutError::ShutDown(item),
        other => panic!("{other}"),
    }
}

fn not_got(error: process::GetError) -> GetError {
    match error {
        process::GetError::Empty => GetError::Empty,
        process::GetError::ShutDown => GetError::ShutDown,
        other => panic!("{other}"),
    }
}
