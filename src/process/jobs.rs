//! Many commands at once, started and waited for by the thread that owns them.
//!
//! No other thread stands between a job's end and its owner, which is a wake-up less for each job; in return a job that
//! has ended stays a zombie until its owner waits.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::ffi::{CString, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{EventfdFlags, epoll, eventfd};

use super::capture::Capture;
use super::command::Command;
use super::launch::{Stdio, c_string, null_device};
use super::memory::{self, Group, Tree};
use super::status::why_unknown;
use super::supervisor::timespec;
use super::sys::{self, Lifeline, Plan, Spawned, Status};
use crate::error::{Error, ErrorKind, Result, Scale, signal_name};
use crate::sync::park::after;

/// Commands that run, and the ends of those that have ended.
///
/// Dropping it kills what still runs.
///
/// # Examples
///
/// ```
/// use fourfold::process::{Command, End, Jobs};
///
/// let mut jobs = Jobs::new()?;
/// for (key, program) in ["true", "false"].into_iter().enumerate() {
///     jobs.start(key as u64, &Command::new(program))?;
/// }
/// while !jobs.is_empty() {
///     if let Some(finished) = jobs.wait(None)? {
///         assert_eq!(finished.end, End::Exited(finished.key as i32));
///     }
/// }
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Jobs {
    /// The process whose they are.
    owner: u32,
    epoll: OwnedFd,
    bell: Arc<OwnedFd>,
    running: HashMap<u64, Job>,
    finished: VecDeque<Finished>,
    timers: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    /// When the memory and the output of jobs are looked at next.
    sample: Instant,
    samples: u32,
    spare_captures: Vec<Capture>,
    spare_lifelines: Vec<Lifeline>,
    /// Those of jobs that left processes behind, which end with us all the same.
    kept_lifelines: VecDeque<Lifeline>,
    resolved: Option<(OsString, CString)>,
}

struct Job {
    pid: u32,
    pidfd: OwnedFd,
    lifeline: Lifeline,
    started: SystemTime,
    began: Instant,
    timeout: Option<Duration>,
    grace: Duration,
    limit: Option<u64>,
    tree: Tree,
    /// Keeps its memory limit, where the kernel does.
    group: Option<Group>,
    stdout: Option<Capture>,
    stderr: Option<Capture>,
    cause: Option<Cause>,
}

enum Cause {
    TimedOut,
    OutOfMemory { limit: u64, seen: u64 },
    Cancelled,
    OutputLost(io::Error),
}

/// A job that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The key it was started with.
    pub key: u64,
    /// Its process id.
    pub pid: u32,
    /// How it ended.
    pub end: End,
    /// When it was started.
    pub started: SystemTime,
    /// How long it ran.
    pub wall: Duration,
    /// Processor time in user mode, of it and of its children that it has waited for. Zero where the job was not kept to be waited
    /// for: see [`ErrorKind::EndUnknown`].
    pub user: Duration,
    /// Processor time in the kernel, likewise.
    pub system: Duration,
    /// The most memory in bytes: of its largest process, or of the whole tree where a limit had it sampled.
    /// Never less than this process had when it started the job: the kernel counts that to the job, too, which shared our
    /// memory until it was executed.
    pub peak_memory: u64,
    /// What it wrote on its standard output, if that was captured.
    pub stdout: Option<Capture>,
    /// What it wrote on its standard error, if that was captured.
    pub stderr: Option<Capture>,
    group_is_empty: bool,
}

/// How a job ended.
///
/// # Examples
///
/// ```
/// use fourfold::process::{Command, End};
///
/// let done = Command::new("sh").args(["-c", "kill -KILL $$"]).run()?;
/// assert_eq!(done.end, End::Signaled { signal: 9, core_dumped: false });
/// assert_eq!(done.end.to_string(), "killed by signal 9 (SIGKILL)");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// It exited by itself, with this code.
    Exited(i32),
    /// A signal that was not of our sending killed it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether it left a core file.
        core_dumped: bool,
    },
    /// It ran over its time, and was ended.
    TimedOut,
    /// It had more memory than it was given, and was ended. In bytes.
    OutOfMemory {
        /// What it was given.
        limit: u64,
        /// What it had when it was looked at.
        seen: u64,
    },
    /// It was ended by [`Jobs::kill`] or [`Jobs::terminate`].
    Cancelled,
    /// What it wrote could not be kept, and it was ended: no room for a temporary file, say.
    OutputLost(io::Error),
    /// It has ended, and how is not known. See [`ErrorKind::EndUnknown`].
    Unknown,
}

