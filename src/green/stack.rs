//! Stacks for coroutines: cut from a few large mappings, each with a guard below it, and used again.
//!
//! ```text
//! mapping ─┬─ guard ─┬─ stack 0 ─┬─ guard ─┬─ stack 1 ─┬─ …        a stack grows down, towards its guard
//! ```
//!
//! A guard is installed when its stack is handed out for the first time, by `MADV_GUARD_INSTALL` where the kernel has it
//! (6.13 and later) and takes it (not in locked memory), which leaves the mapping whole; else by `mprotect`, which cuts it in pieces, of
//! which a process may have `vm.max_map_count`. Memory is given to a stack page by page, as it is touched.
//!
//! A stack that is done with goes to its hub's [`Cache`], for the next coroutine, with its pages; from there to the pool of
//! the process, without them. A mapping none of whose stacks is in use is unmapped when the next one would be.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, OnceLock};

use corosensei::stack::valgrind::ValgrindStackRegistration;
use corosensei::stack::{Stack as RawStack, StackPointer};
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use crate::error::{Error, ErrorKind, Result, Scale};

/// The stack of a coroutine, in bytes, unless another size is asked for.
pub(super) const DEFAULT_SIZE: usize = 64 << 10;

/// What a stack may have at least.
pub(super) const SMALLEST: usize = 16 << 10;

/// What a stack may have at most.
pub(super) const LARGEST: usize = 1 << 30;

/// How many stacks the first mapping of a size has, and how many bytes the largest has about.
const FIRST: usize = 16;
const LARGEST_MAPPING: usize = 4 << 30;

/// How many stacks a hub keeps at hand.
const CACHED: usize = 256;

/// A size of stack, and of the guard below it; both in bytes, and multiples of a page. In two halves of a word: each place for a
/// coroutine has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    size: u32,
    guard: u32,
}

impl Class {
    /// Rounds up to pages.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a size is too small or too large.
    pub(super) fn new(size: usize, guard: usize) -> Result<Class> {
        if !(SMALLEST..=LARGEST).contains(&size) {
            return Err(Error::invalid(format!(
                "a stack of {size} bytes: it may have from {SMALLEST} to {LARGEST}"
            )));
        }
        if !(1..=LARGEST).contains(&guard) {
            return Err(Error::invalid(format!(
                "a guard of {guard} bytes below a stack: it may have from 1 to {LARGEST}"
            )));
        }
        Ok(Class::rounded(size, guard))
    }

    /// What a coroutine gets that asks for nothing.
    pub(super) fn usual() -> Class {
        static USUAL: OnceLock<Class> = OnceLock::new();
        *USUAL.get_or_init(|| Class::rounded(DEFAULT_SIZE, 1))
    }

    fn rounded(size: usize, guard: usize) -> Class {
        let pages = |bytes: usize| {
            u32::try_from(bytes.next_multiple_of(page())).expect("at most `LARGEST`, and a page")
        };
        Class { size: pages(size), guard: pages(guard) }
    }

    fn size(self) -> usize {
        self.size as usize
    }

    fn guard(self) -> usize {
        self.guard as usize
    }

    fn pitch(self) -> usize {
        self.size() + self.guard()
    }
}

fn page() -> usize {
    static PAGE: OnceLock<usize> = OnceLock::new();
    *PAGE.get_or_init(|| {
        // Not rustix's, which reads a part of the auxiliary vector that is no good under valgrind, and faults there.
        // SAFETY: asks for a number.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).expect("a page has a size")
    })
}

/// A stack that is in use, or kept for the next use. It must go back by [`Cache::put`] or [`Stack::free`]; dropping it leaks it.
#[derive(Debug)]
pub(super) struct Stack {
    top: NonZeroUsize,
    class: Class,
}

// SAFETY: the memory between limit and base is mapped, belongs to this stack alone from `Pool::take` until it goes back, and has a
// guard of at least a page at its lower end (`Pool::take` installs it); `Class::new` sees to the smallest size.
unsafe impl RawStack for Stack {
    #[inline]
    fn base(&self) -> StackPointer {
        self.top
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        // The guard is part of it. A stack begins above address 0, so there is something left.
        NonZeroUsize::new(self.top.get() - self.class.pitch()).expect("a mapping is not at 0")
    }
}

impl Stack {
    /// One for a coroutine without a hub.
    ///
    /// # Errors
    ///
    /// `NotStarted` if the system gives no more memory or no more mappings.
    pub(super) fn take(class: Class) -> Result<Stack> {
        pool().take(class)
    }

