//! Forking this very process: one call, and both branches go on from it.
//!
//! The fork has the calling thread only. What the others held locked stays locked in it, so the locks of this library
//! that a child may need are held across the fork, by the thread that comes through it. What the parent has (children,
//! pools, jobs, its supervisor) stays the parent's: each knows its process, and is dropped in the fork without effect.
//!
//! The fork's life hangs on the parent's, by a lifeline as any child's does, whose reading end it keeps. Of the other end, and
//! of the lifelines of older children, it has copies, which it lets go of at once.
#![allow(unsafe_code)]

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags};

use super::builder::Builder;
use super::child::{self, Child};
use super::launch::{self, Proc, Settings};
use super::page::{Page, Stage};
use super::serve;
use super::supervisor::supervisor;
use super::sys::{self, Lifeline, Spawned};
use super::{
    callbacks, context, crash, current, entry, memory, registry, served, shared,
    supervisor as supervising, zygote,
};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::system::{count_forks, forks, reactor};

/// Which branch of a [`fork`] this is.
#[derive(Debug)]
pub enum Forked {
    /// The process that called; and its child, whose end can be waited for. Its outcome is `()` if it exits with 0.
    Parent(Child<()>),
    /// The new process.
    Child,
}

/// Divides this process in two that both go on from here.
///
/// The child ends as any process does: when its `main` returns, or by [`std::process::exit`]. How it ended is told by the
/// [`Child`] that the parent has, exactly: a panic with its message and place, a signal, an exit code. It does not outlive
/// the parent. Pools, children and jobs of the parent are not the child's: dropping them there has no effect, and it
/// may start its own. One that is made in a task ends, at the latest, when the task's function returns in it. Coroutines on the thread that
/// forks go on in both; those on other threads are the parent's, and who joins one in the child is told so
/// ([`NotStarted`](ErrorKind::NotStarted)).
///
/// Prefer [`spawn`](super::spawn), which starts a clean process: a fork has one thread only, and inherits every descriptor
/// and all memory as it was, and a big parent takes long to fork (17 ms a GiB, say).
///
/// # Errors
///
/// If the system has no room for another process, or this one may not have children.
///
/// # Safety
///
/// Locks that other threads hold at this moment stay locked in the child for ever, and what those guard may be half
/// changed. The caller sees to it that the child uses nothing of the kind, unless this process has one thread of its own.
/// The allocator, this library's process scale and its hubs of coroutines look after theirs; its thread scale does not, nor do words
/// that threads share (a [`Lock`](crate::thread::Lock), say).
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Forked};
///
/// let parent = std::process::id();
/// // SAFETY: the child calls `current` and exits.
/// match unsafe { process::fork() }? {
///     Forked::Child => {
///         let me = process::current();
///         let right = me.parent_pid() == parent && me.pid() != parent;
///         std::process::exit(if right { 7 } else { 1 });
///     }
///     Forked::Parent(child) => {
///         assert_ne!(child.pid(), parent);
///         assert_eq!(child.join().unwrap_err().exit_code(), Some(7));
///     }
/// }
/// # Ok::<(), fourfold::Error>(())
/// ```
pub unsafe fn fork() -> Result<Forked> {
    launch::check_may_start()?;
    let parent = std::process::id();
    // The descriptor is for children that map the page afresh.
    let (page, _) = Page::create()?;
    let lifeline = Lifeline::new()?;
    let (ours, theirs) = launch::socket_pair()?;
    // SAFETY: the caller's promise is the one asked for.
    match unsafe { divide(&lifeline) }.map_err(not_started)? {
        Side::Child => {
            drop((ours, theirs));
            lifeline.keep();
            entry::set_depth(entry::depth() + 1);
            let page: &'static Page = Box::leak(Box::new(page));
            page.set_stage(Stage::Ready);
            crash::install(page);
            current::set("fork".into(), parent, false);
            Ok(Forked::Child)
        }
        Side::Parent(spawned) => {
            drop(theirs);
            let proc = Proc::new(spawned, ours, page, lifeline);
            Ok(Forked::Parent(child::adopt(Arc::new(proc), "fork".into())?))
        }
    }
}

