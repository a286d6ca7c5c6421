//! Descriptors that a fork of this process is not to have.
//!
//! Their table is a list of places that only grows, whose places are used again, so the handler that runs in the fork needs no lock: it
//! reads numbers, and calls `dup3`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use super::forks::{count_forks, forks};

/// Puts `/dev/null` in their places, in a fork.
pub(super) fn take_from_fork() {
    let null = NULL.get().map(AsRawFd::as_raw_fd);
    // Relaxed in what follows: the fork has one thread, and all that the others had done by then.
    for place in places() {
        let fd = place.fd.swap(FREE, Ordering::Relaxed);
        if let (0.., Some(null)) = (fd, null) {
            // SAFETY: a call on numbers. Whose the descriptor is goes on having one of that number.
            unsafe { libc::dup3(null, fd, libc::O_CLOEXEC) };
        }
    }
}

/// A descriptor that forks of this process do not have: in its place they have `/dev/null`. For one whose other end is to see that it is
/// closed here, whoever has forked meanwhile.
///
/// Dropped before the descriptor is closed. Between its making and this, a fork has a copy.
#[derive(Debug)]
pub(crate) struct Withheld {
    place: &'static Place,
    forks: u32,
}

#[derive(Debug)]
struct Place {
    /// The descriptor; `FREE` if the place has none.
    fd: AtomicI32,
    next: Option<&'static Place>,
}

const FREE: RawFd = -1;

/// The place that came last.
static PLACES: AtomicPtr<Place> = AtomicPtr::new(ptr::null_mut());
static NULL: OnceLock<OwnedFd> = OnceLock::new();

fn places() -> impl Iterator<Item = &'static Place> {
    let first = PLACES.load(Ordering::Acquire);
    // SAFETY: null, or a place that was leaked before it was put there.
    std::iter::successors(unsafe { first.as_ref() }, |place| place.next)
}

impl Withheld {
    pub(crate) fn new(fd: impl AsFd) -> io::Result<Withheld> {
        if NULL.get().is_none() {
            let null = File::options().read(true).write(true).open("/dev/null")?;
            // The one of whoever was first.
            let _ = NULL.set(null.into());
        }
        count_forks();
        let fd = fd.as_fd().as_raw_fd();
        let free = places().find(|place| {
            place.fd.compare_exchange(FREE, fd, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        });
        Ok(Withheld { place: free.unwrap_or_else(|| add(fd)), forks: forks() })
    }
}

impl Drop for Withheld {
    fn drop(&mut self) {
        // In a fork the place may be somebody else's.
        if self.forks == forks() {
            self.place.fd.store(FREE, Ordering::Relaxed);
        }
    }
}

/// Adds a place to the list.
fn add(fd: RawFd) -> &'static Place {
    let mut first = PLACES.load(Ordering::Acquire);
    let place = Box::leak(Box::new(Place { fd: AtomicI32::new(fd), next: None }));
    loop {
        // SAFETY: null, or a place that was leaked before it was put there.
        place.next = unsafe { first.as_ref() };
        let put = PLACES.compare_exchange(first, place, Ordering::AcqRel, Ordering::Acquire);
        match put {
            Ok(_) => return place,
            Err(other) => first = other,
        }
    }
}
