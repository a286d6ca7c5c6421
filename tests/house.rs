//! The rules of the house, as tests: who may import whom, first lines, sizes of files, where unsafe code may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a part of the library may import from the others. `error` is the ground that all stand on.
const IMPORTS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("system", &[]),
    ("sync", &["error", "system"]),
    ("wait", &["error", "sync", "system"]),
    ("vocab", &["error", "sync", "system", "wait"]),
    ("task", &["error"]),
    ("green", &["error", "sync", "system", "task", "vocab", "wait"]),
    ("thread", &["error", "sync", "task", "vocab", "wait"]),
    ("process", &["error", "sync", "system", "task", "vocab", "wait", "words"]),
    ("server", &["error", "green", "process", "system", "task", "thread"]),
    ("words", &["error"]),
    ("cluster", &["error", "process", "task", "vocab", "words"]),
];

/// The files that may hold unsafe code.
const UNSAFE: &[&str] = &[
    "src/green/fault.rs",
    "src/green/greenlet.rs",
    "src/green/hub/remote.rs",
    "src/green/hub/run.rs",
    "src/green/hub/switch.rs",
    "src/green/jump.rs",
    "src/green/jump/tests.rs",
    "src/green/patch/files.rs",
    "src/green/patch/names.rs",
    "src/green/patch/raw.rs",
    "src/green/patch/sockets.rs",
    "src/green/patch/time.rs",
    "src/green/patch/waiting.rs",
    "src/green/scope.rs",
    "src/green/stack.rs",
    "src/green/thread_end.rs",
    "src/green/watch.rs",
    "src/process/brood/code.rs",
    "src/process/brood/forks.rs",
    "src/process/brood/place.rs",
    "src/process/brood/tests.rs",
    "src/process/crash.rs",
    "src/process/entry.rs",
    "src/process/fork.rs",
    "src/process/maps.rs",
    "src/process/page.rs",
    "src/process/serve.rs",
    "src/process/shared/arena.rs",
    "src/process/shared/array.rs",
    "src/process/shared/audit.rs",
    "src/process/shared/buffer.rs",
    "src/process/shared/event.rs",
    "src/process/shared/item.rs",
    "src/process/shared/lock.rs",
    "src/process/shared/object.rs",
    "src/process/shared/queue.rs",
    "src/process/shared/ring.rs",
    "src/process/shared/semaphore.rs",
    "src/process/shared/shared_buffer.rs",
    "src/process/shared/tests.rs",
    "src/process/sys/lifeline.rs",
    "src/process/sys/pidfd.rs",
    "src/process/sys/spawn.rs",
    "src/process/zygote/ahead.rs",
    "src/process/zygote/fork.rs",
    "src/process/zygote/shape.rs",
    "src/server/model/forker.rs",
    "src/sync/lock.rs",
    "src/sync/ring.rs",
    "src/sync/rwlock.rs",
    "src/system/by_default.rs",
    "src/system/forks.rs",
    "src/system/handlers.rs",
    "src/system/prefetch.rs",
    "src/system/signal_stack.rs",
    "src/system/withheld.rs",
    "src/task/image.rs",
];

