//! Whether this process is a fork of what it was: what belongs to the kernel's account of the parent must be made again; and what is held
//! still while it forks.
//!
//! # Protocol
//!
//! A fork has the thread that made it, and memory as it was at that moment: a lock that another thread held then is held for ever. So
//! whoever has state for the whole process, behind locks, says by [`hold_over_forks`] how they are taken. Around each fork of the C
//! library's, whoever makes it:
//!
//! | step | where | what |
//! | --- | --- | --- |
//! | `hold` | the forking thread, before | takes all locks, in the order in which they are taken within each other, and keeps the guards |
//! | fork | | nobody else is in the middle of what they guard |
//! | counted, released, `in_child` | the child, which has one thread | the guards are dropped, and what is on threads that are not there is left behind |
//! | released | the parent | the guards are dropped |
//!
//! Under such a lock nothing waits for one of `process::fork`'s, which holds those already, nor for the allocator's, which the C library
//! takes after `hold` and has given back in the child before `in_child`. No function of the user's runs under one, so the thread that
//! forks has none.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};

use super::withheld;

static FORKS: AtomicU32 = AtomicU32::new(0);

/// The number that the next thread gets.
static NEXT: AtomicU32 = AtomicU32::new(1);
/// Of the last fork: the thread that made it, and the number that the next thread got in the child.
static FORKER: AtomicU32 = AtomicU32::new(0);
static FIRST: AtomicU32 = AtomicU32::new(0);

/// What is held still while this process forks.
pub(crate) struct Still {
    /// Takes the locks. Dropping what it returns gives them back.
    pub(crate) hold: fn() -> Box<dyn Any>,
    /// Puts right in the child what is not as it was. The locks are free.
    pub(crate) in_child: fn(),
}

static STILL: OnceLock<Still> = OnceLock::new();

thread_local! {
    /// The guards of the fork that this thread is making.
    static HELD: Cell<Option<Box<dyn Any>>> = const { Cell::new(None) };
    /// 0 until it is asked for.
    static NUMBER: Cell<u32> = const { Cell::new(0) };
}

/// How many forks lie between this process and the first that asked. A child that is no fork but runs a program begins anew.
///
/// Forks by the C library's `fork` are counted, those by a bare system call are not.
#[inline]
pub(crate) fn forks() -> u32 {
    // Relaxed: the child has one thread when it is counted.
    FORKS.load(Ordering::Relaxed)
}

/// The number of this thread, for [`is_here`]. No thread of this process or of one that it is a fork of has the same.
pub(crate) fn this_thread() -> u32 {
    let number = NUMBER.get();
    if number != 0 {
        return number;
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    NUMBER.set(number);
    number
}

/// Whether a thread was not left behind in a counted fork: it made the last one, or was made after it.
pub(crate) fn is_here(thread: u32) -> bool {
    // Relaxed: they change in a fork that has one thread.
    thread >= FIRST.load(Ordering::Relaxed) || thread == FORKER.load(Ordering::Relaxed)
}

/// Counts forks from now on.
pub(crate) fn count_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handlers are functions of this library, which is never unloaded while they are set, since it is linked into the
        // program or library that calls this. What they do in the child, which may have one thread of many, is to count, to call the
        // kernel, to free memory, for which the C library has put its allocator right, and to give back locks that the same thread
        // has taken.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    });
}

/// Has this held still over each fork from now on. There is one that asks for it: all but the first call do nothing.
pub(crate) fn hold_over_forks(still: Still) {
    count_forks();
    let _ = STILL.set(still);
}

extern "C" fn before() {
    if let Some(still) = STILL.get() {
        // At the very end of a thread there is no place for them, and nothing is held.
        let _ = HELD.try_with(|held| held.set(Some((still.hold)())));
    }
}

extern "C" fn in_parent() {
    let _ = HELD.try_with(Cell::take);
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    FORKER.store(this_thread(), Ordering::Relaxed);
    FIRST.store(NEXT.load(Ordering::Relaxed), Ordering::Relaxed);
    withheld::take_from_fork();
    let _ = HELD.try_with(Cell::take);
    if let Some(still) = STILL.get() {
        (still.in_child)();
    }
}
