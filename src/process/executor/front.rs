//! The executor as its users see it, in the process that made the pool and in its workers.

use std::fmt;
use std::sync::Arc;

use super::builder::ExecutorBuilder;
use super::inside::Client;
use super::pool::Pool;
use crate::error::Result;
use crate::process::supervisor;
use crate::task::{Call, Payload, Stateless};
use crate::vocab::{self, Handle, Map, Unordered};

/// A pool of processes that take task after task.
///
/// A task that kills its worker, in whatever way, is an error of that task alone: the worker is replaced and the pool goes
/// on. Clones are handles of the same pool; dropping the last one shuts it down as [`shutdown`](Executor::shutdown) does.
///
/// # Examples
///
/// ```
/// use fourfold::process;
///
/// fn halves(n: u32) -> f64 {
///     f64::from(n) / 2.0
/// }
///
/// let pool = process::Executor::builder().workers(2).build()?;
/// let one = pool.submit(halves, 3);
/// let lost: fourfold::Handle<()> = pool.submit(|| std::process::abort(), ());
/// assert_eq!(one.join()?, 1.5);
/// assert_eq!(lost.join().unwrap_err().signal(), Some(6));
/// let all: Vec<f64> = pool.map(halves, 0..4).collect::<Result<_, _>>()?;
/// assert_eq!(all, [0.0, 0.5, 1.0, 1.5]);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone)]
pub struct Executor {
    pub(super) side: Side,
}

/// Where the executor is: in the process that made the pool, or in a worker of it.
#[derive(Clone)]
pub(super) enum Side {
    Owner(Arc<Owner>),
    Worker(Arc<Client>),
}

/// Shuts the pool down when the last clone of the executor is dropped. Handles keep the pool alone.
pub(super) struct Owner {
    pub(super) pool: Arc<Pool>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if supervisor::is_current() {
            // Where a waker was dropped, with all that hung on it. The supervisor cannot wait for what only it can do.
            let pool = self.pool.clone();
            let shutdown = std::thread::Builder::new().name("fourfold-shutdown".into());
            let _ = shutdown.spawn(move || pool.shutdown());
            return;
        }
        self.pool.shutdown();
    }
}

impl Executor {
    /// A pool with the defaults of [`ExecutorBuilder`].
    ///
    /// # Errors
    ///
    /// If the workers cannot be started.
    pub fn new() -> Result<Executor> {
        Executor::builder().build()
    }

    /// What to say before the pool is made.
    pub fn builder() -> ExecutorBuilder {
        ExecutorBuilder::new()
    }

    /// In a task of a pool: that pool. `None` anywhere else, and in what a pool's workers run at their start.
    ///
    /// A task may submit to its own pool and wait. Its worker is not counted as one of the pool's workers while tasks that it
    /// has submitted are under way: another takes its place, up to 64 at a time. Where more would be needed, and every
    /// task waits for others, what was submitted last and has not begun ends with
    /// [`Deadlock`](crate::ErrorKind::Deadlock). A task's time goes on while it waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::process;
    ///
    /// fn fibonacci(n: u64) -> fourfold::Result<u64> {
    ///     if n < 2 {
    ///         return Ok(n);
    ///     }
    ///     let pool = process::Executor::current().expect("called in a worker only");
    ///     let (one, two) = (pool.submit(fibonacci, n - 1), pool.submit(fibonacci, n - 2));
    ///     Ok(one.join()?? + two.join()??)
    /// }
    ///
    /// let pool = process::Executor::builder().workers(1).build()?;
    /// assert_eq!(pool.submit(fibonacci, 6).join()??, 8);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn current() -> Option<Executor> {
        Client::current().map(|client| Executor { side: Side::Worker(client) })
    }

    /// Has a worker call `function` with `args`, and gives a handle at once.
    ///
    /// A function of several parameters takes them as one tuple; of one parameter, the value itself; of none, `()`. It
    /// may be a function, a closure that captures nothing, or a `#[fourfold::task]`. Never blocks, and never fails:
    /// what goes wrong, also on the way to the worker, is told by the handle.
    ///
    /// A zero-sized value that a closure captures (a proof token) is not seen as a capture; it is made anew in the worker.
    pub fn submit<F, A, M>(&self, function: F, args: A) -> Handle<F::Output>
    where
        F: Call<A, M> + Stateless,
        A: Payload,
        F::Output: Payload,
    {
        match &self.side {
            Side::Owner(owner) => owner.pool.submit(function, args),
            Side::Worker(client) => client.submit(function, args),
        }
    }

    /// The outcomes of `function` for each of `args`, in their order, as they come: lazy on both sides, in bounded
    /// memory, also over an endless iterator.
    pub fn map<'a, F, I, M>(&'a self, function: F, args: I) -> Map<'a, F::Output>
    where
        F: Call<I::Item, M> + Stateless,
        I: IntoIterator<IntoIter: 'a>,
        I::Item: Payload,
        F::Output: Payload,
    {
        let mut args = args.into_iter();
        Map::new(self.window(), move || Some(self.submit(function, args.next()?)))
    }

    /// As [`map`](Executor::map), in the order in which the outcomes come.
    pub fn map_unordered<'a, F, I, M>(&'a self, function: F, args: I) -> Unordered<'a, F::Output>
    where
        F: Call<I::Item, M> + Stateless,
        I: IntoIterator<IntoIter: 'a>,
        I::Item: Payload,
        F::Output: Payload,
    {
        let mut args = args.into_iter();
        Unordered::new(self.window(), move || Some(self.submit(function, args.next()?)))
    }

    /// Takes nothing new from here on, waits until all that was submitted has finished, and ends the workers.
    ///
    /// In a worker it waits for what this process has submitted; the pool itself is for its owner to shut down.
    pub fn shutdown(&self) {
        match &self.side {
            Side::Owner(owner) => owner.pool.shutdown(),
            Side::Worker(client) => client.shutdown(),
        }
    }

    /// Takes nothing new from here on, cancels what waits, kills what runs, and ends the workers.
    ///
    /// In a worker it cancels what this process has submitted.
    pub fn shutdown_now(&self) {
        match &self.side {
            Side::Owner(owner) => owner.pool.shutdown_now(),
            Side::Worker(client) => client.shutdown_now(),
        }
    }

    /// How many tasks may run at once.
    pub fn workers(&self) -> usize {
        match &self.side {
            Side::Owner(owner) => owner.pool.settings.workers,
            Side::Worker(client) => client.workers(),
        }
    }

    /// The process ids of the workers that are there now. None in a worker, which does not know the others.
    pub fn worker_pids(&self) -> Vec<u32> {
        match &self.side {
            Side::Owner(owner) => owner.pool.worker_pids(),
            Side::Worker(_) => Vec::new(),
        }
    }

    /// So many tasks of a `map` under way keep the workers busy while the memory stays bounded.
    fn window(&self) -> usize {
        self.workers() * 64 + 64
    }
}

impl<F, A, M> vocab::Executor<F, A, M> for Executor
where
    F: Call<A, M> + Stateless,
    A: Payload,
    F::Output: Payload,
{
    type Output = F::Output;

    fn submit(&self, function: F, args: A) -> Handle<F::Output> {
        Executor::submit(self, function, args)
    }

    fn shutdown(&self) {
        Executor::shutdown(self);
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("workers", &self.workers()).finish_non_exhaustive()
    }
}
