//! Start and join of a process, by each start method, beside std's Command running the same executable.

use std::env;
use std::process::Command;

use fourfold::process::{Builder, StartMethod};

use crate::Failure;
use crate::contest::{Contest, Verdict, each};
use crate::submit::nothing;

/// Makes this executable do nothing.
pub(crate) const NOTHING: &str = "--nothing";

const ROUNDS: usize = 15;
const STARTS: u32 = 40;
const GIB: usize = 1 << 30;

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let mut verdicts = measure("Start and join a process")?;
    // Other than zero, so that every page is there.
    let ballast = vec![1u8; GIB];
    verdicts.extend(measure("Start and join a process, 1 GiB resident in the parent")?);
    drop(std::hint::black_box(ballast));
    Ok(verdicts)
}

fn measure(title: &str) -> Result<Vec<Verdict>, Failure> {
    let executable = env::current_exe()?;
    let mut contest = Contest::new(title);
    for (name, method) in [("Spawn", StartMethod::Spawn), ("Forkserver", StartMethod::Forkserver)] {
        contest.entry(name, move || {
            each(STARTS, || Ok(Builder::new().start_method(method).spawn(nothing, ())?.join()?))
        });
    }
    contest.entry("std Command", || {
        each(STARTS, || match Command::new(&executable).arg(NOTHING).status()? {
            status if status.success() => Ok(()),
            status => Err(status.to_string().into()),
        })
    });
    contest.entry("procspawn", || each(STARTS, || Ok(procspawn::spawn((), |()| ()).join()?)));
    let results = contest.run(ROUNDS)?;
    Ok(vec![
        results.at_most(1.15, "Spawn", "std Command"),
        results.at_most(0.35, "Forkserver", "std Command"),
    ])
}
