//! What a process holds: descriptors, mappings, threads, children, files. Counted before and after.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::support::{LIMIT, children};

/// What is held now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) descriptors: BTreeMap<String, usize>,
    pub(crate) mappings: usize,
    pub(crate) threads: usize,
    pub(crate) children: usize,
    pub(crate) files: usize,
}

pub(crate) fn count() -> Counts {
    let mut descriptors = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        if let Ok(target) = fs::read_link(entry.path()) {
            // By kind: the numbers of pipes and sockets differ.
            let kind: String = target.to_string_lossy().split(':').next().unwrap().to_owned();
            if !kind.starts_with("/proc/") {
                *descriptors.entry(kind).or_default() += 1;
            }
        }
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    // The kernel merges and splits the heap's and the stacks' as it likes; shared ones are ours.
    let mappings = maps.lines().filter(|line| line.contains("memfd:") || line.contains(" rw-s "));
    Counts {
        descriptors,
        mappings: mappings.count(),
        threads: fs::read_dir("/proc/self/task").unwrap().count(),
        children: children().len(),
        files: fs::read_dir(std::env::temp_dir()).unwrap().count(),
    }
}

/// What is held once nothing changes any more: what ended last is still being let go of.
pub(crate) fn steady() -> Counts {
    let mut seen = count();
    let mut since = Instant::now();
    let end = since + LIMIT;
    while since.elapsed() < Duration::from_millis(300) {
        std::thread::sleep(Duration::from_millis(20));
        let now = count();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        assert!(Instant::now() < end, "it never rests: {seen:?}");
    }
    seen
}

/// All mappings, as a number that may go up by what an allocator keeps, but not by each round.
pub(crate) fn all_mappings() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

impl Counts {
    /// Whether there is no more of anything than in `other`.
    fn is_within(&self, other: &Counts) -> bool {
        let known = |kind: &String| other.descriptors.get(kind).copied().unwrap_or(0);
        self.descriptors.iter().all(|(kind, count)| *count <= known(kind))
            && self.mappings <= other.mappings
            && self.threads <= other.threads
            && self.children <= other.children
            && self.files <= other.files
    }
}

/// Waits until no more is held than `before`, but for what the supervisor is about to let go of. It may be less: a forkserver
/// that could not do its work is gone until the next start.
pub(crate) fn settle(what: &str, before: &Counts) {
    let end = Instant::now() + LIMIT;
    loop {
        let now = count();
        if now.is_within(before) {
            return;
        }
        assert!(Instant::now() < end, "{what}: before {before:?}, and now {now:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
