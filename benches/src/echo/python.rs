//! Python's echo servers: those of its standard library, and gevent's.

use std::path::Path;
use std::process::Command;

use crate::{Failure, tools};

pub(super) fn command(kind: &str) -> Result<Command, Failure> {
    let python = match kind {
        "gevent" => tools::python_with("gevent")?,
        _ => tools::system("python3", "python3")?,
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/echo.py");
    let mut command = Command::new(python);
    command.args(["-s", "-E"]).arg(script).arg(kind);
    Ok(command)
}