impl PartialEq for End {
    fn eq(&self, other: &End) -> bool {
        match (self, other) {
            (End::Exited(a), End::Exited(b)) => a == b,
            (
                End::Signaled { signal: a, core_dumped: c },
                End::Signaled { signal: b, core_dumped: d },
            ) => (a, c) == (b, d),
            (End::OutOfMemory { limit: a, seen: c }, End::OutOfMemory { limit: b, seen: d }) => {
                (a, c) == (b, d)
            }
            (End::OutputLost(a), End::OutputLost(b)) => a.kind() == b.kind(),
            (End::TimedOut, End::TimedOut)
            | (End::Cancelled, End::Cancelled)
            | (End::Unknown, End::Unknown) => true,
            _ => false,
        }
    }
}

impl End {
    /// Whether it exited with code 0.
    pub fn is_success(&self) -> bool {
        matches!(self, End::Exited(0))
    }

    /// The end as an error, if it was not a success.
    pub fn into_error(self) -> Option<Error> {
        let error = match self {
            End::Exited(0) => return None,
            End::Exited(code) => Error::new(ErrorKind::Exited(code)),
            End::Signaled { signal, .. } => Error::new(ErrorKind::Signaled(signal)),
            End::TimedOut => Error::new(ErrorKind::TimedOut),
            End::OutOfMemory { limit, seen } => Error::new(ErrorKind::OutOfMemory)
                .with_message(format!("{seen} bytes resident, limit {limit}")),
            End::Cancelled => Error::new(ErrorKind::Cancelled),
            End::OutputLost(error) => {
                Error::new(ErrorKind::Io).with_message("its output was lost").with_source(error)
            }
            End::Unknown => Error::new(ErrorKind::EndUnknown).with_message(why_unknown()),
        };
        Some(error.with_scale(Scale::Process))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(code) => write!(f, "exited with code {code}"),
            End::Signaled { signal, core_dumped } => {
                write!(f, "killed by signal {signal}")?;
                if let Some(name) = signal_name(*signal) {
                    write!(f, " ({name})")?;
                }
                if *core_dumped { f.write_str(", core dumped") } else { Ok(()) }
            }
            End::TimedOut => f.write_str("timed out"),
            End::OutOfMemory { limit, seen } => {
                write!(f, "over its memory limit ({} MiB of {} MiB)", seen >> 20, limit >> 20)
            }
            End::Cancelled => f.write_str("cancelled"),
            End::OutputLost(error) => write!(f, "its output was lost: {error}"),
            End::Unknown => write!(f, "ended, and how is not known: {}", why_unknown()),
        }
    }
}

/// Ends a [`Jobs::wait`] early, from any thread.
///
/// # Examples
///
/// ```
/// use fourfold::process::{Command, Jobs};
///
/// let mut jobs = Jobs::new()?;
/// jobs.start(1, Command::new("sleep").arg("1000"))?;
/// let waker = jobs.waker();
/// std::thread::spawn(move || waker.wake());
/// assert!(jobs.wait(None)?.is_none()); // though the job runs
/// assert!(jobs.kill(1));
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct JobsWaker {
    bell: Arc<OwnedFd>,
}

impl JobsWaker {
    /// Ends the wait that is under way, or else the next one.
    pub fn wake(&self) {
        // If the counter is full, a wake is on its way already.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }
}

const BELL: u64 = u64::MAX;
/// How often the memory and the output of jobs that run are looked at.
const SAMPLE: Duration = memory::INTERVAL;
/// Samples between two looks at all processes, for members of a job's group.
const SCAN_EVERY: u32 = 8;
/// Lifelines kept for what jobs have left behind.
const MAX_KEPT: usize = 256;

impl Jobs {
    /// None yet.
    ///
    /// # Errors
    ///
    /// If there is no descriptor to be had.
    pub fn new() -> Result<Jobs> {
        let make = || -> io::Result<(OwnedFd, OwnedFd)> {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            let data = epoll::EventData::new_u64(BELL);
            epoll::add(&epoll, &bell, data, epoll::EventFlags::IN)?;
            Ok((epoll, bell))
        };
        let (epoll, bell) = make()?;
        Ok(Jobs {
            owner: std::process::id(),
            epoll,
            bell: Arc::new(bell),
            running: HashMap::new(),
            finished: VecDeque::new(),
            timers: BinaryHeap::new(),
            sample: Instant::now() + SAMPLE,
            samples: 0,
            spare_captures: Vec::new(),
            spare_lifelines: Vec::new(),
            kept_lifelines: VecDeque::new(),
            resolved: None,
        })
    }

