//! Join first, join last, no join: who speaks first is decided by where the join stands.

use std::io::{PipeReader, PipeWriter, Read};

use fourfold::prelude::*;
use fourfold::process::Fd;

/// Speaks when it has the word, and passes it on.
fn speak(mut word: Fd<PipeReader>, scale: String, next: Option<Fd<PipeWriter>>) {
    word.read_to_string(&mut String::new()).unwrap();
    println!("  child, a {scale}");
    drop(next);
}

macro_rules! joined {
    ($scale:ident) => {{
        println!("{}, join first", stringify!($scale));
        let (reader, word) = std::io::pipe()?;
        let child = $scale::spawn(speak, (Fd(reader), stringify!($scale).into(), None))?;
        drop(word);
        child.join()?;
        println!("  main");

        println!("{}, join last", stringify!($scale));
        let (reader, word) = std::io::pipe()?;
        let child = $scale::spawn(speak, (Fd(reader), stringify!($scale).into(), None))?;
        println!("  main");
        drop(word);
        child.join()?;
    }};
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    joined!(thread);
    joined!(process);

    println!("no join");
    // First the thread speaks, then the process.
    let (reader, word) = std::io::pipe()?;
    let (after_it, next) = std::io::pipe()?;
    drop(process::spawn(speak, (Fd(after_it), "process".into(), None))?);
    drop(thread::spawn(speak, (Fd(reader), "thread".into(), Some(Fd(next))))?);
    println!("  main");
    drop(word);
    // They are waited for all the same, since they are no daemons.
    Ok(())
}