/// Files of the library and the tools with more than 400 lines, and why each is one piece.
const LONG: &[(&str, &str)] = &[
    ("src/green/greenlet.rs", "one protocol over one set of pointers, with the docs of its type"),
    ("src/green/hub/switch.rs", "all that switches stands together"),
    ("src/process/channel.rs", "frames with descriptors, both ways"),
    ("src/process/executor/inside.rs", "a worker's side of its pool: one lock, one protocol"),
    ("src/process/jobs.rs", "the set, its jobs and their ends, public types with their docs"),
    ("src/process/launch.rs", "one child from its settings to its end"),
    ("src/process/shared/models.rs", "a world for the checker, and the programs it tries in it"),
    ("src/process/served/server.rs", "the root's thread: who comes, asks, waits and goes"),
    ("src/process/shared/object.rs", "who refers to a word, and how it ends: one protocol"),
    ("src/process/shared/queue.rs", "each call on a queue, around one look at its ring"),
    ("src/process/shared/ring.rs", "one protocol over one kind of cell"),
    ("src/process/sys/spawn.rs", "what a child may do before it executes stands together"),
    (
        "src/process/served/link.rs",
        "one connection: who sends, who reads, who waits, with its tests",
    ),
    ("src/process/served/thing.rs", "each word with what it is asked, side by side"),
    ("src/process/served/wire.rs", "each request and reply, both ways, side by side"),
    ("src/process/served/world.rs", "what is kept and who refers to it: one state"),
    ("src/server/model/events.rs", "a loop and its conversations: one state, each step of it"),
    (
        "src/server/model/pool.rs",
        "workers, their keepers and their connections: one lock, one protocol",
    ),
    ("src/sync/list.rs", "the line and who stands in it: one lock, one protocol"),
    ("src/task/codec/de.rs", "a method for each of serde's calls"),
    ("src/task/codec/ser.rs", "a method for each of serde's calls"),
    ("src/thread/pool.rs", "one state under one lock, with the protocol"),
    (
        "src/vocab/outcome.rs",
        "one state under one lock, with those who put it there, look and wait",
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources below a folder, as paths from the root.
fn sources(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && entry.file_name() != "target" {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    paths.sort();
    paths.into_iter().map(|path| path.strip_prefix(root()).unwrap().to_owned()).collect()
}

fn all_sources() -> Vec<(String, String)> {
    ["src", "crates", "xtask", "benches", "tests", "examples"]
        .into_iter()
        .flat_map(sources)
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            (path.to_str().unwrap().to_owned(), text)
        })
        .collect()
}

fn shipped(path: &str) -> bool {
    path.starts_with("src/") || path.contains("/src/") && !path.starts_with("tests/")
}

/// The code before the unit tests of a file.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

/// The parts that a file names by `crate::`.
fn imported(text: &str) -> BTreeSet<&str> {
    code(text)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
        .collect()
}

fn import_faults(path: &str, text: &str) -> Vec<String> {
    let part = path.trim_start_matches("src/").split(['/', '.']).next().unwrap();
    let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == part) else {
        return Vec::new();
    };
    imported(text)
        .into_iter()
        .filter(|name| IMPORTS.iter().any(|(known, _)| known == name))
        .filter(|name| *name != part && (!allowed.contains(name) || is_model(path, name)))
        .map(|name| format!("{path}: {part} may not import {name}"))
        .collect()
}

/// A server knows the scales in its models alone.
fn is_model(path: &str, name: &str) -> bool {
    let scale = matches!(name, "green" | "process" | "thread");
    scale && path.starts_with("src/server/") && !path.starts_with("src/server/model/")
}

fn head_fault(path: &str, text: &str) -> Option<String> {
    let first = text.lines().next().unwrap_or("");
    // The library's own documentation is the README.
    let good = first.starts_with("//! ") || path == "src/lib.rs";
    (!good).then(|| format!("{path}: line 1 does not say what this is"))
}

fn size_fault(path: &str, lines: usize) -> Option<String> {
    let name = path.rsplit('/').next().unwrap();
    let excused = LONG.iter().any(|(long, _)| *long == path) || !path.starts_with("src/");
    match lines {
        0..=100 => None,
        _ if name == "mod.rs" && path.starts_with("src/") && !is_documentation(path) => Some(
            format!("{path}: {lines} lines; a mod.rs is documentation and re-exports, 100 at most"),
        ),
        401..=800 if !excused => {
            Some(format!("{path}: {lines} lines; over 400 wants a reason in LONG"))
        }
        801.. => Some(format!("{path}: {lines} lines; over 800 is two files")),
        _ => None,
    }
}

/// A `mod.rs` whose length is that of its documentation and of one type's methods.
fn is_documentation(path: &str) -> bool {
    let text = fs::read_to_string(root().join(path)).unwrap_or_default();
    let told = |line: &&str| line.trim_start().starts_with("//") || line.trim().is_empty();
    let code = code(&text);
    code.lines().filter(|line| !told(line)).count() <= 100
}

