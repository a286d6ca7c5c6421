//! Tasks of a pool that take their worker along, or give no value: row E7.

use std::thread::sleep;
use std::time::Duration;

use fourfold::process::{Executor, StartMethod};
use fourfold::{ErrorKind, Handle};
use serde::{Deserialize, Serialize, Serializer};

use crate::support::{Gate, LIMIT, visit, within};

fn kill_oneself(port: u16) {
    visit(port, 0);
    // SAFETY: sends this process, which is a worker, a signal.
    unsafe { libc::raise(libc::SIGKILL) };
}

fn exit(port: u16) {
    visit(port, 0);
    std::process::exit(3)
}

fn sleep_on(port: u16) {
    visit(port, 0);
    sleep(Duration::from_secs(3600));
}

fn eat(port: u16) {
    visit(port, 0);
    let mut eaten = Vec::new();
    loop {
        eaten.push(vec![1u8; 1 << 20]);
        sleep(Duration::from_millis(1));
    }
}

/// A value that cannot be written.
#[derive(Debug, Deserialize)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("this value stays where it is"))
    }
}

/// A value that cannot be read back.
#[derive(Debug, Serialize)]
struct Unreadable;

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Unreadable, D::Error> {
        Err(serde::de::Error::custom("this value is not taken"))
    }
}

fn unwritable(port: u16) -> Unwritable {
    visit(port, 0);
    Unwritable
}

fn unreadable(port: u16) -> Unreadable {
    visit(port, 0);
    Unreadable
}

/// Has one worker run what `submit` submits between two sound tasks, and gives how it ended. The sound ones have their
/// values, and the pool goes on.
fn ends_alone<T: Send + 'static>(
    pool: &Executor,
    submit: impl FnOnce(&Executor, u16) -> Handle<T>,
) -> fourfold::Error {
    let gate = Gate::new();
    let before = pool.submit(visit, (gate.port(), 1));
    let bad = submit(pool, gate.port());
    let after = pool.submit(visit, (gate.port(), 2));
    for name in [1, 0, 2] {
        let guest = gate.next();
        assert_eq!(guest.name, name);
        guest.pass_if_there();
    }
    assert_eq!(before.join().unwrap(), 1);
    let error = bad.join().err().expect("an error");
    assert_eq!(after.join().unwrap(), 2);
    assert!(gate.next_now().is_none(), "a task was run twice");
    error
}

fn pool(method: StartMethod) -> Executor {
    Executor::builder().workers(1).start_method(method).build().unwrap()
}

const METHODS: [StartMethod; 2] = [StartMethod::Spawn, StartMethod::Forkserver];

#[test]
fn a_task_that_is_killed_or_exits_costs_itself_only() {
    within(LIMIT, || {
        for pool in METHODS.map(pool) {
            let error = ends_alone(&pool, |pool, port| pool.submit(kill_oneself, port));
            assert_eq!(error.kind(), ErrorKind::Signaled(libc::SIGKILL));
            assert!(error.is_worker_lost());
            assert!(error.task().unwrap().ends_with("losses::kill_oneself"), "{error}");
            let error = ends_alone(&pool, |pool, port| pool.submit(exit, port));
            assert_eq!(error.kind(), ErrorKind::Exited(3));
            assert!(error.task().unwrap().ends_with("losses::exit"), "{error}");
        }
    });
}

#[test]
fn a_worker_that_is_killed_from_outside_costs_the_task_it_ran_only() {
    within(LIMIT, || {
        let pool = pool(StartMethod::Spawn);
        let pid = pool.submit(std::process::id, ()).join().unwrap();
        assert_eq!(pool.worker_pids(), [pid]);
        let gate = Gate::new();
        let lost = pool.submit(visit, (gate.port(), 1));
        let next = pool.submit(visit, (gate.port(), 2));
        let guest = gate.next();
        // SAFETY: the pid is that of a worker that runs a task, so it has not been waited for.
        unsafe { libc::kill(pid as i32, libc::SIGKILL) };
        let error = lost.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Signaled(libc::SIGKILL));
        assert_eq!(error.pid(), Some(pid));
        drop(guest);
        gate.next().pass();
        assert_eq!(next.join().unwrap(), 2);
        assert_ne!(pool.submit(std::process::id, ()).join().unwrap(), pid);
    });
}

