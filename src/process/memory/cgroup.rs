//! A memory limit kept by the kernel: a control group of version 2 for one child and all that it starts.
//!
//! It takes a place to make groups in: a directory of the cgroup v2 tree that has been given to us ("delegated", which
//! systemd marks with an attribute), that passes the memory controller on (`cgroup.subtree_control`), and that has no
//! processes in it, ours being in a group beside or below. Where [`PLACE`] names a directory, that is the place.
//! Where there is none, memory is sampled.
//!
//! The kernel charges the group for what its processes touch, and takes back what it can (the page cache) before it goes
//! over the limit; when it cannot, it kills all of the group at once. So there is no overshoot.
//!
//! A group is removed when its child has ended, or, while something of it goes on, with one of the next. What is left of a
//! process that was killed, or has left processes behind, is removed by a later one that makes groups there.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// Names the directory to make groups in.
const PLACE: &str = "FOURFOLD_CGROUP";
/// What the groups' names begin with; the maker's process id and a number follow.
const PREFIX: &str = "fourfold-";
/// A group without a maker is not touched before it is this old: its maker may be of another pid namespace.
const STALE: Duration = Duration::from_secs(60);
/// How long a killed process may take to be gone from its group.
const SETTLE: Duration = Duration::from_millis(50);

/// A group for one child.
#[derive(Debug)]
pub(crate) struct Group {
    directory: PathBuf,
    procs: OwnedFd,
    limit: u64,
    owner: u32,
}

impl Group {
    /// A group whose processes may have `limit` bytes together. `None` where there is no place for one.
    pub(crate) fn create(limit: u64) -> Option<Group> {
        static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
        let place = FOUND.get_or_init(find_place).as_ref()?;
        Group::create_in(place, limit).ok()
    }

    fn create_in(place: &Path, limit: u64) -> io::Result<Group> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let owner = std::process::id();
        // Relaxed: only the uniqueness counts.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = place.join(format!("{PREFIX}{owner}-{number}"));
        fs::create_dir(&directory)?;
        let made = prepare(&directory, limit);
        match made {
            Ok(procs) => Ok(Group { directory, procs, limit, owner }),
            Err(error) => {
                let _ = fs::remove_dir(&directory);
                Err(error)
            }
        }
    }

    /// Where a process that is to be in the group writes `0`.
    pub(crate) fn procs(&self) -> RawFd {
        self.procs.as_raw_fd()
    }

    /// Puts a process in it, with what it starts from then on.
    pub(crate) fn put(&self, pid: u32) -> io::Result<()> {
        rustix::io::write(&self.procs, pid.to_string().as_bytes())?;
        Ok(())
    }

    /// The limit, and how much was seen, if the kernel has killed the group for it.
    pub(crate) fn exceeded(&self) -> Option<(u64, u64)> {
        let events = fs::read_to_string(self.directory.join("memory.events")).ok()?;
        if !killed(&events) {
            return None;
        }
        Some((self.limit, self.peak().unwrap_or(self.limit)))
    }

    /// The most that its processes had together, where the kernel tells: since 5.19.
    pub(crate) fn peak(&self) -> Option<u64> {
        fs::read_to_string(self.directory.join("memory.peak")).ok()?.trim().parse().ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.owner != std::process::id() {
            return;
        }
        let mut left = left();
        left.push(std::mem::take(&mut self.directory));
        left.retain(|directory| fs::remove_dir(directory).is_err());
    }
}

/// Groups that could not be removed: something of them goes on, or has been killed and is not gone yet.
fn left() -> MutexGuard<'static, Vec<PathBuf>> {
    static LEFT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    LEFT.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Removes groups whose processes have been killed, and waits a moment for these to be gone.
