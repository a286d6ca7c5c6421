//! Join first, join last, no join: who speaks first is decided by where the join stands.

use fourfold::prelude::*;
use fourfold::process::Fd;
use std::io::{PipeReader, Read};

/// Speaks when it has the word.
fn speak(mut word: Fd<PipeReader>) {
    word.read_to_string(&mut String::new()).unwrap();
    println!("  child");
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    println!("join first");
    let (reader, word) = std::io::pipe()?;
    let child = process::spawn(speak, Fd(reader))?;
    drop(word);
    child.join()?;
    println!("  main");

    println!("join last");
    let (reader, word) = std::io::pipe()?;
    let child = thread::spawn(speak, Fd(reader))?;
    println!("  main");
    drop(word);
    child.join()?;

    println!("no join");
    let (reader, word) = std::io::pipe()?;
    drop(process::spawn(speak, Fd(reader))?);
    println!("  main");
    drop(word);
    // It is waited for all the same, since it is no daemon.
    Ok(())
}
