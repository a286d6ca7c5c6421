//! Handles, in the order in which they finish.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use super::Handle;
use super::wait::{Pending, for_a_task};
use crate::error::Outcome;
use crate::sync::park::after;

/// Gives the outcomes of `handles` as they come: `(index, outcome)`, the index counting from 0 in the order given.
///
/// The handles may belong to different executors, and to different scales.
///
/// # Examples
///
/// ```
/// use fourfold::prelude::*;
///
/// let pool = thread::Executor::builder().workers(2).build()?;
/// let handles = (0..10).map(|n: u32| pool.submit(|n| n * n, n));
/// for (index, outcome) in fourfold::as_completed(handles) {
///     assert_eq!(outcome?, (index * index) as u32);
/// }
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn as_completed<T: Send + 'static>(
    handles: impl IntoIterator<Item = Handle<T>>,
) -> AsCompleted<T> {
    let mut all = AsCompleted::empty();
    for handle in handles {
        all.push(handle);
    }
    all
}

/// Outcomes as they come. Made by [`as_completed()`].
pub struct AsCompleted<T> {
    handles: Vec<Option<Handle<T>>>,
    /// Indices whose place in `handles` is free again, when they are reused.
    free: Vec<usize>,
    /// A handle before this index has been given out.
    first: usize,
    left: usize,
    finished: Arc<Finished>,
}

#[derive(Default)]
struct Finished {
    inner: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    indices: VecDeque<usize>,
    waker: Option<Waker>,
}

/// That a handle finishes, `first` or another.
struct Next<'a> {
    finished: &'a Finished,
    first: u64,
}

struct Arrival {
    index: usize,
    finished: Arc<Finished>,
}

impl<T: Send + 'static> AsCompleted<T> {
    pub(super) fn empty() -> AsCompleted<T> {
        AsCompleted { handles: vec![], free: vec![], first: 0, left: 0, finished: Arc::default() }
    }

    /// How many outcomes are still to come.
    pub fn remaining(&self) -> usize {
        self.left
    }

    /// Waits for the next outcome, at most this long. `None` if there was none by then, or all have been given.
    #[track_caller]
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<(usize, Outcome<T>)> {
        self.next_before(after(timeout))
    }

    pub(super) fn push(&mut self, handle: Handle<T>) {
        let arrival =
            Arc::new(Arrival { index: self.handles.len(), finished: self.finished.clone() });
        handle.promise().core().register(&Waker::from(arrival));
        self.handles.push(Some(handle));
        self.left += 1;
    }

    /// As `push`, in the place of a handle that has been given out: indices mean nothing then.
    pub(super) fn push_anywhere(&mut self, handle: Handle<T>) {
        let Some(index) = self.free.pop() else {
            return self.push(handle);
        };
        let arrival = Arc::new(Arrival { index, finished: self.finished.clone() });
        handle.promise().core().register(&Waker::from(arrival));
        self.handles[index] = Some(handle);
        self.first = self.first.min(index);
        self.left += 1;
    }

    pub(super) fn cancel_waiting(&self) {
        for handle in self.handles.iter().flatten() {
            handle.cancel_waiting();
        }
    }

    #[track_caller]
    pub(super) fn next_and_free(&mut self) -> Option<Outcome<T>> {
        let (index, outcome) = self.next_before(None)?;
        self.free.push(index);
        Some(outcome)
    }

    #[track_caller]
    fn next_before(&mut self, deadline: Option<Instant>) -> Option<(usize, Outcome<T>)> {
        let wait = for_a_task();
        loop {
            if self.left == 0 {
                return None;
            }
            // Bound to a statement of its own, so that the lock is free while the outcome is made.
            let arrived = self.finished.lock().indices.pop_front();
            if let Some(index) = arrived {
                if let Some(outcome) = self.handles[index].as_mut().and_then(Handle::try_join) {
                    self.handles[index] = None;
                    self.left -= 1;
                    return Some((index, outcome));
                }
                continue;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return None;
            }
            while self.handles[self.first].is_none() {
                self.first += 1;
            }
            let handle = self.handles[self.first].as_ref().expect("found just now");
            let next = Next { finished: &self.finished, first: handle.id() };
            handle.promise().clone().wait(&next, &wait, deadline);
        }
    }
}

impl Finished {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Pending for Next<'_> {
    fn is_done(&self) -> bool {
        !self.finished.lock().indices.is_empty()
    }

    fn forget(&self, _waker: &Waker) {
        // There is one, of the one thread that waits.
        self.finished.lock().waker = None;
    }

    fn task(&self) -> Option<u64> {
        Some(self.first)
    }

    fn register(&self, waker: &Waker) {
        let mut queue = self.finished.lock();
        if queue.indices.is_empty() {
            queue.waker = Some(waker.clone());
        } else {
            drop(queue);
            waker.wake_by_ref();
        }
    }
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        let mut queue = self.finished.lock();
        queue.indices.push_back(self.index);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T: Send + 'static> Iterator for AsCompleted<T> {
    type Item = (usize, Outcome<T>);

    #[track_caller]
    fn next(&mut self) -> Option<(usize, Outcome<T>)> {
        self.next_before(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("remaining", &self.left).finish_non_exhaustive()
    }
}
