//! `fourfold run`: a command for each input, many at a time, and how each one ended.
//!
//! [`args`] has the arguments as typed, [`plan`] as resolved, [`runner`] drives the jobs. [`input`] and [`template`] say
//! what a job is; [`output`], [`joblog`], [`record`] and [`report`] what is told of it.

pub(crate) mod args;
mod halt;
mod hold;
mod input;
mod job;
mod joblog;
mod outcome;
mod output;
mod plan;
mod progress;
mod record;
mod report;
mod retry;
mod runner;
mod shell;
mod signals;
mod template;

use std::io::Write;
use std::process::ExitCode;

use crate::exit;

use self::args::RunArgs;
use self::plan::Plan;
use self::runner::Stop;

/// Runs what was typed, and gives the exit status.
pub(crate) fn run(typed: RunArgs) -> ExitCode {
    let plan = match Plan::new(typed) {
        Ok(plan) => plan,
        Err(wrong) => return failed(&wrong),
    };
    let result = if plan.dry_run { runner::show(plan) } else { runner::run(plan) };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(Stop::Interrupted(signal)) => ExitCode::from(exit::of_signal(signal)),
        Err(Stop::Closed) => ExitCode::from(exit::CLOSED_PIPE),
        Err(Stop::Failed(why)) => failed(&why),
    }
}

fn failed(why: &str) -> ExitCode {
    say(&format!("error: {why}"));
    ExitCode::from(exit::ERROR)
}

/// Says something on standard error. Nobody who cannot be written to misses it.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "fourfold: {text}");
}