    /// Starts a command. The key is given back with its end; `u64::MAX`, and that of a job that runs, may not be used.
    ///
    /// # Errors
    ///
    /// `NotStarted`, with the [`io::Error`] as its source, if it cannot be executed; nothing is left of it then.
    pub fn start(&mut self, key: u64, command: &Command) -> Result<u32> {
        if key == BELL || self.running.contains_key(&key) {
            return Err(Error::invalid(format!("the key {key} is in use")));
        }
        self.try_start(key, command).map_err(|error| match error.kind() {
            ErrorKind::Io => Error::new(ErrorKind::NotStarted)
                .with_task(command.program.to_string_lossy())
                .with_source(io::Error::from(error)),
            _ => error,
        })
    }

    fn try_start(&mut self, key: u64, command: &Command) -> Result<u32> {
        let stdout = self.capture(&command.stdio[1])?;
        let stderr = self.capture(&command.stdio[2])?;
        let lifeline = match self.spare_lifelines.pop() {
            Some(lifeline) => lifeline,
            None => Lifeline::new()?,
        };
        let null = null_device()?;
        let mut fds = Vec::with_capacity(3);
        let captures = [&None, &stdout, &stderr];
        for ((target, stdio), capture) in (0..).zip(&command.stdio).zip(captures) {
            let source = match (stdio, capture) {
                (Stdio::Inherit, _) => continue,
                (Stdio::Fd(fd), _) => fd.as_raw_fd(),
                (Stdio::Capture, Some(capture)) => capture.fd().as_raw_fd(),
                (Stdio::Null | Stdio::Capture, _) => null.as_raw_fd(),
            };
            fds.push((source, target));
        }
        let group = command.memory.and_then(Group::create);
        let spawned = self.spawn(command, &fds, &lifeline, group.as_ref())?;
        let (pid, now) = (spawned.pid, Instant::now());
        let job = Job {
            pid,
            pidfd: spawned.pidfd,
            lifeline,
            started: SystemTime::now(),
            began: now,
            timeout: command.timeout,
            grace: command.grace,
            limit: command.memory.filter(|_| group.is_none()),
            tree: Tree::new(pid),
            group,
            stdout,
            stderr,
            cause: None,
        };
        let data = epoll::EventData::new_u64(key);
        if let Err(error) = epoll::add(&self.epoll, &job.pidfd, data, epoll::EventFlags::IN) {
            job.end();
            return Err(io::Error::from(error).into());
        }
        if let Some(moment) = command.timeout.and_then(|timeout| now.checked_add(timeout)) {
            self.timers.push(Reverse((moment, key, pid)));
        }
        self.running.insert(key, job);
        Ok(pid)
    }

    fn capture(&mut self, stdio: &Stdio) -> Result<Option<Capture>> {
        match stdio {
            Stdio::Capture => Ok(Some(match self.spare_captures.pop() {
                Some(capture) => capture,
                None => Capture::new()?,
            })),
            _ => Ok(None),
        }
    }

    fn spawn(
        &mut self,
        command: &Command,
        fds: &[(i32, i32)],
        lifeline: &Lifeline,
        group: Option<&Group>,
    ) -> Result<Spawned> {
        let argv = command.argv()?;
        let envp = match command.env.is_inherited() {
            true => None,
            false => Some(command.env.strings()?),
        };
        let cwd = command.cwd.as_ref().map(|path| c_string(path.as_os_str())).transpose()?;
        let mut plan = Plan {
            argv: &argv,
            envp: envp.as_deref(),
            cwd: cwd.as_deref(),
            fds,
            close_from: 3,
            lifeline: Some(lifeline),
            cgroup: group.map(Group::procs),
            ..Plan::default()
        };
        // Where the program was found the last time is tried first, alone.
        let resolved = self.resolved.take().filter(|(program, _)| *program == command.program);
        if let Some((program, path)) = resolved {
            let programs = [path];
            let first = sys::spawn(&Plan { programs: &programs, ..plan });
            let [path] = programs;
            match first {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => {
                    self.resolved = Some((program, path));
                    return Ok(result?);
                }
            }
        }
        let candidates = command.candidates()?;
        plan.programs = &candidates;
        let spawned = sys::spawn(&plan)?;
        let changes_path = command.env.clear || command.env.changes.iter().any(|c| c.0 == "PATH");
        if !changes_path && command.cwd.is_none() {
            let found = candidates
                .into_iter()
                .find(|path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok());
            self.resolved = found.map(|path| (command.program.clone(), path));
        }
        Ok(spawned)
    }

