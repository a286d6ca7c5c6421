//! The memory that all processes of a context share, and who takes part in it.
//!
//! What is where:
//!
//! | offset | what |
//! | --- | --- |
//! | 0 | the [`Header`] |
//! | [`JOURNAL`] | what a transaction has changed, see `journal.rs` |
//! | [`MEMBERS`] | a [`Slot`] for each participant |
//! | [`HEAP`] | blocks, see `heap.rs` |
//!
//! Between processes there are offsets only. All of it is valid when it is zero, as fresh memory is, so nobody need make it.
//!
//! A participant holds a record lock on the byte of its slot in the file ([`MEMBER_LOCKS`]). The kernel takes it away when the last
//! thread of the process has ended, or when it executes another program, and nobody need be its parent, or be alive,
//! to be told so. A process that is stopped keeps it.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use std::{io, mem, ptr};

use rustix::mm::{MapFlags, ProtFlags};
use rustix::thread::futex;

use super::atomic::{Number32, Number64, Ordering, step};
use super::gate::Gate;
use super::host::{Host, Member};
use super::lock_word::LockWord;
use crate::system::forks;

/// Where the journal begins.
pub(super) const JOURNAL: u64 = 4 << 10;
/// Where the slots begin.
pub(super) const MEMBERS: u64 = 16 << 10;
/// How many participants there can be at one time.
pub(super) const MAX_MEMBERS: usize = 4096;
/// Where blocks begin.
pub(super) const HEAP: u64 = 1 << 20;
/// The byte of the file whose record lock is that of the first slot. Nothing is stored there.
const MEMBER_LOCKS: i64 = 1 << 40;

/// Bytes that the kernel is asked for at once.
const COMMITTED_AT_ONCE: u64 = 1 << 20;

/// How many sizes of blocks there are.
pub(super) const CLASSES: usize = 160;

/// The first page.
#[repr(C)]
pub(super) struct Header {
    /// Guards all that the journal is for.
    pub(super) lock: LockWord,
    /// How many entries of the journal are valid.
    pub(super) journaled: Number64,
    /// Bytes of the heap that have ever been in a large block.
    pub(super) top: Number64,
    /// The most that `top` ever was, also in what was undone.
    pub(super) touched: Number64,
    /// The rest of the large block from which small ones are being cut: where it begins, and ends.
    pub(super) chunk: Number64,
    pub(super) chunk_end: Number64,
    /// Bytes in blocks that are in use.
    pub(super) used: Number64,
    /// How many words there are.
    pub(super) objects: Number64,
    /// The first of the references that are under way, belonging to nobody.
    pub(super) tickets: Number64,
    /// The first of the references to words that nobody else has, and that are being taken apart.
    pub(super) condemned: Number64,
    /// The last number that was given to a word or a ticket.
    pub(super) serial: Number64,
    /// How many participants were found dead.
    pub(super) deaths: Number64,
    /// When participants were last looked after, in ms of the monotonic clock.
    pub(super) looked: Number64,
    /// How many slots have ever been taken.
    pub(super) slots: Number64,
    /// The first free block of each size.
    pub(super) free: [Number64; CLASSES],
}

/// One participant.
#[repr(C, align(64))]
pub(super) struct Slot {
    /// How often it was taken, and below it what it is: see [`status`].
    pub(super) state: Number64,
    /// Counts the rings. The futex that the participant's bell sleeps on.
    pub(super) bell: Number32,
    pub(super) pid: Number32,
    /// The first of its references.
    pub(super) references: Number64,
}

/// What a slot is.
pub(super) mod status {
    pub(in super::super) const FREE: u32 = 0;
    pub(in super::super) const LIVE: u32 = 1;
    /// Its process has ended, and what it held is not yet given back.
    pub(in super::super) const DEAD: u32 = 2;
}

#[cfg(not(all(loom, test)))]
const _: () = assert!(size_of::<Header>() <= JOURNAL as usize);
#[cfg(not(all(loom, test)))]
const _: () = assert!(size_of::<Slot>() == 64);
#[cfg(not(all(loom, test)))]
const _: () = assert!(MEMBERS as usize + MAX_MEMBERS * size_of::<Slot>() <= HEAP as usize);

/// A mapping of the memory of a context.
pub(super) struct Arena {
    base: *mut u8,
    pub(super) size: u64,
    /// Never closed, nor any copy of it in this process: with that the kernel would take its record lock away.
    file: BorrowedFd<'static>,
    /// Who this process is here; 0 if it has not said so. Set under `registering`.
    me: AtomicU64,
    /// In which of its forks `me` was set.
    forks: std::sync::atomic::AtomicU32,
    registering: std::sync::Mutex<()>,
}

