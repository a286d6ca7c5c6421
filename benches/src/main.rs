//! Measures fourfold beside its peers: each figure in one run, in turn, as a ratio.
#![forbid(unsafe_code)]

mod contest;
mod map;
mod place;
mod start;
mod submit;

use std::env;
use std::process::ExitCode;

use contest::Verdict;

/// What went wrong, for the reader.
type Failure = Box<dyn std::error::Error>;

/// Something that is measured, and what the project wants of it.
struct Figure {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<Vec<Verdict>, Failure>,
}

const FIGURES: &[Figure] = &[
    Figure {
        name: "submit",
        about: "submit and join on an idle pool of processes",
        run: submit::run,
    },
    Figure { name: "map", about: "no-ops through a pool of processes, pipelined", run: map::run },
    Figure { name: "start", about: "start and join a process", run: start::run },
];

#[fourfold::main]
fn main() -> ExitCode {
    procspawn::init();
    let names: Vec<String> = env::args().skip(1).collect();
    if let Some(status) = help_out(&names) {
        return status;
    }
    let wanted = |figure: &&Figure| {
        names.is_empty() || names.iter().any(|name| figure.name.starts_with(name.as_str()))
    };
    let figures: Vec<&Figure> = FIGURES.iter().filter(wanted).collect();
    if figures.is_empty() {
        eprintln!("no figure is called {names:?}; there are:");
        for Figure { name, about, .. } in FIGURES {
            eprintln!("  {name:<8} {about}");
        }
        return ExitCode::FAILURE;
    }
    let mut verdicts = Vec::new();
    let mut broken = false;
    for figure in figures {
        match (figure.run)() {
            Ok(more) => verdicts.extend(more),
            Err(error) => {
                broken = true;
                eprintln!("{}: not measured: {error}\n", figure.name);
            }
        }
    }
    contest::summarise(&verdicts);
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The parts that this executable plays for its own figures, as the other process.
fn help_out(names: &[String]) -> Option<ExitCode> {
    match names {
        [part] if part == start::NOTHING => Some(ExitCode::SUCCESS),
        [part] if part == submit::ECHO => {
            submit::echo();
            Some(ExitCode::SUCCESS)
        }
        _ => None,
    }
}
