//! What a process and all that came from it have taken: processor time and memory, as the kernel accounts for them.

use std::collections::HashMap;
use std::fs;

use crate::Failure;

/// Processor time, in seconds.
#[derive(Clone, Copy, Default)]
pub(super) struct Times {
    /// In user mode and in all: of processes that are there and children that have ended, in steps of the kernel's tick.
    pub(super) user: f64,
    pub(super) all: f64,
    /// In all, of the threads that are there: exact, and blind for those that have ended.
    pub(super) alive: f64,
}

/// A process and its descendants.
pub(super) fn tree(root: u32) -> Result<Vec<u32>, Failure> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // It may have ended meanwhile.
        let Some(fields) = stat(pid) else { continue };
        children.entry(fields[1] as u32).or_default().push(pid);
    }
    let mut tree = vec![root];
    let mut next = 0;
    while next < tree.len() {
        tree.extend(children.remove(&tree[next]).unwrap_or_default());
        next += 1;
    }
    Ok(tree)
}

/// The numbers behind the name, the first of them its state's letter as 0.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

pub(super) fn times(tree: &[u32]) -> Times {
    let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
    let mut times = Times::default();
    for pid in tree {
        let Some(fields) = stat(*pid) else { continue };
        // utime, stime, and those of children that were waited for.
        let [utime, stime, cutime, cstime] = [11, 12, 13, 14].map(|at| fields[at] as f64 * tick);
        times.user += utime + cutime;
        times.all += utime + stime + cutime + cstime;
        times.alive += threads(*pid);
    }
    times
}

fn threads(pid: u32) -> f64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    let nanos = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e9
}

/// Its memory in bytes, of which pages that several processes have count in part for each.
pub(super) fn memory(tree: &[u32]) -> u64 {
    let of = |pid: &u32| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    tree.iter().filter_map(of).sum::<u64>() << 10
}
