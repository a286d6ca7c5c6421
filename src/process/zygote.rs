//! The forkserver: one small child, run afresh once, that is forked for each further child.
//!
//! The zygote has one thread and has done nothing but read its channel, so a fork of it is in a sound state, and costs the
//! same however big the parent has become. Its forks are made with `CLONE_PARENT`: they are children of the parent, not of
//! the zygote, so the parent waits for them, by the pidfd that comes back over the channel, and they survive the
//! zygote. Should the zygote die as it forks, the kernel has left the number of the fork in the page of that child.
//!
//! A raw clone goes behind the C library's back. What its `fork` would have put right in the child, we do: the kernel
//! writes the new thread id where the C library keeps it (`raise` and `abort` send themselves signals by it), and the
//! list of robust mutexes is registered again.
#![allow(unsafe_code)]

use std::ffi::{OsString, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::channel::{Inbox, Kind, Parcel, Received, send_frame};
use super::entry;
use super::launch::{self, Proc, Settings, Stdio};
use super::page::Page;
use super::serve::{self, Role, Server};
use super::sys::{self, Lifeline, Spawned};
use crate::error::{Error, ErrorKind, Result};
use crate::task::codec;

/// What a fork is to be. Its descriptors are the socket, the page, both ends of the lifeline, and those of `stdio`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    nonce: u64,
    depth: u32,
    /// The environment, where it is another than the child has anyway.
    env: Option<Vec<Vec<u8>>>,
    cwd: Option<Vec<u8>>,
    limits: Vec<(u32, u64, u64)>,
    /// Which of the standard descriptors come with this.
    stdio: [bool; 3],
}

/// The zygote of this process.
struct Zygote {
    owner: u32,
    proc: Arc<Proc>,
    inbox: Inbox,
    /// The environment that it was started with.
    env: Vec<Vec<u8>>,
}

static ZYGOTE: Mutex<Option<Zygote>> = Mutex::new(None);

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    ZYGOTE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Has a child forked. Where that cannot be done, it is run afresh.
pub(crate) fn start(
    settings: &Settings,
    nonce: u64,
    socket: &OwnedFd,
    page: (&Page, &OwnedFd),
    lifeline: &Lifeline,
) -> Result<Spawned> {
    let (page, page_fd) = page;
    if thread_id_address().is_none() {
        return launch::execute(settings, nonce, socket, page_fd, lifeline);
    }
    let mut fds = vec![socket.try_clone()?, page_fd.try_clone()?];
    fds.extend(lifeline.copies()?);
    let (mut request, stdio) = request(settings, nonce)?;
    fds.extend(stdio);
    let env = request.env.take();
    let mut slot = ZYGOTE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let owner = std::process::id();
    if slot.as_ref().is_some_and(|z| z.owner != owner) {
        // Our parent's: dropping it here would do no harm, but its lifeline is not ours to end.
        std::mem::forget(slot.take());
    }
    // The second time with a fresh one, should it have been killed.
    for _ in 0..2 {
        if slot.as_ref().is_none_or(|zygote| zygote.proc.ended().is_some()) {
            *slot = Some(Zygote::start(owner)?);
        }
        let zygote = slot.as_mut().expect("made just now");
        request.env = env.clone().filter(|env| *env != zygote.env);
        let parcel = Parcel::new(codec::encode(&request, "request")?, fds)?;
        let asked = zygote.ask(&parcel);
        fds = parcel.fds;
        match asked {
            Ok((pid, pidfd)) => return Ok(own(pid, pidfd)?),
            Err(error) if error.kind() == ErrorKind::NotStarted => return Err(error),
            Err(_) => {
                // What it may have forked before it died has our socket and would meet the next one's fork there.
                zygote.proc.end();
                *slot = None;
                if let Some(pid) = page.forked() {
                    return Ok(own(pid, None)?);
                }
            }
        }
    }
    Err(Error::new(ErrorKind::NotStarted).with_message("the forkserver ends again and again"))
}

/// What the child of these settings is to be, and its standard descriptors.
pub(crate) fn request(settings: &Settings, nonce: u64) -> Result<(Request, Vec<OwnedFd>)> {
    let mut fds = Vec::new();
    let mut stdio = [false; 3];
    for (index, wanted) in settings.stdio.iter().enumerate() {
        let fd = match wanted {
            Stdio::Null | Stdio::Capture => launch::null_device()?.try_clone()?,
            Stdio::Fd(fd) => fd.try_clone()?,
            // Ours now, not as they were when the zygote was started.
            Stdio::Inherit => match standard(index as RawFd) {
                Ok(fd) => fd,
                Err(_) => continue,
            },
        };
        stdio[index] = true;
        fds.push(fd);
    }
    let request = Request {
        nonce,
        depth: entry::depth() + 1,
        env: Some(variables(settings)?),
        cwd: settings.cwd.clone().or_else(|| std::env::current_dir().ok()).map(into_bytes),
        limits: settings.limits.iter().map(|(r, l)| (*r, l.rlim_cur, l.rlim_max)).collect(),
        stdio,
    };
    Ok((request, fds))
}

