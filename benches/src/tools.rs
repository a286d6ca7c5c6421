//! The programs that are measured or measured against: ours, small ones in C, and tools, installed where they are missing.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;

/// Cargo's own folder for what is built.
fn target() -> Result<PathBuf, Failure> {
    // Built as `target/release/fourfold-bench`.
    let executable = env::current_exe()?;
    let folder = executable.ancestors().nth(2);
    Ok(folder.ok_or("this executable does not lie in a target folder")?.to_owned())
}

/// Where the peers are built and installed, and files of a run are kept.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let folder = target()?.join("peers");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The release build of the command line, which `cargo xtask bench` has made.
pub(crate) fn fourfold() -> Result<PathBuf, Failure> {
    let path = env::current_exe()?.with_file_name("fourfold");
    match path.is_file() {
        true => Ok(path),
        false => Err(format!(
            "{} is not there: `cargo xtask bench` builds it, as does `cargo build --release --package fourfold-cli`",
            path.display()
        )
        .into()),
    }
}

/// A static program that does nothing.
pub(crate) fn tiny() -> Result<PathBuf, Failure> {
    compile("tiny", &["-static", "-nostdlib", "-O2"])
}

/// A loop around `posix_spawn`.
pub(crate) fn spawn_loop() -> Result<PathBuf, Failure> {
    compile("spawn_loop", &["-O2"])
}

/// What processes can do for each other at the least.
pub(crate) fn between() -> Result<PathBuf, Failure> {
    compile("between", &["-O2", "-pthread"])
}

fn compile(name: &str, options: &[&str]) -> Result<PathBuf, Failure> {
    if find("cc").is_none() {
        return Err(
            "a C compiler is needed, and there is no `cc`: apt-get install gcc libc6-dev".into()
        );
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(format!("{name}.c"));
    let program = folder()?.join(name);
    run(Command::new("cc").args(options).arg("-o").arg(&program).arg(&source))?;
    Ok(program)
}

/// A tool of the system, from Debian's `package` where it is missing.
pub(crate) fn system(name: &str, package: &str) -> Result<PathBuf, Failure> {
    if let Some(path) = find(name) {
        return Ok(path);
    }
    eprintln!("installing {package}, for `{name}`: apt-get install");
    run(Command::new("apt-get")
        .args(["install", "--yes", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null()))?;
    find(name).ok_or_else(|| format!("{package} has been installed, and has no `{name}`").into())
}

/// A tool that is a crate, installed below the target folder where it is missing.
pub(crate) fn crate_tool(name: &str) -> Result<PathBuf, Failure> {
    let root = folder()?;
    let program = root.join("bin").join(name);
    if !program.is_file() {
        eprintln!("installing {name} below {}: cargo install", root.display());
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        run(Command::new(cargo).args(["install", "--locked", "--root"]).arg(&root).arg(name))?;
    }
    Ok(program)
}

/// A Python that has this package, installed in an environment of its own where it is missing.
pub(crate) fn python_with(package: &str) -> Result<PathBuf, Failure> {
    let root = folder()?.join(package);
    let python = root.join("bin/python");
    let has_it = |python: &Path| {
        let import = format!("import {package}");
        run(Command::new(python).args(["-c", &import]).stderr(Stdio::null())).is_ok()
    };
    if !(python.is_file() && has_it(&python)) {
        eprintln!("installing {package} in {}: pip install", root.display());
        run(Command::new(system("python3", "python3")?).args(["-m", "venv"]).arg(&root))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package];
        run(Command::new(&python).args(pip))?;
    }
    Ok(python)
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{}: {status}", shown(command.get_program())).into()),
        Err(error) => Err(format!("{}: {error}", shown(command.get_program())).into()),
    }
}

fn shown(program: &OsStr) -> String {
    program.to_string_lossy().into_owned()
}

/// A file with the numbers from 1 to `count`, a line each.
pub(crate) fn numbers(count: u64) -> Result<PathBuf, Failure> {
    use std::fmt::Write as _;
    let path = folder()?.join(format!("numbers-{count}"));
    let mut text = String::new();
    for number in 1..=count {
        writeln!(text, "{number}")?;
    }
    fs::write(&path, text)?;
    Ok(path)
}
