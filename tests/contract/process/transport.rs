//! How tasks and outcomes travel: more than there is room for, a worker that is stopped, and tasks that write where they must not.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use fourfold::process::{self, Executor};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{LIMIT, eventually, within};

fn pool(workers: usize) -> Executor {
    Executor::builder().workers(workers).build().unwrap()
}

fn back(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

fn same(n: u64) -> u64 {
    n
}

/// Of any length up to a little more than what goes in a frame, each different.
fn bytes(n: usize) -> Vec<u8> {
    (0..(n * 7919) % 34_000).map(|at| (at + n) as u8).collect()
}

/// A task of its own tasks.
fn all_back(count: usize) -> bool {
    let pool = Executor::current().unwrap();
    let handles: Vec<_> = (0..count).map(|n| pool.submit(back, bytes(n))).collect();
    handles.into_iter().enumerate().all(|(n, handle)| handle.join().unwrap() == bytes(n))
}

#[test]
fn more_than_there_is_room_for_goes_both_ways() {
    within(2 * LIMIT, || {
        let pool = pool(2);
        // Until several are sent ahead.
        assert!(pool.map(same, 0..500).all(|outcome| outcome.is_ok()));
        for round in 0..3 {
            let handles: Vec<_> =
                (0..400).map(|n| pool.submit(back, bytes(n + 400 * round))).collect();
            // Nobody reads for a while.
            std::thread::sleep(Duration::from_millis(round as u64));
            for (n, handle) in handles.into_iter().enumerate() {
                assert_eq!(handle.join().unwrap(), bytes(n + 400 * round));
            }
        }
        let trees: Vec<_> = (0..4).map(|_| pool.submit(all_back, 100)).collect();
        assert!(trees.into_iter().all(|tree| tree.join().unwrap()));
    });
}

#[test]
fn a_worker_that_is_stopped_has_its_tasks_and_is_not_taken_for_dead() {
    within(2 * LIMIT, || {
        let pool = pool(1);
        assert!(pool.map(same, 0..500).all(|outcome| outcome.is_ok()));
        let before = pool.worker_pids();
        let worker = Pid::from_raw(before[0] as i32).unwrap();
        kill_process(worker, Signal::STOP).unwrap();
        let mut handles: Vec<_> = (0..300).map(|n| pool.submit(back, bytes(n))).collect();
        assert!(handles.last_mut().unwrap().join_timeout(Duration::from_millis(300)).is_none());
        kill_process(worker, Signal::CONT).unwrap();
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), bytes(n));
        }
        assert_eq!(pool.worker_pids(), before);
    });
}

/// Writes over all that this worker shares with its pool alone, but for what is about itself, with bytes of that seed; all
/// ones if it is 0.
fn write_over(seed: u64) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let shared = maps.lines().find(|line| line.contains("fourfold-page")).unwrap();
    let (start, rest) = shared.split_once('-').unwrap();
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let (start, end) = (number(start), number(rest.split_once(' ').unwrap().0));
    let mut random = seed | 1;
    let wild: Vec<u8> = (start + 8192..end - 4096)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if seed == 0 { 0xff } else { random as u8 }
        })
        .collect();
    let memory = OpenOptions::new().write(true).open("/proc/self/mem").unwrap();
    memory.write_all_at(&wild, start + 8192).unwrap();
}

#[test]
fn a_task_that_writes_over_what_its_worker_tells_costs_its_worker_only() {
    within(2 * LIMIT, || {
        let pool = pool(2);
        for seed in 0..12 {
            let calm: Vec<_> = (0..20).map(|n| pool.submit(same, n)).collect();
            for (n, handle) in calm.into_iter().enumerate() {
                assert_eq!(handle.join().unwrap(), n as u64);
            }
            // Its own outcome may come through, before or after.
            if let Err(error) = pool.submit(write_over, seed).join() {
                assert!(error.is_worker_lost(), "{seed}: {error}");
            }
        }
        assert_eq!(pool.submit(same, 5).join().unwrap(), 5);
        // The last one is being replaced, it may be.
        eventually("both are there", || pool.worker_pids().len() == 2);
    });
}

/// Writes on every socket that this worker has.
fn write_on_sockets() {
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        let is_socket = std::fs::read_link(&path)
            .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
        let number: Option<i32> = path.file_name().unwrap().to_string_lossy().parse().ok();
        if let Some(number) = number.filter(|_| is_socket) {
            let own = Pid::from_raw(std::process::id() as i32).unwrap();
            let pidfd =
                rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).unwrap();
            let flags = rustix::process::PidfdGetfdFlags::empty();
            let copy = rustix::process::pidfd_getfd(pidfd, number, flags).unwrap();
            let _ = rustix::net::send(&copy, &[0; 100], rustix::net::SendFlags::DONTWAIT);
        }
    }
}

#[test]
fn a_task_that_writes_on_its_workers_socket_harms_nobody() {
    within(LIMIT, || {
        let pool = pool(1);
        for _ in 0..20 {
            pool.submit(write_on_sockets, ()).join().unwrap();
            assert_eq!(pool.submit(same, 5).join().unwrap(), 5);
        }
        // This process's own words go on, too.
        assert!(process::spawn(same, 3).unwrap().join().is_ok());
    });
}
