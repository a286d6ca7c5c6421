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
