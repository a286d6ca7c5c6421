//! The zygote's own life, and the beginning of its forks.
//!
//! A raw clone goes behind the C library's back. What its `fork` would have put right in the child, we do: the kernel
//! writes the new thread id where the C library keeps it (`raise` and `abort` send themselves signals by it), and the
//! list of robust mutexes is registered again.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use serde::{Deserialize, Serialize};

use super::ahead::Ahead;
use crate::error::{Error, ErrorKind, Result};
use crate::process::channel::{Kind, Parcel, send_frame};
use crate::process::entry;
use crate::process::page::{Page, Stage};
use crate::process::serve::{self, Server};
use crate::process::sys::Lifeline;
use crate::task::catch;
use crate::task::codec;
use crate::task::envelope::Envelope;

/// Asks for a fork. With it come the socket, the page and the ends of the lifeline, that to write first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) nonce: u64,
    pub(super) depth: u32,
}

/// Whether this system lets children be forked so.
pub(crate) fn is_possible() -> bool {
    thread_id_address().is_some()
}

/// The zygote's life: fork at each request, until the parent hangs up.
pub(crate) fn run(mut server: Server) -> ! {
    rehearse();
    let ahead = Ahead::find();
    server.page.set_stage(Stage::Ready);
    while let Some(frame) = server.next_frame() {
        let answer = frame
            .parcel
            .open()
            .map_err(Error::from)
            .and_then(|(body, fds)| Ok((codec::decode::<Request>(&body, "request")?, fds)))
            .and_then(|(request, fds)| fork(&server, request, fds, &ahead));
        let sent = match answer {
            // Without its descriptor: the answer may stay unread for long, and descriptors that are on their way count against
            // all that this user may have so.
            Ok(pid) => {
                send_frame(&server.socket, Kind::Value, 0, u64::from(pid), 0, &Parcel::default())
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

/// Does once what each fork will do: so the zygote has found what is looked up at the first call (symbols by the loader,
/// the clock, thread-local destructors), and a fork that waits has the pages of its own that it will need.
fn rehearse() {
    let _ = serve::monotonic();
    let _ = catch::catch(|| ());
    let _ = Envelope::pack(&(), "value").and_then(|envelope| envelope.unpack::<()>("value"));
}

/// Forks. Returns in the zygote only.
fn fork(server: &Server, request: Request, fds: Vec<OwnedFd>, ahead: &Ahead) -> Result<u32> {
    if fds.len() < 4 {
        return Err(Error::invalid(format!("{} descriptors for a fork, too few", fds.len())));
    }
    let tid = thread_id_address().ok_or_else(|| Error::new(ErrorKind::Unsupported))?;
    let robust = robust_list();
    // So that our parent knows of the fork also if we do not live to tell.
    let page = Page::map(fds[1].as_fd())?;
    // SAFETY: all fields are numbers, for which zero is valid. No stack and no shared memory: the child is a copy.
    let mut args: libc::clone_args = unsafe { MaybeUninit::zeroed().assume_init() };
    args.flags = (libc::CLONE_PARENT
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_SETTID
        | libc::CLONE_CHILD_CLEARTID) as u64;
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
            child(server.socket.as_raw_fd(), &request, page, fds, ahead)
        }
        pid => Ok(pid as u32),
    }
}

/// The fork's beginning: its life is tied to its parent's, and it waits to be told what it is to be.
fn child(
    zygote_socket: RawFd,
    request: &Request,
    page: Page,
    mut fds: Vec<OwnedFd>,
    ahead: &Ahead,
) -> ! {
    // SAFETY: calls on numbers; the zygote's end of its channel is not used by this copy again.
    let aimed = unsafe {
        libc::setpgid(0, 0);
        libc::close(zygote_socket);
        Lifeline::aim(fds[2..].iter().map(AsRawFd::as_raw_fd), libc::getpid())
    };
    if aimed.is_err() {
        entry::cannot_serve("its life cannot be tied to its parent's");
    }
    // The reading ends of the lifeline stay open: should the parent be gone, closing the other one ends this group. The page
    // is mapped.
    fds.drain(3..).for_each(std::mem::forget);
    fds.truncate(1);
    let socket = fds.pop().expect("counted by the zygote");
    entry::set_depth(request.depth);
    ahead.fetch();
    rehearse();
    serve::serve_on(socket, page, request.nonce)
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
