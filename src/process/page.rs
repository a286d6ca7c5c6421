//! The page that a child shares with its parent: how far it has come, and what it said when it crashed.
//!
//! | word | written by | meaning |
//! | --- | --- | --- |
//! | `stage` | the child | how far the start has come, see [`Stage`] |
//! | `progress` | both, by compare-and-swap | high half: the epoch; low half: how many tasks the child has taken up |
//! | `taken_at` | the child | when it took up the last one, in ns of the monotonic clock |
//! | `forked` | the kernel, for the zygote | the process that a zygote has forked to be this child |
//! | `crash` and the fields of the record | the child, once | what it died of, written before it dies |
//! | `to_worker`, `from_worker` | a pool and its worker | what they tell each other; of other children's none of it is there |
//!
//! A task is sent with the epoch of its sending. The child takes it up by one compare-and-swap on `progress`, which
//! fails if the epoch has changed: the parent takes back all that was sent and not taken up by raising the epoch, and reads
//! in the same step which were taken. So each task is either taken or taken back, never both, whenever either side
//! dies. The parent trusts nothing here: every number is checked against what it sent.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::{io, ptr};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

use super::shared;

/// Bytes of what is about the child itself.
const FRONT: usize = 8192;
const TEXT: usize = FRONT - 64;
const SIZE: usize = size_of::<Layout>();
/// Units of 8 bytes in a stream: more than a frame has.
const ROOM: usize = 8192;

/// A stream between a pool and its worker.
pub(crate) type Stream = shared::Stream<ROOM>;

/// How far the start of a child has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The program has been executed at most.
    Executed,
    /// The library has taken over in the child.
    Entered,
    /// The child is ready for tasks.
    Ready,
}

/// What kind of end the crash record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrashKind {
    Panic,
    Signal,
    StackOverflow,
}

/// The crash record, as the parent reads it.
#[derive(Debug)]
pub(crate) struct Crash {
    pub(crate) kind: CrashKind,
    pub(crate) signal: i32,
    pub(crate) address: u64,
    /// Message, place and backtrace, separated by NUL, cut where the page ends.
    pub(crate) text: String,
}

#[repr(C)]
struct Layout {
    front: Front,
    to_worker: Stream,
    from_worker: Stream,
}

/// What is about the child itself, and lies in memory that it shares with its parent. All zeroes are a new one.
#[repr(C)]
pub(crate) struct Front {
    progress: AtomicU64,
    taken_at: AtomicU64,
    crash_address: AtomicU64,
    stage: AtomicU32,
    /// 0: none; 1: being written; 2, 3, 4: a `CrashKind`.
    crash: AtomicU32,
    crash_signal: AtomicI32,
    text_len: AtomicU32,
    forked: AtomicU32,
    _unused: u32,
    _reserved: [u64; 2],
    text: UnsafeCell<[u8; TEXT]>,
}

const _: () = assert!(size_of::<Front>() == FRONT);

/// A mapping of the page.
pub(crate) struct Page {
    layout: NonNull<Layout>,
}

