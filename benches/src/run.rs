//! `fourfold run` of a tiny program, beside a loop around posix_spawn and the tools for many jobs.

use std::cell::RefCell;
use std::process::Command;

use crate::Failure;
use crate::contest::{Contest, Results, Verdict};
use crate::{observe, tools};

const JOBS: u32 = 20_000;
/// Enough for a tool that takes milliseconds for each; its start, 0.1 s, is counted in.
const FEWER_JOBS: u32 = 1_000;
const ROUNDS: usize = 9;

const OURS: &str = "fourfold run";
const LOOP: &str = "posix_spawn loop";
const XARGS: &str = "xargs -P";
const RUST_PARALLEL: &str = "rust-parallel";
const GNU_PARALLEL: &str = "GNU parallel";

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let commands = commands()?;
    let cpu: Vec<RefCell<Vec<f64>>> = commands.iter().map(|_| RefCell::default()).collect();
    let mut contest = Contest::new(format!(
        "{JOBS} jobs of a tiny static program, 2 at once, by the clock, a job ({GNU_PARALLEL}: {FEWER_JOBS})"
    ));
    let mut names = Vec::new();
    for ((name, jobs, mut command), cpu) in commands.into_iter().zip(&cpu) {
        names.push(name);
        contest.entry(name, move || {
            let used = observe::run(&mut command)?;
            cpu.borrow_mut().push(used.own_cpu.as_secs_f64() / f64::from(jobs));
            Ok(used.wall.as_secs_f64() / f64::from(jobs))
        });
    }
    let results = contest.run(ROUNDS)?;
    // The first round does not count.
    let cpu = cpu.into_iter().map(|samples| samples.into_inner().split_off(1));
    let own = names.into_iter().map(str::to_owned).zip(cpu).collect();
    println!("{}", Results::new("The same: processor time of the tool itself, a job", own).table());
    Ok(vec![
        results.at_most(1.1, OURS, LOOP),
        results.at_most(1.0, OURS, XARGS),
        results.at_most(1.0, OURS, RUST_PARALLEL),
        results.at_most(1.0, OURS, GNU_PARALLEL),
    ])
}

/// What is run, how many jobs it is, and the command. Each gets a number as its argument.
fn commands() -> Result<Vec<(&'static str, u32, Command)>, Failure> {
    let tiny = tools::tiny()?;
    let numbers = tools::numbers(JOBS.into())?;
    let fewer = tools::numbers(FEWER_JOBS.into())?;
    let log = tools::folder()?.join("joblog");

    let mut ours = observe::quiet(tools::fourfold()?);
    ours.args(["run", "-j2", "--joblog"]).arg(log).arg("-a").arg(&numbers).arg(&tiny);
    let mut bare = observe::quiet(tools::spawn_loop()?);
    bare.args([JOBS.to_string(), "2".into()]).arg(&tiny);
    let mut xargs = observe::quiet(tools::system("xargs", "findutils")?);
    xargs.args(["-P2", "-n1", "-a"]).arg(&numbers).arg(&tiny);
    let mut rust_parallel = observe::quiet(tools::crate_tool("rust-parallel")?);
    rust_parallel.args(["-j2", "-i"]).arg(&numbers).arg(&tiny);
    let mut gnu_parallel = observe::quiet(tools::system("parallel", "parallel")?);
    gnu_parallel.args(["--will-cite", "-j2", "-a"]).arg(&fewer).arg(&tiny);

    Ok(vec![
        (OURS, JOBS, ours),
        (LOOP, JOBS, bare),
        (XARGS, JOBS, xargs),
        (RUST_PARALLEL, JOBS, rust_parallel),
        (GNU_PARALLEL, FEWER_JOBS, gnu_parallel),
    ])
}
