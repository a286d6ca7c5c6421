//! The project's own chores: everything that is tested, measured, or run at length.
#![forbid(unsafe_code)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const HELP: &str = "\
The project's own chores.

Usage: cargo xtask <CHORE>

  test             check that the tools are there, then run every test: unit, integration, contract, fault and doc tests, and
                   the start of a child under each build profile. Installs nothing outside of cargo's own folders.
  soak [MINUTES]   run the fault and stress tests again and again, at length; 10 minutes by default
  bench [NAME…]    measure us beside our peers, in one run; all figures by default. Builds the peers, and installs tools
                   that are missing: with cargo below target/peers, with apt-get from the system's packages
  ci               run each script in ci/, as .ci/run does
";

/// Profiles under which a child must start and its end be told. The first two are cargo's own.
const PROFILES: [&str; 6] = ["dev", "release", "fat-lto", "thin-lto", "stripped", "abort"];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let result = match args.first().map(String::as_str) {
        Some("test") => test(),
        Some("soak") => soak(rest),
        Some("bench") => bench(rest),
        Some("ci") => ci(),
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(other) => Err(format!("no chore is called {other:?}\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything. A check that cannot run is a failure.
fn test() -> Result<(), String> {
    for tool in ["sh", "sleep", "head", "seq", "cat", "true", "false"] {
        if !in_path(tool) {
            return Err(format!("the tests need the program `{tool}`, which is not in PATH"));
        }
    }
    say("all tests, of all packages");
    run(cargo().args(["test", "--workspace"]).env("FOURFOLD_ALL_TESTS", "1"))?;
    for profile in PROFILES {
        say(&format!("the start and the end of children, profile {profile}"));
        run(cargo().args(["run", "--quiet", "--example", "ends", "--profile", profile]))?;
    }
    Ok(())
}

fn soak(args: &[String]) -> Result<(), String> {
    let minutes: u64 = match args.first() {
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no number of minutes"))?,
        None => 10,
    };
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60 * minutes);
    let mut round = 0;
    while round == 0 || std::time::Instant::now() < end {
        round += 1;
        say(&format!("soak, round {round}"));
        let tests = ["test", "--release", "--test", "fault", "--test", "contract"];
        run(cargo().args(tests).env("FOURFOLD_SOAK", "1"))?;
    }
    Ok(())
}

fn bench(names: &[String]) -> Result<(), String> {
    run(cargo().args(["build", "--release", "--package", "fourfold-cli"]))?;
    let args = ["run", "--release", "--quiet", "--package", "fourfold-bench", "--"];
    run(cargo().args(args).args(names))
}

/// Each script by itself, all of them, and then which ones failed.
fn ci() -> Result<(), String> {
    let mut failed = Vec::new();
    for job in ["format", "clippy", "house", "docs", "test", "examples"] {
        say(&format!("ci/{job}"));
        if run(&mut Command::new(root().join("ci").join(job))).is_err() {
            failed.push(job);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("failed: {}", failed.join(", "))),
    }
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the package lies in the workspace").to_owned()
}

fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

fn in_path(tool: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .any(|directory| directory.join(tool).is_file())
}

fn say(what: &str) {
    eprintln!("== {what}");
}