impl Builder {
    /// Starts the child by a fork of this process instead, which has all memory as it is now, and the calling thread only.
    ///
    /// It is the way to give a child what no argument can carry. See [`fork`](super::fork()) for what else it means.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::process;
    /// use std::sync::Mutex;
    ///
    /// static TABLE: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    ///
    /// *TABLE.lock().unwrap() = (0..1_000).collect();
    /// let builder = process::Builder::new();
    /// // SAFETY: no other thread uses the table, which the child finds as it is now.
    /// let child = unsafe { builder.fork() }.spawn(|| TABLE.lock().unwrap().len(), ())?;
    /// assert_eq!(child.join()?, 1_000);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// As [`fork`](super::fork()): the child's function uses nothing that another thread may hold locked.
    pub unsafe fn fork(mut self) -> Builder {
        self.settings.fork = true;
        self
    }
}

/// Starts a child for [`Builder::fork`]: a fork that serves, and never comes back from here.
pub(crate) fn start(
    settings: &Settings,
    nonce: u64,
    [ours, theirs]: [&OwnedFd; 2],
    page: &OwnedFd,
    lifeline: &Lifeline,
) -> Result<Spawned> {
    let (shape, stdio) = zygote::shape(settings)?;
    let (socket, page) = (theirs.try_clone()?, page.try_clone()?);
    // SAFETY: `settings.fork` is set by the unsafe `Builder::fork` alone, whose caller promises what is asked for.
    match unsafe { divide(lifeline) }? {
        Side::Parent(spawned) => Ok(spawned),
        Side::Child => {
            // SAFETY: their owners are on the stack below, which this process never goes back to.
            unsafe {
                for fd in [ours.as_raw_fd(), theirs.as_raw_fd()] {
                    libc::close(fd);
                }
            }
            entry::set_depth(entry::depth() + 1);
            if let Err(error) = zygote::apply(&shape, stdio) {
                entry::cannot_serve(&error.to_string());
            }
            serve::serve(socket, page, nonce)
        }
    }
}

/// Tells a process from its forks, without a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u32);

/// Which of its forks this process is.
pub(crate) fn generation() -> Generation {
    count_forks();
    Generation(forks())
}

/// Tells a process from its forks, by a system call of whatever kind, and without one of its own.
pub(crate) struct Birth {
    pid: u32,
    /// 1, and 0 in a fork, where the kernel has wiped it. Never given back.
    word: Option<&'static AtomicU32>,
}

impl Birth {
    /// That of this process.
    pub(crate) fn of_this() -> Birth {
        Birth { pid: std::process::id(), word: wiped_by_forks().ok() }
    }

    /// Whether this is the process, and not a fork of it.
    pub(crate) fn is_here(&self) -> bool {
        match self.word {
            // Relaxed: the kernel has wiped it before the fork's first instruction.
            Some(word) => word.load(Ordering::Relaxed) == 1,
            None => std::process::id() == self.pid,
        }
    }
}

/// A word that holds 1 in this process, and 0 in each fork.
fn wiped_by_forks() -> io::Result<&'static AtomicU32> {
    const SIZE: usize = size_of::<AtomicU32>();
    let flags = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a fresh mapping at an address of the kernel's choice, which is never unmapped where the word in it is given out; its
    // zeroes are a number, and it begins at a page, so aligned.
    let word = unsafe {
        let start = rustix::mm::mmap_anonymous(ptr::null_mut(), SIZE, flags.0, flags.1)?;
        if let Err(error) = rustix::mm::madvise(start, SIZE, Advice::LinuxWipeOnFork) {
            let _ = rustix::mm::munmap(start, SIZE);
            return Err(error.into());
        }
        &*start.cast::<AtomicU32>()
    };
    word.store(1, Ordering::Relaxed);
    Ok(word)
}

/// Which side of a fork this is, without a page and a name yet.
enum Side {
    Parent(Spawned),
    Child,
}

