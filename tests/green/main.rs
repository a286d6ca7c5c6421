//! Coroutines: how they start, wait, end and are ended, each way.
#![allow(clippy::duplicate_mod)]

mod ends;
mod executors;
mod greenlets;
mod programs;
mod resumed;
mod scopes;
mod sound;
mod stress;
#[path = "../contract/support.rs"]
#[allow(dead_code)]
mod support;
mod switching;
mod threads;
mod unwound;
mod values;
mod words;

use std::cell::RefCell;
use std::rc::Rc;

/// What happened, in its order, on one thread.
#[derive(Clone, Debug, Default)]
struct Diary(Rc<RefCell<Vec<String>>>);

impl Diary {
    fn note(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Notes when it is dropped.
    fn at_drop(&self, line: &str) -> AtDrop {
        AtDrop { diary: self.clone(), line: line.to_owned() }
    }
}

struct AtDrop {
    diary: Diary,
    line: String,
}

impl Drop for AtDrop {
    fn drop(&mut self) {
        self.diary.note(std::mem::take(&mut self.line));
    }
}

/// Numbers that are as good as random, from any start but 0.
struct Random(u64);

impl Random {
    /// Those that differ from run to run.
    fn new(seed: u64) -> Random {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Random(now.as_nanos() as u64 ^ (seed << 32) | 1)
    }

    fn next(&mut self) -> u64 {
        // xorshift64, by G. Marsaglia.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
