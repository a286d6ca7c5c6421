//! The outcomes of one function over many arguments, as an iterator that is lazy on both sides.

use std::collections::VecDeque;
use std::fmt;

use super::{AsCompleted, Handle};
use crate::error::Outcome;

/// Submits the next argument, if there is one.
type Source<'a, T> = Box<dyn FnMut() -> Option<Handle<T>> + 'a>;

/// Outcomes in the order of the arguments. Made by an executor's `map`.
///
/// Nothing is submitted before the first outcome is asked for, and from then on at most
/// [`buffer`](Map::buffer) tasks are under way or finished and not yet taken: memory stays bounded, also over an endless
/// iterator. Dropping it cancels those that still wait.
///
/// # Scales
///
/// | | `green` | `thread` | `process` |
/// | --- | --- | --- | --- |
/// | the buffer, unless set | as many as run at a time | 4 for each worker | 64 for each worker, and 64 |
/// | the executor meanwhile | is kept alive | is kept alive | is borrowed |
///
/// # Examples
///
/// ```
/// use fourfold::thread;
///
/// let pool = thread::Executor::builder().workers(2).build()?;
/// let mut squares = pool.map(|n: u64| n * n, 0..).buffer(8); // an endless iterator
/// assert_eq!(squares.next().unwrap()?, 0);
/// assert_eq!(squares.next().unwrap()?, 1);
/// assert_eq!(squares.next().unwrap()?, 4);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Map<'a, T: Send + 'static> {
    source: Option<Source<'a, T>>,
    window: VecDeque<Handle<T>>,
    buffer: usize,
}

/// Outcomes in the order in which they come. Made by an executor's `map_unordered`; bounded as [`Map`] is.
///
/// # Examples
///
/// ```
/// use fourfold::thread;
///
/// let pool = thread::Executor::builder().workers(2).build()?;
/// let mut sum = 0;
/// for square in pool.map_unordered(|n: u64| n * n, 1..=3) {
///     sum += square?;
/// }
/// assert_eq!(sum, 14);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Unordered<'a, T: Send + 'static> {
    source: Option<Source<'a, T>>,
    window: AsCompleted<T>,
    buffer: usize,
}

impl<'a, T: Send + 'static> Map<'a, T> {
    pub(crate) fn new(buffer: usize, source: impl FnMut() -> Option<Handle<T>> + 'a) -> Self {
        Map { source: Some(Box::new(source)), window: VecDeque::new(), buffer: buffer.max(1) }
    }

    /// At most this many tasks (at least 1) submitted and not yet taken.
    pub fn buffer(mut self, tasks: usize) -> Self {
        self.buffer = tasks.max(1);
        self
    }
}

impl<T: Send + 'static> Iterator for Map<'_, T> {
    type Item = Outcome<T>;

    #[track_caller]
    fn next(&mut self) -> Option<Outcome<T>> {
        while self.window.len() < self.buffer {
            match self.source.as_mut().and_then(|source| source()) {
                Some(handle) => self.window.push_back(handle),
                None => {
                    self.source = None;
                    break;
                }
            }
        }
        let next = self.window.pop_front()?;
        Some(next.join())
    }
}

impl<T: Send + 'static> Drop for Map<'_, T> {
    fn drop(&mut self) {
        for handle in &self.window {
            handle.cancel_waiting();
        }
    }
}

impl<'a, T: Send + 'static> Unordered<'a, T> {
    pub(crate) fn new(buffer: usize, source: impl FnMut() -> Option<Handle<T>> + 'a) -> Self {
        Unordered {
            source: Some(Box::new(source)),
            window: AsCompleted::empty(),
            buffer: buffer.max(1),
        }
    }

    /// At most this many tasks (at least 1) submitted and not yet taken.
    pub fn buffer(mut self, tasks: usize) -> Self {
        self.buffer = tasks.max(1);
        self
    }
}

impl<T: Send + 'static> Iterator for Unordered<'_, T> {
    type Item = Outcome<T>;

    #[track_caller]
    fn next(&mut self) -> Option<Outcome<T>> {
        while self.window.remaining() < self.buffer {
            match self.source.as_mut().and_then(|source| source()) {
                Some(handle) => self.window.push_anywhere(handle),
                None => {
                    self.source = None;
                    break;
                }
            }
        }
        self.window.next_and_free()
    }
}

impl<T: Send + 'static> Drop for Unordered<'_, T> {
    fn drop(&mut self) {
        self.window.cancel_waiting();
    }
}

impl<T: Send + 'static> fmt::Debug for Map<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("under_way", &self.window.len()).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> fmt::Debug for Unordered<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unordered").field("under_way", &self.window).finish_non_exhaustive()
    }
}