fn has_unsafe(text: &str) -> bool {
    text.lines().map(|line| line.split("//").next().unwrap()).any(|line| {
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "#[unsafe("]
            .iter()
            .any(|u| line.contains(u))
    })
}

fn safety_faults(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut faults = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let is_block = line.contains("unsafe {") && !line.trim_start().starts_with("//");
        let before = &lines[number.saturating_sub(6)..=number];
        if is_block && !before.iter().any(|line| line.contains("SAFETY")) {
            faults.push(format!("{path}:{}: an unsafe block without a SAFETY comment", number + 1));
        }
    }
    faults
}

/// Words that say that something is not done, or where it was made. Pieced together, so that this file has none.
fn leftovers() -> Vec<String> {
    let pieces = [
        ("todo", "!("),
        ("unimplemented", "!("),
        ("FIX", "ME"),
        ("TO", "DO"),
        ("XX", "X"),
        ("/work", "/main"),
        ("/work", "/shared"),
        ("/root", "/"),
        ("#[ign", "ore"),
    ];
    pieces.iter().map(|(a, b)| format!("{a}{b}")).collect()
}

fn report(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn parts_import_only_what_they_may() {
    let files = all_sources();
    report(
        files
            .iter()
            .filter(|(path, _)| path.starts_with("src/"))
            .flat_map(|(p, t)| import_faults(p, t))
            .collect(),
    );
    assert_eq!(import_faults("src/task/call.rs", "use crate::process::spawn;").len(), 1);
    assert_eq!(
        import_faults("src/thread/child.rs", "fn f() { crate::process::current() }").len(),
        1
    );
    assert!(import_faults("src/thread/child.rs", "use crate::vocab::Handle;").is_empty());
}

#[test]
fn the_command_uses_the_public_interface_alone() {
    let hidden = format!("fourfold::{}", "__");
    report(
        all_sources()
            .iter()
            .filter(|(path, text)| {
                path.starts_with("crates/fourfold-cli") && text.contains(&hidden)
            })
            .map(|(path, _)| format!("{path}: uses what is hidden"))
            .collect(),
    );
}

#[test]
fn every_file_says_what_it_is() {
    report(all_sources().iter().filter_map(|(path, text)| head_fault(path, text)).collect());
    assert!(head_fault("src/a.rs", "use std;").is_some());
}

#[test]
fn files_are_not_too_long() {
    report(
        all_sources()
            .iter()
            .filter_map(|(path, text)| size_fault(path, text.lines().count()))
            .collect(),
    );
    assert!(size_fault("src/process/made_up.rs", 401).is_some());
    assert!(size_fault("tests/made_up.rs", 801).is_some());
    for (path, _) in LONG {
        let lines =
            fs::read_to_string(root().join(path)).map(|text| text.lines().count()).unwrap_or(0);
        assert!(lines > 400, "{path} has {lines} lines: it need not be in LONG");
    }
}

#[test]
fn unsafe_code_is_where_the_list_says() {
    let files = all_sources();
    let shipped: Vec<_> = files
        .iter()
        .filter(|(path, _)| shipped(path) && !path.contains("fourfold-macros"))
        .collect();
    let with: BTreeSet<&str> = shipped
        .iter()
        .filter(|(_, text)| has_unsafe(text))
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(
        with,
        UNSAFE.iter().copied().collect(),
        "files with unsafe code (left), and the list (right)"
    );
    assert!(has_unsafe("let a = unsafe { b() };") && !has_unsafe("// unsafe { }"));
}

#[test]
fn unsafe_blocks_say_why_they_are_sound() {
    report(
        all_sources()
            .iter()
            .filter(|(path, _)| path != "tests/house.rs")
            .flat_map(|(p, t)| safety_faults(p, t))
            .collect(),
    );
    assert_eq!(safety_faults("a.rs", "let a = unsafe { b() };").len(), 1);
}

#[test]
fn nothing_is_left_half_done() {
    let words = leftovers();
    let faults = all_sources()
        .iter()
        .flat_map(|(path, text)| {
            let found = words.iter().filter(|word| text.contains(word.as_str()));
            found.map(|word| format!("{path}: {word}")).collect::<Vec<_>>()
        })
        .collect();
    report(faults);
}
