//! Waiting for a child and signalling it by its pidfd, which means this process and never one that got its number later.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How a process ended, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Exited(i32),
    Signaled {
        signal: i32,
        core_dumped: bool,
    },
    /// It has ended, and been forgotten before it could be asked how. See [`forgets_children`].
    Unknown,
}

/// What a process used, it and its children that it has waited for. Zeroes where it was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// The largest resident size of any one process, in bytes.
    pub(crate) max_resident: u64,
}

/// A child that has ended and been waited for: its zombie is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reaped {
    pub(crate) status: Status,
    pub(crate) usage: Usage,
}

/// Waits for a child if it has ended. One that was waited for by somebody else, or that the kernel has not kept, has a status
/// too, if there is a way to know it.
pub(crate) fn reap(pidfd: impl AsFd) -> io::Result<Option<Reaped>> {
    wait(pidfd, libc::WEXITED | libc::WNOHANG)
}

/// How a child has ended, if it has. It stays a zombie, so its number stays its own.
pub(crate) fn peek(pidfd: impl AsFd) -> io::Result<Option<Status>> {
    let reaped = wait(pidfd, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)?;
    Ok(reaped.map(|reaped| reaped.status))
}

/// Waits until a child has ended.
pub(crate) fn reap_blocking(pidfd: impl AsFd) -> io::Result<Reaped> {
    let reaped = wait(pidfd, libc::WEXITED)?;
    reaped.ok_or_else(|| io::Error::other("waitid returned without a child"))
}

/// Any child that has ended, by its number, and how. It stays a zombie, so its number stays its own.
pub(crate) fn peek_any() -> io::Result<Option<(u32, Status)>> {
    let ended = wait_id(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)?;
    Ok(ended.map(|(pid, reaped)| (pid, reaped.status)))
}

/// Waits for a child that has ended, by its number.
pub(crate) fn reap_number(pid: u32) {
    let _ = wait_id(libc::P_PID, pid, libc::WEXITED | libc::WNOHANG);
}

fn wait(pidfd: impl AsFd, options: libc::c_int) -> io::Result<Option<Reaped>> {
    let pidfd = pidfd.as_fd().as_raw_fd();
    match wait_id(libc::P_PIDFD, pidfd as libc::id_t, options) {
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
            status_of_gone(pidfd).ok_or(error).map(Some)
        }
        waited => Ok(waited?.map(|(_, reaped)| reaped)),
    }
}

fn wait_id(
    kind: libc::idtype_t,
    id: libc::id_t,
    options: libc::c_int,
) -> io::Result<Option<(u32, Reaped)>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // The system call itself gives the usage, which the C library's `waitid` leaves out.
        // SAFETY: both places are of the types that the kernel fills; zeroes are valid for both.
        let result = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                kind,
                id,
                info.as_mut_ptr(),
                options,
                usage.as_mut_ptr(),
            )
        };
        if result == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: filled by the kernel, or still of zeroes.
    let (info, usage) = unsafe { (info.assume_init(), usage.assume_init()) };
    // SAFETY: `si_pid` and `si_status` are valid for what `waitid` fills in, and of zeroes otherwise.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let status = match info.si_code {
        libc::CLD_EXITED => Status::Exited(status),
        code => Status::Signaled { signal: status, core_dumped: code == libc::CLD_DUMPED },
    };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    let usage = Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        max_resident: usage.ru_maxrss as u64 * 1024,
    };
    Ok(Some((pid as u32, Reaped { status, usage })))
}