    /// Waits for the next job that ends, at most this long. `None` if none did, none runs, or a [`JobsWaker`] rang.
    ///
    /// # Errors
    ///
    /// If the kernel does not let us wait.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Finished>> {
        let deadline = timeout.and_then(after);
        let mut events = Vec::with_capacity(64);
        loop {
            if let Some(finished) = self.finished.pop_front() {
                return Ok(Some(finished));
            }
            if self.running.is_empty() {
                return Ok(None);
            }
            let next = self.look();
            let until = match (next, deadline) {
                (Some(next), Some(deadline)) => Some(next.min(deadline)),
                (next, deadline) => next.or(deadline),
            };
            let left = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
            events.clear();
            let space = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, space, left.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            let mut rung = false;
            for event in &events {
                match event.data.u64() {
                    BELL => rung = true,
                    key => self.reap(key)?,
                }
            }
            if rung {
                let _ = rustix::io::read(&*self.bell, &mut [0; 8]);
                return Ok(self.finished.pop_front());
            }
            if events.is_empty() && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
        }
    }

    /// Does what is due, and gives the moment of the next.
    fn look(&mut self) -> Option<Instant> {
        let wants_samples = self
            .running
            .values()
            .any(|job| job.limit.is_some() || job.stdout.is_some() || job.stderr.is_some());
        if self.timers.is_empty() && !wants_samples {
            return None;
        }
        let now = Instant::now();
        while let Some(Reverse((moment, key, pid))) = self.timers.peek().copied() {
            if moment > now {
                break;
            }
            self.timers.pop();
            let job = self.running.get_mut(&key).filter(|job| job.pid == pid);
            if let Some(again) = job.and_then(|job| job.on_timer(now)) {
                self.timers.push(Reverse((again, key, pid)));
            }
        }
        let timer = self.timers.peek().map(|Reverse((moment, ..))| *moment);
        if !wants_samples {
            return timer;
        }
        if now >= self.sample {
            self.samples = self.samples.wrapping_add(1);
            let scan = self.samples.is_multiple_of(SCAN_EVERY);
            for job in self.running.values_mut() {
                job.on_sample(scan);
            }
            self.sample = now + SAMPLE;
        }
        Some(timer.map_or(self.sample, |timer| timer.min(self.sample)))
    }

    fn reap(&mut self, key: u64) -> Result<()> {
        let Some(job) = self.running.get(&key) else {
            return Ok(());
        };
        if job.cause.is_some() && sys::peek(&job.pidfd)?.is_some() {
            // What it has started ends with it, though it may have ignored the request. Not waited for yet, its number
            // still means its group.
            job.signal(libc::SIGKILL);
        }
        let Some(reaped) = sys::reap(&job.pidfd)? else {
            return Ok(());
        };
        let wall = job.began.elapsed();
        let job = self.running.remove(&key).expect("found just now");
        let _ = epoll::delete(&self.epoll, &job.pidfd);
        let peak = job.group.as_ref().and_then(Group::peak).unwrap_or(0);
        let exceeded = job.group.as_ref().and_then(Group::exceeded);
        let exceeded = exceeded.filter(|_| reaped.status != Status::Exited(0));
        let end = match (job.cause, reaped.status) {
            (Some(Cause::TimedOut), _) => End::TimedOut,
            (Some(Cause::OutOfMemory { limit, seen }), _) => End::OutOfMemory { limit, seen },
            (Some(Cause::Cancelled), _) => End::Cancelled,
            (Some(Cause::OutputLost(error)), _) => End::OutputLost(error),
            (None, _) if let Some((limit, seen)) = exceeded => End::OutOfMemory { limit, seen },
            (None, Status::Exited(code)) => End::Exited(code),
            (None, Status::Signaled { signal, core_dumped }) => {
                End::Signaled { signal, core_dumped }
            }
            (None, Status::Unknown) => End::Unknown,
        };
        let group_is_empty = !sys::group_exists(job.pid);
        if group_is_empty {
            self.spare_lifelines.push(job.lifeline);
        } else {
            if self.kept_lifelines.len() == MAX_KEPT {
                self.kept_lifelines.pop_front();
            }
            self.kept_lifelines.push_back(job.lifeline);
        }
        self.finished.push_back(Finished {
            key,
            pid: job.pid,
            end,
            started: job.started,
            wall,
            user: reaped.usage.user,
            system: reaped.usage.system,
            peak_memory: reaped.usage.max_resident.max(job.tree.peak()).max(peak),
            stdout: job.stdout,
            stderr: job.stderr,
            group_is_empty,
        });
        Ok(())
    }

