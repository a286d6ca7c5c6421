//! A process with all the kinds of relatives that there are, which waits to be killed.

use std::process::ExitCode;
use std::time::Duration;

use fourfold::process::{Builder, Command, Executor, Jobs};

use super::support::{METHODS, WAYS};

fn for_ever() {
    std::thread::sleep(Duration::from_secs(3600));
}

/// A child with children of its own, of our kind and of the system's.
fn with_children() {
    let ours = Builder::new().spawn(for_ever, ());
    // In our group: it is ended with us.
    let theirs = std::process::Command::new("sleep").arg("3600").spawn();
    let pool = Executor::builder().workers(1).build();
    let task = pool.as_ref().map(|pool| pool.submit(for_ever, ()));
    for_ever();
    drop((ours, theirs, task));
}

/// Never ends by itself. Says so once all are there, and goes on starting more.
pub(crate) fn family(_: &[String]) -> ExitCode {
    let mut kept = Vec::new();
    let mut jobs = Jobs::new().unwrap();
    let mut pools = Vec::new();
    for round in 0u64.. {
        for way in WAYS {
            for daemon in [false, true] {
                kept.push(way.builder().daemon(daemon).spawn(for_ever, ()).unwrap());
            }
            kept.push(way.builder().spawn(with_children, ()).unwrap());
        }
        for method in METHODS {
            let pool = Executor::builder().workers(2).start_method(method).build().unwrap();
            drop(pool.submit(with_children, ()));
            drop(pool.submit(for_ever, ()));
            pools.push(pool);
        }
        for (key, script) in
            ["sleep 3600", "sleep 3600 & sleep 3600", "sleep 3600 & exit 0"].into_iter().enumerate()
        {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            jobs.start(round * 3 + key as u64, &command).unwrap();
        }
        while jobs.wait(Some(Duration::ZERO)).unwrap().is_some() {}
        if round == 1 {
            println!("complete");
        }
        if round == 2 {
            for_ever();
        }
    }
    ExitCode::FAILURE
}
