//! What plain `cargo test` leaves out, which needs more than a Rust toolchain or takes long: it is listed at each run.
//!
//! `cargo xtask test` says what it runs; if that is not all of it, this fails. The tests at random go on for longer, with the
//! same checks, in `cargo xtask soak`.

use std::process::ExitCode;

const LEFT_OUT: &str = include_str!("left_out.txt");

fn main() -> ExitCode {
    let checks: Vec<(&str, &str)> =
        LEFT_OUT.lines().map(|line| line.split_once(": ").expect("a name and a text")).collect();
    let Ok(run) = std::env::var("FOURFOLD_COMPLETE") else {
        println!("left out here, and run by `cargo xtask test`:");
        for (_, text) in &checks {
            println!("  {text}");
        }
        return ExitCode::SUCCESS;
    };
    let run: Vec<&str> = run.split(' ').collect();
    let missing: Vec<&str> =
        checks.iter().map(|(name, _)| *name).filter(|name| !run.contains(name)).collect();
    let unlisted: Vec<&&str> =
        run.iter().filter(|name| !checks.iter().any(|(known, _)| known == *name)).collect();
    if missing.is_empty() && unlisted.is_empty() {
        println!("nothing is left out: `cargo xtask test` runs all of it");
        return ExitCode::SUCCESS;
    }
    eprintln!("left out: {missing:?}; not in tests/left_out.txt: {unlisted:?}");
    ExitCode::FAILURE
}