// SAFETY: all fields are atomics but the `text` of the record, which is written only by the thread that moved `crash` to 1, and read only
// after `crash` shows that it is complete.
unsafe impl Sync for Front {}
// SAFETY: the mapping is nobody's in particular, and what lies in it is shared as above.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    /// Makes a page, and the descriptor by which the child maps it.
    pub(crate) fn create() -> io::Result<(Page, OwnedFd)> {
        let fd = rustix::fs::memfd_create(
            "fourfold-page",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?;
        rustix::fs::ftruncate(&fd, SIZE as u64)?;
        // A child cannot make our reads fail by shrinking what we have mapped.
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((Page::map(fd.as_fd())?, fd))
    }

    /// Maps a page that the parent made.
    pub(crate) fn map(fd: BorrowedFd<'_>) -> io::Result<Page> {
        if rustix::fs::fstat(fd)?.st_size != SIZE as i64 {
            return Err(io::Error::other("the shared page has the wrong size"));
        }
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let start = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                SIZE,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                0,
            )?
        };
        let layout = NonNull::new(start.cast()).expect("mmap gives no null");
        Ok(Page { layout })
    }

    fn whole(&self) -> &Layout {
        // SAFETY: the mapping is of the size of `Layout`, page-aligned, any bytes are valid for it, and it lives as long
        // as `self`.
        unsafe { self.layout.as_ref() }
    }

    /// What a pool tells its worker.
    pub(crate) fn stream_to_worker(&self) -> &Stream {
        &self.whole().to_worker
    }

    /// What a worker tells its pool.
    pub(crate) fn stream_from_worker(&self) -> &Stream {
        &self.whole().from_worker
    }

    /// Has all of the streams' memory there: an error now, and not a signal at its first use.
    pub(crate) fn fetch_streams(&self) -> io::Result<()> {
        let start = self.layout.as_ptr().cast::<u8>();
        // SAFETY: the whole of the mapping that `map` made.
        let fetched = unsafe {
            rustix::mm::madvise(start.cast(), SIZE, rustix::mm::Advice::LinuxPopulateWrite)
        };
        match fetched {
            // A kernel older than 5.14 does not know of it.
            Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Deref for Page {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.whole().front
    }
}

impl Front {
    // The child's side.

    pub(crate) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u32, Ordering::Release);
    }

    /// Takes up a task that was sent in this epoch. False if it has been taken back.
    pub(crate) fn take(&self, epoch: u32, now: u64) -> bool {
        // Before the task is taken, so that the parent never sees it taken with the time of an earlier one.
        self.taken_at.store(now, Ordering::Relaxed);
        let mut seen = self.progress.load(Ordering::Relaxed);
        loop {
            if (seen >> 32) as u32 != epoch {
                return false;
            }
            let next = seen & !0xffff_ffff | u64::from((seen as u32).wrapping_add(1));
            // Release: the parent that sees the task taken sees its time. The word alone decides between both sides.
            match self.progress.compare_exchange_weak(
                seen,
                next,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Leaves a crash record. It replaces that of a panic, which may have been caught, and no other. Async-signal-safe.
    pub(crate) fn record_crash(&self, kind: CrashKind, signal: i32, address: u64, text: &[&[u8]]) {
        let kind = match kind {
            CrashKind::Panic => 2,
            CrashKind::Signal => 3,
            CrashKind::StackOverflow => 4,
        };
        // One thread at a time writes, and what it writes over is complete.
        let claimed = [0, 2].into_iter().any(|free| {
            self.crash.compare_exchange(free, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
        });
        if !claimed {
            return;
        }
        let mut len = 0;
        for part in text {
            let part = &part[..part.len().min(TEXT - len)];
            // SAFETY: `len + part.len() <= TEXT`; this thread alone writes the text, since it moved `crash` to 1,
            // and the parent reads it only after the store below.
            unsafe {
                let target = self.text.get().cast::<u8>().add(len);
                ptr::copy_nonoverlapping(part.as_ptr(), target, part.len());
            }
            len += part.len();
        }
        self.crash_signal.store(signal, Ordering::Relaxed);
        self.crash_address.store(address, Ordering::Relaxed);
        self.text_len.store(len as u32, Ordering::Relaxed);
        // Release: who sees the kind sees the record.
        self.crash.store(kind, Ordering::Release);
    }

    /// Forgets a record: the panic was caught, and its task answered for it.
    pub(crate) fn clear_crash(&self) {
        self.crash.store(0, Ordering::Release);
    }

    // The zygote's side.

    /// Where the kernel is to put the number of the process that is forked to be this child. In place, and zero.
    pub(crate) fn forked_address(&self) -> u64 {
        let forked = &self.forked;
        // Written to, so that the kernel need not fetch the memory while the zygote is being killed.
        forked.store(0, Ordering::Relaxed);
        ptr::from_ref(forked) as u64
    }

    // The parent's side.

    /// The process that a zygote, which has answered or ended since, forked to be this child.
    pub(crate) fn forked(&self) -> Option<u32> {
        // Acquire: the kernel wrote it before the zygote went on.
        Some(self.forked.load(Ordering::Acquire)).filter(|pid| *pid != 0)
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Executed,
            1 => Stage::Entered,
            _ => Stage::Ready,
        }
    }

    /// How many tasks the child has taken up, counted modulo 2³², and when it took the last one.
    pub(crate) fn taken(&self) -> (u32, u64) {
        let taken = self.progress.load(Ordering::Acquire) as u32;
        (taken, self.taken_at.load(Ordering::Relaxed))
    }

    /// Takes back what was sent in `epoch` and not taken up: from now on the child takes only what is sent in the
    /// next epoch. Gives the number of tasks taken up.
    pub(crate) fn take_back(&self, epoch: u32) -> u32 {
        let next = u64::from(epoch.wrapping_add(1)) << 32;
        let progress = &self.progress;
        // Acquire and Release as in `take`; the high half is written by the parent alone.
        let result = progress.fetch_update(Ordering::AcqRel, Ordering::Acquire, |seen| {
            Some(next | u64::from(seen as u32))
        });
        match result {
            Ok(seen) | Err(seen) => seen as u32,
        }
    }

    /// The crash record of a child that has ended.
    pub(crate) fn crash(&self) -> Option<Crash> {
        let kind = match self.crash.load(Ordering::Acquire) {
            2 => CrashKind::Panic,
            3 => CrashKind::Signal,
            4 => CrashKind::StackOverflow,
            _ => return None,
        };
        let len = (self.text_len.load(Ordering::Relaxed) as usize).min(TEXT);
        let start = self.text.get().cast::<u8>();
        // The child has ended, but a fork that it has left behind may write here: what is copied is looked at afterwards.
        // SAFETY: `len <= TEXT`, so each byte lies in the mapping; any byte is valid.
        let text: Vec<u8> = (0..len).map(|at| unsafe { start.add(at).read_volatile() }).collect();
        Some(Crash {
            kind,
            signal: self.crash_signal.load(Ordering::Relaxed),
            address: self.crash_address.load(Ordering::Relaxed),
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map`, and no reference into it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.layout.as_ptr().cast(), SIZE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_taken_or_taken_back() {
        let (page, _fd) = Page::create().unwrap();
        assert!(page.take(0, 7));
        assert_eq!(page.taken(), (1, 7));
        assert_eq!(page.take_back(0), 1);
        assert!(!page.take(0, 8));
        assert!(page.take(1, 9));
        assert_eq!(page.taken(), (2, 9));
    }

    #[test]
    fn the_count_wraps_without_touching_the_epoch() {
        let (page, _fd) = Page::create().unwrap();
        page.progress.store(5 << 32 | 0xffff_ffff, Ordering::Relaxed);
        assert!(page.take(5, 0));
        assert_eq!(page.taken().0, 0);
        assert!(page.take(5, 0));
        assert_eq!(page.take_back(5), 1);
    }

    #[test]
    fn both_sides_at_once_never_take_the_same_task() {
        let (page, _fd) = Page::create().unwrap();
        for epoch in 0..2_000 {
            let before = page.taken().0;
            let (took, taken) = std::thread::scope(|scope| {
                let child = scope.spawn(|| page.take(epoch, 0));
                let parent = scope.spawn(|| page.take_back(epoch));
                (child.join().unwrap(), parent.join().unwrap())
            });
            assert_eq!(took, taken != before);
        }
    }

    #[test]
    fn a_signal_replaces_a_panic_and_nothing_a_signal() {
        let (page, _fd) = Page::create().unwrap();
        assert!(page.crash().is_none());
        page.record_crash(CrashKind::Panic, 0, 0, &[b"a", b"\0", &[b'x'; 2 * TEXT]]);
        let crash = page.crash().unwrap();
        assert_eq!((crash.kind, crash.text.len()), (CrashKind::Panic, TEXT));
        page.record_crash(CrashKind::Signal, 11, 1, &[]);
        page.record_crash(CrashKind::Panic, 0, 0, &[b"late"]);
        let crash = page.crash().unwrap();
        assert_eq!((crash.kind, crash.signal, crash.address), (CrashKind::Signal, 11, 1));
    }
}
