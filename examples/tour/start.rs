//! Start work from a function, a closure, a value of one's own, a named task: on a thread, and in a process.

use fourfold::prelude::*;
use serde::{Deserialize, Serialize};

fn add(a: u32, b: u32) -> u32 {
    a + b
}

/// A value with something to do.
#[derive(Clone, Serialize, Deserialize)]
struct Greeting {
    name: String,
}

impl Greeting {
    fn run(self) -> String {
        format!("hello, {}", self.name)
    }
}

/// A function with a name that other machines will know it by.
#[fourfold::task]
fn area(width: u32, height: u32) -> u32 {
    width * height
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    // Both have begun when these lines are done; join gives their values.
    let on_a_thread = thread::spawn(add, (20, 22))?;
    let in_a_process = process::spawn(add, (20, 22))?;
    println!("add: {} {}", on_a_thread.join()?, in_a_process.join()?);

    let closure = |text: String| text.len();
    let text = "coroutine".to_string();
    let on_a_thread = thread::spawn(closure, text.clone())?;
    let in_a_process = process::spawn(closure, text)?;
    println!("a closure: {} {}", on_a_thread.join()?, in_a_process.join()?);

    let greeting = Greeting { name: "world".into() };
    let on_a_thread = thread::spawn(Greeting::run, greeting.clone())?;
    let in_a_process = process::spawn(Greeting::run, greeting)?;
    println!("a value: {}; {}", on_a_thread.join()?, in_a_process.join()?);

    let on_a_thread = thread::spawn(area {}, (3, 4))?;
    let in_a_process = process::spawn(area {}, (3, 4))?;
    println!("a task: {} {}", on_a_thread.join()?, in_a_process.join()?);

    // What a closure captures is in the memory of this process, where a thread is and another process is not.
    let offset = 100;
    println!("a capture: {}", thread::spawn(move |n: u32| n + offset, 1)?.join()?);
    Ok(())
}