pub(crate) fn settle() {
    let end = Instant::now() + SETTLE;
    loop {
        let mut left = left();
        left.retain(|directory| fs::remove_dir(directory).is_err());
        if left.is_empty() || Instant::now() > end {
            return;
        }
        drop(left);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn prepare(directory: &Path, limit: u64) -> io::Result<OwnedFd> {
    fs::write(directory.join("memory.max"), limit.to_string())?;
    fs::write(directory.join("memory.oom.group"), "1")?;
    // Without swap there is no such file, and nothing to forbid.
    let _ = fs::write(directory.join("memory.swap.max"), "0");
    Ok(fs::File::options().write(true).open(directory.join("cgroup.procs"))?.into())
}

/// Whether `memory.events` tells of a kill.
fn killed(events: &str) -> bool {
    events.lines().filter_map(|line| line.split_once(' ')).any(|(name, count)| {
        name == "oom_kill" && count.trim().parse::<u64>().is_ok_and(|count| count > 0)
    })
}

fn find_place() -> Option<PathBuf> {
    let named = std::env::var_os(PLACE).map(PathBuf::from);
    let candidates = named.map_or_else(
        || {
            let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
            let own = own_directory(&groups, &mounts);
            own.iter()
                .flat_map(|own| own.parent())
                .map(Path::to_owned)
                .filter(|d| is_ours(d))
                .collect()
        },
        |named| vec![named],
    );
    let place = candidates.into_iter().find(|directory| passes_memory_on(directory))?;
    sweep(&place);
    // Whether a group can be made there, and a process put in it, is seen by making one.
    let probe = Group::create_in(&place, u64::MAX >> 1).ok()?;
    drop(probe);
    Some(place)
}

/// The directory of this process's group, by what `/proc/self/cgroup` and `/proc/self/mountinfo` say.
fn own_directory(groups: &str, mounts: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        if !after.starts_with("cgroup2 ") {
            return None;
        }
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let below = Path::new(group).strip_prefix(root).ok()?;
        Some(Path::new(point).join(below))
    })
}

/// Whether the directory has been given to us by who manages the tree.
fn is_ours(directory: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].into_iter().any(|name| {
        let mut value = [0; 4];
        rustix::fs::getxattr(directory, name, &mut value[..]).is_ok_and(|len| &value[..len] == b"1")
    })
}

fn passes_memory_on(directory: &Path) -> bool {
    let control = fs::read_to_string(directory.join("cgroup.subtree_control"));
    control.is_ok_and(|control| control.split_whitespace().any(|name| name == "memory"))
}

/// Removes groups whose processes have ended and whose maker is gone, or is this process.
fn sweep(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let Some(maker) = maker else {
            continue;
        };
        let ours = maker.parse() == Ok(std::process::id());
        let old = entry
            .metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|made| made.elapsed().is_ok_and(|age| age > STALE));
        if old && (ours || !Path::new("/proc").join(maker).exists()) {
            // Fails for a group that has processes in it.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_below_the_mount_of_version_2() {
        let groups = "4:memory:/old\n0::/user.slice/app.slice/term.scope\n";
        let mounts = "30 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        let own = own_directory(groups, mounts).unwrap();
        assert_eq!(own, Path::new("/sys/fs/cgroup/user.slice/app.slice/term.scope"));
        let inside = "31 23 0:27 /user.slice /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let own = own_directory(groups, inside).unwrap();
        assert_eq!(own, Path::new("/sys/fs/cgroup/app.slice/term.scope"));
        assert_eq!(own_directory("4:memory:/old\n", mounts), None);
        assert_eq!(own_directory(groups, ""), None);
    }

    #[test]
    fn a_kill_is_told_from_a_mere_lack() {
        assert!(killed("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 1\n"));
        assert!(!killed("low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n"));
        assert!(!killed(""));
    }

    #[test]
    fn without_the_controller_there_is_no_group_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!passes_memory_on(directory.path()) && !is_ours(directory.path()));
        // A directory of no cgroup tree takes the files, and its `cgroup.procs` is not there.
        assert!(Group::create_in(directory.path(), 1 << 20).is_err());
        let left = fs::read_dir(directory.path()).unwrap().flatten().next();
        assert!(left.is_none_or(|left| left.file_name().to_str().unwrap().starts_with(PREFIX)));
    }
}
