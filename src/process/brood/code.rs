//! The code that children run, learnt from a few of them: then a fork has its pages mapped from the beginning.
//!
//! A fork comes without the mappings of pages that lie in files and that nobody has written to. It faults for each, which takes
//! longer than all else that a short piece of work does; and the kernel maps fifteen others with each, most of them for nothing, which
//! have to be unmapped at the end. But where one page of a mapping has been written to, a fork has all of the mapping that was mapped. So who forks
//! maps what its forks will need, and nothing else:
//!
//! | step | who |
//! | --- | --- |
//! | 1. each page of the program's and the libraries' code and constants becomes a mapping of its own, by advice about core files for every second one, and what is mapped is let go of: from here on a fault maps one page | who forks, and with that the next few children |
//! | 2. notes which pages it has mapped | each of these, at its end |
//! | 3. the same, and joins the mappings | who forks: behind these few, or once enough of them have ended |
//! | 4. once enough have ended: takes the mappings apart again, touches all that were noted, joins them | who forks |
//! | 5. writes one byte of each mapping again, as it was | who forks |
//!
//! Nothing changes of what is in the memory: mappings of which a page has been written to, be it there or swapped out, are left alone. Where the system does
//! not let itself be asked or told so, forks fault as ever.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use super::super::maps::{Mapping, shared_with_forks};

/// How many children end before it is worth the while, and from how many it learns.
const FIRST: usize = 64;
const LESSONS: usize = 3;
/// So many are forked for that, each of which takes milliseconds, and so many may end meanwhile: some are killed, or stay.
const ASKED: usize = 6;
const PATIENCE: usize = 256;
/// So many pages, at most, may be made mappings: a process can have 65,530.
const MOST: usize = 8192;

/// What is known of the code.
pub(super) enum Code {
    /// Nothing: so many children have ended.
    Unknown(usize),
    /// It is apart, and so many have been forked since.
    Apart(Pages, usize),
    /// It is not any more, and so many have ended since.
    Asked(Pages, usize),
    /// All that will be.
    Known,
}

impl Code {
    /// A child has ended. Called by who forks.
    pub(super) fn child_has_ended(&mut self) {
        match self {
            Code::Unknown(ended) => {
                *ended += 1;
                if *ended == FIRST {
                    *self = Pages::find()
                        .and_then(|pages| pages.apart().map(|()| Code::Apart(pages, 0)))
                        .unwrap_or(Code::Known);
                }
                return;
            }
            Code::Asked(_, ended) => *ended += 1,
            Code::Apart(..) | Code::Known => {}
        }
        let pages = match self {
            Code::Apart(pages, _) if pages.are_noted() => {
                let _ = pages.mark();
                pages
            }
            Code::Asked(pages, ended) if pages.are_noted() || *ended == PATIENCE => pages,
            _ => return,
        };
        // What could not be done is done by each fork for itself.
        let _ = pages.fetch();
        *self = Code::Known;
    }

    /// Another child is about to be forked.
    pub(super) fn before_fork(&mut self) {
        if let Code::Apart(pages, ASKED..) = self {
            let _ = pages.mark();
            pages.join();
            let Code::Apart(pages, _) = std::mem::replace(self, Code::Known) else { return };
            *self = Code::Asked(pages, 0);
        }
    }

    /// It has been.
    pub(super) fn child_has_begun(&mut self) {
        if let Code::Apart(_, forked) = self {
            *forked += 1;
        }
    }

    /// Whether what this process runs just now is noted too.
    pub(super) fn is_apart(&self) -> bool {
        matches!(self, Code::Apart(..))
    }

    /// What a child is to note its pages by, if it is to.
    pub(super) fn lesson(self) -> Option<Pages> {
        match self {
            Code::Apart(pages, _) => Some(pages),
            _ => None,
        }
    }
}

/// Mappings of code, and what is noted of their pages.
pub(super) struct Pages {
    size: usize,
    mappings: Vec<Range<usize>>,
    notes: &'static Notes,
}

/// What children note: shared memory, for ever.
struct Notes {
    lessons: AtomicUsize,
    /// Of each page, one behind the other, whether it was mapped.
    mapped: [AtomicU8; MOST],
}

impl Pages {
    fn find() -> io::Result<Pages> {
        let size = rustix::param::page_size();
        let table = Table::open()?;
        let maps = fs::read_to_string("/proc/self/maps")?;
        let mappings = of_code(&maps).into_iter();
        // What was written to, as a table of addresses by the loader, a fork has already.
        let mappings: Vec<_> = mappings.filter(|mapping| table.is_clean(mapping, size)).collect();
        if mappings.iter().map(|mapping| mapping.len() / size).sum::<usize>() > MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // SAFETY: it is of atomic numbers.
        let notes = unsafe { shared_with_forks::<Notes>(1) }?;
        Ok(Pages { size, mappings, notes: &notes[0] })
    }

    /// Takes the code apart, and lets go of what is mapped of it. It is whole if that fails.
    fn apart(&self) -> io::Result<()> {
        let apart = self.split();
        if apart.is_err() {
            self.join();
        }
        apart
    }

    fn split(&self) -> io::Result<()> {
        let table = Table::open()?;
        for mapping in &self.mappings {
            for page in mapping.clone().step_by(2 * self.size) {
                advise(page..page + self.size, libc::MADV_DONTDUMP)?;
            }
            // Looked at again: clean pages of a file come from there again, others would not.
            if table.is_clean(mapping, self.size) {
                advise(mapping.clone(), libc::MADV_DONTNEED)?;
            }
        }
        Ok(())
    }

