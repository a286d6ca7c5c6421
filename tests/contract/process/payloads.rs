//! What tasks are given and give back, of any size, and what becomes of it when the worker dies.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

use fourfold::process::{self, Executor, Fd};
use fourfold::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{Gate, LIMIT, eventually, visit, within};

fn same<T>(value: T) -> T {
    value
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Float(f64),
    Text(String),
    Pair { left: Box<Untagged>, right: Box<Untagged> },
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(tag = "kind")]
enum Tagged {
    Empty,
    Address { address: SocketAddr },
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct More {
    tagged: Tagged,
    #[serde(flatten)]
    rest: HashMap<String, Value>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Record {
    #[serde(flatten)]
    tagged: Tagged,
    more: More,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u8>,
    nested: Option<Option<()>>,
}

#[test]
fn they_are_equal_on_the_other_side() {
    within(LIMIT, || {
        let pool = Executor::builder().workers(1).build().unwrap();
        let value = json!({"a": [1, -1, 1.0, null, "text"], "b": {"": true}, "c": u64::MAX});
        assert_eq!(pool.submit(same, value.clone()).join().unwrap(), value);
        let pair = Untagged::Pair {
            left: Box::new(Untagged::Float(1.0)),
            right: Box::new(Untagged::Text("t".into())),
        };
        let all = vec![Untagged::Number(-1), pair];
        assert_eq!(pool.submit(same, all.clone()).join().unwrap(), all);
        let address = Tagged::Address { address: "[::1]:9".parse().unwrap() };
        let records: Vec<Record> = [Tagged::Empty, address]
            .map(|tagged| Record {
                more: More {
                    tagged: tagged.clone(),
                    rest: HashMap::from([("more".into(), value.clone())]),
                },
                skipped: matches!(tagged, Tagged::Empty).then_some(1),
                tagged,
                nested: Some(None),
            })
            .into();
        assert_eq!(pool.submit(same, records.clone()).join().unwrap(), records);
        let std = (
            (1u8, -1i128, u128::MAX, 'ß', f32::MIN, ()),
            (
                Some(None::<u8>),
                None::<Option<u8>>,
                Some(()),
                [Ok::<u8, String>(1), Err("e".into())],
            ),
            (Duration::MAX, SystemTime::UNIX_EPOCH, BTreeMap::from([((1, 2), vec![3])]), 1..=4),
        );
        assert_eq!(pool.submit(same, std.clone()).join().unwrap(), std);
    });
}

#[test]
fn a_hundred_megabytes_go_and_come() {
    within(2 * LIMIT, || {
        let pattern: Vec<u8> =
            (0..1_000_003u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let text: String = pattern.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let text = text.repeat(100);
        assert!(process::spawn(same, text.clone()).unwrap().join().unwrap() == text);
        let pool = Executor::builder().workers(1).build().unwrap();
        assert!(pool.submit(same, text.clone()).join().unwrap() == text);
        let bytes = pattern.repeat(5);
        assert!(pool.submit(same, bytes.clone()).join().unwrap() == bytes);
    });
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