/// Forks. The child has a group of its own, which ends when this process does.
///
/// # Safety
///
/// As [`fork`].
unsafe fn divide(lifeline: &Lifeline) -> io::Result<Side> {
    // What is in the buffers would be written by both.
    let _ = io::stdout().flush();
    let _ = io::stderr().flush();
    // Before there is a child that would be left behind without one.
    supervisor()?;
    // Both are of one tree.
    context::context().map_err(io::Error::other)?;
    let null = launch::null_device().map_err(io::Error::other)?;
    served::catch_up().map_err(io::Error::other)?;
    // A fork that ends at once might be gone before we have its descriptor, where SIGCHLD is ignored or something else here waits for
    // whatever ends. So it waits until we have.
    let (mut opened, mut opens) = io::pipe()?;
    // All locks in the order in which they are taken within each other.
    let outer = (zygote::hold(), registry::hold());
    let divided = served::with_heir(|heir| {
        let held = (
            context::hold(),
            supervising::hold(),
            memory::hold(),
            callbacks::hold(),
            current::hold(),
            sys::lifeline::hold(),
            served::hold_ends(),
            reactor::hold(),
            shared::hold(),
        );
        // SAFETY: the caller's promise is the one asked for; the allocator is looked after by the C library.
        let pid = unsafe { libc::fork() };
        let failure = io::Error::last_os_error();
        drop(held);
        (pid, failure, heir)
    });
    drop(outer);
    let (pid, failure, heir) = divided.map_err(io::Error::other)?;
    match pid {
        -1 => Err(failure),
        0 => {
            // SAFETY: calls on numbers.
            let me = unsafe {
                libc::setpgid(0, 0);
                libc::getpid()
            };
            if Lifeline::aim(lifeline.descriptors(), me).is_err() {
                entry::cannot_serve("its life cannot be tied to its parent's");
            }
            drop(opens);
            // Should the parent die meanwhile, so does this process.
            while opened.read(&mut [0]).is_err_and(|e| e.kind() == io::ErrorKind::Interrupted) {}
            sys::lifeline::let_go_of_all(null, lifeline.readers());
            // Whoever is connected with the parent is to find out when that is gone.
            let door = context::inherited_end().map(|end| end.as_raw_fd());
            let served = served::take_ends().into_iter().chain(served::inherit(heir));
            for end in served.chain(door) {
                // SAFETY: a call on numbers. Whose they are is on stacks that this process does not have, or forgotten.
                unsafe { libc::dup3(null.as_raw_fd(), end, libc::O_CLOEXEC) };
            }
            // The threads that wait at them are not here, and nothing else has their numbers.
            for end in supervising::take_ends().into_iter().chain(reactor::take_ends()).flatten() {
                // SAFETY: a call on numbers. Their owners are leaked, and used in the process that made them only.
                unsafe { libc::close(end) };
            }
            zygote::leave();
            Ok(Side::Child)
        }
        pid => {
            // The child does so too: whoever is first, the group is there for both.
            // SAFETY: a call on numbers. The child has not been waited for, so the number is its own.
            unsafe { libc::setpgid(pid, pid) };
            let pid = pid as u32;
            let pidfd = sys::adopt(pid)?;
            // It reads, or has been killed: the pipe is still whole here, so this does not fail.
            let _ = opens.write(&[0]);
            Ok(Side::Parent(Spawned { pid, pidfd }))
        }
    }
}

fn not_started(error: io::Error) -> Error {
    Error::new(ErrorKind::NotStarted).with_scale(Scale::Process).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_by_a_bare_system_call_is_told_from_its_parent() {
        let by_word = Birth::of_this();
        let by_number = Birth { word: None, ..by_word };
        assert!(by_word.is_here() && by_number.is_here());
        // SAFETY: a fork, whose child looks at two numbers and ends.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as i32;
        assert!(pid >= 0, "{}", io::Error::last_os_error());
        if pid == 0 {
            let code = i32::from(by_word.is_here()) | i32::from(by_number.is_here()) << 1;
            // SAFETY: ends the process, and nothing else.
            unsafe { libc::_exit(code) }
        }
        let mut status = -1;
        // SAFETY: writes the status of our own child where it is told.
        let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
        assert_eq!((waited, status), (pid, 0));
        assert!(by_word.is_here() && by_number.is_here());
    }
}