/// Whether this process has the kernel forget its children as they end: it ignores SIGCHLD, or has set `SA_NOCLDWAIT`.
pub(crate) fn forgets_children() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: reads the present action into a place of its type, for which zeroes are valid.
    let action = unsafe {
        libc::sigaction(libc::SIGCHLD, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN || action.sa_flags & libc::SA_NOCLDWAIT != 0
}

/// What `PIDFD_GET_INFO` asks and tells, in its first size.
#[repr(C)]
#[derive(Default)]
struct Info {
    /// What is asked for, and then what was told.
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// Since 6.13: `_IOWR(0xff, 11, Info)`.
const PIDFD_GET_INFO: libc::Ioctl = 0xc040_ff0b_u32 as libc::Ioctl;
/// Since 6.15: how it ended, as the status of `wait`, once nothing is left of it.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// How a process ended that cannot be waited for, since it has been, or was never kept for that. `None` if it has not ended: it is
/// no child of this process.
fn status_of_gone(pidfd: libc::c_int) -> Option<Reaped> {
    let mut asked = libc::pollfd { fd: pidfd, events: libc::POLLIN, revents: 0 };
    // SAFETY: a place for one descriptor.
    if unsafe { libc::poll(&mut asked, 1, 0) } != 1 {
        return None;
    }
    let mut status = Status::Unknown;
    loop {
        let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
        // SAFETY: the place is of the size that is part of the request.
        let told = unsafe { libc::ioctl(pidfd, PIDFD_GET_INFO, &raw mut info) } == 0;
        if told && info.mask & PIDFD_INFO_EXIT != 0 {
            let code = info.exit_code;
            status = match libc::WIFEXITED(code) {
                true => Status::Exited(libc::WEXITSTATUS(code)),
                false => Status::Signaled {
                    signal: libc::WTERMSIG(code),
                    core_dumped: libc::WCOREDUMP(code),
                },
            };
        } else if asked.events != 0 {
            asked.events = 0;
            if told {
                // Ended, and about to be forgotten: then it is told, and the descriptor hangs up, since 6.9.
                // SAFETY: as above. It is a matter of microseconds; the limit is for what nobody thought of.
                unsafe { libc::poll(&mut asked, 1, 1_000) };
            }
            // Or forgotten just now: the kernel looks whether the process is there after it has looked for how it ended.
            continue;
        }
        return Some(Reaped { status, usage: Usage::default() });
    }
}

/// A descriptor for a child that came without one. The number means it: it has not been waited for. Where there is no
/// descriptor to be had, the child is ended and waited for, unless there is none any more.
pub(crate) fn adopt(pid: u32) -> io::Result<OwnedFd> {
    let Some(number) = Pid::from_raw(pid as libc::pid_t) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    pidfd_open(number, PidfdFlags::empty()).map_err(|error| {
        // Else it was killed, and not kept for us.
        if error != rustix::io::Errno::SRCH {
            // SAFETY: system calls on numbers; it may not lead a group yet.
            unsafe {
                libc::kill(-(pid as libc::pid_t), libc::SIGKILL);
                libc::kill(pid as libc::pid_t, libc::SIGKILL);
                libc::waitpid(pid as libc::pid_t, std::ptr::null_mut(), 0);
            }
        }
        error.into()
    })
}

/// Blocks until a process has ended or the deadline has come. Whether it has ended; it stays a zombie.
pub(crate) fn wait_for_end(pidfd: impl AsFd, deadline: Option<Instant>) -> bool {
    wait_for_input(pidfd, deadline)
}

/// Blocks until there is something to read, or the deadline has come. Whether there is.
pub(crate) fn wait_for_input(fd: impl AsFd, deadline: impl Into<Option<Instant>>) -> bool {
    let deadline = deadline.into();
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, left.as_ref()) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            // Not to be waited for so.
            Err(_) => return false,
        }
    }
}

/// Sends a signal to the process. Nothing happens if it has ended.
pub(crate) fn signal(pidfd: impl AsFd, signal: libc::c_int) {
    let pidfd = pidfd.as_fd().as_raw_fd();
    // SAFETY: a system call on numbers, without a siginfo.
    unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, std::ptr::null::<()>(), 0);
    }
}

/// Whether the group that a process led, which has been waited for, still has members. Just then its number cannot have
/// been given to another process and become a group again, but for one that is being started in this very moment; whoever asks
/// only decides whether to use something again.
pub(crate) fn group_exists(pid: u32) -> bool {
    // SAFETY: a system call on numbers.
    unsafe { libc::kill(-(pid as libc::pid_t), 0) == 0 }
}

/// Sends a signal to the group that the process leads, or led.
///
/// Since 6.9 the descriptor means that group in any case. Before, the number does, as long as the process has not been waited for,
/// or the group still has members: the caller holds the lock under which it is waited for. Of a child that the kernel itself has forgotten, it
/// may then be another group's.
pub(crate) fn kill_group(pidfd: impl AsFd, pid: u32, signal: libc::c_int) {
    const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;
    let pidfd = pidfd.as_fd().as_raw_fd();
    // SAFETY: system calls on numbers, without a siginfo.
    unsafe {
        let flags = PIDFD_SIGNAL_PROCESS_GROUP;
        let none = std::ptr::null::<()>();
        if libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, none, flags) == -1
            && *libc::__errno_location() == libc::EINVAL
        {
            libc::kill(-(pid as libc::pid_t), signal);
        }
    }
}