// SAFETY: the mapping may be used from every thread: what is in it is atomics, and blocks whose protocols say who may touch them.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// Maps `file`, whose size is sealed.
    pub(super) fn map(file: BorrowedFd<'static>) -> io::Result<Arena> {
        let size = rustix::fs::fstat(file)?.st_size as u64;
        if size < 2 * HEAP {
            return Err(io::Error::other("the shared memory of the context has the wrong size"));
        }
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let base = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                size as usize,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::NORESERVE,
                file,
                0,
            )
        };
        let base = base.map_err(|error| {
            let text = format!(
                "no {size} bytes of addresses for the memory that processes share: {error}"
            );
            io::Error::new(io::Error::from(error).kind(), text)
        })?;
        // Huge pages would take 2 MiB for a word; a core dump would have the kernel fill all that is not there.
        for advice in [rustix::mm::Advice::LinuxNoHugepage, rustix::mm::Advice::LinuxDontDump] {
            // SAFETY: the mapping above. Neither changes what is in it.
            let _ = unsafe { rustix::mm::madvise(base, size as usize, advice) };
        }
        crate::system::count_forks();
        Ok(Arena {
            base: base.cast(),
            size,
            file,
            me: AtomicU64::new(0),
            forks: Default::default(),
            registering: Default::default(),
        })
    }

    /// Where that offset is. It and `len` bytes behind it must lie in the arena.
    ///
    /// # Panics
    ///
    /// If they do not: an offset of somebody who wrote nonsense into memory that all share.
    #[inline]
    pub(super) fn at(&self, offset: u64, len: usize) -> *mut u8 {
        assert!(
            offset.checked_add(len as u64).is_some_and(|end| end <= self.size),
            "an offset beyond the shared memory: a process has damaged it"
        );
        // SAFETY: within the mapping, as was just checked.
        unsafe { self.base.add(offset as usize) }
    }

    /// The `T` at that offset.
    ///
    /// # Safety
    ///
    /// For `T` every bit pattern must be valid, and what changes in it is atomic or in a cell.
    ///
    /// # Panics
    ///
    /// As [`at`](Arena::at); or if the offset is not aligned.
    #[inline]
    pub(super) unsafe fn get<T>(&self, offset: u64) -> &T {
        assert!(offset.is_multiple_of(align_of::<T>() as u64), "an offset that is not aligned");
        // SAFETY: aligned, in the mapping, which lives as long as `self`; the rest is the caller's promise.
        unsafe { &*self.at(offset, size_of::<T>()).cast::<T>() }
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: a `Header` is atomics only.
        unsafe { self.get(0) }
    }

    /// A number that the journal knows by its offset.
    pub(super) fn number(&self, offset: u64) -> &Number64 {
        // SAFETY: an atomic.
        unsafe { self.get(offset) }
    }

    pub(super) fn offset_of<T>(&self, thing: &T) -> u64 {
        (ptr::from_ref(thing) as usize - self.base as usize) as u64
    }

    pub(super) fn slot(&self, index: usize) -> &Slot {
        let index = index.min(MAX_MEMBERS - 1) as u64;
        // SAFETY: a `Slot` is atomics only.
        unsafe { self.get(MEMBERS + index * size_of::<Slot>() as u64) }
    }

    /// Who this process is, if it takes part.
    #[inline]
    pub(super) fn myself(&self) -> Option<Member> {
        // Acquire, and first: who sees this fork's number sees who it is. What `me` stands for is in shared memory.
        let same = self.forks.load(std::sync::atomic::Ordering::Acquire) == forks();
        let me = self.me.load(std::sync::atomic::Ordering::Relaxed);
        (me != 0 && same).then_some(Member(me))
    }

    /// Holds it still, for a fork.
    pub(super) fn hold(&self) -> impl Sized + '_ {
        self.registering.lock().unwrap_or_else(|error| error.into_inner())
    }

    /// Calls `register` unless this process takes part already, and gives who it is.
    pub(super) fn join<E>(
        &self,
        register: impl FnOnce() -> Result<Member, E>,
    ) -> Result<Member, E> {
        if let Some(me) = self.myself() {
            return Ok(me);
        }
        let _registering = self.registering.lock().unwrap_or_else(|error| error.into_inner());
        if let Some(me) = self.myself() {
            return Ok(me);
        }
        let me = register()?;
        self.me.store(me.0, std::sync::atomic::Ordering::Relaxed);
        self.forks.store(forks(), std::sync::atomic::Ordering::Release);
        Ok(me)
    }

    /// Takes the record lock of a slot for this process. False: another process has it.
    pub(super) fn hold_slot(&self, index: usize) -> io::Result<bool> {
        let mut range = record(index);
        // SAFETY: `fcntl` with the struct that F_SETLK asks for.
        let result = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_SETLK, &raw mut range) };
        if result == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => Ok(false),
            _ => Err(error),
        }
    }

    /// Gives the record lock of a slot back.
    pub(super) fn let_go_of_slot(&self, index: usize) {
        let mut range = record(index);
        range.l_type = libc::F_UNLCK as libc::c_short;
        // SAFETY: `fcntl` with the struct that F_SETLK asks for.
        unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_SETLK, &raw mut range) };
    }

    /// Whether a process other than this one has the record lock of a slot.
    pub(super) fn is_slot_held(&self, index: usize) -> bool {
        let mut range = record(index);
        // SAFETY: `fcntl` with the struct that F_GETLK asks for.
        let result = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_GETLK, &raw mut range) };
        // If the kernel cannot tell, nobody is taken for dead.
        result != 0 || i32::from(range.l_type) != libc::F_UNLCK
    }

    /// Has the kernel give memory for these bytes, so that no later access to them fails.
    pub(super) fn commit(&self, offset: u64, len: u64) -> io::Result<()> {
        step();
        let mut done = 0;
        while done < len {
            // In parts: of one that a signal interrupts the kernel takes all back, and signals may come in turn for ever.
            let part = (len - done).min(COMMITTED_AT_ONCE);
            let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
            match rustix::fs::fallocate(self.file, flags, offset + done, part) {
                Err(rustix::io::Errno::INTR) => {}
                other => {
                    other?;
                    done += part;
                }
            }
        }
        Ok(())
    }

    /// Gives the memory of these bytes, whole pages, back to the kernel. They read as zero afterwards.
    ///
    /// False: the kernel did not take it.
    #[must_use = "memory that was not taken is not zero"]
    pub(super) fn give_back(&self, offset: u64, len: u64) -> bool {
        step();
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE | rustix::fs::FallocateFlags::PUNCH_HOLE;
        loop {
            match rustix::fs::fallocate(self.file, flags, offset, len) {
                Err(rustix::io::Errno::INTR) => {}
                other => return other.is_ok(),
            }
        }
    }
}