    /// Gives back a job's captures, which later jobs then use again.
    pub fn recycle(&mut self, finished: Finished) {
        // A process that the job left behind may still write into them.
        if !finished.group_is_empty || self.spare_captures.len() > 2 * self.running.len() + 16 {
            return;
        }
        for mut capture in finished.stdout.into_iter().chain(finished.stderr) {
            if capture.reset().is_ok() {
                self.spare_captures.push(capture);
            }
        }
    }

    /// How many jobs run, or have ended and not been told of.
    pub fn len(&self) -> usize {
        self.running.len() + self.finished.len()
    }

    /// Whether nothing runs, and all ends have been told.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys of the jobs that run.
    pub fn running(&self) -> impl Iterator<Item = u64> + '_ {
        self.running.keys().copied()
    }

    /// Asks a job to end, with SIGTERM to its process group. Its end is then `Cancelled`. Whether it ran.
    pub fn terminate(&mut self, key: u64) -> bool {
        self.end(key, libc::SIGTERM)
    }

    /// Ends a job and all that it has started, with SIGKILL. Its end is then `Cancelled`. Whether it ran.
    pub fn kill(&mut self, key: u64) -> bool {
        self.end(key, libc::SIGKILL)
    }

    fn end(&mut self, key: u64, signal: i32) -> bool {
        let Some(job) = self.running.get_mut(&key) else {
            return false;
        };
        job.cause.get_or_insert(Cause::Cancelled);
        job.signal(signal);
        true
    }

    /// As [`terminate`](Jobs::terminate), all that run.
    pub fn terminate_all(&mut self) {
        for key in self.running().collect::<Vec<_>>() {
            self.terminate(key);
        }
    }

    /// As [`kill`](Jobs::kill), all that run.
    pub fn kill_all(&mut self) {
        for key in self.running().collect::<Vec<_>>() {
            self.kill(key);
        }
    }

    /// Sends a signal to the process groups of all jobs that run. Their ends tell what came of it.
    pub fn signal_all(&self, signal: i32) {
        for job in self.running.values() {
            job.signal(signal);
        }
    }

    /// What ends a [`wait`](Jobs::wait) early.
    pub fn waker(&self) -> JobsWaker {
        JobsWaker { bell: self.bell.clone() }
    }
}

impl Job {
    /// To its group. It has not been waited for, so the number means its group.
    fn signal(&self, signal: i32) {
        sys::kill_group(&self.pidfd, self.pid, signal);
    }

    /// Its time is over, or its grace. Gives the moment of the latter.
    fn on_timer(&mut self, now: Instant) -> Option<Instant> {
        if let Some(Cause::TimedOut) = self.cause {
            self.signal(libc::SIGKILL);
            return None;
        }
        if self.cause.is_some() || self.timeout.is_none() {
            return None;
        }
        self.cause = Some(Cause::TimedOut);
        self.signal(libc::SIGTERM);
        // A stopped process does not see the SIGTERM.
        self.signal(libc::SIGCONT);
        now.checked_add(self.grace)
    }

    fn on_sample(&mut self, scan: bool) {
        if let Some(limit) = self.limit {
            if scan {
                self.tree.scan_group();
            }
            if let Some(seen) = self.tree.over(limit) {
                self.cause.get_or_insert(Cause::OutOfMemory { limit, seen });
                self.signal(libc::SIGKILL);
            }
        }
        for capture in self.stdout.iter_mut().chain(&mut self.stderr) {
            if let Err(error) = capture.spill() {
                self.cause.get_or_insert(Cause::OutputLost(error));
                sys::kill_group(&self.pidfd, self.pid, libc::SIGKILL);
                return;
            }
        }
    }

    /// Kills it and waits for it.
    fn end(&self) {
        self.signal(libc::SIGKILL);
        let _ = sys::reap_blocking(&self.pidfd);
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        if self.owner != std::process::id() {
            // A fork of the process that has these jobs.
            return;
        }
        for job in self.running.values() {
            job.signal(libc::SIGKILL);
        }
        for job in self.running.values() {
            job.end();
        }
        self.running.clear();
        memory::settle();
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("running", &self.running.len()).finish_non_exhaustive()
    }
}
