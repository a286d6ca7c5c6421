//! A program to run, and how.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::jobs::{Finished, Jobs};
use super::launch::{Environment, Stdio, c_string};
use crate::error::Result;

/// A program to run, its arguments, its surroundings and its limits.
///
/// Started by [`Jobs`], many at a time, or alone by [`run`](Command::run). It leads a process group of its own, which is
/// what is ended with it, and which the kernel ends should this process die.
///
/// # Examples
///
/// ```
/// use fourfold::process::{Command, End, Stdio};
///
/// let done = Command::new("sh").args(["-c", "echo $GREETING"]).env("GREETING", "hello")
///     .stdout(Stdio::Capture)
///     .run()?;
/// assert_eq!(done.end, End::Exited(0));
/// assert_eq!(done.stdout.unwrap().to_vec()?, b"hello\n");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Command {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Environment,
    pub(super) cwd: Option<PathBuf>,
    pub(super) stdio: [Stdio; 3],
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) memory: Option<u64>,
}

impl Command {
    /// A program, looked for in `PATH` if there is no slash in its name. With nothing on its standard input, and this
    /// process's output and error.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Environment::default(),
            cwd: None,
            stdio: [Stdio::Null, Stdio::Inherit, Stdio::Inherit],
            timeout: None,
            grace: Duration::from_secs(1),
            memory: None,
        }
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Command {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Command {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Command {
        let change = (name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self.env.changes.push(change);
        self
    }

    /// Removes a variable from its environment.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Command {
        self.env.changes.push((name.as_ref().to_owned(), None));
        self
    }

    /// Starts its environment empty, but for what is set with [`env`](Command::env) from here on.
    pub fn env_clear(&mut self) -> &mut Command {
        self.env.clear = true;
        self.env.changes.clear();
        self
    }

    /// Its working directory.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Command {
        self.cwd = Some(directory.as_ref().to_owned());
        self
    }

    /// Its standard input. Nothing, by default. [`Stdio::Capture`] means nothing here.
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.stdio[0] = stdio.into();
        self
    }

    /// Its standard output. This process's, by default.
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.stdio[1] = stdio.into();
        self
    }

    /// Its standard error. This process's, by default.
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.stdio[2] = stdio.into();
        self
    }

    /// How long it may run. Over it, its process group is asked to end with SIGTERM, and killed when the
    /// [`grace`](Command::grace) is over.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Command {
        self.timeout = Some(timeout);
        self
    }

    /// How long it may take to end when it is asked to. A second, by default.
    pub fn grace(&mut self, grace: Duration) -> &mut Command {
        self.grace = grace;
        self
    }

    /// How many bytes of resident memory it may have, with all the processes that it has started. Over it, they are
    /// killed. See [`ExecutorBuilder::memory_limit`](super::ExecutorBuilder::memory_limit).
    pub fn memory_limit(&mut self, bytes: u64) -> &mut Command {
        self.memory = Some(bytes);
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn run(&mut self) -> Result<Finished> {
        let mut jobs = Jobs::new()?;
        jobs.start(0, self)?;
        loop {
            if let Some(finished) = jobs.wait(None)? {
                return Ok(finished);
            }
        }
    }

    /// The arguments for the kernel, the program's name first.
    pub(super) fn argv(&self) -> Result<Vec<CString>> {
        [&self.program].into_iter().chain(&self.args).map(|arg| c_string(arg)).collect()
    }

    /// The paths where the program may be, in order.
    pub(super) fn candidates(&self) -> Result<Vec<CString>> {
        if self.program.as_bytes().contains(&b'/') {
            return Ok(vec![c_string(&self.program)?]);
        }
        let changed = self.env.changes.iter().rev().find(|(name, _)| name == "PATH");
        let path = match changed {
            Some((_, value)) => value.clone(),
            None => std::env::var_os("PATH"),
        };
        let path = path.unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
        std::env::split_paths(&path)
            .map(|directory| c_string(directory.join(&self.program).as_os_str()))
            .collect()
    }
}
