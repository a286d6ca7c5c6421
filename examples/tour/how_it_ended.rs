//! Ask a child to end, or have it end in its own way: what is told, and that nothing is told while it runs.

use fourfold::prelude::*;
use fourfold::process::{Child, ExitStatus};

fn sleep() {
    std::thread::sleep(Duration::from_secs(3600));
}

fn segfault() {
    // SAFETY: none; that is the point. The address is not mapped, and this process is there to be lost.
    unsafe { std::ptr::null_mut::<u32>().wrapping_add(4).write_volatile(1) }
}

fn tell(what: &str, mut child: Child<()>) {
    let outcome = child.join_timeout(Duration::from_secs(60)).expect("it ends soon");
    let status = match child.exit_status().expect("it has ended") {
        ExitStatus::Signaled { signal, .. } => ExitStatus::Signaled { signal, core_dumped: false },
        exited => exited,
    };
    let status = status.to_string();
    match outcome {
        Ok(()) => println!("{what:<12} {status:<34} a value"),
        Err(error) => println!("{what:<12} {status:<34} {:?}", error.kind()),
    }
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let child = process::spawn(sleep, ())?;
    println!("while it runs: {:?}", child.exit_status());
    child.terminate();
    tell("terminate", child);
    let child = process::spawn(sleep, ())?;
    child.kill();
    tell("kill", child);
    let child = process::spawn(sleep, ())?;
    child.cancel();
    tell("cancel", child);
    tell("timeout", process::Builder::new().timeout(Duration::from_millis(50)).spawn(sleep, ())?);
    tell("returns", process::spawn(|| (), ())?);
    tell("exit 0", process::spawn(|| std::process::exit(0), ())?);
    tell("exit 3", process::spawn(|| std::process::exit(3), ())?);
    tell("panics", process::spawn(|| panic!("oh no"), ())?);
    tell("aborts", process::spawn(|| std::process::abort(), ())?);
    tell("segfaults", process::spawn(segfault, ())?);
    Ok(())
}
