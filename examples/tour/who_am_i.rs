//! Names, numbers, parents; who is alive; who am I.

use fourfold::green;
use fourfold::prelude::*;

/// Waits for the end of its input, so that the starter decides when it ends.
fn wait(mut end: process::Fd<std::io::PipeReader>) -> String {
    std::io::copy(&mut *end, &mut std::io::sink()).unwrap();
    process::current().name().to_string()
}

/// The first coroutine of a hub, and one that it starts.
fn coroutines() -> fourfold::Result<()> {
    println!("\nthis is coroutine {}", green::current().name());
    let (word, told) = green::pipe::<()>();
    let wait = move || {
        told.recv().unwrap_err();
        let me = green::current();
        (me.name(), me.parent_id(), me.pid(), thread::current().id())
    };
    let mut child = green::Builder::new().name("waiter").spawn(wait, ())?;
    println!("its pid is this one: {}", child.pid() == std::process::id());
    println!("alive: {}, coroutines: {}", child.is_alive(), green::active_count());
    child.rename("renamed while it waits")?;
    let names: Vec<_> = green::enumerate().iter().map(|one| one.name()).collect();
    println!("coroutines: {names:?}");
    drop(word);
    let (name, parent, pid, thread) =
        child.join_timeout(Duration::from_secs(60)).expect("it ends soon")?;
    println!("it called itself: {name}");
    println!("its parent is this coroutine: {}", parent == Some(green::current().id()));
    println!("its process is this one: {}", pid == std::process::id());
    println!("its thread is this one: {}", thread == thread::current().id());
    println!("alive: {}, coroutines: {}", child.is_alive(), green::active_count());
    Ok(())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let here = std::process::id();
    println!("this is {}, thread {}", process::current().name(), thread::current().name());

    let (reader, writer) = std::io::pipe()?;
    let mut child = process::Builder::new().name("waiter").spawn(wait, reader.into())?;
    println!("\na process of its own: {}", child.pid() != here);
    println!("its parent is this one: {}", child.parent_pid() == here);
    println!("alive: {}", child.is_alive());
    let names: Vec<_> = process::active_children().iter().map(|c| c.name().to_string()).collect();
    println!("active children: {names:?}");
    drop(writer);
    let name = child.join_timeout(Duration::from_secs(60)).expect("it ends soon")?;
    println!("it called itself {name}");
    println!("alive: {}, active children: {}", child.is_alive(), process::active_children().len());

    let (reader, writer) = std::io::pipe()?;
    let wait = move || {
        std::io::copy(&mut &reader, &mut std::io::sink()).unwrap();
        (thread::current().name(), thread::current().parent_id(), std::process::id())
    };
    let child = thread::Builder::new().name("waiter").spawn(wait, ())?;
    println!("\na thread of this process: {}", child.pid() == here);
    println!("alive: {}, threads: {}", child.is_alive(), thread::active_count());
    child.rename("renamed while it waits")?;
    let names: Vec<_> = thread::enumerate().iter().map(|thread| thread.name()).collect();
    println!("threads: {names:?}");
    drop(writer);
    let (name, parent, pid) = child.join()?;
    println!("it called itself: {name}");
    println!("its parent is this thread: {}", parent == Some(thread::current().id()));
    println!("its process is this one: {}", pid == here);
    println!("threads: {}", thread::active_count());

    green::run(coroutines)?
}
