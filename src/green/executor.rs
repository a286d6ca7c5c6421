//! The executor of the coroutine scale. Its protocol is told in `pool.rs`.

use std::fmt;
use std::sync::Arc;

use super::pool::{Pool, Settings, invalid};
use super::stack::{Class, DEFAULT_SIZE};
use crate::error::Result;
use crate::task::{Call, next_id};
use crate::vocab::outcome::Cell;
use crate::vocab::wait::Backend;
use crate::vocab::{self, Handle, Map, Unordered};

/// Runs tasks as coroutines on hubs of its own, at most so many at a time. The rest waits in turn.
///
/// A clone is the same executor. Dropping the last clone is [`shutdown`](Executor::shutdown): it waits for what was submitted. The
/// threads of its hubs start with the first tasks, and stay until the end.
///
/// A task may submit to its own executor and wait: it does not count as busy while it waits for a task of the same executor, with
/// any method of [`Handle`], [`Map`] or [`as_completed`](crate::as_completed), and another takes its place.
///
/// A panic is an error of its task alone. What this scale can and cannot do is told in the table at [`vocab::Executor`].
///
/// # Examples
///
/// ```
/// use fourfold::green;
/// use std::time::Duration;
///
/// let pool = green::Executor::builder().workers(100).build()?;
/// let base = 100;
/// let sum = pool.submit(move |a: u32, b: u32| base + a + b, (1, 2));
/// let nap = |n: u64| {
///     green::sleep(Duration::from_millis(n)); // the others go on meanwhile
///     n
/// };
/// let naps: Result<Vec<u64>, _> = pool.map(nap, 1..=5).collect();
/// assert_eq!(naps?, [1, 2, 3, 4, 5]);
/// assert_eq!(sum.join()?, 103);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

/// What the clones share and the tasks do not: its end is the end of the executor.
struct Shared {
    pool: Arc<Pool>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.pool.shutdown();
    }
}

impl Executor {
    /// An executor with the defaults of [`ExecutorBuilder`].
    ///
    /// # Errors
    ///
    /// None at this scale, so far.
    pub fn new() -> Result<Executor> {
        Executor::builder().build()
    }

    /// How it is to be: see [`ExecutorBuilder`].
    pub fn builder() -> ExecutorBuilder {
        ExecutorBuilder { workers: 1000, hubs: 1, name: "green".into(), stack_size: DEFAULT_SIZE }
    }

    /// Has a coroutine call `f` with `args`. Never blocks: whatever goes wrong is told by the handle.
    ///
    /// A function of several parameters takes them as one tuple; of one parameter, the value itself; of none, `()`.
    ///
    /// The outcome is an error of the kind [`Panicked`](crate::ErrorKind::Panicked) if `f` panics,
    /// [`Cancelled`](crate::ErrorKind::Cancelled) if it was cancelled, [`ShutDown`](crate::ErrorKind::ShutDown) if the executor takes
    /// nothing new, [`NotStarted`](crate::ErrorKind::NotStarted) if no thread or no stack could be had, or in a fork of the process that
    /// made the executor.
    pub fn submit<F, A, M>(&self, f: F, args: A) -> Handle<F::Output>
    where
        F: Call<A, M> + Send + 'static,
        F::Output: Send + 'static,
        A: Send + 'static,
    {
        let pool = &self.shared.pool;
        let cell = Cell::new(next_id(), pool.clone() as Arc<dyn Backend>);
        let handle = Handle::new(cell.clone());
        pool.submit::<F, _>(
            handle.id(),
            move || f.call(args),
            move |outcome| {
                cell.complete(outcome);
            },
        );
        handle
    }

    /// The outcomes of `f` over each of `args`, in their order, as an iterator.
    ///
    /// It is lazy: arguments are taken, and submitted, as outcomes are asked for, at most as many ahead as run at a time (see
    /// [`Map::buffer`]). Dropping it cancels those that still wait. It keeps the executor alive.
    pub fn map<'a, F, A, M, I>(&self, f: F, args: I) -> Map<'a, F::Output>
    where
        F: Call<A, M> + Clone + Send + 'static,
        F::Output: Send + 'static,
        A: Send + 'static,
        I: IntoIterator<Item = A>,
        I::IntoIter: 'a,
    {
        let (executor, mut args) = (self.clone(), args.into_iter());
        Map::new(self.workers(), move || Some(executor.submit(f.clone(), args.next()?)))
    }

