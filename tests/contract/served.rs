//! The words that are served between processes as those of one process, for the suites: an error of a call is a panic.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

pub(crate) use fourfold::thread::{GetError, PutError};

use fourfold::process::{self, Rank};
use fourfold::task::Payload;

pub(crate) struct RLock(process::RLock);

impl RLock {
    pub(crate) fn new() -> RLock {
        RLock(process::RLock::new().unwrap())
    }

    pub(crate) fn lock(&self) -> process::RLockGuard<'_> {
        self.0.lock().unwrap()
    }

    pub(crate) fn try_lock(&self) -> Option<process::RLockGuard<'_>> {
        self.0.try_lock().unwrap()
    }

    pub(crate) fn lock_timeout(&self, limit: Duration) -> Option<process::RLockGuard<'_>> {
        self.0.lock_timeout(limit).unwrap()
    }

    pub(crate) fn release(&self) -> fourfold::Result<()> {
        self.0.release()
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.0.is_locked().unwrap()
    }
}

pub(crate) struct RwLock<T>(process::RwLock<T>);

impl<T: Payload> RwLock<T> {
    pub(crate) fn new(value: T) -> RwLock<T> {
        RwLock(process::RwLock::new(value).unwrap())
    }

    pub(crate) fn read(&self) -> process::ReadGuard<'_, T> {
        self.0.read().unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn read_timeout(&self, limit: Duration) -> Option<process::ReadGuard<'_, T>> {
        self.0.read_timeout(limit).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn write(&self) -> process::WriteGuard<'_, T> {
        self.0.write().unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn write_timeout(&self, limit: Duration) -> Option<process::WriteGuard<'_, T>> {
        self.0.write_timeout(limit).unwrap_or_else(|error| panic!("{error}"))
    }
}

pub(crate) struct Barrier(process::Barrier);

impl Barrier {
    pub(crate) fn new(parties: usize) -> Barrier {
        Barrier(process::Barrier::new(parties).unwrap())
    }

    pub(crate) fn wait(&self) -> Option<usize> {
        self.0.wait().unwrap()
    }

    pub(crate) fn wait_timeout(&self, limit: Duration) -> Option<usize> {
        self.0.wait_timeout(limit).unwrap()
    }

    pub(crate) fn reset(&self) {
        self.0.reset().unwrap();
    }

    pub(crate) fn abort(&self) {
        self.0.abort().unwrap();
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.0.is_broken().unwrap()
    }
}

pub(crate) struct Condition<T>(process::Condition<T>);

pub(crate) struct ConditionGuard<'a, T: Payload>(process::ConditionGuard<'a, T>);

impl<T: Payload> Condition<T> {
    pub(crate) fn new(value: T) -> Condition<T> {
        Condition(process::Condition::new(value).unwrap())
    }

    pub(crate) fn lock(&self) -> ConditionGuard<'_, T> {
        ConditionGuard(self.0.lock().unwrap_or_else(|error| panic!("{error}")))
    }

    pub(crate) fn try_lock(&self) -> Option<ConditionGuard<'_, T>> {
        self.0.try_lock().unwrap_or_else(|error| panic!("{error}")).map(ConditionGuard)
    }
}

impl<T: Payload> ConditionGuard<'_, T> {
    pub(crate) fn wait_for(&mut self, holds: impl FnMut(&mut T) -> bool) {
        self.0.wait_for(holds).unwrap();
    }

    pub(crate) fn wait_timeout(&mut self, limit: Duration) -> bool {
        self.0.wait_timeout(limit).unwrap()
    }

    pub(crate) fn wait_for_timeout(
        &mut self,
        limit: Duration,
        holds: impl FnMut(&mut T) -> bool,
    ) -> bool {
        self.0.wait_for_timeout(limit, holds).unwrap()
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one().unwrap();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all().unwrap();
    }
}

impl<T: Payload> Deref for ConditionGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Payload> DerefMut for ConditionGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

