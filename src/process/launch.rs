//! Starting a child that runs this executable, and holding what ties us to it until it has ended.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::channel::{Kind, Parcel, send_some, write_frame};
use super::crash::parse_panic;
use super::entry::Places;
use super::memory::{self, Group, Meter};
use super::page::{CrashKind, Page};
use super::serve::{Hello, PANICKED, Role};
use super::status::{Cause, ExitStatus};
use super::supervisor::{Ready, Token, supervisor};
use super::sys::{self, Lifeline, Plan, Spawned};
use super::zygote::{self, Shape};
use super::{context, entry, fork};
use crate::error::{Error, ErrorKind, Result, Scale, shield};
use crate::task::{codec, image};

/// Where a child's standard input, output or error goes.
///
/// # Examples
///
/// ```
/// use fourfold::process;
/// use std::io::Read;
///
/// let (mut reader, writer) = std::io::pipe()?;
/// process::Builder::new().stdout(writer).spawn(|| println!("from the child"), ())?.join()?;
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?;
/// assert_eq!(text, "from the child\n");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Stdio {
    /// Where this process's goes.
    #[default]
    Inherit,
    /// Nowhere: reads end at once, writes vanish.
    Null,
    /// To this file, pipe or socket.
    Fd(Arc<OwnedFd>),
    /// Kept, to be read when a [`Command`](super::Command) has ended. Nowhere, for the child of a
    /// [`Builder`](super::Builder), which has a value to give.
    Capture,
}

impl<T: Into<OwnedFd>> From<T> for Stdio {
    fn from(fd: T) -> Stdio {
        Stdio::Fd(Arc::new(fd.into()))
    }
}

/// How a process is made.
///
/// # Examples
///
/// ```
/// use fourfold::process::{Executor, StartMethod};
///
/// let pool = Executor::builder().workers(2).start_method(StartMethod::Forkserver).build()?;
/// assert_eq!(pool.submit(u32::pow, (2, 5)).join()?, 32);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartMethod {
    /// The executable is run afresh for each child. The default.
    #[default]
    Spawn,
    /// One small process is run afresh, once, and forked for each child: a start does not depend on how big the
    /// executable or this process is. Two forks are made ahead and wait, until this process ends. Environment, working
    /// directory, processors, niceness, limits, rights and standard descriptors are the starting thread's at the moment of
    /// the start, as with `Spawn`; the mask for new files (umask) is that of the first such start.
    Forkserver,
}

/// How a child is to be.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) daemon: bool,
    pub(crate) method: StartMethod,
    /// By a fork of this process, whatever the method. Set by the unsafe `Builder::fork` alone.
    pub(crate) fork: bool,
    pub(crate) env: Environment,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) stdio: [Stdio; 3],
    pub(crate) limits: Vec<(u32, libc::rlimit)>,
    /// Resident bytes that the child and all that it starts may have.
    pub(crate) memory: Option<u64>,
}

impl Settings {
    pub(crate) fn new(name: String, role: Role) -> Settings {
        Settings {
            name,
            role,
            daemon: false,
            method: StartMethod::Spawn,
            fork: false,
            env: Environment::default(),
            cwd: None,
            stdio: [Stdio::Null, Stdio::Inherit, Stdio::Inherit],
            limits: Vec::new(),
            memory: None,
        }
    }
}

/// Changes to the environment that a child inherits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) clear: bool,
    pub(crate) changes: Vec<(OsString, Option<OsString>)>,
}

impl Environment {
    pub(crate) fn is_inherited(&self) -> bool {
        !self.clear && self.changes.is_empty()
    }

    /// The variables of the child as `NAME=value`.
    pub(crate) fn strings(&self) -> Result<Vec<CString>> {
        let mut variables: Vec<(OsString, OsString)> = match self.clear {
            true => Vec::new(),
            false => std::env::vars_os().collect(),
        };
        for (name, value) in &self.changes {
            variables.retain(|(known, _)| known != name);
            variables.extend(value.clone().map(|value| (name.clone(), value)));
        }
        variables
            .into_iter()
            .map(|(mut name, value)| {
                name.push("=");
                name.push(value);
                c_string(&name)
            })
            .collect()
    }
}

