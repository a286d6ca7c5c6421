//! The `fourfold` command: run many jobs, serve queues and connections, and be told exactly how it ended.
#![forbid(unsafe_code)]

mod address;
mod args;
mod connect;
mod echo;
mod exit;
mod key;
mod metrics;
mod queue;
mod run;
mod serve;
mod units;

use std::process::ExitCode;

use args::Command;

#[fourfold::main]
fn main() -> ExitCode {
    match args::parse() {
        Ok(Command::Run(typed)) => run::run(*typed),
        Ok(Command::Serve(typed)) => serve::run(&typed),
        Ok(Command::Queue(typed)) => queue::run(typed),
        Ok(Command::Key(typed)) => key::run(&typed),
        Ok(Command::Echo(typed)) => echo::run(&typed),
        Ok(Command::Connect(typed)) => connect::run(&typed),
        Err(shown) => shown,
    }
}
