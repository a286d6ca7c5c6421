//! Pages that a fork will need, fetched while it waits.
//!
//! Between its greeting and its end a short task writes to some twenty pages that it shares with the zygote till then, most
//! of them data of the C library, the loader and this program, and runs code of the loader that it has not mapped. Each
//! costs a fault of the processor, on the way of whoever waits for the task.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::fs;
use std::ops::Range;

use super::super::maps::Mapping;

/// Bytes that are fetched at most.
const MOST: usize = 512 << 10;
/// The largest piece of data: what is larger is a heap or a stack, of which little is in use.
const DATA: usize = 64 << 10;
/// The largest piece of code: the loader has less; of larger ones, little is needed.
const CODE: usize = 192 << 10;

/// The data of a program and of its libraries, and the code of small libraries.
pub(super) struct Ahead(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
struct Piece {
    range: Range<usize>,
    /// How the kernel is asked to fetch it: to be read, or to be written to.
    advice: c_int,
}

impl Ahead {
    /// Those of this process, and so of its forks.
    pub(super) fn find() -> Ahead {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let mut left = MOST;
        let pieces = maps.lines().filter_map(piece).take_while(|piece| {
            let fits = piece.range.len() <= left;
            left = left.saturating_sub(piece.range.len());
            fits
        });
        Ahead(pieces.collect())
    }

    /// Has the kernel fetch them for this process now. One before 5.14 refuses, and fetches each when it is needed.
    pub(super) fn fetch(&self) {
        for Piece { range, advice } in &self.0 {
            // SAFETY: the kernel maps pages that this process may use so, and changes nothing that is seen.
            unsafe { libc::madvise(range.start as *mut c_void, range.len(), *advice) };
        }
    }
}

/// What a line of the kernel's list stands for, if it is to be fetched.
fn piece(line: &str) -> Option<Piece> {
    let Mapping { range, rights, .. } = Mapping::of(line)?;
    let (advice, most) = match rights {
        "rw-p" => (libc::MADV_POPULATE_WRITE, DATA),
        "r-xp" => (libc::MADV_POPULATE_READ, CODE),
        _ => return None,
    };
    (range.len() <= most).then_some(Piece { range, advice })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    static MINE: AtomicU8 = AtomicU8::new(7);

    #[test]
    fn it_finds_the_data_of_this_program_and_leaves_it_as_it_is() {
        let ahead = Ahead::find();
        let address = (&raw const MINE).addr();
        assert!(ahead.0.iter().any(|piece| piece.range.contains(&address)), "{:?}", ahead.0);
        assert!(ahead.0.iter().map(|piece| piece.range.len()).sum::<usize>() <= MOST);
        ahead.fetch();
        assert_eq!(MINE.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn what_is_large_or_of_another_kind_is_left_out() {
        let advice = libc::MADV_POPULATE_WRITE;
        let data = Some(Piece { range: 0x1000..0x3000, advice });
        assert_eq!(piece("1000-3000 rw-p 00000000 00:00 0"), data);
        let advice = libc::MADV_POPULATE_READ;
        let code = Some(Piece { range: 0x1000..0x29000, advice });
        assert_eq!(piece("1000-29000 r-xp 00000000 00:00 0 /lib/ld.so"), code);
        for line in
            ["1000-3000 r--p 0", "1000-3000 rw-s 0", "0-20000 rw-p 0", "0-40000 r-xp", "x", ""]
        {
            assert_eq!(piece(line), None, "{line:?}");
        }
    }
}
