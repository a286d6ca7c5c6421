//! What to say before a pool is made.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::front::{Executor, Owner, Side};
use super::pool::Pool;
use crate::error::{Error, Result};
use crate::process::channel::Parcel;
use crate::process::launch::{self, Environment, StartMethod};
use crate::task::envelope::Envelope;
use crate::task::{Call, Payload, Stateless, image};

/// How a pool of processes is to be.
///
/// # Examples
///
/// ```
/// use fourfold::{ErrorKind, process};
/// use std::time::Duration;
///
/// let pool = process::Executor::builder()
///     .workers(2)
///     .task_timeout(Duration::from_millis(100))
///     .build()?;
/// let slow = pool.submit(std::thread::sleep, Duration::from_secs(3600));
/// assert_eq!(slow.join().unwrap_err().kind(), ErrorKind::TimedOut);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "`build` makes the pool"]
pub struct ExecutorBuilder {
    settings: PoolSettings,
    on_start: Option<Result<(u64, Envelope)>>,
}

/// What the builder has gathered.
#[derive(Debug)]
pub(super) struct PoolSettings {
    pub(super) workers: usize,
    pub(super) name: String,
    pub(super) method: StartMethod,
    pub(super) env: Environment,
    pub(super) cwd: Option<std::path::PathBuf>,
    pub(super) task_timeout: Option<Duration>,
    pub(super) memory_limit: Option<u64>,
    pub(super) tasks_per_worker: Option<u64>,
    pub(super) retries: u32,
    pub(super) backoff: Duration,
    /// The entry and the arguments of the function that each worker runs first.
    pub(super) start: Option<(u64, Parcel)>,
}

impl ExecutorBuilder {
    pub(super) fn new() -> ExecutorBuilder {
        ExecutorBuilder {
            settings: PoolSettings {
                workers: std::thread::available_parallelism().map_or(1, usize::from),
                name: "worker".into(),
                method: StartMethod::Spawn,
                env: Environment::default(),
                cwd: None,
                task_timeout: None,
                memory_limit: None,
                tasks_per_worker: None,
                retries: 0,
                backoff: Duration::from_millis(100),
                start: None,
            },
            on_start: None,
        }
    }

    /// How many tasks may run at once: the number of processes. The number of processors, by default.
    pub fn workers(mut self, workers: usize) -> ExecutorBuilder {
        self.settings.workers = workers;
        self
    }

    /// The name of the workers, for [`current`](crate::process::current()), errors and `ps`.
    pub fn name(mut self, name: impl Into<String>) -> ExecutorBuilder {
        self.settings.name = name.into();
        self
    }

    /// How the workers are made.
    pub fn start_method(mut self, method: StartMethod) -> ExecutorBuilder {
        self.settings.method = method;
        self
    }

    /// Sets a variable of the workers' environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> ExecutorBuilder {
        let change = (name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self.settings.env.changes.push(change);
        self
    }

    /// The workers' working directory.
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> ExecutorBuilder {
        self.settings.cwd = Some(directory.as_ref().to_owned());
        self
    }

    /// How long a task may run, from when a worker takes it up. Over it, the worker is killed, with all that it has
    /// started, and the outcome is `TimedOut`.
    pub fn task_timeout(mut self, timeout: Duration) -> ExecutorBuilder {
        self.settings.task_timeout = Some(timeout);
        self
    }

    /// How many bytes of resident memory a worker may have, with all the processes that it has started. Over it, they are
    /// killed, and the outcome of the task that ran is `OutOfMemory`.
    ///
    /// Where a part of the cgroup v2 tree with the memory controller is delegated to this program, or the variable
    /// `FOURFOLD_CGROUP` names a directory in it to make groups in, the kernel keeps the limit, without overshoot, and
    /// counts what it charges to a group: page cache too, which it gives up first. Elsewhere the memory is looked at every
    /// 25 ms, so a task may be over its limit for that long: what it can allocate meanwhile is the overshoot, 2 to 60 MiB
    /// over a limit of 256 MiB on a busy machine.
    pub fn memory_limit(mut self, bytes: u64) -> ExecutorBuilder {
        self.settings.memory_limit = Some(bytes);
        self
    }

    /// After how many tasks a worker is replaced by a fresh one. Never, by default.
    pub fn tasks_per_worker(mut self, tasks: u64) -> ExecutorBuilder {
        self.settings.tasks_per_worker = Some(tasks);
        self
    }

    /// How often a task is tried again that panicked or lost its worker. Never, by default: a task may have had effects.
    pub fn retries(mut self, retries: u32) -> ExecutorBuilder {
        self.settings.retries = retries;
        self
    }

    /// How long to wait before a task is tried again; twice as long before each further time, a minute at most. 100 ms,
    /// by default.
    pub fn backoff(mut self, first: Duration) -> ExecutorBuilder {
        self.settings.backoff = first;
        self
    }

    /// Has each worker call `function` with `args` before it takes its first task.
    ///
    /// A start that fails is tried again a few times; then the pool gives up, and every task's outcome is `NotStarted`.
    pub fn on_start<F, A, M>(mut self, _function: F, args: A) -> ExecutorBuilder
    where
        F: Call<A, M, Output = ()> + Stateless,
        A: Payload,
    {
        let pack = || Ok((image::entry_of::<F, A, M>()?, Envelope::pack(&args, "argument")?));
        self.on_start = Some(pack());
        self
    }

    /// Makes the pool and starts its workers.
    ///
    /// # Errors
    ///
    /// If a number is 0 that must not be, the name has a zero byte in it or more than 4,096 bytes, the arguments of [`on_start`](ExecutorBuilder::on_start) cannot be
    /// serialised, or a worker cannot be started.
    pub fn build(mut self) -> Result<Executor> {
        if self.settings.workers == 0 {
            return Err(Error::invalid("a pool needs at least one worker"));
        }
        launch::check_name(&self.settings.name)?;
        if self.settings.task_timeout == Some(Duration::ZERO) {
            return Err(Error::invalid("task_timeout must be longer than nothing"));
        }
        if self.settings.tasks_per_worker == Some(0) {
            return Err(Error::invalid("tasks_per_worker must be at least 1"));
        }
        if let Some(start) = self.on_start {
            let (entry, args) = start?;
            self.settings.start = Some((entry, Parcel::of(args)?));
        }
        let pool = Pool::start(self.settings)?;
        Ok(Executor { side: Side::Owner(std::sync::Arc::new(Owner { pool })) })
    }
}
