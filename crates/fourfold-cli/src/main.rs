//! The `fourfold` command: run many jobs, and be told exactly how each one ended.
#![forbid(unsafe_code)]

mod args;
mod exit;
mod run;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    match args::parse() {
        Ok(Command::Run(typed)) => run::run(*typed),
        Err(shown) => shown,
    }
}
