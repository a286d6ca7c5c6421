//! Where a child begins: before `main` by an entry of `.init_array`, or first thing in a `#[fourfold::main]`.
//!
//! A child is this executable, run again with [`TOKEN`] in its environment. The loader calls `before_main` in every
//! process that has this library in its executable. Without the token it returns at once. With it, it serves the
//! parent and never returns, so `main` is not reached: this is what makes plain `cargo test`, doc tests and programs
//! without any preparation work. A program with `#[fourfold::main]` has left a mark, by an earlier entry, and
//! then the child goes on to `main`, where std's own start-up has been done, and serves from there.
//!
//! No fork bomb can come of it: a child that meets its token and cannot serve exits; one that is never asked to serve
//! starts no children; and processes are nested at most [`MAX_DEPTH`] deep.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::launch::LIFELINE;
use super::{context, serve};
use crate::error::{Error, ErrorKind, Result};

/// In the environment of a child: `1:NONCE:DEPTH:SOCKET:PAGE:MEMORY:DOOR:LIFELINES`.
pub(crate) const TOKEN: &CStr = c"FOURFOLD_CHILD";
/// How deep processes may start processes.
pub(crate) const MAX_DEPTH: u32 = 16;
/// The exit code of a child that cannot serve.
pub(crate) const CANNOT_SERVE: i32 = 113;

/// Whether the program has a `#[fourfold::main]`, which serves in place of the entry.
static HAS_MAIN: AtomicBool = AtomicBool::new(false);
/// How many processes of ours are above this one.
static DEPTH: AtomicU32 = AtomicU32::new(0);

type InitFn = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

// SAFETY: an entry of `.init_array` is called by the loader once, with the arguments that the type says.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: InitFn = before_main;

unsafe extern "C" {
    /// The entries of this image, from its linker.
    static __init_array_start: [InitFn; 0];
    static __init_array_end: [InitFn; 0];
}

extern "C" fn before_main(argc: c_int, argv: *const *const c_char, envp: *const *const c_char) {
    // The C library only: this runs in every process that has this library, before std's start-up.
    wait_for_children();
    // SAFETY: the environment is not being changed: there is one thread.
    let token = unsafe { libc::getenv(TOKEN.as_ptr()) };
    // Relaxed: set by an earlier entry, on this thread.
    if token.is_null() || HAS_MAIN.load(Ordering::Relaxed) {
        return;
    }
    if !crate::task::image::holds(before_main as *const () as usize) {
        // This library is part of a shared object. The executable does not run tasks.
        return;
    }
    run_later_entries(argc, argv, envp);
    serve_child()
}

/// Has the kernel keep children until they are waited for, which it does not where whoever ran this program ignored SIGCHLD, as some
/// inits and daemons do. What the program itself sets later, stands.
fn wait_for_children() {
    // SAFETY: reads and sets an action, each in a place of its type, for which zeroes are valid: the default.
    unsafe {
        let default = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        let mut present = default;
        libc::sigaction(libc::SIGCHLD, std::ptr::null(), &mut present);
        // A shared object that holds this library is loaded by a program that may have chosen so.
        if present.sa_sigaction == libc::SIG_IGN
            && crate::task::image::holds(before_main as *const () as usize)
        {
            libc::sigaction(libc::SIGCHLD, &default, std::ptr::null_mut());
        }
    }
}

/// Calls the entries behind ours: `main` would have found them done, constructors of C code among them.
fn run_later_entries(argc: c_int, argv: *const *const c_char, envp: *const *const c_char) {
    // SAFETY: the linker defines both symbols around the entries of this image, which are functions or null.
    let entries = unsafe {
        let start = (&raw const __init_array_start).cast::<usize>();
        let end = (&raw const __init_array_end).cast::<usize>();
        std::slice::from_raw_parts(start, end.offset_from_unsigned(start))
    };
    let ours = entries.iter().position(|entry| *entry == before_main as *const () as usize);
    let Some(ours) = ours else {
        return;
    };
    for entry in &entries[ours + 1..] {
        // Some linkers pad with 0 or -1.
        if *entry != 0 && *entry != usize::MAX {
            // SAFETY: an entry of `.init_array`, called with what the loader would call it with.
            unsafe { std::mem::transmute::<usize, InitFn>(*entry)(argc, argv, envp) };
        }
    }
}

/// Notes that the program has a `#[fourfold::main]`. Called by an early entry of `.init_array` that the attribute makes.
pub(crate) fn note_main() {
    HAS_MAIN.store(true, Ordering::Relaxed);
}

/// Serves the parent and never returns, if this process is a child that has not been asked to serve yet.
pub(crate) fn serve_if_child() {
    // SAFETY: as at any call of `std::env::var_os`; only the C library's own variable is looked at.
    let token = unsafe { libc::getenv(TOKEN.as_ptr()) };
    if !token.is_null() {
        serve_child();
    }
}

