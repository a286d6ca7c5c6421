//! The forkserver's process, killed at random while it forks.

use std::path::PathBuf;
use std::process::ExitCode;

use fourfold::ErrorKind;
use fourfold::process::{Builder, Executor, StartMethod};

use super::kills::join;
use super::support::{Chance, Log, Rounds, children, eventually, kill, note};

fn once(log: PathBuf, id: u64) -> u64 {
    note(&log, &id.to_string());
    id
}

fn zygotes() -> Vec<u32> {
    children().into_iter().filter(|c| c.name == "zygote").map(|c| c.pid).collect()
}

/// What it had begun ends, what it had not begun is begun by the next one, and nothing runs twice.
pub(crate) fn random_zygotes(_: &[String]) -> ExitCode {
    let mut chance = Chance::new();
    let mut rounds = Rounds::new();
    let log = Log::new();
    let builder = || Builder::new().start_method(StartMethod::Forkserver);
    let mut begun = 0u64;
    while rounds.next() {
        let first = begun;
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let starter = scope.spawn(|| {
                let children: Vec<_> = (first..first + 4)
                    .map(|id| (id, builder().spawn(once, (log.path(), id))))
                    .collect();
                children
                    .into_iter()
                    .map(|(id, child)| (id, child.and_then(|c| join("forked", c.into_handle()))))
                    .collect::<Vec<_>>()
            });
            chance.pause(3000);
            // All, or one: the forkserver itself or a fork that it has made ahead.
            let mut victims = zygotes();
            if chance.below(2) == 0 && !victims.is_empty() {
                victims = vec![victims[chance.below(victims.len() as u64) as usize]];
            }
            victims.iter().for_each(|pid| kill(*pid, libc::SIGKILL));
            starter.join().unwrap()
        });
        begun += 4;
        for (id, outcome) in outcomes {
            match outcome {
                Ok(value) => assert_eq!(value, id),
                // A fork may have been in the group of the zygote still, or the zygote was killed twice in a row.
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::Signaled(9) | ErrorKind::NotStarted),
                    "{error}"
                ),
            }
        }
    }
    let mut lines = log.lines();
    lines.sort();
    let count = lines.len();
    lines.dedup();
    assert_eq!(lines.len(), count, "none ran twice");
    // A pool lives through it too.
    let pool =
        Executor::builder().workers(2).start_method(StartMethod::Forkserver).build().unwrap();
    zygotes().iter().for_each(|pid| kill(*pid, libc::SIGKILL));
    pool.worker_pids().iter().for_each(|pid| kill(*pid, libc::SIGKILL));
    assert_eq!(join("a pool", pool.submit(|| 3, ())).unwrap(), 3);
    pool.shutdown();
    zygotes().iter().for_each(|pid| kill(*pid, libc::SIGKILL));
    eventually("nothing is left, not even a zombie", || children().is_empty());
    println!("{count} children of {begun} ran, {} zygotes were killed", rounds.done);
    ExitCode::SUCCESS
}