/// A text for the kernel, which takes no NUL inside.
pub(crate) fn c_string(text: &OsStr) -> Result<CString> {
    CString::new(text.as_bytes())
        .map_err(|_| Error::invalid(format!("a NUL byte in {:?}", text.to_string_lossy())))
}

/// A child, from its start until it has been waited for.
pub(crate) struct Proc {
    pub(crate) pid: u32,
    pub(crate) socket: OwnedFd,
    pub(crate) page: Page,
    pidfd: OwnedFd,
    /// Keeps its memory limit, where the kernel does.
    group: Option<Group>,
    state: Mutex<State>,
}

struct State {
    /// Held until the end of the child: dropping it lets the child outlive us.
    lifeline: Option<Lifeline>,
    ended: Option<Ended>,
    cause: Option<Cause>,
}

/// How a child ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
}

/// Where a child finds the channel to its parent.
const SOCKET: RawFd = 3;
/// Where a child finds its page.
const PAGE: RawFd = 4;
/// Where a child finds what its tree of processes has in common: the memory, and the door.
const CONTEXT: [RawFd; 2] = [5, 6];
/// Where a child has the reading ends of its lifeline, from here on, as many as there are. It leaves them open.
pub(crate) const LIFELINE: RawFd = 7;

/// Starts a child and greets it.
pub(crate) fn launch(settings: Settings) -> Result<Proc> {
    launch_with(settings, &[], |_| Ok(()))
}

/// Starts a child, and greets it with the frames in `work` behind the greeting: together they must fit in a socket. `send` sends what else it is to
/// have at once, before anything that can be done while it is at work; if it cannot, the child is ended.
pub(crate) fn launch_with(
    settings: Settings,
    work: &[u8],
    send: impl FnOnce(&Proc) -> Result<()>,
) -> Result<Proc> {
    check_may_start()?;
    let name = settings.name.clone();
    let is_forked = is_forked(&settings);
    let started = if is_forked { zygote::start(&settings, work) } else { start(settings, work) };
    let proc = started.map_err(|error| match error.kind() {
        ErrorKind::Io => Error::new(ErrorKind::NotStarted)
            .with_task(name)
            .with_scale(Scale::Process)
            .with_source(error),
        _ => error,
    })?;
    send(&proc).inspect_err(|_| proc.end_and_reap())?;
    if is_forked {
        zygote::order_spares();
    }
    Ok(proc)
}

/// Whether a child of these settings is a fork of the forkserver.
fn is_forked(settings: &Settings) -> bool {
    settings.method == StartMethod::Forkserver && !settings.fork && zygote::is_possible()
}

/// Bytes of a name: the greeting, which has it, fits one frame.
const MAX_NAME: usize = 4096;

/// An error, if a child cannot be called so.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.contains('\0') {
        return Err(Error::invalid("the name of a process has a zero byte in it"));
    }
    if name.len() > MAX_NAME {
        return Err(Error::invalid(format!(
            "the name of a process has {} bytes; at most {MAX_NAME} are possible",
            name.len()
        )));
    }
    Ok(())
}

/// An error, if this process may not have children.
pub(crate) fn check_may_start() -> Result<()> {
    entry::check_may_spawn()?;
    if super::current().is_daemon() {
        return Err(Error::new(ErrorKind::NotStarted)
            .with_message("a daemon may not have children of its own"));
    }
    Ok(())
}

/// Our end of the channel to a child, and its own.
pub(crate) fn socket_pair() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// What a child of these settings is told first.
pub(crate) fn hello(settings: &Settings, nonce: u64, shape: Option<Shape>) -> Hello {
    Hello {
        nonce,
        identity: image::identity(),
        parent: std::process::id(),
        role: settings.role,
        name: settings.name.clone(),
        daemon: settings.daemon,
        shape,
    }
}

