//! The processes that count as one job, and the memory that they have, from `/proc`.

use std::collections::BTreeSet;
use std::fs;

/// A process, its descendants, and the members of its group.
#[derive(Debug)]
pub(crate) struct Tree {
    root: u32,
    /// Members of the group that were found at the last scan.
    group: BTreeSet<u32>,
    peak: u64,
}

impl Tree {
    pub(crate) fn new(root: u32) -> Tree {
        Tree { root, group: BTreeSet::new(), peak: 0 }
    }

    /// The most that was seen, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// How much the tree has, if that is more than `limit`.
    pub(crate) fn over(&mut self, limit: u64) -> Option<u64> {
        let members = self.members();
        let total = members.iter().filter_map(|pid| resident(*pid)).sum::<u64>();
        if total <= limit {
            self.peak = self.peak.max(total);
            return None;
        }
        let seen = match members.len() {
            1 => total,
            // The members are read one after the other: while they come to share pages, one that was read early counts too
            // much, so what is too much is looked at once more.
            _ => match shares(&members) {
                seen if seen > limit => seen.min(shares(&self.members())),
                seen => seen,
            },
        };
        self.peak = self.peak.max(seen);
        (seen > limit).then_some(seen)
    }

    /// Looks through all processes for members of the group, which need not be descendants any more.
    pub(crate) fn scan_group(&mut self) {
        self.group.clear();
        let Ok(entries) = fs::read_dir("/proc") else {
            return;
        };
        for entry in entries.flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            if let Some(pid) = pid
                && group_of(pid) == Some(self.root)
            {
                self.group.insert(pid);
            }
        }
    }

    fn members(&self) -> BTreeSet<u32> {
        let mut members = BTreeSet::new();
        let mut open: Vec<u32> = self.group.iter().copied().chain([self.root]).collect();
        while let Some(pid) = open.pop() {
            if members.insert(pid) {
                children(pid, &mut open);
            }
        }
        members
    }
}

/// What processes have together, each shared page counted once.
fn shares(members: &BTreeSet<u32>) -> u64 {
    members.iter().filter_map(|pid| proportional(*pid).or_else(|| resident(*pid))).sum()
}

/// The children of all threads of a process. None where the kernel does not list them: the scan of the group remains.
fn children(pid: u32, into: &mut Vec<u32>) {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return;
    };
    for thread in threads.flatten() {
        if let Ok(list) = fs::read_to_string(thread.path().join("children")) {
            into.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
}

/// The resident size, in bytes.
fn resident(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The resident size with each shared page divided among those that share it, in bytes.
fn proportional(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// The process group, from the fifth field of `stat`; the second, the name, may have blanks and brackets in it.
fn group_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = &stat[stat.rfind(')')? + 1..];
    rest.split_ascii_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_this_process_and_its_group() {
        let pid = std::process::id();
        let mut tree = Tree::new(pid);
        assert!(tree.over(1).unwrap() > 100_000);
        assert_eq!(tree.over(u64::MAX), None);
        assert!(tree.peak() > 100_000);
        assert!(group_of(pid).is_some());
        assert!(proportional(pid).unwrap() <= resident(pid).unwrap() + (64 << 20));
    }
}