/// The environment that a child of these settings is to have.
fn variables(settings: &Settings) -> Result<Vec<Vec<u8>>> {
    Ok(settings.env.strings()?.into_iter().map(|text| text.into_bytes()).collect())
}

/// Makes a fork a child like others.
fn own(pid: u32, pidfd: Option<OwnedFd>) -> io::Result<Spawned> {
    let number = rustix::process::Pid::from_raw(pid as i32);
    // As the fork itself does: whoever comes first. From here on we may want to kill its group.
    let _ = rustix::process::setpgid(number, number);
    let pidfd = match pidfd {
        Some(pidfd) => pidfd,
        None => sys::adopt(pid)?,
    };
    Ok(Spawned { pid, pidfd })
}

fn into_bytes(path: PathBuf) -> Vec<u8> {
    path.into_os_string().into_vec()
}

/// A copy of one of our standard descriptors.
fn standard(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: `fcntl` on a number, which fails if it is no descriptor.
    match unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: a fresh descriptor.
        copy => Ok(unsafe { OwnedFd::from_raw_fd(copy) }),
    }
}

impl Request {
    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }
}

impl Zygote {
    fn start(owner: u32) -> Result<Zygote> {
        let mut settings = Settings::new("zygote".into(), Role::Zygote);
        // Said one by one, so that it is known what the zygote has, whoever changes ours meanwhile.
        settings.env.clear = true;
        settings.env.changes =
            std::env::vars_os().map(|(name, value)| (name, Some(value))).collect();
        let env = variables(&settings)?;
        let proc = Arc::new(launch::launch(settings)?);
        // Waited for as soon as it ends.
        proc.watch(|_| {}).inspect_err(|_| proc.end_and_reap())?;
        Ok(Zygote { owner, proc, inbox: Inbox::new(), env })
    }

