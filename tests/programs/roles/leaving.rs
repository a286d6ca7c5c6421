//! The end of `main`, in its ways, with children that still run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::support::{Way, note};

fn slow(log: PathBuf) {
    note(&log, &format!("began {}", std::process::id()));
    std::thread::sleep(Duration::from_millis(300));
    note(&log, "ended");
}

fn for_ever(log: PathBuf) {
    note(&log, &format!("daemon {}", std::process::id()));
    std::thread::sleep(Duration::from_secs(3600));
    note(&log, "ended");
}

/// Arguments: how `main` ends, the start method, `foreground` or `daemon`, and the log.
pub(crate) fn leave(args: &[String]) -> ExitCode {
    let [how, method, kind, log] = args else { panic!("four arguments, not {args:?}") };
    let way = match method.as_str() {
        "spawn" => Way::Spawn,
        "forkserver" => Way::Forkserver,
        "fork" => Way::Fork,
        other => panic!("no way is called {other:?}"),
    };
    let daemon = kind == "daemon";
    let builder = way.builder().daemon(daemon);
    let log = PathBuf::from(log);
    let child = match daemon {
        true => builder.spawn(for_ever, log.clone()),
        false => builder.spawn(slow, log.clone()),
    };
    drop(child.unwrap());
    super::support::eventually("the child has begun", || {
        std::fs::read_to_string(&log).is_ok_and(|text| !text.is_empty())
    });
    match how.as_str() {
        "return" => ExitCode::SUCCESS,
        "fail" => ExitCode::from(5),
        "exit" => std::process::exit(7),
        "panic" => panic!("a panic in main"),
        other => panic!("no end is called {other:?}"),
    }
}
