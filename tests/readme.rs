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
}

#[test]
fn the_two_programs_differ_in_one_word() {
    let (threads, processes) =
        (text("examples/primes_threads.rs"), text("examples/primes_processes.rs"));
    assert_eq!(threads.matches("thread::Executor").count(), 1);
    assert_eq!(threads.replace("thread::Executor", "process::Executor"), processes);
}
