//! A parent killed with SIGKILL leaves nobody behind, whatever it was doing.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::support::{Build, Program, deadline};

/// How long descendants may take to be gone.
const GRACE: Duration = Duration::from_secs(1);

/// How long those may take that the kernel has killed by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a process has been killed and only has to end: the last field of `stat` is the signal that it ends by, from
/// its sending on. A process that has gone meanwhile has ended.
fn is_killed(stat: &str) -> bool {
    stat.is_empty() || stat.trim_end().ends_with(&format!(" {}", libc::SIGKILL))
}

/// The processes with this mark in their environment, which descendants inherit. A zombie has no environment any more:
/// it counts as ended.
fn marked(mark: &str) -> Vec<(u32, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    })
    .map(|pid| (pid, fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default()))
    .collect()
}

/// Starts a family, kills its head after `wait`, and looks who is left.
fn kill_after(name: &str, mark: &str, wait: impl FnOnce(&mut dyn Read)) {
    let mut program = Program::new(Build::Same, name, &["family"]);
    program.command.env("FAULT_MARK", mark).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut parent = program.command.spawn().unwrap();
    wait(parent.stdout.as_mut().unwrap());
    parent.kill().unwrap();
    parent.wait().unwrap();
    let end = Instant::now() + GRACE;
    let mark = format!("FAULT_MARK={mark}");
    loop {
        let left = marked(&mark);
        if left.is_empty() {
            break;
        }
        // What the kernel has killed runs no more, but on a loaded machine it may wait long for a processor to end on.
        let late = Instant::now() > end + PATIENCE;
        if late || Instant::now() > end && !left.iter().all(|(_, stat)| is_killed(stat)) {
            for (pid, _) in &left {
                // SAFETY: a system call on numbers.
                unsafe { libc::kill(*pid as i32, libc::SIGKILL) };
            }
            panic!("{} are left {GRACE:?} after their parent: {left:?}", left.len());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn wait_complete(pipe: &mut dyn Read) {
    let mut line = String::new();
    BufReader::new(pipe).read_line(&mut line).unwrap();
    assert_eq!(line, "complete\n");
}

#[test]
fn none_of_a_whole_family() {
    for name in ["fault-plain", "fault-attribute"] {
        let mark = format!("whole-{name}-{}", std::process::id());
        kill_after(name, &mark, wait_complete);
    }
}

#[test]
fn none_at_random_moments() {
    let soak = std::env::var_os("FOURFOLD_SOAK").is_some();
    let end = Instant::now() + if soak { deadline() / 2 } else { Duration::from_secs(8) };
    let mut rounds = 0u64;
    while Instant::now() < end && rounds < 10_000 {
        // Spread over the time that a family takes to be complete, and finer at its beginning.
        let us = rounds * 7919 % if rounds.is_multiple_of(2) { 5_000 } else { 100_000 };
        let mark = format!("random-{rounds}-{}", std::process::id());
        let name = ["fault-plain", "fault-attribute"][(rounds / 2 % 2) as usize];
        kill_after(name, &mark, |_| std::thread::sleep(Duration::from_micros(us)));
        rounds += 1;
    }
    println!("{rounds} parents were killed");
}
