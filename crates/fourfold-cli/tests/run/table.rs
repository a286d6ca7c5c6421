//! The commands of the README: the main job over files of the checkout, and eight jobs with what is said of each.

use std::path::{Path, PathBuf};

use crate::harness::*;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn eight_jobs_and_what_is_said_of_each() {
    // In a place of their own: one of them leaves a file for its second try.
    let directory = tempfile::tempdir().unwrap();
    for name in ["Cargo.toml", "crates"] {
        std::os::unix::fs::symlink(checkout().join(name), directory.path().join(name)).unwrap();
    }
    let file = std::fs::File::open(checkout().join("examples/eight-jobs")).unwrap();
    let options =
        ["-j4", "-k", "--timeout", "2", "--mem", "64M", "--retries", "2", "--summary", "all"];
    let mut command = command(options);
    command.stdin(fourfold::process::Stdio::Fd(std::sync::Arc::new(file.into())));
    let run = end(command.current_dir(directory.path()));
    assert_eq!(run.status, 4, "{}", run.stderr);
    assert!(run.text().contains("Cargo.toml\n1000\n"), "{}", run.text());
    assert!(run.stderr.contains("fourfold: 4 of 8 jobs failed\n"), "{}", run.stderr);
    let rows: Vec<&str> =
        run.stderr.lines().skip_while(|line| !line.contains("outcome")).skip(1).collect();
    let outcomes = [
        ("succeeded", 1),
        ("succeeded", 1),
        ("exited with code 3", 2),
        ("killed by signal 11 (SIGSEGV)", 2),
        ("timed out after 2 s", 2),
        ("over its memory limit (64 MiB; saw ", 2),
        ("succeeded", 2),
        ("succeeded", 1),
    ];
    assert_eq!(rows.len(), outcomes.len(), "{}", run.stderr);
    for ((index, row), (outcome, tries)) in rows.iter().enumerate().zip(outcomes) {
        let told = row.trim_start().strip_prefix(&format!("{}  {outcome}", index + 1));
        let told = told.unwrap_or_else(|| panic!("{row}"));
        // What was seen of the memory differs from run to run.
        let told = told.split_once(')').map_or(told, |(_, after)| after);
        assert_eq!(told.split_whitespace().next(), Some(&*tries.to_string()), "{row}");
    }
    assert!(!directory.path().join("flaky").exists());
    // The README's table is this one, but for times and the memory seen.
    let commands = std::fs::read_to_string(checkout().join("examples/eight-jobs")).unwrap();
    let readme = readme();
    for (index, ((outcome, _), command)) in outcomes.iter().zip(commands.lines()).enumerate() {
        let begin = format!("{}  {outcome}", index + 1);
        let is_row = |line: &str| line.trim_start().starts_with(&begin) && line.ends_with(command);
        assert!(readme.lines().any(is_row), "README.md does not show {begin:?} for {command:?}");
    }
}

fn readme() -> String {
    std::fs::read_to_string(checkout().join("README.md")).unwrap()
}

#[test]
fn the_main_job_runs_over_files_of_the_checkout() {
    let mut paths: Vec<String> = std::fs::read_dir(checkout().join("src"))
        .unwrap()
        .map(|entry| format!("src/{}/mod.rs", entry.unwrap().file_name().into_string().unwrap()))
        .filter(|path| checkout().join(path).exists())
        .collect();
    paths.sort();
    assert!(paths.len() >= 5, "{paths:?}");
    let mut command = command(["-k", "--tag", "head -n 1 {} | cut -c5-", ":::"]);
    let printed = end(command.args(&paths).current_dir(checkout())).printed(0);
    let first_line = |path: &String| {
        let text = std::fs::read_to_string(checkout().join(path)).unwrap();
        format!("{path}\t{}\n", text.lines().next().unwrap().strip_prefix("//! ").unwrap())
    };
    assert_eq!(printed, paths.iter().map(first_line).collect::<String>());
    let shown = format!("```text\n{printed}```\n");
    assert!(readme().contains(&shown), "README.md does not show\n{shown}");
}
