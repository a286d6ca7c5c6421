//! Where a callback runs at the process scale: row E6.

use std::sync::mpsc::channel;
use std::thread;

use fourfold::{ErrorKind, process};

use crate::support::{Gate, LIMIT, visit, within};

#[test]
fn a_callback_runs_in_this_process_on_one_thread_that_is_not_a_users() {
    within(LIMIT, || {
        let here = (std::process::id(), thread::current().id());
        let gate = Gate::new();
        let (sender, receiver) = channel();
        let pool = process::Executor::builder().workers(2).build().unwrap();
        let in_pool = [0, 1].map(|name| pool.submit(visit, (gate.port(), name)));
        let child = process::spawn(visit, (gate.port(), 2)).unwrap();
        let report = move |pid: u32| sender.send((pid, thread::current().id())).unwrap();
        for handle in &in_pool {
            let report = report.clone();
            handle.on_done(move |_| report(std::process::id()));
        }
        child.on_done(move |_| report(std::process::id()));
        gate.next_few(3).into_iter().for_each(|guest| guest.pass());
        let places: Vec<_> = (0..3).map(|_| receiver.recv().unwrap()).collect();
        assert!(places.iter().all(|(pid, _)| *pid == here.0), "{places:?}");
        assert!(places.iter().all(|(_, thread)| *thread != here.1), "{places:?}");
        in_pool.into_iter().for_each(|handle| assert!(handle.join().is_ok()));
        child.join().unwrap();
    });
}

#[test]
fn a_callback_is_told_of_a_worker_that_was_lost() {
    within(LIMIT, || {
        let pool = process::Executor::builder().workers(1).build().unwrap();
        let (sender, receiver) = channel();
        let gate = Gate::new();
        let handle = pool.submit(
            |port: u16| -> u64 {
                visit(port, 0);
                std::process::exit(4)
            },
            gate.port(),
        );
        handle.on_done(move |outcome| {
            sender.send(outcome.as_ref().map_err(|error| error.kind()).copied()).unwrap();
        });
        gate.next().pass_if_there();
        assert_eq!(receiver.recv().unwrap(), Err(ErrorKind::Exited(4)));
        // Once, and no more.
        assert!(receiver.recv().is_err());
        assert_eq!(handle.join().unwrap_err().kind(), ErrorKind::Exited(4));
    });
}
