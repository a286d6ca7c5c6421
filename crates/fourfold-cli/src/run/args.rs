//! The arguments of `fourfold run`, as typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::halt::Halt;
use super::units::{self, JobCount};

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

const LONG_HELP: &str = "\
Inputs:
  ::: A B        these
  :::: FILE...   the lines of each file; `-` is standard input (also `-a FILE`, before the command)
  :::+ ::::+     as these, each taken together with one input of the source before
  none of these  the lines of standard input
  Several sources give every combination, the last one varying fastest. The first is read as it is needed, so it may
  be endless; the others are read whole. Inputs are bytes, and need not be text.

Placeholders:
  {}    the input                    {#}        the job's number, from 1
  {.}   without its extension        {%}        the job's slot, from 1 to the number of jobs at once
  {/}   without its directory        {1} {2.}   of the first source, of the second without its extension, and so on
  {//}  its directory
  {/.}  without both
  If the command has none, the inputs are appended to it. `{}` means the inputs of all sources, as separate words.

How a command is run:
  Several words are a program and its arguments: they are executed as they stand, without a shell, whatever they hold.
  One single word is read as a shell would read it. If it is only plain words, separated by blanks, it is executed
  without a shell as well; if it holds anything that a shell must look at (quotes, | & ; < > ( ) $ * and the like, an
  assignment, a builtin), it is run by `/bin/sh -c`, and the inputs are quoted for it: leave the placeholders
  unquoted. Without a command, each input is one, and is run in the same way.
  A job's standard input is /dev/null. It leads a process group of its own, which the kernel kills if fourfold is killed.
  What a job leaves running in the background is not waited for, even if it holds the job's output open.

Output:
  What a job writes is printed when it has ended, first its standard output, then its standard error; of a job that
  was tried again, only the last try's.

Job log and --resume:
  A line reaches the job log at most 0.1 s after its job has ended, so after a crash --resume may repeat the jobs of
  the last moment, but never skips one that did not end. Jobs that Ctrl-C or `--halt now` cut off are not logged.
  If a job of the log has another command now, the run ends with an error: inputs or command have changed.
  {%} is not filled in in the log.

--halt WHEN,WHY=N:
  now,fail=1     end all jobs at the first failure       soon,fail=10%  start no more when 10% have failed
  now,success=1  end all when one has succeeded          soon,done=100  start no more when 100 have ended
  N% is of all jobs where their number is known (arguments and files), else of those that have ended, once there are 10.

Exit status:
  0       every job succeeded, or --halt with success=N was met
  1-100   so many jobs failed
  101     more than 100 jobs failed
  130     ended by Ctrl-C; 143 by SIGTERM, 129 by SIGHUP: the first starts no more jobs and is passed on to those that
          run, the second kills them
  141     the reader of standard output went away
  255     anything else: usage, an unreadable input, a command that cannot be run, a full disk

Examples:
  fourfold run gzip -9 ::: *.log                           compress each file, as many at once as there are processors
  fourfold run -k --tag wc -l ::: src/*.rs                 outputs in the order of the inputs, each line with its input
  find . -name '*.wav' -print0 | fourfold run -0 flac      inputs from a pipe, whatever their names
  fourfold run 'convert {} -scale 50% {.}-small.png' ::: *.png
  fourfold run -j4 --timeout 1m --mem 2G --retries 3 --backoff 1s ./fetch {1} {2} :::: hosts ::: a b c
  fourfold run --joblog log ./simulate :::: parameters     and after a crash the same with --resume
  fourfold run < commands                                  each line is a command";