/// The record lock of a slot.
fn record(index: usize) -> libc::flock {
    // SAFETY: all fields are numbers.
    let mut range: libc::flock = unsafe { mem::zeroed() };
    range.l_type = libc::F_WRLCK as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = MEMBER_LOCKS + index as i64;
    range.l_len = 1;
    range
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made; no reference into it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.base.cast(), self.size as usize) };
    }
}

impl Host for Arena {
    #[inline]
    fn me(&self) -> Member {
        // Who has a word takes part; a fork of it does so now.
        self.take_part().unwrap_or_else(|error| panic!("a word between processes: {error}"))
    }

    fn is_dead(&self, member: Member) -> bool {
        if Some(member) == self.myself() || member.slot() >= MAX_MEMBERS {
            return false;
        }
        let slot = self.slot(member.slot());
        let live = u64::from(member.life()) << 32 | u64::from(status::LIVE);
        // Acquire: what was done before the slot was found dead is seen.
        if slot.state.load(Ordering::Acquire) != live {
            return true;
        }
        if self.is_slot_held(member.slot()) {
            return false;
        }
        // The record lock is ours, and its process has ended, or the slot has changed its life meanwhile, with the same meaning.
        // It is counted first: who dies in between has it counted twice, and not never.
        self.header().deaths.fetch_add(1, Ordering::AcqRel);
        let dead = live & !0xffff_ffff | u64::from(status::DEAD);
        let _ = slot.state.exchange(live, dead, Ordering::AcqRel);
        true
    }

    fn is_dead_brief(&self, slot: usize, life: u32, bits: u32) -> bool {
        let now = (self.slot(slot).state.load(Ordering::Acquire) >> 32) as u32;
        now << (32 - bits) != life << (32 - bits) || self.is_dead(Member::new(slot, now))
    }

    fn sleep(&self, gate: &Gate, seen: u32, limit: Duration) {
        step();
        let limit = futex::Timespec {
            tv_sec: limit.as_secs() as i64,
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        let _ = futex::wait(gate.word.inner(), futex::Flags::empty(), seen, Some(&limit));
    }

    fn wake(&self, gate: &Gate, count: u32) -> u32 {
        step();
        // The kernel's count is an int.
        let count = count.min(i32::MAX as u32);
        futex::wake(gate.word.inner(), futex::Flags::empty(), count).unwrap_or(0) as u32
    }

    fn ring(&self, who: u64) {
        let slots = self.header().slots.load(Ordering::Acquire).min(MAX_MEMBERS as u64) as usize;
        for index in (0..slots).filter(|index| who & 1 << (index % 64) != 0) {
            let slot = self.slot(index);
            if slot.state.load(Ordering::Acquire) as u32 == status::LIVE {
                slot.bell.fetch_add(1, Ordering::AcqRel);
                let _ = futex::wake(slot.bell.inner(), futex::Flags::empty(), 1);
            }
        }
    }
}
