//! Start work from a function, a closure, a value of one's own, a named task: in a coroutine, on a thread, and in a process.

use fourfold::green;
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

/// The child waits for what its starter does after the start.
macro_rules! goes_on_at_once {
    ($scale:ident) => {{
        let (word, told) = $scale::pipe();
        let child = $scale::spawn(move || told.recv(), ())?;
        word.send("after the start")?;
        println!(
            "{}: the starter went on, the child heard: {:?}",
            stringify!($scale),
            child.join()??
        );
    }};
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    // Where the work begins differs, but a start is one call, which returns at once; join gives the value.
    let in_a_coroutine = green::spawn(add, (20, 22))?;
    let on_a_thread = thread::spawn(add, (20, 22))?;
    let in_a_process = process::spawn(add, (20, 22))?;
    println!("add: {} {} {}", in_a_coroutine.join()?, on_a_thread.join()?, in_a_process.join()?);
    goes_on_at_once!(green);
    goes_on_at_once!(thread);

    let closure = |text: String| text.len();
    let text = "coroutine".to_string();
    let in_a_coroutine = green::spawn(closure, text.clone())?;
    let on_a_thread = thread::spawn(closure, text.clone())?;
    let in_a_process = process::spawn(closure, text)?;
    let lengths = (in_a_coroutine.join()?, on_a_thread.join()?, in_a_process.join()?);
    println!("a closure: {lengths:?}");

    let greeting = Greeting { name: "world".into() };
    let in_a_coroutine = green::spawn(Greeting::run, greeting.clone())?;
    let on_a_thread = thread::spawn(Greeting::run, greeting.clone())?;
    let in_a_process = process::spawn(Greeting::run, greeting)?;
    let greetings = [in_a_coroutine.join()?, on_a_thread.join()?, in_a_process.join()?];
    println!("a value: {greetings:?}");

    let in_a_coroutine = green::spawn(area {}, (3, 4))?;
    let on_a_thread = thread::spawn(area {}, (3, 4))?;
    let in_a_process = process::spawn(area {}, (3, 4))?;
    println!("a task: {} {} {}", in_a_coroutine.join()?, on_a_thread.join()?, in_a_process.join()?);

    // What a closure captures is in the memory of this process, where coroutines and threads are and another process is not.
    let offset = 100;
    let add_offset = move |n: u32| n + offset;
    println!(
        "a capture: {} {}",
        green::spawn(add_offset, 1)?.join()?,
        thread::spawn(add_offset, 1)?.join()?
    );
    // Any callable value will do, that of a user's own trait too.
    let callable: Box<dyn Fn(u32) -> u32 + Send> = Box::new(add_offset);
    println!("a boxed one: {}", green::spawn(callable, 2)?.join()?);
    Ok(())
}
