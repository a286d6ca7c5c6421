//! The arguments as typed: the commands that `fourfold` has.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::connect::ConnectArgs;
use crate::echo::EchoArgs;
use crate::exit;
use crate::key::KeyArgs;
use crate::queue::QueueArgs;
use crate::run::args::RunArgs;
use crate::serve::ServeArgs;

/// Run work in parallel, and always be told how it ended.
#[derive(Debug, Parser)]
#[command(
    name = "fourfold",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What `fourfold` is asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<RunArgs>),
    Serve(ServeArgs),
    Queue(QueueArgs),
    Key(KeyArgs),
    Echo(Box<EchoArgs>),
    Connect(ConnectArgs),
}

/// Reads the command line. What is shown instead, help or a usage error, gives the exit status.
pub(crate) fn parse() -> Result<Command, ExitCode> {
    match Cli::try_parse() {
        Ok(cli) => Ok(cli.command),
        Err(error) => {
            // A closed standard output is no reason to complain about help that nobody reads.
            let _ = error.print();
            Err(if error.use_stderr() { ExitCode::from(exit::ERROR) } else { ExitCode::SUCCESS })
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
