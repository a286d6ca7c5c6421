//! A program that says it has a `#[fourfold::main]`, but whose `main` is another: it starts processes before `init()`.
//!
//! Its children come to `main` as well, and would each start one more if they were let.

use std::io::Write;

use fourfold::process;

/// It leaves the mark in the program, and is not called.
#[allow(dead_code)]
#[fourfold::main]
fn elsewhere() {}

fn note(log: &str, line: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // A child has the first argument only, so the log is in the environment.
    let log = std::env::var("FAULT_LOG").unwrap();
    note(&log, "main");
    let early = process::spawn(|| 5, ());
    let is_child = match early {
        Ok(child) => {
            let outcome = child.join();
            note(&log, &format!("outcome {:?}", outcome.map_err(|error| error.kind())));
            false
        }
        Err(error) => {
            note(&log, &format!("refused {:?}", error.kind()));
            true
        }
    };
    if std::env::var_os("FAULT_NEVER").is_some() && is_child {
        // Never asks to serve: it goes on as if it were the program.
        return;
    }
    fourfold::init();
    fourfold::init();
    note(&log, "served");
    assert!(!is_child, "a child has come past init");
    assert!(!args.is_empty());
}
