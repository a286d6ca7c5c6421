//! The README shows programs and outputs: that they are those of the examples, to the letter.

use std::fs;
use std::path::Path;

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn shows(language: &str, block: &str) {
    let block = format!("```{language}\n{}\n```\n", block.trim_end());
    assert!(text("README.md").contains(&block), "README.md does not show\n{block}");
}

#[test]
fn the_program_is_shown_with_what_it_prints_at_both_scales() {
    shows("rust", &text("examples/primes_threads.rs"));
    shows("text", &text("examples/primes_threads.out"));
    shows("text", &text("examples/primes_processes.out"));
    shows("rust", &text("examples/naps.rs"));
    shows("rust", &text("examples/servers.rs"));
    shows("text", &text("examples/servers.out"));
}

#[test]
fn the_programs_differ_in_one_word() {
    let threads = text("examples/primes_threads.rs");
    assert_eq!(threads.matches("thread::Executor").count(), 1);
    let with = |scale| threads.replace("thread::Executor", scale);
    assert_eq!(with("process::Executor"), text("examples/primes_processes.rs"));
    assert_eq!(with("green::Executor"), text("examples/primes_green.rs"));
    assert_eq!(text("examples/primes_threads.out"), text("examples/primes_green.out"));
}

/// The names between backticks.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose
        .flat_map(|part| part.lines().flat_map(|line| line.split('`').skip(1).step_by(2)))
        .collect()
}

#[test]
fn the_paths_in_the_documents_are_there() {
    let roots = ["src/", "crates/", "tests/", "examples/", "benches/", "xtask/", "ci/"];
    for document in ["README.md", "ARCHITECTURE.md", "DESIGN.md", "CONTRIBUTING.md"] {
        let text = text(document);
        let paths = quoted(&text).into_iter().filter(|name| {
            roots.iter().any(|root| name.starts_with(root))
                && !name.contains([' ', '*'])
                && !name.contains("NAME")
        });
        for path in paths {
            let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists();
            assert!(there, "{document} names {path}, which is not there");
        }
    }
}

/// All sources of the workspace, as one text.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn the_tests_that_prove_the_invariants_are_there() {
    let mut all = String::new();
    for folder in ["src", "crates", "tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut all);
    }
    let architecture = text("ARCHITECTURE.md");
    let table = architecture.split("## Invariants").nth(1).unwrap();
    let mut count = 0;
    for row in table.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let proofs = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for test in quoted(proofs) {
            assert!(all.contains(&format!("fn {test}()")), "no test is called {test}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn the_tests_that_the_table_of_rows_names_are_there() {
    fn sources(folder: &Path, into: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    sources(&root.join("tests"), &mut all);
    sources(&root.join("crates/fourfold-cli/tests"), &mut all);
    let table = text("tests/contract/README.md");
    let names = quoted(&table).into_iter().filter(|name| !name.contains(['/', '.', ' ']));
    let names: Vec<&str> = names.filter(|name| name.matches('_').count() > 1).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let program = root.join(format!("tests/compile_fail/{name}.rs"));
        let is_there = all.contains(&format!("fn {name}(")) || program.exists();
        assert!(is_there, "no test is called {name}");
    }
    for place in quoted(&table).into_iter().filter(|name| name.contains('/')) {
        let (contract, tour) =
            (root.join("tests/contract").join(place), place.strip_prefix("tour/"));
        let tour = tour.map(|name| root.join("examples/tour").join(name).with_extension("rs"));
        let is_there = contract.exists() || contract.with_extension("rs").exists();
        assert!(is_there || tour.is_some_and(|path| path.exists()), "{place} is not there");
    }
}

#[test]
fn the_tests_that_the_table_of_the_network_queue_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = text("tests/cluster/README.md");
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut count = 0;
    for name in rows.flat_map(|row| quoted(row.trim_end_matches('|').rsplit('|').next().unwrap())) {
        if let Some((file, test)) = name.split_once("::") {
            let file = text(&format!("tests/cluster/{file}.rs"));
            assert!(file.contains(&format!("fn {test}(")), "no test is called {name}");
        } else if let Some(program) = name.strip_prefix("tour/") {
            let program = root.join("examples/tour").join(program);
            assert!(program.with_extension("out").exists(), "{name} has no transcript");
        } else {
            continue;
        }
        count += 1;
    }
    assert!(count > 30, "{count}");
}