fn start(settings: Settings, work: &[u8]) -> Result<Proc> {
    let (ours, theirs) = socket_pair()?;
    let (page, page_fd) = Page::create()?;
    let lifeline = Lifeline::new()?;
    let nonce = nonce();
    let body = codec::encode(&hello(&settings, nonce, None), "greeting")?;
    let mut first = Vec::new();
    write_frame(&mut first, Kind::Hello, 0, 0, 0, &Parcel::new(body, Vec::new())?);
    first.extend_from_slice(work);
    // Sent before there is a child: the socket keeps it, and the child need not wait for it.
    let mut sent = 0;
    while sent < first.len() {
        sent += send_some(&ours, &first[sent..], true)?;
    }
    let spawned = if settings.fork {
        fork::start(&settings, nonce, [&ours, &theirs], &page_fd, &lifeline)?
    } else {
        execute(&settings, nonce, &theirs, &page_fd, &lifeline)?
    };
    let mut proc = Proc::new(spawned, ours, page, lifeline);
    proc.limit_memory(settings.memory);
    Ok(proc)
}

/// Runs this executable.
fn execute(
    settings: &Settings,
    nonce: u64,
    socket: &OwnedFd,
    page: &OwnedFd,
    lifeline: &Lifeline,
) -> Result<Spawned> {
    // The link means the file that is being run, also after that has been replaced or deleted.
    let programs = [c"/proc/self/exe".to_owned()];
    let first = std::env::args_os().next().unwrap_or_else(|| OsString::from("fourfold"));
    let argv = [c_string(&first)?];
    let mut envp = settings.env.strings()?;
    let mut token = OsString::from_vec(entry::TOKEN.to_bytes().to_vec());
    token.push("=");
    let readers: Vec<RawFd> = lifeline.readers().into_iter().filter(|end| *end != -1).collect();
    let places = Places { socket: SOCKET, page: PAGE, context: CONTEXT, lifelines: readers.len() };
    token.push(entry::token(nonce, entry::depth() + 1, &places));
    envp.push(c_string(&token)?);
    let cwd = settings.cwd.as_ref().map(|path| c_string(path.as_os_str())).transpose()?;
    let null = null_device()?;
    let context = context::context()?;
    let mut fds = Vec::with_capacity(9);
    for (target, stdio) in (0..).zip(&settings.stdio) {
        match stdio {
            Stdio::Inherit => {}
            Stdio::Null | Stdio::Capture => fds.push((null.as_raw_fd(), target)),
            Stdio::Fd(fd) => fds.push((fd.as_raw_fd(), target)),
        }
    }
    fds.push((socket.as_raw_fd(), SOCKET));
    fds.push((page.as_raw_fd(), PAGE));
    fds.extend(
        [context.memory(), context.door()].map(|fd| fd.as_raw_fd()).into_iter().zip(CONTEXT),
    );
    let end = LIFELINE + readers.len() as RawFd;
    fds.extend(readers.into_iter().zip(LIFELINE..));
    Ok(sys::spawn(&Plan {
        programs: &programs,
        argv: &argv,
        envp: Some(&envp),
        cwd: cwd.as_deref(),
        fds: &fds,
        close_from: end as u32,
        lifeline: Some(lifeline),
        limits: &settings.limits,
        ..Plan::default()
    })?)
}

/// `/dev/null`, opened once.
pub(crate) fn null_device() -> Result<&'static OwnedFd> {
    static NULL: std::sync::OnceLock<OwnedFd> = std::sync::OnceLock::new();
    if let Some(null) = NULL.get() {
        return Ok(null);
    }
    let file = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    Ok(NULL.get_or_init(|| file.into()))
}

/// A number that a stale environment cannot have by chance.
pub(crate) fn nonce() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u64(crate::task::next_id());
    hasher.finish()
}

