//! The memory of `fourfold run` over very many inputs.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::Failure;
use crate::contest::Verdict;
use crate::{observe, tools};

const INPUTS: u64 = 10_000_000;
const FEWER_INPUTS: u64 = 200_000;
const LIMIT: u64 = 32 << 20;

/// All inputs go by in a dry run, and a good number are run.
pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let title = "Memory of fourfold run -j2";
    println!("{title}\n");
    let verdicts = vec![
        measure(title, INPUTS, "a dry run, from standard input", &["--dry-run"])?,
        measure(title, FEWER_INPUTS, "jobs run, with a job log, from standard input", &[])?,
    ];
    println!();
    Ok(verdicts)
}

/// All inputs, each of them run. It takes a quarter of an hour.
pub(crate) fn run_all() -> Result<Vec<Verdict>, Failure> {
    let title = "Memory of fourfold run -j2, all jobs run";
    println!("{title}\n");
    Ok(vec![measure(title, INPUTS, "jobs run, with a job log, from standard input", &[])?])
}

fn measure(title: &str, inputs: u64, how: &str, options: &[&str]) -> Result<Verdict, Failure> {
    eprintln!("measuring: {inputs} inputs, {how}");
    let mut feeder = Command::new(tools::system("seq", "coreutils")?)
        .arg(inputs.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let input = feeder.stdout.take().ok_or("a pipe was asked for")?;
    let log = tools::folder()?.join("joblog");
    File::create(&log)?;
    let mut command = observe::quiet(tools::fourfold()?);
    command.args(["run", "-j2"]).args(options);
    if options.is_empty() {
        command.arg("--joblog").arg(&log);
    }
    command.arg(tools::tiny()?).stdin(input);
    let peak = observe::peak_memory(&mut command);
    // It ends with its reader; the command keeps the reading end open for another start.
    drop(command);
    let fed = feeder.wait()?;
    let peak = peak?;
    if !fed.success() {
        return Err(format!("seq: {fed}").into());
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let text = format!(
        "{inputs} inputs, {how}: peak {:.1} MiB, at most {} MiB wanted",
        mib(peak),
        LIMIT >> 20
    );
    println!("  {text}");
    Ok(Verdict::new(title, text, peak <= LIMIT))
}
