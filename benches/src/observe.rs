//! What a program used: its time by the clock, the processor time of its own, and the most memory that it had.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::Failure;

/// What one run of a program used.
pub(crate) struct Used {
    pub(crate) wall: Duration,
    /// In user and kernel mode, without that of its children.
    pub(crate) own_cpu: Duration,
}

/// Runs a program to its end, which must be a good one.
pub(crate) fn run(command: &mut Command) -> Result<Used, Failure> {
    let began = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    wait_for_end(&child)?;
    let wall = began.elapsed();
    // While it has not been waited for, the kernel keeps its account.
    let own_cpu = own_cpu(child.id())?;
    succeeded(&mut child, command)?;
    Ok(Used { wall, own_cpu })
}

/// Runs a program to its end, and gives the most resident memory that it had, in bytes.
///
/// It is looked at every millisecond; the kernel keeps the maximum, so what may be missed is the last millisecond alone.
/// The kernel's own account at the end is of no use, as it begins with that of the process that started it.
pub(crate) fn peak_memory(command: &mut Command) -> Result<u64, Failure> {
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while let Some(bytes) = high_water(&fs::read_to_string(&path)?) {
        peak = peak.max(bytes);
        thread::sleep(Duration::from_millis(1));
    }
    succeeded(&mut child, command)?;
    Ok(peak)
}

/// `VmHWM`; a process that has ended has none.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn wait_for_end(child: &Child) -> Result<(), Failure> {
    let pid = Pid::from_raw(i32::try_from(child.id())?).ok_or("a child has the number 0")?;
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    Ok(())
}

fn own_cpu(pid: u32) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may have blanks in it. The fields behind it begin with the third.
    let (_, fields) = stat.rsplit_once(')').ok_or("an unknown form of /proc/PID/stat")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(14 - 3)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<u64, _>>()?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

fn succeeded(child: &mut Child, command: &Command) -> Result<(), Failure> {
    match child.wait()? {
        status if status.success() => Ok(()),
        status => Err(format!("{}: {status}", command.get_program().display()).into()),
    }
}

/// A command that reads nothing and whose output goes nowhere.
pub(crate) fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}
