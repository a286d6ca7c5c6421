//! Looks at the memory of what is watched, again and again: a thread, or the supervisor where there is none to be had.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::tree::Tree;
use crate::process::supervisor::{Supervisor, supervisor};

/// The time between two samples.
pub(crate) const INTERVAL: Duration = Duration::from_millis(25);
/// Every so many samples all processes are looked through for members of a group.
const SCAN_EVERY: u32 = 8;

struct Watched {
    tree: Tree,
    limit: u64,
    on_over: Arc<dyn Fn(u64) + Send + Sync>,
}

struct Sampler {
    owner: u32,
    next: u64,
    /// Somebody looks, or is about to.
    running: bool,
    watched: BTreeMap<u64, Watched>,
}

static SAMPLER: Mutex<Sampler> =
    Mutex::new(Sampler { owner: 0, next: 0, running: false, watched: BTreeMap::new() });
static CHANGED: Condvar = Condvar::new();

/// Ends the watch when it is dropped.
#[derive(Debug)]
pub(crate) struct Meter {
    id: u64,
}

/// Has `on_over` called, with the bytes that were seen, at each sample that finds the tree of `pid` over `limit` bytes.
///
/// The number must mean the process until the meter is dropped: it has not been waited for.
pub(crate) fn watch(pid: u32, limit: u64, on_over: impl Fn(u64) + Send + Sync + 'static) -> Meter {
    let mut sampler = lock();
    let id = sampler.next;
    sampler.next += 1;
    let on_over = Arc::new(on_over);
    sampler.watched.insert(id, Watched { tree: Tree::new(pid), limit, on_over });
    drop(sampler);
    see_to_it();
    CHANGED.notify_all();
    Meter { id }
}

/// Has somebody look at what is watched: a thread, or the supervisor as long as there is no thread to be had.
fn see_to_it() {
    let mut sampler = lock();
    if sampler.running || sampler.watched.is_empty() {
        return;
    }
    sampler.running = true;
    let thread = std::thread::Builder::new().name("fourfold-memory".into());
    if thread.stack_size(256 << 10).spawn(run).is_ok() {
        return;
    }
    drop(sampler);
    let again = |supervisor: &Supervisor| {
        supervisor.at(Instant::now() + INTERVAL, || {
            look(lock(), true);
            lock().running = false;
            see_to_it();
        })
    };
    if supervisor().map(again).is_err() {
        lock().running = false;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let watched = lock().watched.remove(&self.id);
        drop(watched);
    }
}

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    lock()
}

fn lock() -> MutexGuard<'static, Sampler> {
    let mut sampler = SAMPLER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pid = std::process::id();
    if sampler.owner != pid {
        // A forked child has neither the thread nor what it watched.
        sampler.owner = pid;
        sampler.running = false;
        std::mem::forget(std::mem::take(&mut sampler.watched));
    }
    sampler
}

fn run() {
    for sample in 0u32.. {
        let mut sampler = lock();
        while sampler.watched.is_empty() {
            let (next, timeout) = CHANGED
                .wait_timeout(sampler, Duration::from_secs(10))
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            sampler = next;
            if timeout.timed_out() && sampler.watched.is_empty() {
                sampler.running = false;
                return;
            }
        }
        let scan = sample.is_multiple_of(SCAN_EVERY);
        look(sampler, scan);
        std::thread::sleep(INTERVAL);
    }
}

/// One sample of all that is watched.
fn look(mut sampler: MutexGuard<'_, Sampler>, scan: bool) {
    let mut over = Vec::new();
    for watched in sampler.watched.values_mut() {
        if scan {
            watched.tree.scan_group();
        }
        if let Some(seen) = watched.tree.over(watched.limit) {
            over.push((watched.on_over.clone(), seen));
        }
    }
    drop(sampler);
    for (on_over, seen) in over {
        on_over(seen);
    }
}