/// Whether this process may start another one.
///
/// # Errors
///
/// If it is a child that was never asked to serve, or is nested too deep.
pub(crate) fn check_may_spawn() -> Result<()> {
    if std::env::var_os("FOURFOLD_CHILD").is_some() {
        return Err(Error::new(ErrorKind::NotStarted).with_message(
            "this process was itself started to run a task, and has not been asked to: call fourfold::init() first \
             thing in main, or use #[fourfold::main]",
        ));
    }
    if depth() >= MAX_DEPTH {
        return Err(Error::new(ErrorKind::NotStarted)
            .with_message(format!("processes are nested {MAX_DEPTH} deep already")));
    }
    Ok(())
}

/// How many processes of ours are above this one.
pub(crate) fn depth() -> u32 {
    DEPTH.load(Ordering::Relaxed)
}

pub(crate) fn set_depth(depth: u32) {
    DEPTH.store(depth, Ordering::Relaxed);
}

/// Where a child finds what its parent has put there for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) socket: RawFd,
    pub(crate) page: RawFd,
    /// The memory and the door of its tree.
    pub(crate) context: [RawFd; 2],
    /// How many ends of its lifeline it has, from [`LIFELINE`] on.
    pub(crate) lifelines: usize,
}

/// The value of [`TOKEN`].
pub(crate) fn token(nonce: u64, depth: u32, places: &Places) -> String {
    let Places { socket, page, context: [memory, door], lifelines } = places;
    format!("1:{nonce:016x}:{depth}:{socket}:{page}:{memory}:{door}:{lifelines}")
}

fn serve_child() -> ! {
    let token = std::env::var("FOURFOLD_CHILD").unwrap_or_default();
    // SAFETY: there is one thread: this is before `main` or first thing in it.
    unsafe { std::env::remove_var("FOURFOLD_CHILD") };
    let Some((nonce, depth, places)) = parse(&token) else {
        cannot_serve("the token in its environment is not one of ours");
    };
    set_depth(depth);
    let (Some(socket), Some(page)) = (take_fd(places.socket), take_fd(places.page)) else {
        cannot_serve("the channel to its parent is not open");
    };
    // Open for as long as this process lives, and in nothing that it executes.
    (LIFELINE..).take(places.lifelines).for_each(|end| std::mem::forget(take_fd(end)));
    let [Some(memory), Some(door)] = places.context.map(take_fd) else {
        cannot_serve("what it has in common with its parent is not open");
    };
    context::adopt(memory, door);
    serve::serve(socket, page, nonce)
}

fn parse(token: &str) -> Option<(u64, u32, Places)> {
    let mut parts = token.split(':');
    if parts.next()? != "1" {
        return None;
    }
    let nonce = u64::from_str_radix(parts.next()?, 16).ok()?;
    let depth = parts.next()?.parse().ok()?;
    let socket = parts.next()?.parse().ok()?;
    let page = parts.next()?.parse().ok()?;
    let context = [parts.next()?.parse().ok()?, parts.next()?.parse().ok()?];
    let lifelines = parts.next()?.parse().ok().filter(|count| *count <= 2)?;
    let places = Places { socket, page, context, lifelines };
    parts.next().is_none().then_some((nonce, depth, places))
}

/// Makes an inherited descriptor ours; `None` if there is none of this number.
fn take_fd(fd: RawFd) -> Option<OwnedFd> {
    if fd < 0 {
        return None;
    }
    // SAFETY: `fcntl` on a number, which fails if it is no descriptor.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return None;
    }
    // SAFETY: the parent has put this descriptor here for us; nothing else in this young process knows of it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Ends a child that cannot serve: going on to `main` would do the program's work a second time.
pub(crate) fn cannot_serve(why: &str) -> ! {
    eprintln!(
        "fourfold: this process (pid {}) was started to run a task, but {why}",
        std::process::id()
    );
    std::process::exit(CANNOT_SERVE)
}

/// Has `handler` called when the C library ends this process.
pub(crate) fn at_exit(handler: extern "C" fn()) {
    // SAFETY: the handler is a function of this image, which stays loaded.
    unsafe { libc::atexit(handler) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_no_other_text() {
        let places = Places { socket: 7, page: 8, context: [9, 10], lifelines: 1 };
        let text = token(0xfeed, 3, &places);
        assert_eq!(parse(&text), Some((0xfeed, 3, places)));
        let good = "1:0:0:3:4:5:6:2";
        assert!(parse(good).is_some());
        let cut = good.match_indices(':').map(|(end, _)| &good[..end]);
        let others = ["", "2:0:0:3:4:5:6:2", "1:x:0:3:4:5:6:2", "1:0:-1:3:4:5:6:2"];
        let too_many = ["1:0:0:3:4:5:6:3", "1:0:0:3:4:5:6:2:1"];
        for bad in cut.chain(others).chain(too_many) {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
