//! The arguments of `fourfold run`, as typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::halt::Halt;
use crate::units::{self, JobCount};

/// Run a command once for each input, many at a time, and tell how each one ended.
#[derive(Args, Debug)]
#[command(
    override_usage = "fourfold run [OPTIONS] [COMMAND]... [::: INPUT... | :::: FILE...]...",
    after_help = "See `fourfold run --help` for inputs, placeholders, exit statuses and examples.",
    after_long_help = LONG_HELP
)]
pub(crate) struct RunArgs {
    /// Jobs at once: N, N% of the processors, +N or -N from their number, 0 for as many as possible
    #[arg(short, long, short_alias = 'P', alias = "max-procs", value_name = "N", default_value = "100%",
        value_parser = JobCount::parse, allow_hyphen_values = true)]
    pub(crate) jobs: JobCount,

    /// Take inputs from FILE, one a line; `-` is standard input. May be given several times
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) arg_file: Vec<PathBuf>,

    /// Inputs end with a NUL byte instead of a newline
    #[arg(short = '0', long)]
    pub(crate) null: bool,

    /// Print the outputs in the order of the inputs
    #[arg(short, long)]
    pub(crate) keep_order: bool,

    /// Begin each line of output with the job's inputs and a tab
    #[arg(long)]
    pub(crate) tag: bool,

    /// Give the jobs our own standard output and error: lines of different jobs may mix
    #[arg(short, long, conflicts_with_all = ["tag", "keep_order"])]
    pub(crate) ungroup: bool,

    /// Show how far the run is, on standard error
    #[arg(long)]
    pub(crate) bar: bool,

    /// End a job that runs longer: seconds, or as in 500ms, 1m30s, 2h
    #[arg(long, value_name = "DURATION", value_parser = units::positive_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Try a job that fails again, N times in all
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) retries: u32,

    /// Wait before a second try, twice as long before each further one, but 10 minutes at most (or DURATION itself)
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true, value_parser = units::duration)]
    pub(crate) backoff: Duration,

    /// End a job whose processes together hold more memory: bytes, or as in 512M, 2G
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) mem: Option<u64>,

    /// Stop early: `now` or `soon` (without ending what runs), then `fail=N`, `success=N`, `done=N`, or N%
    #[arg(long, value_name = "WHEN,WHY=N", default_value = "never", value_parser = Halt::parse, allow_hyphen_values = true)]
    pub(crate) halt: Halt,

    /// Print the commands instead of running them
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Write a line to FILE for each job that ended, in GNU parallel's format
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) joblog: Option<PathBuf>,

    /// Skip the jobs that the job log has; the command of each must be the same as there
    #[arg(long, requires = "joblog", conflicts_with = "dry_run")]
    pub(crate) resume: bool,

    /// As --resume, and run those again that failed
    #[arg(long, requires = "joblog", conflicts_with = "dry_run")]
    pub(crate) resume_failed: bool,

    /// Write a JSON record for each job to FILE; without FILE to standard output, and the jobs' outputs to standard error
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-",
        value_hint = ValueHint::FilePath, conflicts_with = "dry_run")]
    pub(crate) json: Option<PathBuf>,

    /// Which jobs the table at the end tells of
    #[arg(long, value_name = "WHICH", default_value = "failed")]
    pub(crate) summary: Summary,

    /// The command and its inputs
    #[arg(trailing_var_arg = true, hide = true)]
    pub(crate) rest: Vec<OsString>,
}

/// Which jobs the table at the end tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Summary {
    /// Those that failed, if any did
    Failed,
    /// All
    All,
    /// None: no table
    None,
}

const LONG_HELP: &str = include_str!("help.txt");
