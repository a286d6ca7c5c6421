//! Measures fourfold beside its peers: each figure in one run, in turn, as a ratio.
#![forbid(unsafe_code)]

mod between;
mod chart;
mod contest;
mod costs;
mod echo;
mod green;
mod manager;
mod map;
mod memory;
mod net;
mod observe;
mod place;
mod run;
mod server;
mod start;
mod submit;
mod threads;
mod tools;
mod words;

use std::env;
use std::process::ExitCode;

use contest::Verdict;

/// What went wrong, for the reader.
type Failure = Box<dyn std::error::Error>;

/// Something that is measured.
struct Figure {
    name: &'static str,
    about: &'static str,
    /// Whether it takes so long that it is only measured when it is named.
    is_long: bool,
    run: fn() -> Result<Vec<Verdict>, Failure>,
}

const FIGURES: &[Figure] = &[
    figure("submit", "submit and join on an idle pool of processes", submit::run),
    figure("map", "no-ops through a pool of processes, pipelined", map::run),
    figure("start", "start and join a process", start::run),
    figure("run", "fourfold run of a tiny program", run::run),
    figure("memory", "memory of fourfold run over 10,000,000 inputs, in a dry run", memory::run),
    Figure {
        is_long: true,
        ..figure("all-inputs", "the same, each of them run: a quarter of an hour", memory::run_all)
    },
    figure("threads", "no-ops on a pool of threads, joined or counted down", threads::run),
    figure("words", "queues and locks between threads", words::run),
    figure("between", "words between processes: queues, locks, round trips", between::run),
    figure("green", "coroutines: switches, yields, starts, memory", green::run),
    figure("manager", "calls of the network queue, beside CPython's manager", manager::run),
    figure("net", "echo on 64 connections by coroutines, and 10,000 that wait", net::run),
    Figure {
        is_long: true,
        ..figure(
            "server",
            "echo under every model of `server`, beside other servers: a quarter of an hour",
            server::run,
        )
    },
    figure("costs", "what a unit of work costs at each scale", costs::run),
];

const fn figure(
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<Vec<Verdict>, Failure>,
) -> Figure {
    Figure { name, about, is_long: false, run }
}

#[fourfold::main]
fn main() -> ExitCode {
    procspawn::init();
    let names: Vec<String> = env::args().skip(1).collect();
    if let Some(status) = help_out(&names) {
        return status;
    }
    let wanted = |figure: &&Figure| match names.is_empty() {
        true => !figure.is_long,
        false => names.iter().any(|name| figure.name == name),
    };
    let figures: Vec<&Figure> = FIGURES.iter().filter(wanted).collect();
    if figures.is_empty() {
        eprintln!("no figure is called {names:?}; there are:");
        for Figure { name, about, .. } in FIGURES {
            eprintln!("  {name:<10} {about}");
        }
        return ExitCode::FAILURE;
    }
    contest::tell_load();
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
    contest::tell_load();
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
        [part] if part == green::SLEEPERS => Some(ended(green::sleepers())),
        [part] if part == green::TOKIO_SLEEPERS => Some(ended(green::tokio_sleepers())),
        [part, name] if part == between::IPC => Some(ended(between::ipc_partner(name))),
        [part, kind] if part == echo::SERVER => Some(echo::serve(kind)),
        [part, rest @ ..] if part == echo::CLIENT => Some(ended(echo::client(rest))),
        _ => None,
    }
}

fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
