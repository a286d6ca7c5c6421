//! How arguments and values are carried: of any size, again when a worker dies, and no longer than they are needed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use fourfold::process::{self, Executor, Fd};
use fourfold::{ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::support::{Gate, LIMIT, eventually, visit, within};

fn same<T>(value: T) -> T {
    value
}

#[test]
fn sizes_around_the_limit_of_a_frame() {
    within(LIMIT, || {
        let pool = Executor::builder().workers(1).build().unwrap();
        for len in (0..4).chain(32_700..32_800).chain([65_535, 65_536, 65_537]) {
            let text = "x".repeat(len);
            assert_eq!(pool.submit(same, text.clone()).join().unwrap(), text);
        }
    });
}

fn error_of_a_task(kind: u8) -> Result<u8> {
    match kind {
        0 => Ok(7),
        _ => process::spawn(|code: i32| -> u8 { std::process::exit(code) }, 9)?.join(),
    }
}

#[test]
fn an_error_is_a_value_too() {
    within(LIMIT, || {
        let pool = Executor::builder().workers(1).build().unwrap();
        assert_eq!(pool.submit(error_of_a_task, 0).join().unwrap().unwrap(), 7);
        let error = pool.submit(error_of_a_task, 1).join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exited(9));
        assert!(error.to_string().contains("exited with code 9 (process "), "{error}");
    });
}

struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: serde::Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it will not go"))
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> std::result::Result<Stubborn, D::Error> {
        Err(serde::de::Error::custom("it will not come"))
    }
}

#[test]
fn what_cannot_be_serialised_is_an_error_that_says_so_once() {
    within(LIMIT, || {
        let pool = Executor::builder().workers(1).build().unwrap();
        let given = pool.submit(|_: Stubborn| (), Stubborn).join().unwrap_err();
        let made = pool.submit(|| Stubborn, ()).join().map(|_| ()).unwrap_err();
        for (error, what) in [(given, "argument of type"), (made, "value of type")] {
            assert_eq!(error.kind(), ErrorKind::NotSerializable);
            let text = error.to_string();
            assert_eq!(text.matches("not serialisable").count(), 1, "{text}");
            assert!(text.contains(what) && text.contains("it will not go"), "{text}");
        }
        assert_eq!(pool.submit(same, 1u8).join().unwrap(), 1);
    });
}

fn stop(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// The descriptors come along again, too.
#[test]
fn a_task_whose_worker_dies_before_it_takes_it_up_goes_to_the_next_whole() {
    within(LIMIT, || {
        let pool = Executor::builder().workers(1).build().unwrap();
        for len in [10, 100_000] {
            let worker = pool.submit(std::process::id, ()).join().unwrap();
            let text = "x".repeat(len);
            stop(worker);
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            let sent = pool.submit(same, text.clone());
            let with_fd = pool.submit(
                |Fd(mut stream): Fd<UnixStream>, text: String| {
                    stream.write_all(text.as_bytes()).is_ok()
                },
                (Fd(theirs), text.clone()),
            );
            kill(worker);
            assert_eq!(sent.join().unwrap(), text);
            assert!(with_fd.join().unwrap());
            let mut read = String::new();
            ours.read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
        for _ in 0..50 {
            kill(pool.worker_pids()[0]);
            assert_eq!(
                pool.submit(|much: Vec<u8>| much.len(), vec![1; 100_000]).join().unwrap(),
                100_000
            );
            eventually("a worker is there", || !pool.worker_pids().is_empty());
        }
    });
}

fn closes_early(Fd(stream): Fd<UnixStream>, port: u16) {
    drop(stream);
    visit(port, 1);
}

#[test]
fn a_connection_that_a_task_closes_is_closed() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = Executor::builder().workers(1).build().unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let handle = pool.submit(closes_early, (Fd(theirs), gate.port()));
        // Its end is seen while the task goes on.
        assert_eq!(ours.read(&mut [0]).unwrap(), 0);
        gate.next().pass();
        handle.join().unwrap();
    });
}
