//! The `fourfold` command: run many jobs, serve queues, and be told exactly how it ended.
#![forbid(unsafe_code)]

mod args;
mod exit;
mod key;
mod queue;
mod run;
mod serve;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    match args::parse() {
        Ok(Command::Run(typed)) => run::run(*typed),
        Ok(Command::Serve(typed)) => serve::run(&typed),
        Ok(Command::Queue(typed)) => queue::run(typed),
        Ok(Command::Key(typed)) => key::run(&typed),
        Err(shown) => shown,
    }
}
