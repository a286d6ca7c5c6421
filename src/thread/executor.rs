//! The executor of the thread scale: tasks on a few threads. The protocol between its workers is told in `pool.rs`.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use super::pool::{Pool, Settings};
use super::registry::check_name;
use super::task::Task;
use crate::error::{Error, Result};
use crate::task::{Call, name_of};
use crate::vocab::{self, Handle, Map, Unordered};

/// How long a worker stays without a task, unless it is said.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Runs tasks on threads of this process, at most so many at a time. The rest waits in turn.
///
/// A clone is the same executor. Dropping the last clone is [`shutdown`](Executor::shutdown): it waits for what was
/// submitted. Threads start when there is work for them, up to the limit, and end when there has been none for a while: see
/// [`keep_alive`](ExecutorBuilder::keep_alive). Tasks are begun in the order in which they were submitted, except that those
/// that other tasks wait for come first.
///
/// A worker that finds no task, and a thread that joins one, looks again for some microseconds before it sleeps: at the cost
/// of so much time of a core, a task that is submitted and joined at once takes neither of them a sleep.
///
/// A task may submit to its own executor and wait: its worker does not count as busy while it waits for a task of the
/// same executor, with any method of [`Handle`], [`Map`] or [`as_completed`](crate::as_completed), and another takes its
/// place. When its wait is over the task goes on at once, so that for a moment one more task than the limit may run. As
/// many as 256 tasks can wait so while others run in their place; where still more would have to, the one waited for last
/// is not run, and has an error of the kind [`Deadlock`](crate::ErrorKind::Deadlock). Waiting for anything else counts as
/// being busy.
///
/// A panic is an error of its task alone. What this scale can and cannot do is told in the table at
/// [`vocab::Executor`].
///
/// # Examples
///
/// ```
/// use fourfold::thread;
///
/// let pool = thread::Executor::builder().workers(4).build()?;
/// let base = 100;
/// let sum = pool.submit(move |a: u32, b: u32| base + a + b, (1, 2));
/// let squares: Result<Vec<u32>, _> = pool.map(|n: u32| n * n, 1..=5).collect();
/// assert_eq!(squares?, [1, 4, 9, 16, 25]);
/// assert_eq!(sum.join()?, 103);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

/// What the clones share and the workers do not: its end is the end of the executor.
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
        ExecutorBuilder {
            workers: None,
            name: "worker".into(),
            stack_size: None,
            keep_alive: KEEP_ALIVE,
            on_start: None,
        }
    }

    /// Has a worker call `f` with `args`. Never blocks: whatever goes wrong is told by the handle.
    ///
    /// A function of several parameters takes them as one tuple; of one parameter, the value itself; of none, `()`.
    ///
    /// The outcome is an error of the kind [`Panicked`](crate::ErrorKind::Panicked) if `f` panics,
    /// [`Cancelled`](crate::ErrorKind::Cancelled) if it was cancelled before it began,
    /// [`ShutDown`](crate::ErrorKind::ShutDown) if the executor takes nothing new,
    /// [`NotStarted`](crate::ErrorKind::NotStarted) if no thread could be had.
    pub fn submit<F, A, M>(&self, f: F, args: A) -> Handle<F::Output>
    where
        F: Call<A, M> + Send + 'static,
        F::Output: Send + 'static,
        A: Send + 'static,
    {
        let pool = &self.shared.pool;
        let task = Task::new(pool.id, name_of::<F>, move || f.call(args));
        pool.submit(task.clone());
        Handle::new(task)
    }

    /// The outcomes of `f` over each of `args`, in their order, as an iterator.
    ///
    /// It is lazy: arguments are taken, and submitted, as outcomes are asked for, at most 4 for each worker ahead (see
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
        Map::new(self.ahead(), move || Some(executor.submit(f.clone(), args.next()?)))
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
        Unordered::new(self.ahead(), move || Some(executor.submit(f.clone(), args.next()?)))
    }

    /// Takes nothing new from here on, and waits until all that was submitted has finished, callbacks included, and its
    /// threads have ended.
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

    fn ahead(&self) -> usize {
        self.workers().saturating_mul(4)
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
            .finish_non_exhaustive()
    }
}

/// How an [`Executor`] is to be.
///
/// # Examples
///
/// ```
/// use fourfold::thread;
///
/// let pool = thread::Executor::builder().workers(2).name("parser").build()?;
/// let name = pool.submit(|| thread::current().name(), ()).join()?;
/// assert!(name.starts_with("parser-"));
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct ExecutorBuilder {
    workers: Option<usize>,
    name: String,
    stack_size: Option<usize>,
    keep_alive: Duration,
    on_start: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl ExecutorBuilder {
    /// At most how many tasks run at a time. The default is the number of cores that this process may use.
    pub fn workers(mut self, workers: usize) -> ExecutorBuilder {
        self.workers = Some(workers);
        self
    }

    /// What the names of its threads begin with; a dash and a number follow. The default is `worker`.
    pub fn name(mut self, prefix: impl Into<String>) -> ExecutorBuilder {
        self.name = prefix.into();
        self
    }

    /// The size of each thread's stack, in bytes. The system may give more.
    pub fn stack_size(mut self, bytes: usize) -> ExecutorBuilder {
        self.stack_size = Some(bytes);
        self
    }

    /// How long a worker without a task stays for the next one, before its thread ends. The default is ten seconds. With
    /// [`Duration::MAX`] it stays until the end of the executor.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::thread;
    /// use std::time::Duration;
    ///
    /// let pool = thread::Executor::builder().keep_alive(Duration::from_secs(60)).build()?;
    /// # drop(pool);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn keep_alive(mut self, idle: Duration) -> ExecutorBuilder {
        self.keep_alive = idle;
        self
    }

    /// Has each worker call `f` in its thread, before its first task.
    ///
    /// If it panics, that worker ends. While there is no other, the waiting tasks have an error of the kind
    /// [`NotStarted`](crate::ErrorKind::NotStarted) that tells the panic; the next task that is submitted gets a new try.
    pub fn on_start(mut self, f: impl Fn() + Send + Sync + 'static) -> ExecutorBuilder {
        self.on_start = Some(Arc::new(f));
        self
    }

    /// Makes the executor. No thread starts before the first task.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is to have no worker, or if the name has a zero byte in it.
    pub fn build(self) -> Result<Executor> {
        check_name(&self.name)?;
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let limit = self.workers.unwrap_or_else(cores);
        if limit == 0 {
            return Err(Error::invalid("an executor needs at least one worker"));
        }
        let Self { name, stack_size, keep_alive, on_start, .. } = self;
        let pool = Pool::new(Settings { limit, name, stack_size, keep_alive, on_start });
        Ok(Executor { shared: Arc::new(Shared { pool }) })
    }
}

impl fmt::Debug for ExecutorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutorBuilder")
            .field("workers", &self.workers)
            .field("name", &self.name)
            .field("stack_size", &self.stack_size)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}
