//! How a child is to be: its name, its surroundings, its limits.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::child::{self, Child, Work};
use super::launch::{self, Settings};
pub use super::launch::{StartMethod, Stdio};
use super::serve::Role;
use crate::error::Result;
use crate::task::envelope::Envelope;
use crate::task::{Call, Payload, Stateless, image, name_of};

/// Runs a function in a process of its own, with the defaults of [`Builder`].
///
/// # Errors
///
/// If the process cannot be started, or the arguments cannot be serialised.
///
/// # Examples
///
/// ```
/// use fourfold::process;
///
/// fn length(text: String) -> usize {
///     text.len()
/// }
///
/// let child = process::spawn(length, "coroutine".to_string())?;
/// assert_eq!(child.join()?, 9);
/// # Ok::<(), fourfold::Error>(())
/// ```
///
/// A closure that captures is refused when the program is built:
///
/// ```compile_fail
/// let limit = 3;
/// let child = fourfold::process::spawn(move |n: u32| n < limit, 2);
/// ```
pub fn spawn<F, A, M>(function: F, args: A) -> Result<Child<F::Output>>
where
    F: Call<A, M> + Stateless,
    A: Payload,
    F::Output: Payload,
{
    Builder::new().spawn(function, args)
}

/// A resource that the kernel limits for each process.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Resource};
///
/// fn open_many() -> usize {
///     let files = (0..1000).map_while(|_| std::fs::File::open("/dev/null").ok());
///     files.collect::<Vec<_>>().len()
/// }
///
/// let child = process::Builder::new().limit(Resource::OpenFiles, 64).spawn(open_many, ())?;
/// assert!(child.join()? < 64);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Seconds of processor time; over the soft limit the process gets SIGXCPU.
    CpuSeconds,
    /// Bytes that a file written by the process may have.
    FileBytes,
    /// Descriptors that may be open.
    OpenFiles,
    /// Bytes of a core file.
    CoreBytes,
    /// Bytes of the main thread's stack.
    StackBytes,
    /// Processes and threads of the user.
    Processes,
}

impl Resource {
    fn number(self) -> u32 {
        match self {
            Resource::CpuSeconds => libc::RLIMIT_CPU,
            Resource::FileBytes => libc::RLIMIT_FSIZE,
            Resource::OpenFiles => libc::RLIMIT_NOFILE,
            Resource::CoreBytes => libc::RLIMIT_CORE,
            Resource::StackBytes => libc::RLIMIT_STACK,
            Resource::Processes => libc::RLIMIT_NPROC,
        }
    }
}

/// How a child is to be.
///
/// # Examples
///
/// ```
/// use fourfold::process;
///
/// let child = process::Builder::new()
///     .name("greeter")
///     .env("GREETING", "hello")
///     .spawn(|| std::env::var("GREETING").unwrap(), ())?;
/// assert_eq!(child.name(), "greeter");
/// assert_eq!(child.join()?, "hello");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
pub struct Builder {
    pub(super) settings: Settings,
    named: bool,
    timeout: Option<Duration>,
    memory: Option<u64>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// A child named like its function, not a daemon, with this process's environment, directory, output and error, and
    /// with nothing on its standard input.
    pub fn new() -> Builder {
        let settings = Settings::new(String::new(), Role::Once);
        Builder { settings, named: false, timeout: None, memory: None }
    }

    /// The child's name, for errors, [`current`](super::current()) and `ps` (which shows 15 bytes of it).
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.settings.name = name.into();
        self.named = true;
        self
    }

    /// Whether the child is ended, rather than waited for, when `main` ends. A daemon may not have children.
    pub fn daemon(mut self, daemon: bool) -> Builder {
        self.settings.daemon = daemon;
        self
    }

    /// How the process is made.
    pub fn start_method(mut self, method: StartMethod) -> Builder {
        self.settings.method = method;
        self
    }

    /// Sets a variable of the child's environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Builder {
        let change = (name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self.settings.env.changes.push(change);
        self
    }

    /// Removes a variable from the child's environment.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Builder {
        self.settings.env.changes.push((name.as_ref().to_owned(), None));
        self
    }

    /// Starts the child's environment empty, but for what is set with [`env`](Builder::env).
    pub fn env_clear(mut self) -> Builder {
        self.settings.env.clear = true;
        self.settings.env.changes.clear();
        self
    }

    /// The child's working directory.
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Builder {
        self.settings.cwd = Some(directory.as_ref().to_owned());
        self
    }

    /// The child's standard input. Nothing, by default.
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Builder {
        self.settings.stdio[0] = stdio.into();
        self
    }

    /// The child's standard output. This process's, by default.
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Builder {
        self.settings.stdio[1] = stdio.into();
        self
    }

    /// The child's standard error. This process's, by default.
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Builder {
        self.settings.stdio[2] = stdio.into();
        self
    }

    /// Limits a resource of the child, soft and hard limit alike.
    pub fn limit(mut self, resource: Resource, value: u64) -> Builder {
        let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
        self.settings.limits.push((resource.number(), limit));
        self
    }

    /// Ends the child, and all that it has started, when it has run this long. The outcome is then `TimedOut`.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.timeout = Some(timeout);
        self
    }

    /// Ends the child, and all that it has started, when they together have more than this many bytes of resident memory.
    /// The outcome is then `OutOfMemory`. See [`ExecutorBuilder::memory_limit`](super::ExecutorBuilder::memory_limit).
    pub fn memory_limit(mut self, bytes: u64) -> Builder {
        self.memory = Some(bytes);
        self
    }

    /// Starts the child.
    ///
    /// # Errors
    ///
    /// If the process cannot be started, the arguments cannot be serialised, or the name has a zero byte in it or more than 4,096 bytes.
    pub fn spawn<F, A, M>(mut self, _function: F, args: A) -> Result<Child<F::Output>>
    where
        F: Call<A, M> + Stateless,
        A: Payload,
        F::Output: Payload,
    {
        launch::check_name(&self.settings.name)?;
        let task = name_of::<F>();
        if !self.named {
            // Of a function with many parameters of many parameters, the beginning.
            self.settings.name = task.chars().take(1000).collect();
        }
        let entry = image::entry_of::<F, A, M>()?;
        let args = Envelope::pack(&args, "argument")?;
        child::start(self.settings, Work { entry, args, task }, self.timeout, self.memory)
    }
}