    /// The number of the fork, and its descriptor, if there was room for it here.
    fn ask(&mut self, parcel: &Parcel) -> Result<(u32, Option<OwnedFd>)> {
        let socket = &self.proc.socket;
        send_frame(socket, Kind::Task, 0, 0, 0, parcel)?;
        let frame = loop {
            if let Some(frame) = self.inbox.next()? {
                break frame;
            }
            if self.inbox.receive(socket, false)? != Received::Some {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        };
        let (pid, opened) = (frame.word as u32, frame.parcel.open());
        if frame.kind == Kind::Value {
            return Ok((pid, opened.ok().and_then(|(_, mut fds)| fds.pop())));
        }
        let (body, _) = opened?;
        Err(Error::new(ErrorKind::NotStarted)
            .with_message(String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.proc.kill(None);
    }
}

/// The zygote's life: fork at each request, until the parent hangs up.
pub(crate) fn run(mut server: Server) -> ! {
    rehearse();
    server.page.set_stage(super::page::Stage::Ready);
    while let Some(frame) = server.next_frame() {
        let answer = frame
            .parcel
            .open()
            .map_err(Error::from)
            .and_then(|(body, fds)| Ok((codec::decode::<Request>(&body, "request")?, fds)))
            .and_then(|(request, fds)| fork(&server, request, fds));
        let sent = match answer {
            Ok((pid, pidfd)) => {
                let parcel = Parcel { fds: vec![pidfd], ..Parcel::default() };
                send_frame(&server.socket, Kind::Value, 0, u64::from(pid), 0, &parcel)
            }
            Err(error) => {
                let text = error.to_string().into_bytes();
                let parcel = Parcel::new(text, Vec::new()).unwrap_or_default();
                send_frame(&server.socket, Kind::Failed, 0, 0, 0, &parcel)
            }
        };
        if sent.is_err() {
            break;
        }
    }
    std::process::exit(0)
}

/// Does once what each fork will do, so that what is looked up at the first call is found already: symbols by the loader,
/// the clock, thread-local destructors.
fn rehearse() {
    let _ = serve::monotonic();
    let _ = crate::task::catch::catch(|| ());
}

/// Forks. Returns in the zygote only.
fn fork(server: &Server, request: Request, mut fds: Vec<OwnedFd>) -> Result<(u32, OwnedFd)> {
    let wanted = 4 + request.stdio.iter().filter(|given| **given).count();
    if fds.len() != wanted {
        return Err(Error::invalid(format!("{} descriptors for a fork, not {wanted}", fds.len())));
    }
    let tid = thread_id_address().ok_or_else(|| Error::new(ErrorKind::Unsupported))?;
    let robust = robust_list();
    // So that our parent knows of the fork also if we do not live to tell.
    let page = Page::map(fds[1].as_fd())?;
    let mut pidfd: RawFd = -1;
    // SAFETY: all fields are numbers, for which zero is valid. No stack and no shared memory: the child is a copy.
    let mut args: libc::clone_args = unsafe { MaybeUninit::zeroed().assume_init() };
    args.flags = (libc::CLONE_PARENT
        | libc::CLONE_PIDFD
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_SETTID
        | libc::CLONE_CHILD_CLEARTID) as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.parent_tid = page.forked_address();
    args.child_tid = tid as u64;
    // SAFETY: this process has one thread, which holds no lock, so the copy may run any code. `child_tid` is where the C
    // library keeps this thread's id; `parent_tid` lies in `page`.
    let result =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match result {
        -1 => Err(io::Error::last_os_error().into()),
        0 => {
            if let Some((head, len)) = robust {
                // SAFETY: the head lies in this thread's own block, which the copy has too.
                unsafe { libc::syscall(libc::SYS_set_robust_list, head, len) };
            }
            let stdio = fds.split_off(4);
            child(server.socket.as_raw_fd(), request, page, fds, stdio)
        }
        pid => {
            // SAFETY: CLONE_PIDFD has put a fresh descriptor here.
            Ok((pid as u32, unsafe { OwnedFd::from_raw_fd(pidfd) }))
        }
    }
}

/// The fork's beginning: it becomes what it was asked to be, and serves.
fn child(
    zygote_socket: RawFd,
    request: Request,
    page: Page,
    mut fds: Vec<OwnedFd>,
    stdio: Vec<OwnedFd>,
) -> ! {
    if let Err(why) = prepare(zygote_socket, &request, &fds, stdio) {
        entry::cannot_serve(&format!("{why}"));
    }
    // Both ends of the lifeline: should the parent be gone, closing them ends this group. The page is mapped.
    fds.truncate(1);
    let socket = fds.pop().expect("counted by the zygote");
    entry::set_depth(request.depth);
    serve::serve_on(socket, page, request.nonce)
}

fn prepare(
    zygote_socket: RawFd,
    request: &Request,
    fds: &[OwnedFd],
    stdio: Vec<OwnedFd>,
) -> io::Result<()> {
    // SAFETY: calls on numbers; the zygote's end of its channel is not used by this copy again.
    unsafe {
        libc::setpgid(0, 0);
        Lifeline::aim([fds[2].as_raw_fd(), fds[3].as_raw_fd()], libc::getpid())?;
        libc::close(zygote_socket);
    }
    apply(request, stdio)
}

/// Makes this process, which has one thread, what the request says.
pub(crate) fn apply(request: &Request, stdio: Vec<OwnedFd>) -> io::Result<()> {
    let targets = (0..).zip(request.stdio).filter(|(_, given)| *given).map(|(target, _)| target);
    for (target, fd) in targets.zip(stdio) {
        // SAFETY: a call on numbers. The standard descriptors belong to nobody in particular.
        if unsafe { libc::dup2(fd.as_raw_fd(), target) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    if let Some(cwd) = &request.cwd {
        std::env::set_current_dir(OsString::from_vec(cwd.clone()))?;
    }
    for (resource, soft, hard) in &request.limits {
        let limit = libc::rlimit { rlim_cur: *soft, rlim_max: *hard };
        // SAFETY: reads a limit that is in place.
        if unsafe { libc::setrlimit(*resource, &limit) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    if let Some(env) = &request.env {
        replace_environment(env);
    }
    Ok(())
}

fn replace_environment(variables: &[Vec<u8>]) {
    // SAFETY: this process has one thread.
    unsafe { libc::clearenv() };
    for variable in variables {
        // The first byte may be `=` in odd environments; std does not take such a name either.
        if let Some(at) = variable.iter().skip(1).position(|byte| *byte == b'=') {
            let name = OsString::from_vec(variable[..=at].to_vec());
            let value = OsString::from_vec(variable[at + 2..].to_vec());
            // SAFETY: this process has one thread.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

/// Where the C library keeps the id of this thread, which it has told the kernel to clear at the thread's end.
fn thread_id_address() -> Option<*mut c_void> {
    let mut address: *mut c_void = std::ptr::null_mut();
    // SAFETY: the kernel writes a pointer into the place given.
    let result = unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut address) };
    (result == 0 && !address.is_null()).then_some(address)
}

/// What this thread has registered as its list of robust mutexes.
fn robust_list() -> Option<(*mut c_void, usize)> {
    let mut head: *mut c_void = std::ptr::null_mut();
    let mut len = 0usize;
    // SAFETY: the kernel writes a pointer and a size into the places given.
    let result =
        unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) };
    (result == 0 && !head.is_null()).then_some((head, len))
}