    /// As [`map`](Executor::map), but the outcomes come in the order in which they are ready.
    pub fn map_unordered<'a, F, A, M, I>(&self, f: F, args: I) -> Unordered<'a, F::Output>
    where
        F: Call<A, M> + Clone + Send + 'static,
        F::Output: Send + 'static,
        A: Send + 'static,
        I: IntoIterator<Item = A>,
        I::IntoIter: 'a,
    {
        let (executor, mut args) = (self.clone(), args.into_iter());
        Unordered::new(self.workers(), move || Some(executor.submit(f.clone(), args.next()?)))
    }

    /// Takes nothing new from here on, and waits until all that was submitted has finished, callbacks included, and its threads
    /// have ended.
    ///
    /// Called by a task or a callback of this executor it does not wait, since it would wait for itself.
    #[track_caller]
    pub fn shutdown(&self) {
        self.shared.pool.shutdown();
    }

    /// As [`shutdown`](Executor::shutdown), but what has not begun yet is cancelled. What runs goes on, and is waited for.
    #[track_caller]
    pub fn shutdown_now(&self) {
        self.shared.pool.close();
        self.shared.pool.cancel_waiting();
        self.shared.pool.shutdown();
    }

    /// Cancels all tasks that have not begun. How many there were.
    pub fn cancel_pending(&self) -> usize {
        self.shared.pool.cancel_waiting()
    }

    /// At most how many tasks run at a time.
    pub fn workers(&self) -> usize {
        self.shared.pool.settings.limit
    }
}

impl<F, A, M> vocab::Executor<F, A, M> for Executor
where
    F: Call<A, M> + Send + 'static,
    F::Output: Send + 'static,
    A: Send + 'static,
{
    type Output = F::Output;

    fn submit(&self, f: F, args: A) -> Handle<F::Output> {
        Executor::submit(self, f, args)
    }

    fn shutdown(&self) {
        Executor::shutdown(self);
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.shared.pool.settings;
        f.debug_struct("Executor")
            .field("name", &settings.name)
            .field("workers", &settings.limit)
            .field("hubs", &settings.hubs)
            .finish_non_exhaustive()
    }
}

/// How an [`Executor`] is to be.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// let pool = green::Executor::builder().workers(10_000).hubs(2).name("fetcher").build()?;
/// assert_eq!(pool.submit(|| 7, ()).join()?, 7);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ExecutorBuilder {
    workers: usize,
    hubs: usize,
    name: String,
    stack_size: usize,
}

impl ExecutorBuilder {
    /// At most how many tasks run at a time, that is, have begun and not ended. The default is 1000.
    pub fn workers(mut self, workers: usize) -> ExecutorBuilder {
        self.workers = workers;
        self
    }

    /// On how many threads, each with a hub. A task stays on the one it is begun on; they are given out in turn. The default is 1.
    pub fn hubs(mut self, threads: usize) -> ExecutorBuilder {
        self.hubs = threads;
        self
    }

    /// What the names of its threads begin with; a dash and a number follow. The default is `green`.
    pub fn name(mut self, prefix: impl Into<String>) -> ExecutorBuilder {
        self.name = prefix.into();
        self
    }

    /// The size of each task's stack, in bytes: see [`Builder::stack_size`](super::Builder::stack_size).
    pub fn stack_size(mut self, bytes: usize) -> ExecutorBuilder {
        self.stack_size = bytes;
        self
    }

    /// Makes the executor. No thread starts before the first task.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is to have no worker or no hub, if the size of stacks is out of bounds,
    /// or if the name has a zero byte in it.
    pub fn build(self) -> Result<Executor> {
        if self.workers == 0 || self.hubs == 0 {
            return Err(invalid("an executor needs at least one worker, and one hub"));
        }
        if self.name.contains('\0') {
            return Err(invalid("the name of a thread has a zero byte in it"));
        }
        let class = Class::new(self.stack_size, 1)?;
        let ExecutorBuilder { workers: limit, hubs, name, .. } = self;
        let pool = Pool::new(Settings { limit, hubs, name, class });
        Ok(Executor { shared: Arc::new(Shared { pool }) })
    }
}
