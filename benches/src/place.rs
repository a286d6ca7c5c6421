//! Which cores a process runs on.

use std::fs;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use serde::{Deserialize, Serialize};

use crate::Failure;

/// Where the caller and the process that it speaks with run.
#[derive(Clone, Copy)]
pub(crate) enum Placing {
    /// The caller on core 0, the other on core 1.
    Pinned,
    /// Wherever the kernel puts them.
    Free,
}

impl Placing {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Placing::Pinned => "caller on core 0, the others on core 1",
            Placing::Free => "not pinned",
        }
    }

    /// Makes what runs in other processes, which inherit their cores; what it needs of this one is put where the caller is.
    pub(crate) fn place<T>(self, make: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        match self {
            Placing::Free => make(),
            Placing::Pinned => {
                pin(&core(1))?;
                let made = make();
                pin(&core(0))?;
                made
            }
        }
    }
}

/// Runs this with the caller placed, and all cores free again afterwards.
pub(crate) fn with<T>(
    placing: Placing,
    run: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let all = sched_getaffinity(None)?;
    if let Placing::Pinned = placing {
        if !(all.is_set(0) && all.is_set(1)) {
            return Err("the cores 0 and 1 are not both to be had".into());
        }
        pin(&core(0))?;
    }
    let result = run();
    pin(&all)?;
    result
}

fn core(number: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(number);
    set
}

/// Puts every thread of this process on these cores.
fn pin(cores: &CpuSet) -> Result<(), Failure> {
    for thread in fs::read_dir("/proc/self/task")? {
        let number: i32 = thread?.file_name().to_string_lossy().parse()?;
        // One that has ended meanwhile needs no core.
        if let Err(error) = sched_setaffinity(Pid::from_raw(number), cores)
            && error != rustix::io::Errno::SRCH
        {
            return Err(error.into());
        }
    }
    Ok(())
}

/// The halves of a machine of four cores: for who is asked, and for who asks.
pub(crate) const FIRST: [usize; 2] = [0, 1];
pub(crate) const SECOND: [usize; 2] = [2, 3];

/// Runs this with the calling thread, and the processes that it starts, on these cores: wherever the kernel puts them, if there are not
/// as many.
pub(crate) fn on<T>(
    cores: [usize; 2],
    run: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let before = sched_getaffinity(None)?;
    if has_halves()? {
        let mut set = CpuSet::new();
        cores.into_iter().for_each(|core| set.set(core));
        sched_setaffinity(None, &set)?;
    }
    let result = run();
    sched_setaffinity(None, &before)?;
    result
}

/// Whether there are four cores to share out.
fn has_halves() -> Result<bool, Failure> {
    let all = sched_getaffinity(None)?;
    Ok(FIRST.into_iter().chain(SECOND).all(|core| all.is_set(core)))
}

/// What is told of a figure whose parts could not be placed so.
pub(crate) fn note() -> &'static str {
    match has_halves() {
        Ok(true) => ", the client on two others",
        _ => ": not pinned, for there are no four cores",
    }
}

/// Where those run who take part in a measurement, numbered from 0: who gives has an even number, who takes the next odd one.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Seats {
    /// Each on the core of its number, modulo those there are.
    Pinned,
    /// Wherever the kernel puts them.
    Free,
}

impl Seats {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Seats::Pinned => "a core each",
            Seats::Free => "not pinned",
        }
    }

    pub(crate) fn core(self, number: usize) -> Option<usize> {
        match self {
            // Not those of this thread, which may sit on one already.
            Seats::Pinned => Some(
                number % fs::read_dir("/sys/bus/cpu/devices").map_or(1, |dir| dir.count().max(1)),
            ),
            Seats::Free => None,
        }
    }

    /// Puts the calling thread where the one of that number belongs.
    pub(crate) fn sit(self, number: usize) -> Result<(), Failure> {
        let mut set = CpuSet::new();
        match self.core(number) {
            Some(core) => set.set(core),
            None => (0..CpuSet::MAX_CPU).for_each(|core| set.set(core)),
        }
        Ok(sched_setaffinity(None, &set)?)
    }
}

/// Runs this with the calling thread as number 0, and where it was afterwards.
pub(crate) fn seated<T>(
    seats: Seats,
    run: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let before = sched_getaffinity(None)?;
    seats.sit(0)?;
    let result = run();
    sched_setaffinity(None, &before)?;
    result
}