    /// The addresses of its guard.
    pub(super) fn guard(&self) -> std::ops::Range<usize> {
        let low = self.top.get() - self.class.pitch();
        low..low + self.class.guard()
    }

    /// The addresses of the stack itself.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        self.guard().end..self.top.get()
    }

    /// Gives it back to the process, and its memory to the system.
    pub(super) fn free(self) {
        pool().give_back(&self);
    }
}

/// The stacks that a hub keeps at hand, all of the usual class.
#[derive(Debug, Default)]
pub(super) struct Cache {
    stacks: Vec<Stack>,
}

impl Cache {
    /// # Errors
    ///
    /// As [`Stack::take`].
    #[inline]
    pub(super) fn take(&mut self, class: Class) -> Result<Stack> {
        match self.stacks.pop() {
            Some(stack) if stack.class == class => Ok(stack),
            Some(stack) => {
                self.stacks.push(stack);
                Stack::take(class)
            }
            None => Stack::take(class),
        }
    }

    #[inline]
    pub(super) fn put(&mut self, stack: Stack) {
        if self.stacks.len() < CACHED && stack.class == Class::usual() {
            self.stacks.push(stack);
        } else {
            stack.free();
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.stacks.drain(..).for_each(Stack::free);
    }
}

/// All mappings of the process.
pub(super) struct Pool {
    mappings: Vec<Mapping>,
}

struct Mapping {
    class: Class,
    start: usize,
    count: usize,
    /// How many have ever been handed out: those from here on have no guard yet.
    begun: usize,
    /// Those that came back.
    free: Vec<u32>,
    /// For valgrind, which must know where stacks are. Empty otherwise.
    registered: Vec<ValgrindStackRegistration>,
}

pub(super) fn pool() -> MutexGuard<'static, Pool> {
    static POOL: Mutex<Pool> = Mutex::new(Pool { mappings: Vec::new() });
    // What panics under the lock is a lack of memory for a `Vec`: all is as before then.
    POOL.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Mapping {
    fn length(&self) -> usize {
        self.class.pitch() * self.count
    }

    fn in_use(&self) -> usize {
        self.begun - self.free.len()
    }

    fn has_room(&self) -> bool {
        !self.free.is_empty() || self.begun < self.count
    }

    fn stack(&self, index: usize) -> Stack {
        let low = self.start + index * self.class.pitch();
        let top = NonZeroUsize::new(low + self.class.pitch()).expect("a mapping is not at 0");
        Stack { top, class: self.class }
    }
}

impl Pool {
    fn take(&mut self, class: Class) -> Result<Stack> {
        let known = self.mappings.iter().rposition(|m| m.class == class && m.has_room());
        let index = match known {
            Some(index) => index,
            None => self.map(class)?,
        };
        let mapping = &mut self.mappings[index];
        if let Some(free) = mapping.free.pop() {
            return Ok(mapping.stack(free as usize));
        }
        let stack = mapping.stack(mapping.begun);
        install_guard(&stack)?;
        mapping.begun += 1;
        if under_valgrind() {
            let start = stack.guard().end as *mut u8;
            mapping.registered.push(ValgrindStackRegistration::new(start, class.size()));
        }
        Ok(stack)
    }

    /// Makes room for stacks of a class.
    fn map(&mut self, class: Class) -> Result<usize> {
        let largest = self.mappings.iter().filter(|m| m.class == class).map(|m| m.count).max();
        let most = (LARGEST_MAPPING / class.pitch()).max(1);
        let count = largest.map_or(FIRST, |count| count * 2).min(most);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let length = class.pitch() * count;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                flags,
            )
        };
        let start = start.map_err(|error| no_stack(error.into(), "no room for stacks"))?;
        // A huge page would give each stack more than it touches. A kernel without them refuses this, and has none.
        // SAFETY: the mapping that was made above.
        let _ = unsafe { rustix::mm::madvise(start, length, Advice::LinuxNoHugepage) };
        self.mappings.push(Mapping {
            class,
            start: start as usize,
            count,
            begun: 0,
            free: Vec::new(),
            registered: Vec::new(),
        });
        Ok(self.mappings.len() - 1)
    }

    fn give_back(&mut self, stack: &Stack) {
        let low = stack.guard().start;
        let is_of = |m: &Mapping| (m.start..m.start + m.length()).contains(&low);
        let Some(index) = self.mappings.iter().position(is_of) else { return };
        // SAFETY: the memory of a stack that nobody uses any more; what is read there next is zero. The guard stays.
        let _ = unsafe {
            rustix::mm::madvise(
                stack.guard().end as *mut _,
                stack.class.size(),
                Advice::LinuxDontNeed,
            )
        };
        let mapping = &mut self.mappings[index];
        mapping.free.push(((low - mapping.start) / mapping.class.pitch()) as u32);
        if mapping.in_use() == 0 {
            self.unmap(index);
        }
    }

    /// Unmaps it, if another of its class has room: else the next coroutine would map it anew.
    fn unmap(&mut self, index: usize) {
        let class = self.mappings[index].class;
        let spare =
            |(other, m): (usize, &Mapping)| other != index && m.class == class && m.has_room();
        if !self.mappings.iter().enumerate().any(spare) {
            return;
        }
        let mapping = self.mappings.swap_remove(index);
        // SAFETY: a mapping of ours, no part of which is in use: `in_use` is 0.
        let _ = unsafe { rustix::mm::munmap(mapping.start as *mut _, mapping.length()) };
    }
}

