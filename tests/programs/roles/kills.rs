//! Workers, children and jobs that are killed with SIGKILL, at each state and at random.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fourfold::process::{self, Command, End, Executor, Jobs, StartMethod};
use fourfold::{Error, ErrorKind, Handle};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

use super::support::{
    Chance, LIMIT, Log, METHODS, Rounds, WAYS, children, die, eventually, kill, note,
};

const KILLED: ErrorKind = ErrorKind::Signaled(libc::SIGKILL);

fn me() -> u32 {
    std::process::id()
}

/// Joins, or panics when that takes too long.
pub(crate) fn join<T: Send + 'static>(what: &str, mut handle: Handle<T>) -> Result<T, Error> {
    let outcome = handle.join_timeout(LIMIT);
    outcome.unwrap_or_else(|| panic!("{what}: no outcome in {LIMIT:?}"))
}

/// A value at whose writing the worker dies.
#[derive(Debug, Deserialize)]
struct Deadly(#[allow(dead_code)] Vec<u8>);

impl Serialize for Deadly {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        die(libc::SIGKILL);
        Err(S::Error::custom("still alive"))
    }
}

fn fail_first(log: PathBuf, times: usize) {
    note(&log, "start");
    let starts = std::fs::read_to_string(&log).unwrap().lines().count();
    if starts <= times {
        die(libc::SIGKILL);
    }
}

/// A big value, while another thread waits to kill the process at some moment of its sending.
fn big_and_dying(us: u64, size: usize) -> Vec<u8> {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_micros(us));
        die(libc::SIGKILL);
    });
    vec![7; size]
}

fn die_at_exit() {
    extern "C" fn last() {
        die(libc::SIGKILL);
    }
    // SAFETY: the handler is a function of this image, which stays loaded.
    unsafe { libc::atexit(last) };
}

/// Workers that die at every state there is.
pub(crate) fn states(_: &[String]) -> ExitCode {
    let mut chance = Chance::new();
    for method in METHODS {
        starting(method);
        idle(method);
        before_taking(method);
        running_and_sending(method, &mut chance);
        ending(method);
    }
    eventually("no child is left but the zygote", || {
        children().iter().all(|child| child.name == "zygote")
    });
    ExitCode::SUCCESS
}

/// Fewer deaths at the start than the pool bears, and then it works; more, and each task is told.
fn starting(method: StartMethod) {
    for (deaths, works) in [(1, true), (4, true), (usize::MAX, false)] {
        let log = Log::new();
        let builder = Executor::builder().workers(1).start_method(method);
        let pool = builder.on_start(fail_first, (log.path(), deaths)).build().unwrap();
        let outcome = join("killed at its start", pool.submit(me, ()));
        match works {
            true => assert!(outcome.is_ok(), "{deaths} deaths: {outcome:?}"),
            false => {
                assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotStarted);
                let later = join("a broken pool", pool.submit(me, ())).unwrap_err();
                assert_eq!(later.kind(), ErrorKind::NotStarted, "{later}");
                // An error, and not a loop.
                assert!(log.lines().len() < 10, "{} starts", log.lines().len());
            }
        }
        pool.shutdown();
    }
}

/// All that have nothing to do are killed, and nobody who comes later is told of it.
fn idle(method: StartMethod) {
    let pool = Executor::builder().workers(3).start_method(method).build().unwrap();
    for _ in 0..5 {
        let before: Vec<u32> = (0..3).map(|_| join("idle", pool.submit(me, ())).unwrap()).collect();
        let pids = pool.worker_pids();
        assert!(before.iter().all(|pid| pids.contains(pid)), "{before:?} {pids:?}");
        pids.iter().for_each(|pid| kill(*pid, libc::SIGKILL));
        // The deaths and the tasks race: one that was sent and not taken up goes to another worker.
        let after = join("after idle", pool.submit(me, ())).unwrap();
        assert!(!pids.contains(&after), "{after} was killed");
    }
    pool.shutdown();
}

/// A worker that stands still is sent a task, and killed before it can take it up.
fn before_taking(method: StartMethod) {
    let log = Log::new();
    let pool = Executor::builder().workers(1).start_method(method).build().unwrap();
    for round in 0..10 {
        let first = join("warming up", pool.submit(me, ())).unwrap();
        kill(first, libc::SIGSTOP);
        eventually("the worker is stopped", || {
            children().iter().any(|child| child.pid == first && child.state == 'T')
        });
        let run = |log: PathBuf, round: u32| {
            note(&log, &format!("run {round}"));
            me()
        };
        let handles: Vec<_> = (0..3).map(|_| pool.submit(run, (log.path(), round))).collect();
        kill(first, libc::SIGKILL);
        for handle in handles {
            assert_ne!(join("not taken up", handle).unwrap(), first);
        }
    }
    assert_eq!(log.lines().len(), 30, "each ran once");
    pool.shutdown();
}