#[test]
fn a_task_over_its_time_costs_itself_only() {
    within(LIMIT, || {
        for method in METHODS {
            let limit = Duration::from_secs(1);
            let builder = Executor::builder().workers(1).start_method(method);
            let pool = builder.task_timeout(limit).build().unwrap();
            let error = ends_alone(&pool, |pool, port| pool.submit(sleep_on, port));
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(error.is_timeout() && error.is_worker_lost());
        }
    });
}

#[test]
fn a_task_over_its_memory_costs_itself_only() {
    within(LIMIT, || {
        for method in METHODS {
            let builder = Executor::builder().workers(1).start_method(method);
            let pool = builder.memory_limit(150 << 20).build().unwrap();
            let error = ends_alone(&pool, |pool, port| pool.submit(eat, port));
            assert_eq!(error.kind(), ErrorKind::OutOfMemory);
            assert!(error.is_worker_lost());
        }
    });
}

#[test]
fn a_value_that_cannot_travel_costs_its_task_and_not_the_worker() {
    within(LIMIT, || {
        for pool in METHODS.map(pool) {
            let pid = pool.submit(std::process::id, ()).join().unwrap();
            let error = ends_alone(&pool, |pool, port| pool.submit(unwritable, port));
            assert_eq!(error.kind(), ErrorKind::NotSerializable);
            assert!(error.to_string().contains("this value stays where it is"), "{error}");
            let error = ends_alone(&pool, |pool, port| pool.submit(unreadable, port));
            assert_eq!(error.kind(), ErrorKind::NotSerializable);
            assert!(error.to_string().contains("this value is not taken"), "{error}");
            assert!(!error.is_worker_lost());
            assert_eq!(pool.submit(std::process::id, ()).join().unwrap(), pid);
        }
    });
}

#[test]
fn an_argument_that_cannot_travel_costs_its_task_and_not_the_worker() {
    within(LIMIT, || {
        let pool = pool(StartMethod::Spawn);
        let pid = pool.submit(std::process::id, ()).join().unwrap();
        let error = pool.submit(|_: Unwritable| (), Unwritable).join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSerializable);
        let error = pool.submit(|_: Unreadable| (), Unreadable).join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSerializable);
        assert_eq!(pool.submit(std::process::id, ()).join().unwrap(), pid);
        let refused = fourfold::process::spawn(|_: Unwritable| (), Unwritable).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotSerializable);
    });
}

#[test]
fn a_worker_that_all_tasks_were_taken_back_from_goes_on() {
    within(LIMIT, || {
        for cancelled in [1, 2, 5] {
            let pool = pool(StartMethod::Spawn);
            // Short ones, so that it is sent several ahead.
            let pids: Vec<u32> =
                pool.map(|_: u32| std::process::id(), 0..200).map(Result::unwrap).collect();
            let worker = pids[0] as i32;
            // SAFETY: the worker is there for as long as its pool, so the number means it.
            let signal = |signal| assert_eq!(unsafe { libc::kill(worker, signal) }, 0);
            // It takes up nothing now.
            signal(libc::SIGSTOP);
            let tasks: Vec<_> = (0..5).map(|n| pool.submit(|n: u32| n, n)).collect();
            for task in &tasks[..cancelled] {
                assert!(task.cancel());
            }
            signal(libc::SIGCONT);
            for (n, task) in tasks.into_iter().enumerate() {
                let value = task.join().map_err(|error| error.kind());
                let expected = if n < cancelled { Err(ErrorKind::Cancelled) } else { Ok(n as u32) };
                assert_eq!(value, expected);
            }
            assert_eq!(pool.submit(|n: u32| n, 9).join().unwrap(), 9);
        }
    });
}