impl Proc {
    /// A child that has just been started.
    pub(crate) fn new(spawned: Spawned, socket: OwnedFd, page: Page, lifeline: Lifeline) -> Proc {
        let state = State { lifeline: Some(lifeline), ended: None, cause: None };
        let Spawned { pid, pidfd } = spawned;
        Proc { pid, socket, page, pidfd, group: None, state: Mutex::new(state) }
    }

    /// Puts it in a group that keeps its memory limit, where there is a place for one. It has no task yet, and so has started
    /// nothing that would be left out.
    pub(crate) fn limit_memory(&mut self, limit: Option<u64>) {
        let group = limit.and_then(Group::create);
        self.group = group.filter(|group| group.put(self.pid).is_ok());
    }

    /// Kills the child and its group, for this cause, if it has not ended. The first cause stands.
    pub(crate) fn kill(&self, cause: Option<Cause>) -> bool {
        let mut state = self.lock();
        if state.ended.is_some() {
            return false;
        }
        if state.cause.is_none() {
            state.cause = cause;
        }
        // The lock is held and the child has not been waited for, so the number means its group. Which there may not be yet:
        // a fork makes its own.
        sys::kill_group(&self.pidfd, self.pid, libc::SIGKILL);
        sys::signal(&self.pidfd, libc::SIGKILL);
        true
    }

    /// Sends a signal to the child alone, if it has not ended.
    pub(crate) fn signal(&self, signal: i32) -> bool {
        let state = self.lock();
        if state.ended.is_none() {
            sys::signal(&self.pidfd, signal);
        }
        state.ended.is_none()
    }

    /// Kills it and blocks until it has ended. Who watches it waits for it.
    pub(crate) fn end(&self) {
        self.kill(None);
        sys::wait_for_end(&self.pidfd, None);
    }

    /// Kills it and waits for it. Nobody watches it.
    pub(crate) fn end_and_reap(&self) {
        self.end();
        self.reap();
    }

    /// Has `on_over` called at each sample that finds its memory over `limit`, unless the kernel keeps the limit.
    pub(crate) fn meter(
        &self,
        limit: u64,
        on_over: impl Fn(u64) + Send + Sync + 'static,
    ) -> Option<Meter> {
        self.group.is_none().then(|| memory::watch(self.pid, limit, on_over))
    }

