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
    Signaled { signal: i32, core_dumped: bool },
}

/// What a process used, it and its children that it has waited for.
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

/// Waits for a child if it has ended.
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

fn wait(pidfd: impl AsFd, options: libc::c_int) -> io::Result<Option<Reaped>> {
    let pidfd = pidfd.as_fd().as_raw_fd();
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // The system call itself gives the usage, which the C library's `waitid` leaves out.
        // SAFETY: both places are of the types that the kernel fills; zeroes are valid for both.
        let result = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                pidfd,
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
    Ok(Some(Reaped { status, usage }))
}

/// A descriptor for a child that came without one. The number means it: it has not been waited for. Where there is no
/// descriptor to be had, the child is ended and waited for.
pub(crate) fn adopt(pid: u32) -> io::Result<OwnedFd> {
    let Some(number) = Pid::from_raw(pid as libc::pid_t) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    pidfd_open(number, PidfdFlags::empty()).map_err(|error| {
        kill_group(pid, libc::SIGKILL);
        // SAFETY: system calls on numbers; it may not lead a group yet.
        unsafe {
            libc::kill(pid as libc::pid_t, libc::SIGKILL);
            libc::waitpid(pid as libc::pid_t, std::ptr::null_mut(), 0);
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

/// Sends a signal to the group that the process leads.
///
/// The number means that group as long as the process has not been waited for, or the group still has members: the
/// caller holds the lock under which it is waited for, and has seen that it was not.
pub(crate) fn kill_group(pid: u32, signal: libc::c_int) {
    // SAFETY: a system call on numbers.
    unsafe { libc::kill(-(pid as libc::pid_t), signal) };
}
