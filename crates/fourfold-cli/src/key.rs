//! `fourfold key`: the files that shared keys are kept in.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use fourfold::cluster::manager::{Key, read_key, write_new_key};

use crate::exit;

/// Make the key that a server and its clients share.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Write a new key of 32 random bytes, in hexadecimal, to a new file that only you may read.
    ///
    /// A Python program reads it by open(FILE, 'rb').read().strip().
    New {
        /// The file, which must not be there yet.
        file: PathBuf,
    },
}

pub(crate) fn run(typed: &KeyArgs) -> ExitCode {
    let KeyCommand::New { file } = &typed.command;
    match write_new_key(file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Where the key is. It is never an argument: those can be read by everybody on the machine.
#[derive(Debug, Args)]
pub(crate) struct KeyFile {
    /// The file with the shared key, which only its owner may read; `fourfold key new FILE` makes one.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
}

impl KeyFile {
    pub(crate) fn read(&self) -> fourfold::Result<Key> {
        read_key(&self.key_file)
    }
}

/// Says what went wrong.
pub(crate) fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("fourfold: {error}");
    ExitCode::from(exit::ERROR)
}
