//! A pool whose workers do not start, whose callers panic in odd places, and whose tasks are cancelled in the thick of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use fourfold::process::{self, Executor};
use fourfold::{ErrorKind, TaskState};
use serde::{Deserialize, Serialize};

use crate::support::{Gate, LIMIT, eventually, visit, within};

fn same(n: u32) -> u32 {
    n
}

fn pool(workers: usize) -> Executor {
    Executor::builder().workers(workers).build().unwrap()
}

fn does_not_start(port: u16) {
    if port != 0 {
        visit(port, 1);
    }
    std::process::exit(3)
}

#[test]
fn a_shutdown_ends_though_no_worker_starts() {
    within(LIMIT, || {
        let pool = Executor::builder().workers(2).on_start(does_not_start, 0).build().unwrap();
        let handle = pool.submit(same, 3);
        pool.shutdown();
        let error = handle.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotStarted, "{error}");
        assert!(error.to_string().contains("exited with code 3"), "{error}");
        assert_eq!(pool.submit(same, 3).join().unwrap_err().kind(), ErrorKind::ShutDown);
    });
}

#[test]
fn a_shutdown_now_does_not_wait_for_workers_that_start() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool =
            Executor::builder().workers(1).on_start(does_not_start, gate.port()).build().unwrap();
        let guest = gate.next();
        let handle = pool.submit(same, 3);
        pool.shutdown_now();
        assert!(handle.join().unwrap_err().is_cancelled());
        drop(guest);
    });
}

#[test]
fn a_pool_comes_back_to_its_number() {
    within(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("starts");
        let starts = |path: std::path::PathBuf| {
            if path.exists() {
                std::process::exit(1)
            }
        };
        let pool = Executor::builder().workers(3).on_start(starts, path.clone()).build().unwrap();
        let all_three = |pool: &Executor| {
            let gate = Gate::new();
            let handles: Vec<_> = (0..3).map(|n| pool.submit(visit, (gate.port(), n))).collect();
            gate.next_few(3).into_iter().for_each(|guest| guest.pass());
            handles.into_iter().for_each(|handle| assert!(handle.join().is_ok()));
        };
        all_three(&pool);
        std::fs::write(&path, "").unwrap();
        for pid in pool.worker_pids().into_iter().skip(1) {
            let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        // Starts fail for longer than it takes to give up on a pool without any worker.
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(pool.submit(same, 1).join().unwrap(), 1);
        std::fs::remove_file(&path).unwrap();
        all_three(&pool);
    });
}

/// A value whose drop panics, in the process that made it wanted.
#[derive(Serialize, Deserialize)]
struct Sore(u32);

impl Drop for Sore {
    fn drop(&mut self) {
        if process::current().depth() == 0 {
            panic!("sore")
        }
    }
}

#[test]
fn a_drop_that_panics_where_callbacks_run_costs_no_other_callback() {
    within(LIMIT, || {
        let gate = Gate::new();
        let (pool, port) = (pool(1), gate.port());
        let sore = pool.submit(Sore, 7);
        sore.on_done(move |_| {
            visit(port, 1);
        });
        drop(sore);
        let guest = gate.next();
        let handles: Vec<_> = (0..10).map(|n| pool.submit(same, n)).collect();
        handles.iter().for_each(|handle| handle.on_done(|_| ()));
        guest.pass();
        for (handle, n) in handles.into_iter().zip(0..) {
            assert_eq!(handle.join().unwrap(), n);
        }
    });
}

struct Alarm;

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics")
    }
}

#[test]
fn a_waker_that_panics_leaves_the_children_looked_after() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        let mut handle = pool.submit(visit, (gate.port(), 1));
        let waker = Waker::from(Arc::new(Alarm));
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        gate.next().pass();
        eventually("it has finished", || handle.is_finished());
        assert_eq!(process::spawn(same, 1).unwrap().join().unwrap(), 1);
        assert_eq!(pool.submit(same, 2).join().unwrap(), 2);
    });
}

/// Owns a pool, as a future does that was spawned with it.
struct Owns(#[allow(dead_code)] Executor);

impl Wake for Owns {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn the_last_executor_may_be_dropped_by_a_waker() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        let worker = pool.worker_pids()[0];
        let mut handle = pool.submit(visit, (gate.port(), 1));
        let waker = Waker::from(Arc::new(Owns(pool)));
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        gate.next().pass();
        eventually("it has finished", || handle.is_finished());
        assert_eq!(process::spawn(same, 1).unwrap().join().unwrap(), 1);
        let there = || std::path::Path::new(&format!("/proc/{worker}")).exists();
        eventually("the worker has ended", || !there());
    });
}

#[test]
fn a_callback_may_wait_for_a_task_that_has_one_too() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(2);
        let first = pool.submit(same, 1);
        let second = pool.submit(visit, (gate.port(), 2));
        second.on_done(|_| ());
        let (sender, receiver) = channel();
        first.on_done(move |_| sender.send(second.join().unwrap()).unwrap());
        gate.next().pass();
        assert_eq!(receiver.recv_timeout(LIMIT).unwrap(), 2);
        assert_eq!(first.join().unwrap(), 1);
    });
}

fn spin(us: u64) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_micros(us) {}
}

#[test]
fn what_is_cancelled_in_the_thick_of_it_costs_itself_only() {
    within(LIMIT, || {
        let pool = pool(1);
        let mut cancelled = 0;
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            for _ in 0..50 {
                pool.submit(spin, 60).join().unwrap();
            }
            let handles: Vec<_> = (0..200).map(|_| pool.submit(spin, 60)).collect();
            let mut mine = None;
            while let Some(first) = handles.iter().position(|handle| !handle.is_finished()) {
                let last = (first + 20).min(handles.len());
                let running = |n: &usize| handles[*n].state() == TaskState::Running;
                if let Some(n) = (first..last).rev().find(running)
                    && handles[n].cancel()
                {
                    mine = Some(n);
                    cancelled += 1;
                    break;
                }
            }
            for (n, handle) in handles.into_iter().enumerate() {
                let outcome = handle.join().map_err(|error| error.kind());
                let expected = if mine == Some(n) { Err(ErrorKind::Cancelled) } else { Ok(()) };
                assert_eq!(outcome, expected, "task {n}, of which {mine:?} was cancelled");
            }
        }
        assert!(cancelled > 0, "nothing was cancelled while it ran");
    });
}

#[test]
fn a_time_of_nothing_is_refused() {
    let error = Executor::builder().task_timeout(Duration::ZERO).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
