//! What a fork makes of itself at its parent's word: standard descriptors, directory, limits, environment.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::process::launch::{self, Environment, Settings, Stdio};

/// What a fork makes of itself. With it come the descriptors of `stdio`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// The environment, where it is another than the fork has.
    env: Option<Vec<Vec<u8>>>,
    cwd: Option<Vec<u8>>,
    /// The processors that it may use, as the kernel's set of bits, where they are others.
    cpus: Option<Vec<u8>>,
    limits: Vec<(u32, u64, u64)>,
    /// How nice it is, where that is other than the fork has it.
    nice: Option<i32>,
    /// Which of the standard descriptors come with this. The others are closed.
    stdio: [bool; 3],
}

/// What the forks of a zygote have from the beginning.
pub(super) struct Had {
    variables: Vec<(OsString, OsString)>,
    cpus: Option<Vec<u8>>,
    limits: Vec<(u32, u64, u64)>,
    nice: i32,
    /// User, group and session: those of a fork cannot be changed to ours.
    rights: [i64; 3],
}

impl Had {
    /// What this thread has now, which starts the zygote.
    pub(super) fn now() -> Had {
        Had {
            variables: std::env::vars_os().collect(),
            cpus: cpus(),
            limits: limits(),
            nice: nice(),
            rights: rights(),
        }
    }

    /// Whether a fork may do what we may.
    pub(super) fn has_our_rights(&self) -> bool {
        self.rights == rights()
    }

    /// The variables, said one by one, so that it is these that the zygote has, whoever changes ours meanwhile.
    pub(super) fn environment(&self) -> Environment {
        let said = |(name, value): &(OsString, OsString)| (name.clone(), Some(value.clone()));
        Environment { clear: true, changes: self.variables.iter().map(said).collect() }
    }
}

impl Shape {
    /// Adds what a fork is to inherit of us and does not have, and takes from it what it has.
    pub(super) fn fit(&mut self, settings: &Settings, had: &Had) {
        if settings.env.is_inherited() {
            let now: Vec<_> = std::env::vars_os().collect();
            self.env = (now != had.variables).then(|| now.into_iter().map(joined).collect());
        }
        self.cpus.take_if(|cpus| had.cpus.as_ref() == Some(cpus));
        self.nice.take_if(|nice| had.nice == *nice);
        let inherited = limits().into_iter().filter(|limit| !had.limits.contains(limit));
        // What is asked for comes last, and counts.
        self.limits.splice(..0, inherited);
    }
}

/// A variable as the kernel has it.
fn joined((mut name, value): (OsString, OsString)) -> Vec<u8> {
    name.push("=");
    name.push(value);
    name.into_vec()
}

/// What the child of these settings is to be, and its standard descriptors.
pub(crate) fn shape(settings: &Settings) -> Result<(Shape, Vec<OwnedFd>)> {
    let mut fds = Vec::new();
    let mut stdio = [false; 3];
    for (index, wanted) in settings.stdio.iter().enumerate() {
        let fd = match wanted {
            Stdio::Null | Stdio::Capture => launch::null_device()?.try_clone()?,
            Stdio::Fd(fd) => fd.try_clone()?,
            // Ours now, not as they were when the zygote was started.
            Stdio::Inherit => match standard(index as RawFd)? {
                Some(fd) => fd,
                None => continue,
            },
        };
        stdio[index] = true;
        fds.push(fd);
    }
    let shape = Shape {
        env: (!settings.env.is_inherited()).then(|| variables(settings)).transpose()?,
        cwd: settings.cwd.clone().or_else(|| std::env::current_dir().ok()).map(into_bytes),
        cpus: cpus(),
        nice: Some(nice()),
        limits: settings.limits.iter().map(|(r, l)| (*r, l.rlim_cur, l.rlim_max)).collect(),
        stdio,
    };
    Ok((shape, fds))
}