/// Set to `mprotect`, it has guards made as on a kernel without `MADV_GUARD_INSTALL`.
const HOW_VARIABLE: &str = "FOURFOLD_STACK_GUARD";

/// Whether `MADV_GUARD_INSTALL` is left alone.
fn is_mprotect_wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| std::env::var_os(HOW_VARIABLE).is_some_and(|how| how == "mprotect"))
}

/// Each guard by the one that the kernel has or else by the other: memory that is locked (`mlockall`) takes `mprotect` alone, and that
/// may begin and end. An attempt in vain costs little beside the first pages of a stack.
fn install_guard(stack: &Stack) -> Result<()> {
    /// Since Linux 6.13.
    const MADV_GUARD_INSTALL: libc::c_int = 102;
    let guard = stack.guard();
    let (start, length) = (guard.start as *mut libc::c_void, guard.len());
    // SAFETY: the guard of a stack that nobody uses yet, in a mapping of ours.
    if !is_mprotect_wanted() && unsafe { libc::madvise(start, length, MADV_GUARD_INSTALL) } == 0 {
        return Ok(());
    }
    // SAFETY: as above.
    unsafe { rustix::mm::mprotect(start, length, MprotectFlags::empty()) }.map_err(|error| {
        let hint = "a stack got no guard: on a kernel before 6.13, and in locked memory, each takes two mappings, of which a process \
                    may have vm.max_map_count; raise it with sysctl, or have fewer coroutines at once";
        no_stack(error.into(), hint)
    })
}

fn no_stack(error: io::Error, what: &str) -> Error {
    Error::new(ErrorKind::NotStarted).with_scale(Scale::Green).with_message(what).with_source(error)
}

/// Valgrind has its programs preload a library of its own.
fn under_valgrind() -> bool {
    static UNDER: OnceLock<bool> = OnceLock::new();
    *UNDER.get_or_init(|| {
        std::env::var_os("LD_PRELOAD")
            .is_some_and(|list| list.to_string_lossy().contains("vgpreload"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_that_came_back_is_handed_out_again_empty() {
        let class = Class::new(48 << 10, 1).unwrap();
        let stack = pool().take(class).unwrap();
        let place = (stack.top.get() - 64) as *mut u64;
        // SAFETY: the stack is this test's alone.
        unsafe { place.write(7) };
        let low = stack.guard().start;
        stack.free();
        let again = pool().take(class).unwrap();
        assert_eq!(again.guard().start, low);
        // SAFETY: as above.
        assert_eq!(unsafe { place.read() }, 0);
        again.free();
    }

    #[test]
    fn mappings_grow_and_go() {
        let class = Class::new(20 << 10, 1).unwrap();
        let stacks: Vec<_> = (0..FIRST * 15).map(|_| pool().take(class).unwrap()).collect();
        let count = |class| pool().mappings.iter().filter(|m| m.class == class).count();
        assert_eq!(count(class), 4);
        stacks.into_iter().for_each(Stack::free);
        assert_eq!(count(class), 1);
    }

    #[test]
    fn sizes_out_of_bounds_are_refused() {
        for (size, guard) in
            [(SMALLEST - 1, 1), (LARGEST + 1, 1), (SMALLEST, 0), (SMALLEST, LARGEST + 1)]
        {
            assert_eq!(Class::new(size, guard).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert!(Class::new(SMALLEST, 1).is_ok() && Class::new(LARGEST, LARGEST).is_ok());
    }
}