/// A death costs the task that ran, and no other.
fn running_and_sending(method: StartMethod, chance: &mut Chance) {
    let pool = Executor::builder().workers(2).start_method(method).build().unwrap();
    for _ in 0..10 {
        let others: Vec<_> = (0..20).map(|n: u64| pool.submit(|n: u64| n, n)).collect();
        let running = pool.submit(die, libc::SIGKILL);
        let writing = pool.submit(|| Deadly(vec![1]), ());
        // Below and above what goes through the socket itself.
        let sending: Vec<_> = [30 << 10, 8 << 20]
            .map(|size| pool.submit(big_and_dying, (chance.below(3000), size)))
            .into();
        let more: Vec<_> = (20..40).map(|n: u64| pool.submit(|n: u64| n, n)).collect();
        assert_eq!(join("running", running).unwrap_err().kind(), KILLED);
        assert_eq!(join("writing its value", writing).unwrap_err().kind(), KILLED);
        let mut survived = 0;
        for handle in sending {
            match join("sending", handle) {
                // It was quicker. Its worker dies with a later task, which is then to blame on nobody else.
                Ok(value) => {
                    survived += 1;
                    assert!(value.iter().all(|byte| *byte == 7));
                }
                Err(error) => assert_eq!(error.kind(), KILLED, "{error}"),
            }
        }
        let mut lost = 0;
        for (n, handle) in (0..).zip(others.into_iter().chain(more)) {
            match join("another", handle) {
                Ok(value) => assert_eq!(value, n),
                Err(error) => {
                    lost += 1;
                    assert_eq!(error.kind(), KILLED, "{error}");
                }
            }
        }
        assert!(lost <= survived, "{lost} others were lost, for {survived} late deaths");
    }
    pool.shutdown();
}

/// A worker that dies as it ends takes nothing along: when it is renewed, and at the shutdown.
fn ending(method: StartMethod) {
    let builder = Executor::builder().workers(2).start_method(method);
    let pool = builder.tasks_per_worker(3).on_start(die_at_exit, ()).build().unwrap();
    let sum: u64 = pool.map(|n: u64| n, 0..100).map(Result::unwrap).sum();
    assert_eq!(sum, 4950);
    pool.shutdown();
}

fn work(log: PathBuf, id: u64, us: u64) -> u64 {
    note(&log, &format!("{id} {}", me()));
    if us > 0 {
        std::thread::sleep(Duration::from_micros(us));
    }
    id
}

/// How often each task was begun.
fn runs(log: &Log) -> BTreeMap<u64, u32> {
    let mut runs = BTreeMap::new();
    for line in log.lines() {
        let id = line.split(' ').next().unwrap().parse().unwrap();
        *runs.entry(id).or_default() += 1;
    }
    runs
}

/// Workers killed at any moment, each round one, under tasks short and long.
pub(crate) fn random_workers(_: &[String]) -> ExitCode {
    let mut chance = Chance::new();
    let mut rounds = Rounds::new();
    for (method, retries) in METHODS.into_iter().flat_map(|m| [(m, 0), (m, 50)]).cycle() {
        if !rounds.next() {
            break;
        }
        random_pool(&mut chance, &mut rounds, method, retries);
    }
    println!("{} workers were killed", rounds.done);
    ExitCode::SUCCESS
}