/// The processors that the calling thread may use.
fn cpus() -> Option<Vec<u8>> {
    let mut set = vec![0; size_of::<libc::cpu_set_t>()];
    // SAFETY: the kernel writes at most so many bytes. Machines with more processors are refused, and left alone.
    let result = unsafe { libc::sched_getaffinity(0, set.len(), set.as_mut_ptr().cast()) };
    (result == 0).then_some(set)
}

/// The limits of this process, for each resource.
fn limits() -> Vec<(u32, u64, u64)> {
    let all = 0..=libc::RLIMIT_RTTIME;
    let limit = |resource| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the kernel writes a limit into the place given.
        let result = unsafe { libc::getrlimit(resource, &mut limit) };
        (result == 0).then_some((resource, limit.rlim_cur, limit.rlim_max))
    };
    all.filter_map(limit).collect()
}

/// How nice the calling thread is.
fn nice() -> i32 {
    // SAFETY: a call on numbers. It cannot fail for the caller itself.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// User, group and session of this process.
pub(crate) fn rights() -> [i64; 3] {
    // SAFETY: calls without arguments, but for the number of the caller, that cannot fail.
    let (user, group, session) = unsafe { (libc::geteuid(), libc::getegid(), libc::getsid(0)) };
    [user.into(), group.into(), session.into()]
}

/// A standard descriptor of ours, where we have one.
pub(super) fn inherited_or_null(fd: RawFd) -> Stdio {
    match standard(fd) {
        Ok(Some(_)) => Stdio::Inherit,
        _ => Stdio::Null,
    }
}

/// The environment that a child of these settings is to have.
fn variables(settings: &Settings) -> Result<Vec<Vec<u8>>> {
    Ok(settings.env.strings()?.into_iter().map(|text| text.into_bytes()).collect())
}

fn into_bytes(path: PathBuf) -> Vec<u8> {
    path.into_os_string().into_vec()
}

/// A copy of one of our standard descriptors, if it is open and would stay so in a program that we execute. Otherwise it is
/// something else that has taken the number.
fn standard(fd: RawFd) -> io::Result<Option<OwnedFd>> {
    // SAFETY: `fcntl` on a number, which fails if it is no descriptor.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    // What another thread opens from here on may take the number: it is asked for no more.
    if flags == -1 || flags & libc::FD_CLOEXEC != 0 {
        return Ok(None);
    }
    // SAFETY: `fcntl` on a number, which fails if it is no descriptor.
    match unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) } {
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EBADF) => Ok(None),
            error => Err(error),
        },
        // SAFETY: a fresh descriptor.
        copy => Ok(Some(unsafe { OwnedFd::from_raw_fd(copy) })),
    }
}

/// Makes this process, which has one thread, what the shape says.
pub(crate) fn apply(shape: &Shape, stdio: Vec<OwnedFd>) -> io::Result<()> {
    let mut given = stdio.into_iter();
    for (target, is_given) in (0..).zip(shape.stdio) {
        let fd = is_given.then(|| given.next()).flatten();
        // SAFETY: calls on numbers. The standard descriptors belong to nobody in particular.
        let result = unsafe {
            match &fd {
                Some(fd) => libc::dup2(fd.as_raw_fd(), target),
                None => libc::close(target),
            }
        };
        if result == -1 && fd.is_some() {
            return Err(io::Error::last_os_error());
        }
    }
    if let Some(cwd) = &shape.cwd {
        std::env::set_current_dir(OsString::from_vec(cwd.clone()))?;
    }
    if let Some(cpus) = &shape.cpus {
        // SAFETY: the kernel reads so many bytes. A set of none that are there any more is refused: then they stay as they are.
        unsafe { libc::sched_setaffinity(0, cpus.len(), cpus.as_ptr().cast()) };
    }
    for (resource, soft, hard) in &shape.limits {
        let limit = libc::rlimit { rlim_cur: *soft, rlim_max: *hard };
        // SAFETY: reads a limit that is in place.
        if unsafe { libc::setrlimit(*resource, &limit) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    if let Some(nice) = shape.nice {
        // SAFETY: a call on numbers. Where it is not allowed, it stays as it is.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    }
    if let Some(env) = &shape.env {
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
