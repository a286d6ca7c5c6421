//! The kernel's list of what this process has mapped.
#![allow(unsafe_code)]

use std::io;
use std::ops::Range;
use std::ptr;

use rustix::mm::{MapFlags, ProtFlags};

/// One line of it.
pub(crate) struct Mapping<'a> {
    pub(crate) range: Range<usize>,
    /// As `r-xp`.
    pub(crate) rights: &'a str,
    /// Its file, or what the kernel calls it; empty where that is nothing.
    pub(crate) name: &'a str,
}

impl<'a> Mapping<'a> {
    /// What a line says, if it is one.
    pub(crate) fn of(line: &'a str) -> Option<Mapping<'a>> {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        Some(Mapping { range, rights: fields.next()?, name: fields.nth(3).unwrap_or_default() })
    }
}

/// So many, of zeroes, in memory that forks share with this process, for ever.
///
/// # Safety
///
/// Zeroes are a `T`, which may be changed by several processes at once, and is aligned to no more than 4 KiB.
pub(crate) unsafe fn shared_with_forks<T>(count: usize) -> io::Result<&'static [T]> {
    const { assert!(align_of::<T>() <= 4096) };
    let (rights, flags) =
        (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::NORESERVE);
    // SAFETY: a fresh mapping at an address of the kernel's choice, of so many bytes. It begins at a page, is of zeroes, which are values
    // as the caller promises, and is never unmapped.
    unsafe {
        let start =
            rustix::mm::mmap_anonymous(ptr::null_mut(), count * size_of::<T>(), rights, flags)?;
        Ok(std::slice::from_raw_parts(start.cast::<T>(), count))
    }
}
