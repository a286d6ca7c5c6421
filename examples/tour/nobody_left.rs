//! Children that nobody joins leave no zombie, and those of a parent that is killed do not live on.

use std::io::{PipeReader, PipeWriter, Read};

use fourfold::prelude::*;
use fourfold::process::Fd;

/// Whether the process is in the kernel's table, alive or as a zombie.
fn is_listed(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

fn hold(_held: Fd<PipeWriter>, mut end: Fd<PipeReader>) {
    end.read_to_string(&mut String::new()).unwrap();
}

/// Starts a child that holds the pipe, and stays.
fn have_a_child(held: Fd<PipeWriter>, mut told: Fd<PipeWriter>) {
    use std::io::Write;
    let (end, _open) = std::io::pipe().unwrap();
    let _child = process::spawn(hold, (held, Fd(end))).unwrap();
    told.write_all(b"!").unwrap();
    std::thread::sleep(Duration::from_secs(3600));
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let (end, open) = std::io::pipe()?;
    let mut pids = Vec::new();
    for _ in 0..10 {
        let (_, held) = std::io::pipe()?;
        pids.push(process::spawn(hold, (Fd(held), Fd(end.try_clone()?)))?.pid());
    }
    println!("{} children run", pids.iter().filter(|pid| is_listed(**pid)).count());
    drop(open);
    while !process::active_children().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!(
        "{} are left when they have ended",
        pids.iter().filter(|pid| is_listed(**pid)).count()
    );

    let (mut alive, held) = std::io::pipe()?;
    let (mut told, tell) = std::io::pipe()?;
    let parent = process::spawn(have_a_child, (Fd(held), Fd(tell)))?;
    told.read_exact(&mut [0])?;
    println!("a child has a child that holds a pipe");
    parent.signal(9);
    // The end of file: nobody has the other end of the pipe any more.
    alive.read_to_end(&mut Vec::new())?;
    println!("the child is killed, and its child is gone");
    println!("{}", parent.join().unwrap_err().kind());
    Ok(())
}