fn got<T>(got: Result<T, process::GetError>) -> Result<T, GetError> {
    got.map_err(|error| match error {
        process::GetError::Empty => GetError::Empty,
        process::GetError::ShutDown => GetError::ShutDown,
        other => panic!("{other}"),
    })
}

fn put<T: std::fmt::Debug>(put: Result<(), process::PutError<T>>) -> Result<(), PutError<T>> {
    put.map_err(|error| match error {
        process::PutError::Full(item) => PutError::Full(item),
        process::PutError::ShutDown(item) => PutError::ShutDown(item),
        other => panic!("{other}"),
    })
}

macro_rules! queue {
    ($name:ident<T $(, $p:ident)?>) => {
        pub(crate) struct $name<T $(, $p = fourfold::process::Itself)?>(
            process::$name<T $(, $p)?>,
        );

        impl<T $(, $p)?> Clone for $name<T $(, $p)?> {
            fn clone(&self) -> Self {
                $name(self.0.clone())
            }
        }

        impl<T: Payload + std::fmt::Debug $(, $p)?> $name<T $(, $p)?> {
            pub(crate) fn new() -> Self {
                $name(process::$name::new().unwrap())
            }

            pub(crate) fn bounded(capacity: usize) -> Self {
                $name(process::$name::bounded(capacity).unwrap())
            }

            pub(crate) fn get(&self) -> Result<T, GetError> {
                got(self.0.get())
            }

            pub(crate) fn get_timeout(&self, limit: Duration) -> Result<T, GetError> {
                got(self.0.get_timeout(limit))
            }

            #[allow(dead_code, reason = "the suite asks it of some queues only")]
            pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
                self.0.try_iter()
            }
        }
    };
}

queue!(LifoQueue<T>);
queue!(PriorityQueue<T, P>);
queue!(JoinableQueue<T>);

impl<T: Payload + std::fmt::Debug> LifoQueue<T> {
    pub(crate) fn put(&self, item: T) -> Result<(), PutError<T>> {
        put(self.0.put(item))
    }

    pub(crate) fn put_timeout(&self, item: T, limit: Duration) -> Result<(), PutError<T>> {
        put(self.0.put_timeout(item, limit))
    }
}

impl<T: Payload + Rank + std::fmt::Debug> PriorityQueue<T> {
    pub(crate) fn put(&self, item: T) -> Result<(), PutError<T>> {
        put(self.0.put(item))
    }

    pub(crate) fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        put(self.0.try_put(item))
    }
}

impl<T: Payload + std::fmt::Debug, P: Rank> PriorityQueue<T, P> {
    pub(crate) fn put_at(&self, priority: P, item: T) -> Result<(), PutError<T>> {
        put(self.0.put_at(priority, item))
    }
}

/// As the `Queue` of the suite.
pub(crate) use JoinableQueue as Queue;

impl<T: Payload + std::fmt::Debug> JoinableQueue<T> {
    pub(crate) fn put(&self, item: T) -> Result<(), PutError<T>> {
        put(self.0.put(item))
    }

    pub(crate) fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        put(self.0.try_put(item))
    }

    pub(crate) fn put_timeout(&self, item: T, limit: Duration) -> Result<(), PutError<T>> {
        put(self.0.put_timeout(item, limit))
    }

    pub(crate) fn try_get(&self) -> Result<T, GetError> {
        got(self.0.try_get())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len().unwrap()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty().unwrap()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full().unwrap()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.0.iter()
    }

    pub(crate) fn task_done(&self) -> fourfold::Result<()> {
        self.0.task_done()
    }

    pub(crate) fn join(&self) {
        self.0.join().unwrap();
    }

    pub(crate) fn join_timeout(&self, limit: Duration) -> bool {
        self.0.join_timeout(limit).unwrap()
    }

    pub(crate) fn shut_down(&self, immediate: bool) {
        self.0.shut_down(immediate).unwrap();
    }
}
