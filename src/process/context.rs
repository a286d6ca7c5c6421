//! What the processes of one tree have in common: a memory for their words, and a door to the process that serves them.
//!
//! The root of a tree, a process that this library has not started, makes the context when it launches its first child or
//! makes its first word. All that it starts inherit it, and all that they start: a child finds it at numbers that its token
//! says, a fork has it already. A program that is executed by other means gets none of it, and is the root of its own tree.
//!
//! The door is the sending end of a pair of datagram sockets that has no name. Who wants to talk to the root makes a pair of
//! stream sockets, and sends one of them through the door; many may send at once. The other end of the door is the root's
//! alone: when the root has ended, what is sent fails.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::served;
use crate::error::Result;

/// Bytes of the memory. None of them is there before it is used.
pub(crate) const MEMORY: u64 = 64 << 30;

/// What the processes of a tree have in common.
#[derive(Debug)]
pub(crate) struct Context {
    memory: OwnedFd,
    door: OwnedFd,
    /// The other end of the door, in the root.
    inside: Option<Inside>,
}

#[derive(Debug)]
struct Inside {
    receiver: OwnedFd,
    /// The process that it belongs to. A fork of it has a copy.
    owner: u32,
}

static CONTEXT: Mutex<Option<&'static Context>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<&'static Context>> {
    CONTEXT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    lock()
}

/// The context of this process: the one it came with, or one of its own, made at the first call.
pub(crate) fn context() -> Result<&'static Context> {
    let mut slot = lock();
    if let Some(context) = *slot {
        return Ok(context);
    }
    // For ever: what it lends has no end before that of the process.
    let context: &'static Context = Box::leak(Box::new(Context::new()?));
    if let Some(inside) = context.inside() {
        served::watch(inside)?;
    }
    *slot = Some(context);
    Ok(context)
}

/// Makes what a child has found at its start its context.
pub(crate) fn adopt(memory: OwnedFd, door: OwnedFd) {
    *lock() = Some(Box::leak(Box::new(Context { memory, door, inside: None })));
}

/// The other end of the door, if a fork has come with its parent's: a descriptor whose number is the parent's word for it.
pub(crate) fn inherited_end() -> Option<BorrowedFd<'static>> {
    let context = (*lock())?;
    let inside = context.inside.as_ref()?;
    (inside.owner != std::process::id()).then(|| inside.receiver.as_fd())
}

impl Context {
    fn new() -> io::Result<Context> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = rustix::fs::memfd_create("fourfold-words", flags)?;
        rustix::fs::ftruncate(&memory, MEMORY)?;
        rustix::fs::fcntl_add_seals(
            &memory,
            SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        )?;
        let flags = SocketFlags::CLOEXEC;
        let (door, receiver) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        let inside = Some(Inside { receiver, owner: std::process::id() });
        Ok(Context { memory, door, inside })
    }

    /// The memory, sealed at its size. Each process maps what it uses of it.
    pub(crate) fn memory(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    /// The sending end of the door.
    pub(crate) fn door(&self) -> BorrowedFd<'_> {
        self.door.as_fd()
    }

    /// The receiving end, if this process is the root.
    pub(crate) fn inside(&self) -> Option<BorrowedFd<'_>> {
        let inside = self.inside.as_ref()?;
        (inside.owner == std::process::id()).then(|| inside.receiver.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Builder, Command, StartMethod, Stdio, spawn};
    use std::os::fd::AsRawFd;

    /// What the memory and the door are, the same for all who have them.
    fn marks() -> [u64; 2] {
        let context = context().unwrap();
        [context.memory(), context.door()].map(|fd| rustix::fs::fstat(fd).unwrap().st_ino)
    }

    fn marks_below() -> ([u64; 2], [u64; 2], bool) {
        let below = spawn(marks, ()).unwrap().join().unwrap();
        (marks(), below, context().unwrap().inside().is_none())
    }

    #[test]
    fn all_of_a_tree_have_the_same_and_only_the_root_its_inside() {
        for method in [StartMethod::Spawn, StartMethod::Forkserver] {
            let child = Builder::new().start_method(method).spawn(marks_below, ()).unwrap();
            assert_eq!(child.join().unwrap(), (marks(), marks(), true), "{method:?}");
        }
    }

    #[test]
    fn another_program_gets_none_of_it() {
        let ours = format!("socket:[{}]", marks()[1]);
        let done = Command::new("ls").arg("-l").arg("/proc/self/fd").stdout(Stdio::Capture).run();
        let listing = String::from_utf8(done.unwrap().stdout.unwrap().to_vec().unwrap()).unwrap();
        assert!(!listing.contains("fourfold-words") && !listing.contains(&ours), "{listing}");
        assert!(listing.contains("/proc/"), "{listing}");
    }

    #[test]
    fn there_is_one_whose_memory_keeps_its_size_and_costs_nothing() {
        let context = context().unwrap();
        assert!(std::ptr::eq(context, super::context().unwrap()));
        let stat = rustix::fs::fstat(context.memory()).unwrap();
        assert_eq!(stat.st_size, MEMORY as i64);
        assert!(rustix::fs::ftruncate(context.memory(), 0).is_err());
        assert!(rustix::fs::ftruncate(context.memory(), MEMORY + 1).is_err());
        for fd in [context.memory(), context.door()] {
            let flags = rustix::io::fcntl_getfd(fd).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "{}", fd.as_raw_fd());
        }
        assert!(context.inside().is_some() && inherited_end().is_none());
    }
}
