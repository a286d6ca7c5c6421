//! The project's own chores: everything that is tested, measured, or run at length.
#![forbid(unsafe_code)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const HELP: &str = "\
The project's own chores.

Usage: cargo xtask <CHORE>

  test [CHECK…]    check that the tools are there, then run every test: unit, integration, contract, fault and doc tests, the
                   start and end of children under each build profile, beside constructors of C code too, and the examples
                   against their transcripts. Installs nothing outside of cargo's own folders.
                   CHECK: packages, ends, constructors, transcripts, patch; all of them by default
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
        Some("test") => test(rest),
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
fn test(wanted: &[String]) -> Result<(), String> {
    for tool in ["cc", "sh", "sleep", "head", "seq", "cat", "true", "false"] {
        if !in_path(tool) {
            return Err(format!("the tests need the program `{tool}`, which is not in PATH"));
        }
    }
    let checks: [(&str, Check); 5] = [
        ("packages", packages),
        ("ends", ends),
        ("constructors", constructors),
        ("transcripts", transcripts),
        ("patch", patch),
    ];
    if let Some(name) = wanted.iter().find(|name| !checks.iter().any(|(known, _)| known == name)) {
        return Err(format!("no check is called {name:?}"));
    }
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let names: Vec<&str> = checks.map(|(name, _)| name).to_vec();
    for (_, check) in checks.iter().filter(|(name, _)| chosen(name)) {
        check(if wanted.is_empty() { &names } else { &[] })?;
    }
    Ok(())
}

/// A part of `cargo xtask test`. It is given the names of all parts if all of them run.
type Check = fn(&[&str]) -> Result<(), String>;

/// The tests of every package. One of them sees to it that nothing is left out: see `tests/left_out.rs`.
fn packages(all: &[&str]) -> Result<(), String> {
    say("all tests, of all packages");
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--features", "fourfold/watch"]);
    if !all.is_empty() {
        tests.env("FOURFOLD_COMPLETE", all.join(" "));
    }
    run(&mut tests)
}

/// How children end, under each profile.
fn ends(_: &[&str]) -> Result<(), String> {
    for profile in PROFILES {
        say(&format!("the start and the end of children, profile {profile}"));
        run(cargo().args(["run", "--quiet", "--example", "ends", "--profile", profile]))?;
    }
    Ok(())
}

/// Programs that are linked with constructors of C code, with and without an attribute, under each profile.
fn constructors(_: &[&str]) -> Result<(), String> {
    let own = env::current_exe().map_err(|error| format!("where this is: {error}"))?;
    let target = own.parent().and_then(Path::parent).expect("cargo runs it in target/debug");
    let object = target.join("constructors.o");
    let source = root().join("tests/crates/constructors/constructors.c");
    run(Command::new("cc").arg("-c").arg(source).arg("-o").arg(&object))?;
    for profile in PROFILES {
        say(&format!("the start of children beside constructors of C code, profile {profile}"));
        for program in ["constructors_plain", "constructors_init", "constructors_attribute"] {
            let package = ["rustc", "--quiet", "--package", "fourfold-constructors"];
            let which = ["--features", "c", "--profile", profile, "--bin", program];
            let mut link = std::ffi::OsString::from("link-arg=");
            link.push(&object);
            run(cargo().args(package).args(which).args(["--", "-C"]).arg(link))?;
            let folder = if profile == "dev" { "debug" } else { profile };
            let output = Command::new(target.join(folder).join(program)).output();
            let output = output.map_err(|error| format!("{program}: {error}"))?;
            let short = program.trim_start_matches("constructors_");
            // Once: a child that went on to `main` would say it too.
            let expected = format!("{short}: 5 constructors, once in each process\n");
            if !output.status.success() || output.stdout != expected.as_bytes() {
                let (said, told) = (&output.stdout, &output.stderr);
                let (said, told) = (String::from_utf8_lossy(said), String::from_utf8_lossy(told));
                return Err(format!("{program}, {profile}: {}\n{said}{told}", output.status));
            }
        }
    }
    Ok(())
}

/// The examples print what their transcripts say.
fn transcripts(_: &[&str]) -> Result<(), String> {
    say("the transcripts of the examples");
    run(&mut Command::new(root().join("ci/examples")))
}

/// The library with the feature `patch`, which changes what std's calls do.
fn patch(_: &[&str]) -> Result<(), String> {
    say("the feature patch");
    run(&mut Command::new(root().join("ci/patch")))
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
    // Whether a switch between stacks is inlined must not depend on how a crate happens to be cut in pieces: ours or a peer's.
    run(cargo().args(args).args(names).env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"))
}

/// Each script by itself, all of them, and then which ones failed.
fn ci() -> Result<(), String> {
    let mut failed = Vec::new();
    for job in ["format", "clippy", "house", "docs", "loom", "valgrind", "test", "examples"] {
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
