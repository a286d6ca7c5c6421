//! What a child shares with who forks it.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::maps::shared_with_forks;
use super::super::page::{Front, Stage};
use super::super::sys::Lifeline;

/// Bytes that an answer may have.
pub(crate) const ROOM: usize = 1024 - 8;
/// So many places are made at once.
pub(super) const CHUNK: usize = 32;

/// What a child gets of who forks it.
pub(super) struct Seat {
    pub(super) place: &'static Place,
    /// The reading end of the line, as open files of its own.
    pub(super) readers: [Option<OwnedFd>; 2],
}

impl Seat {
    pub(super) fn has_readers(&self) -> bool {
        self.readers.iter().all(Option::is_some)
    }

    pub(super) fn open(&mut self, line: &OwnedFd) {
        let path = format!("/proc/self/fd/{}", line.as_raw_fd());
        self.readers = [(); 2].map(|()| Lifeline::armed(&path).ok());
    }
}

/// What a child shares with who forked it. All zeroes are a new one.
#[repr(C, align(4096))]
pub(super) struct Place {
    /// One more than the answer has bytes; 0 while there is none.
    len: AtomicU32,
    bytes: UnsafeCell<[u8; ROOM]>,
    pub(super) front: Front,
}

// SAFETY: `bytes` are written by the child alone, before `len`, and read by the parent once it has ended.
unsafe impl Sync for Place {}

impl Place {
    /// Some that nobody has, for ever.
    pub(super) fn some() -> io::Result<&'static [Place]> {
        // SAFETY: it is of atomic numbers, and of bytes that one process at a time writes.
        unsafe { shared_with_forks(CHUNK) }
    }

    pub(super) fn prepare(&self) {
        self.len.store(0, Ordering::Relaxed);
        self.front.clear_crash();
        self.front.set_stage(Stage::Entered);
    }

    pub(super) fn put(&self, answer: &[u8]) {
        let len = answer.len().min(ROOM);
        // SAFETY: so many bytes are there, and this thread alone writes them.
        unsafe { ptr::copy_nonoverlapping(answer.as_ptr(), self.bytes.get().cast(), len) };
        // Release: who sees the length sees the bytes.
        self.len.store(len as u32 + 1, Ordering::Release);
    }

    pub(super) fn answer(&self) -> Option<Vec<u8>> {
        let len = (self.len.load(Ordering::Acquire) as usize).checked_sub(1)?.min(ROOM);
        let start = self.bytes.get().cast::<u8>();
        // A fork that the child has left behind might write here all the same: what is copied is looked at afterwards.
        // SAFETY: so many bytes lie in the place; any byte is valid.
        Some((0..len).map(|at| unsafe { start.add(at).read_volatile() }).collect())
    }
}
