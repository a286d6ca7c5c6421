//! Reading and writing whatever has a descriptor: sockets, pipes and others; files go straight through.
#![allow(unsafe_code)]

use libc::{c_int, c_void, iovec, msghdr, off_t, size_t, ssize_t};

use super::super::hub::Direction;
use super::raw::{Kind, errno, fail, is_nonblocking, kind, system_call};
use super::sockets::{recvfrom, sendmsg, sendto};
use super::waiting::{borrow, is_ours, is_ready, wait};

/// A pipe that can be written to takes so many bytes at once.
const ATOMIC: usize = libc::PIPE_BUF;

/// Whether the descriptor is one of those that std holds locks on.
fn is_standard(fd: c_int) -> bool {
    fd <= libc::STDERR_FILENO
}

/// What it is, if calls on it may have to wait and are to suspend a coroutine then.
fn ours(fd: c_int) -> Option<Kind> {
    if is_standard(fd) || !is_ours(fd) {
        return None;
    }
    Some(kind(fd))
        .filter(|kind| *kind == Kind::Socket || *kind != Kind::File && !is_nonblocking(fd))
}

/// Suspends the coroutine until it is ready. The error is a number of the system's.
fn until_ready(fd: c_int, direction: Direction, what: &'static str) -> Result<(), c_int> {
    while !is_ready(fd, direction) {
        wait(&[(borrow(fd), direction)], what, None)?;
    }
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, size: size_t) -> ssize_t {
    let straight = || system_call!(SYS_read, fd, buffer, size) as ssize_t;
    match ours(fd) {
        None => straight(),
        // Of nothing there is always enough.
        Some(_) if size == 0 => straight(),
        Some(Kind::Socket) => {
            let null = std::ptr::null_mut();
            // SAFETY: the caller's.
            unsafe { recvfrom(fd, buffer, size, 0, null, std::ptr::null_mut()) }
        }
        Some(_) => match until_ready(fd, Direction::Read, "read") {
            Ok(()) => straight(),
            Err(error) => fail(error) as ssize_t,
        },
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, buffer: *const c_void, size: size_t) -> ssize_t {
    match ours(fd) {
        None => system_call!(SYS_write, fd, buffer, size) as ssize_t,
        // SAFETY: the caller's.
        Some(Kind::Socket) => unsafe { sendto(fd, buffer, size, 0, std::ptr::null(), 0) },
        Some(_) if size == 0 => system_call!(SYS_write, fd, buffer, size) as ssize_t,
        Some(kind) => {
            let most = if kind == Kind::Pipe { ATOMIC } else { usize::MAX };
            let mut done = 0;
            loop {
                let result = until_ready(fd, Direction::Write, "write").map(|()| {
                    let rest = buffer.wrapping_byte_add(done);
                    system_call!(SYS_write, fd, rest, (size - done).min(most))
                });
                let (count, error) = match result {
                    Ok(count) => (count, errno()),
                    Err(error) => (-1, error),
                };
                match count {
                    -1 if done == 0 => return fail(error) as ssize_t,
                    -1 | 0 => return done as ssize_t,
                    count => done += count as usize,
                }
                if done >= size {
                    return done as ssize_t;
                }
            }
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn readv(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    let straight = || system_call!(SYS_readv, fd, parts, count) as ssize_t;
    match ours(fd) {
        None => straight(),
        Some(_) if total_of(all_parts(parts, count)) == 0 => straight(),
        Some(Kind::Socket) => {
            let mut message = message(parts, count);
            // SAFETY: the caller's parts; no address and no control data are asked for.
            unsafe { libc::recvmsg(fd, &mut message, 0) }
        }
        Some(_) => match until_ready(fd, Direction::Read, "readv") {
            Ok(()) => straight(),
            Err(error) => fail(error) as ssize_t,
        },
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    let straight = || system_call!(SYS_writev, fd, parts, count) as ssize_t;
    let all = all_parts(parts, count);
    let size = total_of(all);
    match ours(fd) {
        None => straight(),
        Some(_) if size == 0 => straight(),
        Some(Kind::Socket) => {
            let message = message(parts, count);
            // SAFETY: the caller's parts; there is no address and no control data.
            unsafe { sendmsg(fd, &message, 0) }
        }
        Some(kind) => {
            if kind == Kind::Pipe && size > ATOMIC {
                // A part of it, as the caller must expect.
                let first =
                    all.iter().find(|part| part.iov_len > 0).expect("there is more than one byte");
                // SAFETY: the caller's.
                return unsafe { write(fd, first.iov_base, first.iov_len) };
            }
            match until_ready(fd, Direction::Write, "writev") {
                Ok(()) => straight(),
                Err(error) => fail(error) as ssize_t,
            }
        }
    }
}

/// The parts of a caller; none if what it gives is not right, as the kernel will say.
fn all_parts<'a>(parts: *const iovec, count: c_int) -> &'a [iovec] {
    if parts.is_null() || count <= 0 {
        return &[];
    }
    // SAFETY: the caller's: so many parts there are, for as long as the call.
    unsafe { std::slice::from_raw_parts(parts, count as usize) }
}

fn total_of(parts: &[iovec]) -> usize {
    parts.iter().map(|part| part.iov_len).fold(0, usize::saturating_add)
}

fn message(parts: *const iovec, count: c_int) -> msghdr {
    // SAFETY: all its fields are numbers and pointers, which may be zero.
    let mut message: msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.cast_mut();
    message.msg_iovlen = count as _;
    message
}

/// Declines, inside a coroutine, what would block: std then reads and writes.
fn declines(a: c_int, b: c_int) -> bool {
    ours(a).is_some() || ours(b).is_some()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile(
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    if declines(to, from) {
        return fail(libc::EINVAL) as ssize_t;
    }
    system_call!(SYS_sendfile, to, from, offset, count) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(
    to: c_int,
    from: c_int,
    offset: *mut libc::off64_t,
    count: size_t,
) -> ssize_t {
    // SAFETY: the caller's; offsets have 64 bits on both architectures.
    unsafe { sendfile(to, from, offset, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn splice(
    from: c_int,
    from_offset: *mut libc::loff_t,
    to: c_int,
    to_offset: *mut libc::loff_t,
    count: size_t,
    flags: libc::c_uint,
) -> ssize_t {
    if declines(to, from) && flags & libc::SPLICE_F_NONBLOCK == 0 {
        return fail(libc::EINVAL) as ssize_t;
    }
    system_call!(SYS_splice, from, from_offset, to, to_offset, count, flags) as ssize_t
}
