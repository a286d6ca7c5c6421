//! What the programs of the fault tests do, one function a role.

mod bombs;
mod counts;
mod ends;
mod failing;
mod family;
mod forgotten;
mod heir;
mod kills;
mod leaks;
mod leaving;
mod memory;
mod support;
mod traced;
mod words;
mod zygotes;

use std::process::ExitCode;

type Role = fn(&[String]) -> ExitCode;

const ROLES: &[(&str, Role)] = &[
    ("bomb", bombs::bomb),
    ("twice", bombs::twice),
    ("failing-starts", bombs::failing_starts),
    ("ends", ends::ends),
    ("no-descriptors", failing::no_descriptors),
    ("no-processes", failing::no_processes),
    ("no-room", failing::no_room),
    ("bad-starts", failing::bad_starts),
    ("family", family::family),
    ("forgotten", forgotten::forgotten),
    ("heir", heir::heir),
    ("states", kills::states),
    ("random-workers", kills::random_workers),
    ("random-children", kills::random_children),
    ("random-jobs", kills::random_jobs),
    ("random-zygotes", zygotes::random_zygotes),
    ("random-words", words::random_words),
    ("leaks", leaks::leaks),
    ("traced", traced::traced),
    ("leave", leaving::leave),
    ("eat", memory::eat),
    ("eat-hard", memory::eat_hard),
    ("eat-tree", memory::eat_tree),
    ("share", memory::share),
    ("measure", memory::measure),
];

/// Plays the role that the first argument names, with the others.
pub(crate) fn play() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        // Run by itself, as the examples are.
        println!("this program is run by the tests of faults");
        return ExitCode::SUCCESS;
    };
    match ROLES.iter().find(|(known, _)| known == name) {
        Some((_, role)) => role(rest),
        None => panic!("no role is called {name:?}"),
    }
}