    /// How it ended, once it has been waited for.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.lock().ended
    }

    /// Why it gave no value.
    pub(crate) fn explain(&self) -> Option<Error> {
        let (ended, cause) = {
            let state = self.lock();
            (state.ended?, state.cause.clone())
        };
        let error = super::status::explain(&self.page, ended.status, cause.as_ref());
        Some(error.with_scale(Scale::Process).with_pid(self.pid))
    }

    /// As `explain`, for a child whose `main` is not ours: there a panic that nobody caught has a code of its own.
    pub(crate) fn explain_program(&self) -> Option<Error> {
        let error = self.explain()?;
        let crash = self.page.crash().filter(|crash| crash.kind == CrashKind::Panic);
        match crash {
            Some(crash) if error.exit_code() == Some(PANICKED) => {
                let error = Error::panicked(parse_panic(&crash.text));
                Some(error.with_scale(Scale::Process).with_pid(self.pid))
            }
            _ => Some(error),
        }
    }

    /// Has `then` called, by the supervisor or a thread that waits, once the child has ended and been waited for.
    pub(crate) fn watch(
        self: &Arc<Self>,
        then: impl FnOnce(Arc<Proc>) + Send + 'static,
    ) -> Result<Arc<Watch>> {
        let watch =
            Arc::new(Watch { proc: self.clone(), inner: Mutex::new((None, Some(Box::new(then)))) });
        // Held while the descriptor is added, so that an end at once finds its token.
        let mut inner = watch.lock();
        inner.0 = Some(supervisor()?.watch(&self.pidfd, watch.clone())?);
        drop(inner);
        Ok(watch)
    }

    /// Waits for the child if it has ended. The group that it leaves behind goes with it if it was killed.
    fn reap(&self) -> bool {
        let mut state = self.lock();
        if state.ended.is_some() {
            return true;
        }
        match sys::peek(&self.pidfd) {
            Ok(None) => return false,
            Ok(Some(sys::Status::Exited(0))) => {}
            // What an abnormal end leaves behind of its group goes too, while the zombie keeps its number, if there is one.
            Ok(Some(_)) => sys::kill_group(&self.pidfd, self.pid, libc::SIGKILL),
            Err(_) => {}
        }
        let reaped = match sys::reap(&self.pidfd) {
            Ok(Some(reaped)) => reaped,
            // It has ended, so the kernel has nothing else to say.
            Ok(None) | Err(_) => {
                sys::Reaped { status: sys::Status::Unknown, usage: sys::Usage::default() }
            }
        };
        let status = ExitStatus::from(reaped.status);
        let exceeded = self.group.as_ref().and_then(Group::exceeded);
        if let (None, Some((limit, seen))) = (&state.cause, exceeded)
            && !status.success()
        {
            state.cause = Some(Cause::OutOfMemory { limit, seen });
        }
        state.lifeline = None;
        state.ended = Some(Ended { status });
        drop(state);
        super::shared::child_has_ended();
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// When to try again what could not be done now.
const AGAIN: Duration = Duration::from_millis(20);

type Then = Box<dyn FnOnce(Arc<Proc>) + Send>;

/// Looks after a child until it has ended.
///
/// Whoever sees the end first, the supervisor or a thread that waits for this child alone, waits for it and takes `then`.
pub(crate) struct Watch {
    proc: Arc<Proc>,
    inner: Mutex<(Option<Token>, Option<Then>)>,
}

impl Watch {
    /// Blocks until the child has ended and `then` has been taken, or the deadline has come: a thread that waits for one
    /// child need not be told of its end by another, which sleeps on meanwhile.
    pub(crate) fn wait(self: &Arc<Self>, deadline: Option<Instant>) {
        self.give_back();
        if sys::wait_for_end(&self.proc.pidfd, deadline) {
            let watch = self.clone();
            // What is woken is a user's, and may panic.
            shield(move || watch.ready());
        } else {
            self.hand_over();
        }
    }

    /// Ends the supervisor's watch.
    fn give_back(&self) {
        let token = self.lock().0.take();
        if let (Some(token), Ok(supervisor)) = (token, supervisor()) {
            supervisor.unwatch(self.proc.pidfd.as_fd(), token);
        }
    }

    /// Has the supervisor watch again.
    fn hand_over(self: &Arc<Self>) {
        let Ok(supervisor) = supervisor() else { return };
        // Held while the descriptor is added, so that an end at once finds its token.
        let mut inner = self.lock();
        if inner.1.is_none() || inner.0.is_some() {
            return;
        }
        match supervisor.watch(&self.proc.pidfd, self.clone()) {
            Ok(token) => inner.0 = Some(token),
            // For want of memory, or of room among all watches.
            Err(_) => self.later(),
        }
    }

    /// Has the supervisor watch again soon.
    fn later(self: &Arc<Self>) {
        if let Ok(supervisor) = supervisor() {
            let watch = self.clone();
            supervisor.at(Instant::now() + AGAIN, move || watch.hand_over());
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Option<Token>, Option<Then>)> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Ready for Watch {
    fn ready(self: Arc<Self>) {
        if !self.proc.reap() {
            // Its end is first told to a debugger, which has not looked yet; the descriptor says all the while that it ended.
            self.give_back();
            return self.later();
        }
        let (token, then) = {
            let mut inner = self.lock();
            (inner.0.take(), inner.1.take())
        };
        if let (Some(token), Ok(supervisor)) = (token, supervisor()) {
            supervisor.unwatch(self.proc.pidfd.as_fd(), token);
        }
        if let Some(then) = then {
            then(self.proc.clone());
        }
    }
}
