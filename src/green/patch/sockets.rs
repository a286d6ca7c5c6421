//! Sockets: receiving, sending, accepting, connecting, and `poll`.
//!
//! What is asked of a socket that blocks is asked so that it does not block, and again when the socket is ready. As in the kernel, `send` on a
//! stream goes on until all is sent, and the time limits are the socket's own. `sendmsg` may send a part, as where a signal comes in between.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use libc::{c_int, c_long, c_void, msghdr, nfds_t, pollfd, size_t, sockaddr, socklen_t, ssize_t};

use super::super::hub::{Direction, may_suspend};
use super::raw::{errno, fail, is_nonblocking, system_call};
use super::waiting::{borrow, is_ours, is_ready, pause, wait};

#[unsafe(no_mangle)]
unsafe extern "C" fn recv(fd: c_int, buffer: *mut c_void, size: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's, with no address asked for.
    unsafe { recvfrom(fd, buffer, size, flags, std::ptr::null_mut(), std::ptr::null_mut()) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn recvfrom(
    fd: c_int,
    buffer: *mut c_void,
    size: size_t,
    flags: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    // Of all that is asked for, when less is not to do.
    let all = flags & libc::MSG_WAITALL != 0 && flags & libc::MSG_PEEK == 0;
    transfer(fd, Direction::Read, "recv", size, flags, all, |done, flags| {
        let rest = buffer.wrapping_byte_add(done);
        system_call!(SYS_recvfrom, fd, rest, size - done, flags, address, length)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    transfer(fd, Direction::Read, "recvmsg", 0, flags, false, |_, flags| {
        system_call!(SYS_recvmsg, fd, message, flags)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn send(fd: c_int, buffer: *const c_void, size: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's, with no address given.
    unsafe { sendto(fd, buffer, size, flags, std::ptr::null(), 0) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendto(
    fd: c_int,
    buffer: *const c_void,
    size: size_t,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    transfer(fd, Direction::Write, "send", size, flags, true, |done, flags| {
        let rest = buffer.wrapping_byte_add(done);
        system_call!(SYS_sendto, fd, rest, size - done, flags, address, length)
    })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendmsg(
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    transfer(fd, Direction::Write, "sendmsg", 0, flags, false, |_, flags| {
        system_call!(SYS_sendmsg, fd, message, flags)
    })
}

/// Makes a call until it need not wait, and, where `all` is to be done, until it is. The call is told how much is done, and the flags.
fn transfer(
    fd: c_int,
    direction: Direction,
    what: &'static str,
    size: usize,
    flags: c_int,
    all: bool,
    call: impl Fn(usize, c_int) -> c_long,
) -> ssize_t {
    let is_for_errors = direction == Direction::Read && asks_for_errors(fd, flags);
    if !is_ours(fd) || flags & libc::MSG_DONTWAIT != 0 || is_for_errors {
        return call(0, flags) as ssize_t;
    }
    let mut done = 0;
    let mut until = None;
    let given_up = |done: usize, error| match done {
        0 => fail(error) as ssize_t,
        _ => done as ssize_t,
    };
    loop {
        match call(done, flags | libc::MSG_DONTWAIT) {
            -1 => {
                let error = errno();
                if error != libc::EAGAIN || is_nonblocking(fd) {
                    return given_up(done, error);
                }
                let deadline = *until.get_or_insert_with(|| deadline(fd, direction));
                match wait(&[(borrow(fd), direction)], what, deadline) {
                    Ok(true) => {}
                    Ok(false) => return given_up(done, libc::EAGAIN),
                    Err(error) => return given_up(done, error),
                }
            }
            count => {
                done += count as usize;
                if !all || count == 0 || done >= size || is_nonblocking(fd) {
                    return done as ssize_t;
                }
            }
        }
    }
}

/// Whether it is the queue of errors that is asked, for which nobody ever waits. Where there is none, the flag says nothing.
fn asks_for_errors(fd: c_int, flags: c_int) -> bool {
    let has_one = || match option(fd, libc::SO_DOMAIN, 0) {
        Ok(family) => [libc::AF_INET, libc::AF_INET6, libc::AF_PACKET].contains(&family),
        Err(_) => true,
    };
    flags & libc::MSG_ERRQUEUE != 0 && has_one()
}

/// When the time limit of a socket is over, if it has one.
fn deadline(fd: c_int, direction: Direction) -> Option<Instant> {
    let name = match direction {
        Direction::Read => libc::SO_RCVTIMEO,
        Direction::Write => libc::SO_SNDTIMEO,
    };
    let limit = option(fd, name, libc::timeval { tv_sec: 0, tv_usec: 0 }).ok()?;
    let limit = Duration::new(limit.tv_sec as u64, limit.tv_usec as u32 * 1_000);
    if limit.is_zero() { None } else { Instant::now().checked_add(limit) }
}

/// An option of a socket, of the type of `value`, which is one that any bytes are a value of; or the number of the error.
fn option<T>(fd: c_int, name: c_int, mut value: T) -> Result<T, c_int> {
    let mut length = size_of::<T>() as socklen_t;
    let room = (&raw mut value).cast();
    // SAFETY: there is room for the answer, and it is numbers only.
    match unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, room, &mut length) } {
        -1 => Err(errno()),
        _ => Ok(value),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn accept(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
    // SAFETY: the caller's.
    unsafe { accept4(fd, address, length, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn accept4(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    if is_ours(fd) && !is_nonblocking(fd) {
        let mut until = None;
        while !is_ready(fd, Direction::Read) {
            let deadline = *until.get_or_insert_with(|| deadline(fd, Direction::Read));
            match wait(&[(borrow(fd), Direction::Read)], "accept", deadline) {
                Ok(true) => {}
                Ok(false) => return fail(libc::EAGAIN) as c_int,
                Err(error) => return fail(error) as c_int,
            }
        }
    }
    system_call!(SYS_accept4, fd, address, length, flags) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn connect(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    let straight = || system_call!(SYS_connect, fd, address, length) as c_int;
    if !is_ours(fd) || is_nonblocking(fd) {
        return straight();
    }
    let deadline = deadline(fd, Direction::Write);
    let mut rest = Duration::from_micros(100);
    loop {
        // There is no flag for this call. The mode is back before anything else runs on this thread.
        // SAFETY: calls on numbers.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        // SAFETY: as above.
        unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) };
        let result = straight();
        let error = errno();
        // SAFETY: as above.
        unsafe { libc::fcntl(fd, libc::F_SETFL, flags) };
        match (result, error) {
            (-1, libc::EINPROGRESS | libc::EINTR) => break,
            // A Unix socket whose queue is full, of which nothing tells when there is room in it.
            (-1, libc::EAGAIN) => {
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return fail(libc::EAGAIN) as c_int;
                }
                if let Err(error) = pause(rest) {
                    return fail(error) as c_int;
                }
                rest = (2 * rest).min(Duration::from_millis(20));
            }
            (-1, error) => return fail(error) as c_int,
            _ => return result,
        }
    }
    while !is_ready(fd, Direction::Write) {
        match wait(&[(borrow(fd), Direction::Write)], "connect", deadline) {
            Ok(true) => {}
            Ok(false) => return fail(libc::EINPROGRESS) as c_int,
            Err(error) => return fail(error) as c_int,
        }
    }
    // How the connecting has ended.
    match option(fd, libc::SO_ERROR, 0) {
        Ok(0) => 0,
        Ok(error) | Err(error) => fail(error) as c_int,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    if timeout == 0 || !may_suspend() {
        return now_or(fds, count, timeout);
    }
    let limit = u64::try_from(timeout).ok().map(Duration::from_millis);
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let wanted: &[pollfd] = match count {
        0 => &[],
        // SAFETY: the caller's: so many there are.
        _ => unsafe { std::slice::from_raw_parts(fds, count as usize) },
    };
    let mut watched: Vec<(BorrowedFd<'_>, Direction)> = Vec::new();
    for one in wanted.iter().filter(|one| one.fd >= 0) {
        let reads = one.events & (libc::POLLIN | libc::POLLRDNORM | libc::POLLRDHUP) != 0;
        let writes = one.events & (libc::POLLOUT | libc::POLLWRNORM) != 0;
        if !reads && !writes {
            // What else may be waited for is not watched.
            return now_or(fds, count, timeout);
        }
        watched.extend(reads.then(|| (borrow(one.fd), Direction::Read)));
        watched.extend(writes.then(|| (borrow(one.fd), Direction::Write)));
    }
    loop {
        let found = now_or(fds, count, 0);
        if found != 0 || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return found;
        }
        if let Err(error) = wait(&watched, "poll", deadline) {
            return fail(error) as c_int;
        }
    }
}

/// The system call itself.
fn now_or(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    let limit = libc::timespec {
        tv_sec: i64::from(timeout / 1_000),
        tv_nsec: i64::from(timeout % 1_000) * 1_000_000,
    };
    let limit = if timeout < 0 { std::ptr::null() } else { &raw const limit };
    system_call!(SYS_ppoll, fds, count, limit, std::ptr::null::<c_void>(), 0) as c_int
}