    fn join(&self) {
        for mapping in &self.mappings {
            let _ = advise(mapping.clone(), libc::MADV_DODUMP);
        }
    }

    /// Notes what this process has mapped: a child, at its end.
    pub(super) fn note(&self) -> io::Result<()> {
        self.mark()?;
        self.notes.lessons.fetch_add(1, Relaxed);
        Ok(())
    }

    fn mark(&self) -> io::Result<()> {
        let table = Table::open()?;
        let mut noted = self.notes.mapped.iter();
        for mapping in &self.mappings {
            for (page, noted) in table.read(mapping, self.size)?.iter().zip(&mut noted) {
                if page.is_mapped() {
                    noted.store(1, Relaxed);
                }
            }
        }
        Ok(())
    }

    /// Whether enough children have.
    fn are_noted(&self) -> bool {
        self.notes.lessons.load(Relaxed) >= LESSONS
    }

    /// Maps what was noted, and has forks come with it.
    fn fetch(&self) -> io::Result<()> {
        self.apart()?;
        let first = self.touch();
        self.join();
        // By this file memory can be written that the process itself may not write to.
        let memory = File::options().write(true).open("/proc/self/mem")?;
        first.iter().try_for_each(|(page, byte)| memory.write_all_at(&[*byte], *page as u64))
    }

    /// Touches what was noted. Gives the first byte of the first page of each mapping of which there is one.
    fn touch(&self) -> Vec<(usize, u8)> {
        let mut noted = self.notes.mapped.iter();
        let mut first = Vec::new();
        for mapping in &self.mappings {
            let pages = mapping.clone().step_by(self.size).zip(&mut noted);
            let pages = pages.filter(|(_, noted)| noted.load(Relaxed) != 0);
            let bytes = pages.map(|(page, _)| {
                // SAFETY: the beginning of a page of a mapping that can be read, of the program or a library of it, which stays for as long as
                // this process lives.
                (page, unsafe { (page as *const u8).read_volatile() })
            });
            // All of them are touched.
            first.extend(bytes.collect::<Vec<_>>().first().copied());
        }
        first
    }
}

/// The private mappings of files that have code, and are only read or executed: of the program and its libraries.
pub(super) fn of_code(maps: &str) -> Vec<Range<usize>> {
    let is_fixed = |mapping: &Mapping<'_>| {
        matches!(mapping.rights, "r-xp" | "r--p") && mapping.name.starts_with('/')
    };
    let all: Vec<_> = maps.lines().filter_map(Mapping::of).filter(is_fixed).collect();
    let has_code = |file| all.iter().any(|other| other.rights == "r-xp" && other.name == file);
    let of_code = all.iter().filter(|mapping| has_code(mapping.name));
    of_code.map(|mapping| mapping.range.clone()).collect()
}

fn advise(range: Range<usize>, advice: c_int) -> io::Result<()> {
    // SAFETY: these kinds of advice are about core files, and about clean pages of files, which are read from there again.
    match unsafe { libc::madvise(range.start as *mut _, range.len(), advice) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The kernel's table of this process's pages.
struct Table(File);

/// What it says of a page: 8 bytes.
#[derive(Clone, Copy)]
struct Entry(u64);

impl Entry {
    fn is_mapped(self) -> bool {
        self.0 >> 63 == 1
    }

    /// Whether it may lie in no file: it is mapped and does not, or is swapped out, or just being moved.
    fn is_written(self) -> bool {
        let (is_swapped, is_of_file) = (self.0 >> 62 & 1 == 1, self.0 >> 61 & 1 == 1);
        is_swapped || self.is_mapped() && !is_of_file
    }
}

impl Table {
    fn open() -> io::Result<Table> {
        File::open("/proc/self/pagemap").map(Table)
    }

    /// Whether nothing of it was written to.
    fn is_clean(&self, mapping: &Range<usize>, size: usize) -> bool {
        self.read(mapping, size).is_ok_and(|pages| !pages.iter().any(|page| page.is_written()))
    }

    fn read(&self, mapping: &Range<usize>, size: usize) -> io::Result<Vec<Entry>> {
        let mut bytes = vec![0; mapping.len() / size * 8];
        self.0.read_exact_at(&mut bytes, (mapping.start / size * 8) as u64)?;
        let entries = bytes.as_chunks().0.iter();
        Ok(entries.map(|entry| Entry(u64::from_ne_bytes(*entry))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_swapped_out_counts_as_written() {
        let [mapped, swapped, of_file] = [63, 62, 61].map(|bit| 1_u64 << bit);
        for (entry, is_written) in [
            (0, false),
            (mapped | of_file, false),
            (mapped, true),
            (swapped, true),
            (swapped | of_file, true),
        ] {
            assert_eq!(Entry(entry).is_written(), is_written, "{entry:x}");
        }
    }

    #[test]
    fn files_without_code_and_what_can_be_written_are_left_out() {
        let maps = "1000-2000 r--p 00000000 00:00 1 /bin/a\n2000-3000 r-xp 00000000 00:00 1 /bin/a\n\
                    3000-4000 rw-p 00000000 00:00 1 /bin/a\n4000-5000 r--p 00000000 00:00 2 /some/data\n\
                    5000-6000 r-xs 00000000 00:00 3 /shared\n6000-7000 r-xp 00000000 00:00 0 [vdso]\n";
        assert_eq!(of_code(maps), [0x1000..0x2000, 0x2000..0x3000]);
    }
}
