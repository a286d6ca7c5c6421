//! What each scale refuses when a program is compiled, and that the compiler's words say why.
//!
//! Each file in `compile_fail/` is a program that is compiled twice. As it is, it must be refused, with every phrase of its
//! `//~` lines in what the compiler says; so the tests hold for any version of it. With the feature `sound`, which puts what
//! is right in the place of what is wrong, it must compile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const MANIFEST: &str = r#"
[package]
name = "refused"
version = "0.0.0"
edition = "2024"

[features]
sound = []

[dependencies]
fourfold = { path = "ROOT" }
serde = { version = "1", features = ["derive"] }

[profile.dev]
debug = 0
incremental = false

[workspace]
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The programs by their names.
fn programs() -> BTreeMap<String, String> {
    let read = |path: PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        (path.extension()? == "rs").then(|| (name, fs::read_to_string(&path).unwrap()))
    };
    let entries = fs::read_dir(root().join("tests/compile_fail")).unwrap();
    entries.filter_map(|entry| read(entry.unwrap().path())).collect()
}

fn phrases(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("//~ ")).map(str::trim).collect()
}

/// A package of all the programs, with the versions that this one is built with.
fn package(programs: &BTreeMap<String, String>) -> PathBuf {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused");
    let binaries = package.join("src/bin");
    let _ = fs::remove_dir_all(&binaries);
    fs::create_dir_all(&binaries).unwrap();
    let manifest = MANIFEST.replace("ROOT", root().to_str().unwrap());
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    for (name, text) in programs {
        fs::write(binaries.join(format!("{name}.rs")), text).unwrap();
    }
    package
}

/// Builds the programs: the errors of each that has any.
fn build(package: &Path, features: &[&str]) -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(package)
        .args(["build", "--offline", "--bins", "--keep-going", "--message-format=json"])
        .args(features)
        .env("CARGO_TARGET_DIR", package.join("target"))
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let mut errors = BTreeMap::<String, String>::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        if message["message"]["level"] != "error" {
            continue;
        }
        let name = message["target"]["name"].as_str().unwrap().to_owned();
        let text = message["message"]["rendered"].as_str().unwrap();
        errors.entry(name).or_default().push_str(text);
    }
    let of_a_program = |name: &String| package.join(format!("src/bin/{name}.rs")).exists();
    assert!(errors.keys().all(of_a_program), "the library does not compile: {errors:?}\n{said}");
    assert!(output.status.success() || !errors.is_empty(), "cargo: {said}");
    errors
}

/// Without its line breaks, which depend on how long names and paths are.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_refused_is_told_why_and_its_counterpart_compiles() {
    let programs = programs();
    assert!(programs.len() >= 20, "{} programs", programs.len());
    let package = package(&programs);
    let errors = build(&package, &[]);
    let mut faults = Vec::new();
    for (name, text) in &programs {
        let Some(error) = errors.get(name) else {
            faults.push(format!("{name}: compiles"));
            continue;
        };
        let phrases = phrases(text);
        assert!(!phrases.is_empty(), "{name} has no line of phrases");
        let missing: Vec<_> =
            phrases.into_iter().filter(|phrase| !flat(error).contains(phrase)).collect();
        if !missing.is_empty() {
            faults.push(format!("{name}: not said: {missing:#?}\n{error}"));
        }
    }
    for (name, error) in build(&package, &["--features", "sound"]) {
        faults.push(format!("{name}, as it should be, does not compile:\n{error}"));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
