//! System calls as the C library makes them: -1 and `errno`.
#![allow(unsafe_code)]

use libc::{c_int, c_long};

/// A system call, by name and arguments, whose result is that of the function of this name.
macro_rules! system_call {
    ($number:ident, $($arg:expr),+) => {
        // SAFETY: the arguments are those that the caller of the C library's function promises to be right for it.
        unsafe { libc::syscall(libc::$number, $($arg),+) }
    };
}
pub(super) use system_call;

pub(super) fn errno() -> c_int {
    // SAFETY: the address of this thread's own.
    unsafe { *libc::__errno_location() }
}

/// Fails as functions of the C library do.
pub(super) fn fail(error: c_int) -> c_long {
    // SAFETY: the address of this thread's own.
    unsafe { *libc::__errno_location() = error };
    -1
}

/// Whether calls on it are not to block, as the program wants it.
pub(super) fn is_nonblocking(fd: c_int) -> bool {
    // SAFETY: a call on numbers.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags == -1 || flags & libc::O_NONBLOCK != 0
}

/// What a descriptor is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Socket,
    Pipe,
    /// Always ready, or not there.
    File,
    Other,
}

pub(super) fn kind(fd: c_int) -> Kind {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: there is room for the answer.
    if unsafe { libc::fstat(fd, status.as_mut_ptr()) } == -1 {
        return Kind::File;
    }
    // SAFETY: filled in by the call, which has succeeded.
    let status = unsafe { status.assume_init() };
    match status.st_mode & libc::S_IFMT {
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFIFO => Kind::Pipe,
        libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK => Kind::File,
        _ => Kind::Other,
    }
}