/// One pool, and up to 50 kills.
fn random_pool(chance: &mut Chance, rounds: &mut Rounds, method: StartMethod, retries: u32) {
    const TASKS: u64 = 400;
    let log = Log::new();
    let pool = Executor::builder()
        .workers(4)
        .start_method(method)
        .retries(retries)
        .backoff(Duration::from_millis(1))
        .build()
        .unwrap();
    let left = AtomicU64::new(TASKS);
    let (mut killed, mut lost) = (BTreeSet::new(), 0);
    std::thread::scope(|scope| {
        let joiner = scope.spawn(|| {
            let done = Done(&left);
            let mut chance = Chance::new();
            let handles: Vec<_> = (0..TASKS)
                .map(|id| {
                    let us = [0, 0, 100, 2000][chance.below(4) as usize];
                    pool.submit(work, (log.path(), id, us))
                })
                .collect();
            let outcomes: Vec<_> = handles.into_iter().map(|h| join("at random", h)).collect();
            drop(done);
            outcomes
        });
        // Few enough that not five in a row die at their start, which breaks a pool.
        while left.load(Ordering::Relaxed) > 0 && killed.len() < 50 {
            chance.pause(8000);
            let pids = pool.worker_pids();
            if let Some(pid) = pids.get(chance.below(8) as usize) {
                kill(*pid, libc::SIGKILL);
                killed.insert(*pid);
                rounds.next();
            }
        }
        for (id, outcome) in (0..).zip(joiner.join().unwrap()) {
            match outcome {
                Ok(value) => assert_eq!(value, id),
                Err(error) => {
                    lost += 1;
                    assert_eq!(error.kind(), KILLED, "{error}");
                    assert!(killed.contains(&error.pid().unwrap()), "{error}: not one of ours");
                }
            }
        }
    });
    assert!(lost <= killed.len(), "{lost} tasks were lost to {} deaths", killed.len());
    let runs = runs(&log);
    if retries == 0 {
        assert!(runs.values().all(|runs| *runs == 1), "run twice: {runs:?}");
    } else {
        assert_eq!(lost, 0, "each had retries left");
        let extra: u32 = runs.values().map(|runs| runs - 1).sum();
        assert!(extra as usize <= killed.len(), "{extra} runs more for {} deaths", killed.len());
    }
    // The pool goes on.
    assert_eq!(join("afterwards", pool.submit(|n: u8| n, 9)).unwrap(), 9);
    pool.shutdown();
}

/// Tells that there is nothing more to kill for, also when the thread panics.
struct Done<'a>(&'a AtomicU64);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Children of `spawn`, killed from their start on.
pub(crate) fn random_children(_: &[String]) -> ExitCode {
    let mut chance = Chance::new();
    let mut rounds = Rounds::new();
    let log = Log::new();
    let (mut ended, mut killed) = (0, 0);
    while rounds.next() {
        let builder = WAYS[chance.below(3) as usize].builder();
        let child = builder.spawn(work, (log.path(), rounds.done, chance.below(1000))).unwrap();
        let pid = child.pid();
        chance.pause(4000);
        kill(pid, libc::SIGKILL);
        match join("a child", child.into_handle()) {
            Ok(value) => {
                ended += 1;
                assert_eq!(value, rounds.done);
            }
            Err(error) => {
                killed += 1;
                assert_eq!(error.kind(), KILLED, "{error}");
                assert_eq!(error.pid(), Some(pid));
            }
        }
    }
    assert!(runs(&log).values().all(|runs| *runs == 1));
    assert!(ended > 0 && killed > 0, "{ended} ended, {killed} were killed");
    println!("{ended} children ended, {killed} were killed");
    ExitCode::SUCCESS
}

/// Commands killed from their start on, several at a time.
pub(crate) fn random_jobs(_: &[String]) -> ExitCode {
    let mut chance = Chance::new();
    let mut rounds = Rounds::new();
    let mut jobs = Jobs::new().unwrap();
    let (mut ended, mut killed) = (0, 0);
    let stop = AtomicBool::new(false);
    while !stop.load(Ordering::Relaxed) {
        while jobs.len() < 4 && rounds.next() {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("sleep 0.00{}; echo done", chance.below(5))]);
            command.stdout(process::Stdio::Capture);
            jobs.start(rounds.done, &command).unwrap();
        }
        let keys: Vec<u64> = jobs.running().collect();
        stop.store(jobs.is_empty(), Ordering::Relaxed);
        let pids = children();
        chance.pause(2000);
        if let Some(child) = pids.get(chance.below(keys.len() as u64 + 1) as usize) {
            kill(child.pid, libc::SIGKILL);
        }
        while let Some(finished) = jobs.wait(Some(Duration::ZERO)).unwrap() {
            let output = finished.stdout.as_ref().unwrap().to_vec().unwrap();
            match finished.end {
                End::Exited(0) => {
                    ended += 1;
                    assert_eq!(output, b"done\n");
                }
                End::Signaled { signal: libc::SIGKILL, .. } => killed += 1,
                ref other => panic!("job {} ended so: {other}", finished.key),
            }
            jobs.recycle(finished);
        }
    }
    assert_eq!(ended + killed, rounds.done);
    assert!(ended > 0 && killed > 0, "{ended} ended, {killed} were killed");
    println!("{ended} jobs ended, {killed} were killed");
    ExitCode::SUCCESS
}
