//! Whether this process is a fork of what it was: what belongs to the kernel's account of the parent must be made again.
//!
//! And what a fork is not to have of its parent's: the descriptors that are [withheld](Withheld). Their table is a list of places that
//! only grows, whose places are used again, so the handler that runs in the fork needs no lock: it reads numbers, and calls `dup2`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Once, OnceLock};

use signal_hook::flag::BorrowSignalSafe;

static FORKS: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between this process and the first that asked. A child that is no fork but runs a program begins anew.
///
/// Forks by the C library's `fork` are counted, those by a bare system call are not.
#[inline]
pub(crate) fn forks() -> u32 {
    // Relaxed: the child has one thread when it is counted.
    FORKS.load(Ordering::Relaxed)
}

/// Counts forks from now on.
pub(crate) fn count_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler does nothing but add to an atomic number, and this library is never unloaded while it is set, since
        // it is linked into the program or library that calls this.
        unsafe { libc::pthread_atfork(None, None, Some(count)) };
    });
}

extern "C" fn count() {
    FORKS.fetch_add(1, Ordering::Relaxed);
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

/// The process that goes by signals which others end by; 0 if none does.
///
/// A fork has the handlers of its parent from its first moment on, and signals may come to it before any code of its own: so the handlers ask
/// who they run in.
static BY_SIGNALS: AtomicU32 = AtomicU32::new(0);

/// Whether this process goes by signals from now on.
pub(crate) fn go_by_signals(does: bool) {
    let owner = if does { std::process::id() } else { 0 };
    BY_SIGNALS.store(owner, Ordering::SeqCst);
}

/// For a handler: whether signals do what they do by default, since this process does not go by them.
#[derive(Debug)]
pub(crate) struct ByDefault;

static YES: AtomicBool = AtomicBool::new(true);
static NO: AtomicBool = AtomicBool::new(false);

// SAFETY: an atomic load and `getpid`, which are async-signal-safe.
unsafe impl BorrowSignalSafe<AtomicBool> for ByDefault {
    fn borrow_signal_safe(&self) -> &AtomicBool {
        if BY_SIGNALS.load(Ordering::SeqCst) == std::process::id() { &NO } else { &YES }
    }
}
