//! The end of main: daemons are cut off, the others are waited for.

use fourfold::prelude::*;
use fourfold::process::Fd;
use std::io::{PipeReader, Read};

fn for_ever(scale: String) {
    std::thread::sleep(Duration::from_secs(3600));
    println!("the {scale} that is a daemon: never said");
}

fn until_main_ends(mut end: Fd<PipeReader>, scale: String, next: Option<Fd<std::io::PipeWriter>>) {
    end.read_to_string(&mut String::new()).unwrap();
    println!("the {scale} that is none: waited for");
    drop(next);
}

/// A daemon is ended without being asked, so it may have nobody who depends on it.
fn starts_another() -> String {
    process::spawn(|| (), ()).map(drop).unwrap_err().to_string()
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let daemon = process::Builder::new().daemon(true);
    println!("a daemon starts a child: {}", daemon.spawn(starts_another, ())?.join()?);

    drop(thread::Builder::new().daemon(true).spawn(for_ever, "thread".into())?);
    drop(process::Builder::new().daemon(true).spawn(for_ever, "process".into())?);

    // First the thread speaks, then the process.
    let (thread_end, first) = std::io::pipe()?;
    let (process_end, second) = std::io::pipe()?;
    drop(process::spawn(until_main_ends, (Fd(process_end), "process".into(), None))?);
    let args = (Fd(thread_end), "thread".into(), Some(Fd(second)));
    drop(thread::spawn(until_main_ends, args)?);

    println!("the end of main");
    drop(first);
    Ok(())
}
