//! Forking: one call, both branches. Not in the harness, whose threads a fork would not have.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fourfold::green;
use fourfold::process::{
    self, Array, Buffer, Event, Executor, ExitStatus, Forked, Lock, Queue, Semaphore,
};
use fourfold::{ErrorKind, Result, TaskState};

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(60);

fn main() {
    if let Some(path) = std::env::args().nth(1).filter(|arg| arg.starts_with("family=")) {
        return family(path.trim_start_matches("family="));
    }
    std::thread::spawn(|| {
        std::thread::sleep(2 * LIMIT);
        eprintln!("the tests did not end within {:?}", 2 * LIMIT);
        std::process::abort();
    });
    let tests: [(&str, fn()); 22] = [
        ("both_branches_know_who_they_are", both_branches_know_who_they_are),
        ("each_end_is_told", each_end_is_told),
        ("memory_is_the_child_s_own_from_then_on", memory_is_the_child_s_own_from_then_on),
        ("a_fork_has_children_and_pools_of_its_own", a_fork_has_children_and_pools_of_its_own),
        ("an_executor_of_coroutines_is_dropped_in_a_fork", an_executor_of_coroutines),
        ("what_the_parent_has_survives_a_fork_that_drops_it", survives_a_fork_that_drops_it),
        ("a_builder_s_fork_is_a_child_like_any_other", a_builder_s_fork),
        ("a_fork_leaves_the_parent_s_tasks_alone", a_fork_leaves_the_parent_s_tasks_alone),
        ("a_fork_that_comes_back_from_a_task_ends", a_fork_that_comes_back_from_a_task_ends),
        ("forks_end_with_a_parent_that_is_killed", forks_end_with_a_parent_that_is_killed),
        ("a_fork_gives_back_nothing_of_the_parent_s", a_fork_gives_back_nothing_of_the_parent_s),
        ("a_fork_uses_its_parent_s_words_as_itself", a_fork_uses_its_parent_s_words_as_itself),
        ("a_buffer_stays_the_parent_s", a_buffer_stays_the_parent_s),
        ("a_fork_has_the_served_words_of_its_parent", a_fork_has_the_served_words_of_its_parent),
        ("a_fork_has_each_handle_that_it_finds", a_fork_has_each_handle_that_it_finds),
        ("a_fork_has_no_poller_of_its_parent", a_fork_has_no_poller_of_its_parent),
        ("a_coroutine_of_the_parent_s_is_told_to_be_lost", a_coroutine_of_the_parent_s),
        ("whoever_asks_is_told_of_a_lost_coroutine", whoever_asks_is_told),
        ("who_waits_for_a_coroutine_at_a_fork_is_told_too", who_waits_at_a_fork),
        ("a_coroutine_that_is_woken_in_a_fork_is_the_parent_s", a_coroutine_that_is_woken),
        ("a_hub_that_forks_goes_on_in_both", a_hub_that_forks_goes_on_in_both),
        ("a_fork_has_coroutines_whatever_its_parent_s_do", a_fork_has_coroutines),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
}

/// Runs `child` in a fork, which exits with what it returns.
fn fork(child: impl FnOnce() -> i32) -> process::Child<()> {
    // SAFETY: this process has one thread besides the library's and the watchdog, which holds nothing.
    match unsafe { process::fork() }.unwrap() {
        Forked::Parent(forked) => forked,
        Forked::Child => std::process::exit(child()),
    }
}

fn both_branches_know_who_they_are() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let parent = std::process::id();
    let child = fork(move || {
        let me = process::current();
        let (pid, above) = (std::process::id(), me.parent_pid());
        assert_eq!((me.pid(), me.depth()), (pid, 1));
        writer.write_all(format!("{pid} {above}").as_bytes()).unwrap();
        0
    });
    let told = std::io::read_to_string(reader).unwrap();
    assert_eq!(told, format!("{} {parent}", child.pid()));
    assert_ne!(child.pid(), parent);
    assert_eq!((child.parent_pid(), process::current().pid()), (parent, parent));
    child.join().unwrap();
}

fn each_end_is_told() {
    fork(|| 0).join().unwrap();
    assert_eq!(fork(|| 3).join().unwrap_err().kind(), ErrorKind::Exited(3));
    let panicked = fork(|| {
        std::panic::set_hook(Box::new(|_| {}));
        panic!("in the fork")
    });
    // Its hook is replaced, so its record is gone; its exit code says it.
    assert_eq!(panicked.join().unwrap_err().exit_code(), Some(101));
    let panicked = fork(|| std::thread::spawn(|| panic!("in a thread")).join().map_or(101, |()| 0));
    let error = panicked.join().unwrap_err();
    assert_eq!(error.panic().unwrap().message(), "in a thread");
    assert!(error.panic().unwrap().location().unwrap().contains("tests/fork.rs"));
    let aborted = fork(|| std::process::abort());
    assert_eq!(aborted.join().unwrap_err().signal(), Some(6));
    let mut slow = fork(|| {
        std::thread::sleep(LIMIT);
        0
    });
    assert!(slow.join_timeout(Duration::from_millis(1)).is_none() && slow.is_alive());
    slow.terminate();
    assert_eq!(slow.join_timeout(LIMIT).unwrap().unwrap_err().signal(), Some(15));
    let status = slow.exit_status().unwrap();
    assert!(matches!(status, ExitStatus::Signaled { signal: 15, .. }), "{status}");
}

fn a_fork_uses_its_parent_s_words_as_itself() {
    let (lock, seats) = (Lock::new(1u32).unwrap(), Semaphore::new(2).unwrap());
    let (queue, done) = (Queue::bounded(4).unwrap(), Event::new().unwrap());
    let numbers = Array::from_slice(&[1u8, 2]).unwrap();
    queue.put((1, lock.clone())).unwrap();
    let mut held = Some(lock.lock().unwrap());
    seats.acquire();
    let child = fork(|| {
        // The guard is the parent's, and so is the permit.
        drop(held.take());
        assert!(lock.is_locked() && lock.try_lock().unwrap().is_none());
        seats.acquire();
        assert!(!seats.try_acquire());
        let (number, same) = queue.get().unwrap();
        assert!(same.is_locked());
        queue.put((number + 1, lock.clone())).unwrap();
        numbers.lock().unwrap()[1] = 9;
        done.set();
        // It exits with a lock of its own, and a permit.
        std::mem::forget(numbers.lock().unwrap());
        0
    });
    assert!(done.wait_timeout(LIMIT));
    child.join().unwrap();
    assert!(lock.try_lock().unwrap().is_none());
    drop(held.take());
    assert_eq!(*lock.try_lock().unwrap().unwrap(), 1);
    let (number, same) = queue.try_get().unwrap();
    *same.lock().unwrap() = 5;
    assert_eq!((number, *lock.lock().unwrap()), (2, 5));
    assert_eq!(*numbers.lock().unwrap_err().into_inner(), [1, 9]);
    assert!(seats.acquire_timeout(LIMIT) && !seats.try_acquire());
}

fn a_buffer_stays_the_parent_s() {
    let mut buffer = Buffer::from_slice(b"ours").unwrap();
    let table = Buffer::from_slice(b"all of us").unwrap().share();
    let child = fork(|| {
        std::panic::set_hook(Box::new(|_| {}));
        let uses = std::panic::catch_unwind(|| buffer[0]);
        let queue = Queue::bounded(1).unwrap();
        let mine = Buffer::from_slice(&table).unwrap();
        queue.put(mine).unwrap();
        let right = uses.is_err() && *queue.get().unwrap() == *b"all of us";
        i32::from(!right)
    });
    child.join().unwrap();
    buffer[0] = b'O';
    assert_eq!(*buffer, *b"Ours");
}

fn memory_is_the_child_s_own_from_then_on() {
    let number = Cell::new(1);
    let child = fork(|| {
        number.set(number.get() + 1);
        number.get()
    });
    assert_eq!(child.join().unwrap_err().exit_code(), Some(2));
    assert_eq!(number.get(), 1);
}

/// It has no threads there, and tasks that never end.
fn an_executor_of_coroutines() {
    let pool = green::Executor::builder().workers(1).build().unwrap();
    let go = Arc::new(green::Event::new());
    let (begun, begins) = std::sync::mpsc::channel();
    let on = go.clone();
    let task = move || {
        begun.send(()).unwrap();
        on.wait();
    };
    let task = pool.submit(task, ());
    begins.recv_timeout(LIMIT).unwrap();
    let mut pool = Some(pool);
    let child = fork(|| {
        let pool = pool.take().unwrap();
        // The one worker is busy, and of the parent: nobody would ever run it.
        let refused = pool.submit(|| 7, ()).join_timeout(LIMIT / 4);
        let Some(Err(error)) = refused else { return 1 };
        if error.kind() != ErrorKind::NotStarted || !error.to_string().contains("is a fork") {
            return 2;
        }
        if pool.cancel_pending() != 0 {
            return 3;
        }
        pool.shutdown_now();
        drop(pool);
        let own = green::Executor::new().unwrap();
        i32::from(own.submit(|| 7, ()).join().unwrap() != 7)
    });
    child.join().unwrap();
    go.set();
    task.join().unwrap();
    assert_eq!(pool.unwrap().submit(|| 7, ()).join().unwrap(), 7);
}

/// A coroutine that waits for this, and gives 7 then.
fn waiting(go: &Arc<green::Event>) -> green::Child<i32> {
    let (begun, begins) = std::sync::mpsc::channel();
    let on = go.clone();
    let wait = move || {
        begun.send(()).unwrap();
        on.wait();
        7
    };
    let child = green::Builder::new().name("waits").spawn(wait, ()).unwrap();
    begins.recv_timeout(LIMIT).unwrap();
    child
}

/// It is on a thread that the fork does not have: there no wait for it would end.
fn a_coroutine_of_the_parent_s() {
    let go = Arc::new(green::Event::new());
    let start = || waiting(&go);
    let ended = green::spawn(|| 5, ()).unwrap();
    let end = Instant::now() + LIMIT;
    while !ended.is_finished() {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    let pool = green::Executor::builder().workers(1).build().unwrap();
    let on = go.clone();
    let task = pool.submit(move || on.wait(), ());
    let all = Cell::new(Some((start(), start(), start(), start(), start(), ended, task)));
    let child = fork(|| {
        let (joined, mut timed, mut tried, awaited, dropped, ended, mut task) = all.take().unwrap();
        let is_lost = |error: fourfold::Error, name: &str| {
            let is_of_a_fork = error.to_string().contains("is a fork");
            error.kind() == ErrorKind::NotStarted
                && is_of_a_fork
                && error.task().is_some_and(|task| task.contains(name))
        };
        drop(dropped);
        let right = [
            is_lost(joined.join().unwrap_err(), "waits"),
            is_lost(timed.join_timeout(LIMIT / 4).unwrap().unwrap_err(), "waits"),
            is_lost(tried.try_join().unwrap().unwrap_err(), "waits"),
            tried.try_join().unwrap().unwrap_err().kind() == ErrorKind::AlreadyTaken,
            is_lost(green::block_on(awaited).unwrap_err(), "waits"),
            ended.join().unwrap() == 5,
            task.join_timeout(LIMIT / 4).unwrap().unwrap_err().kind() == ErrorKind::NotStarted,
            // It has coroutines of its own.
            green::spawn(|| 8, ()).unwrap().join().unwrap() == 8,
            green::run(|| green::spawn(|| 9, ()).unwrap().join().unwrap()).unwrap() == 9,
        ];
        i32::from(right != [true; 9])
    });
    child.join().unwrap();
    go.set();
    let (joined, .., ended, task) = all.take().unwrap();
    assert_eq!((joined.join().unwrap(), ended.join().unwrap()), (7, 5));
    task.join().unwrap();
}

/// Also of one whose callbacks its thread was just calling.
fn whoever_asks_is_told() {
    let go = Arc::new(green::Event::new());
    let (begun, begins) = std::sync::mpsc::channel();
    let (asked, looked_at, told) = (waiting(&go), waiting(&go), waiting(&go));
    let calling = {
        let first = Arc::new(green::Event::new());
        let (wait, on, begun) = (first.clone(), go.clone(), begun.clone());
        let calling = green::spawn(move || wait.wait(), ()).unwrap();
        calling.on_done(move |_| {
            begun.send(()).unwrap();
            on.wait();
        });
        first.set();
        begins.recv_timeout(LIMIT).unwrap();
        calling
    };
    let all = Cell::new(Some((asked, looked_at, told, calling)));
    let child = fork(|| {
        let (asked, looked_at, told, mut calling) = all.take().unwrap();
        let (sender, kinds) = std::sync::mpsc::channel();
        told.on_done(move |outcome| {
            sender.send(outcome.as_ref().unwrap_err().kind()).unwrap();
        });
        let Some(Err(error)) = calling.join_timeout(LIMIT / 4) else { return 1 };
        let right = [
            asked.is_finished(),
            looked_at.state() == TaskState::Finished,
            kinds.try_recv() == Ok(ErrorKind::NotStarted),
            error.kind() == ErrorKind::NotStarted,
        ];
        if right == [true; 4] { 0 } else { 2 }
    });
    child.join().unwrap();
    go.set();
    let (asked, looked_at, told, calling) = all.take().unwrap();
    for one in [asked, looked_at, told] {
        assert_eq!(one.join().unwrap(), 7);
    }
    calling.join().unwrap();
}

/// A coroutine of the hub that forks waits for one of another thread already.
fn who_waits_at_a_fork() {
    let run = || {
        let go = Arc::new(green::Event::new());
        let on = go.clone();
        // Both on the hub that all share.
        let far = std::thread::spawn(move || green::spawn(move || on.wait(), ()).unwrap());
        let far = far.join().unwrap();
        let on = go.clone();
        let other =
            std::thread::spawn(move || green::spawn(move || on.wait(), ()).unwrap().into_handle());
        let other = other.join().unwrap();
        let joins = [
            green::spawn(move || far.join().map_err(|error| error.kind()), ()).unwrap(),
            green::spawn(move || other.join().map_err(|error| error.kind()), ()).unwrap(),
        ];
        green::yield_now();
        // SAFETY: as in `fork`.
        let forked = unsafe { process::fork() }.unwrap();
        let join = |mut child: green::Child<_>| child.join_timeout(LIMIT / 4).map(Result::unwrap);
        match forked {
            Forked::Child => {
                let told = joins.map(join);
                let is_lost = told == [Some(Err(ErrorKind::NotStarted)); 2];
                std::process::exit(i32::from(!is_lost))
            }
            Forked::Parent(child) => {
                child.join().unwrap();
                go.set();
                assert_eq!(joins.map(join), [Some(Ok(())); 2]);
            }
        }
    };
    green::run(run).unwrap();
}

/// The words that coroutines wait at are the fork's too, with who waits there.
fn a_coroutine_that_is_woken() {
    let go = Arc::new(green::Event::new());
    let (begun, begins) = std::sync::mpsc::channel();
    let on = go.clone();
    let wait = move || {
        begun.send(()).unwrap();
        on.wait();
    };
    let waits = green::spawn(wait, ()).unwrap();
    begins.recv_timeout(LIMIT).unwrap();
    let child = fork(|| {
        let cancelled = waits.cancel();
        go.set();
        i32::from(cancelled || green::spawn(|| 8, ()).unwrap().join().unwrap() != 8)
    });
    child.join().unwrap();
    assert!(!waits.is_finished());
    go.set();
    waits.join().unwrap();
}

fn a_hub_that_forks_goes_on_in_both() {
    let run = || {
        let go = Arc::new(green::Event::new());
        let on = go.clone();
        let other = green::spawn(move || on.wait_timeout(LIMIT), ()).unwrap();
        green::yield_now();
        // SAFETY: as in `fork`.
        let forked = unsafe { process::fork() }.unwrap();
        // From another thread, which both have made for it.
        let sets = std::thread::spawn(move || go.set());
        let woken = other.join().unwrap();
        sets.join().unwrap();
        match forked {
            Forked::Child => std::process::exit(if woken { 7 } else { 1 }),
            Forked::Parent(child) => (child.join().unwrap_err().exit_code(), woken),
        }
    };
    for _ in 0..20 {
        assert_eq!(green::run(run).unwrap(), (Some(7), true));
    }
}

/// Hubs begin and end, and stacks come and go, at the moment of each fork.
fn a_fork_has_coroutines() {
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    let inner = || green::spawn(|| 1, ()).unwrap().join().unwrap();
                    assert_eq!(green::run(inner).unwrap(), 1);
                    // On the hub that all share.
                    let stack = 16 << 10;
                    let one = green::Builder::new().stack_size(stack).spawn(|| 2, ()).unwrap();
                    assert_eq!(one.join().unwrap(), 2);
                }
            });
        }
        for round in 0..200 {
            let mut child = fork(|| {
                let inner = || green::spawn(|| 1, ()).unwrap().join().unwrap();
                let own = green::run(inner).unwrap();
                own + green::spawn(|| 2, ()).unwrap().join().unwrap() - 3
            });
            let ended = child.join_timeout(LIMIT / 2);
            ended.unwrap_or_else(|| panic!("round {round}: the fork hangs")).unwrap();
        }
        ends.store(true, Ordering::Relaxed);
    });
}

fn a_fork_has_children_and_pools_of_its_own() {
    let child = fork(|| {
        let in_a_child = process::spawn(|| process::current().depth(), ()).unwrap().join().unwrap();
        let pool = Executor::builder().workers(2).build().unwrap();
        let sum: Result<u32> = pool.map(|n: u32| n + 1, 0..10).sum();
        let twice = fork(|| 40).join().unwrap_err().exit_code().unwrap();
        in_a_child as i32 + sum.unwrap() as i32 - 55 + twice
    });
    assert_eq!(child.join().unwrap_err().exit_code(), Some(42));
}

fn survives_a_fork_that_drops_it() {
    let pool = Executor::builder().workers(1).build().unwrap();
    let worker = pool.submit(std::process::id, ()).join().unwrap();
    let sleeper = process::spawn(|| std::thread::sleep(Duration::from_secs(3600)), ()).unwrap();
    for _ in 0..20 {
        // SAFETY: as in `fork`.
        let child = match unsafe { process::fork() }.unwrap() {
            Forked::Parent(child) => child,
            Forked::Child => {
                assert!(process::active_children().is_empty());
                drop((pool, sleeper));
                std::process::exit(5)
            }
        };
        assert_eq!(child.join().unwrap_err().exit_code(), Some(5));
        assert_eq!(pool.submit(std::process::id, ()).join().unwrap(), worker);
        assert!(sleeper.is_alive());
    }
    sleeper.kill();
    assert_eq!(sleeper.join().unwrap_err().signal(), Some(9));
}

fn slow(n: u32) -> u32 {
    std::thread::sleep(Duration::from_millis(10));
    n
}

fn a_fork_leaves_the_parent_s_tasks_alone() {
    let pool = Executor::builder().workers(1).build().unwrap();
    // Joins in a row, so that who joins reads the answers: the fork must not.
    for n in 0..200 {
        assert_eq!(pool.submit(|n: u32| n, n).join().unwrap(), n);
    }
    let mut values = pool.map(slow, 0..10);
    assert_eq!(values.next().unwrap().unwrap(), 0);
    // SAFETY: as in `fork`.
    let child = match unsafe { process::fork() }.unwrap() {
        Forked::Parent(child) => child,
        Forked::Child => {
            let late = pool.submit(slow, 1);
            assert!(!late.cancel() || late.state() == fourfold::TaskState::Cancelled);
            assert_eq!(late.join().unwrap_err().kind(), ErrorKind::ShutDown);
            let next = values.next().unwrap().unwrap_err();
            assert_eq!(next.kind(), ErrorKind::ShutDown);
            drop(values);
            pool.shutdown_now();
            std::process::exit(4)
        }
    };
    assert_eq!(child.join().unwrap_err().exit_code(), Some(4));
    let rest: Vec<u32> = values.map(Result::unwrap).collect();
    assert_eq!(rest, (1..10).collect::<Vec<_>>());
    assert_eq!(pool.submit(slow, 7).join().unwrap(), 7);
}

fn forks_and_comes_back(n: u32) -> (u32, u32) {
    // SAFETY: a worker that has run nothing but this has one thread.
    match unsafe { process::fork() }.unwrap() {
        Forked::Child => (n + 1000, std::process::id()),
        Forked::Parent(child) => {
            child.join().unwrap();
            (n, std::process::id())
        }
    }
}

fn a_fork_that_comes_back_from_a_task_ends() {
    let pool = Executor::builder().workers(1).build().unwrap();
    for n in 0..5 {
        let worker = pool.worker_pids()[0];
        assert_eq!(pool.submit(forks_and_comes_back, n).join().unwrap(), (n, worker));
        assert_eq!(pool.submit(std::process::id, ()).join().unwrap(), worker);
    }
    let child = process::spawn(forks_and_comes_back, 1).unwrap();
    let pid = child.pid();
    assert_eq!(child.join().unwrap(), (1, pid));
}

fn a_builder_s_fork() {
    static SEEN: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
    *SEEN.lock().unwrap() = 7;
    let report = |word: String| {
        let directory = std::env::current_dir().unwrap();
        let value = std::env::var("FOURFOLD_TEST_VALUE").unwrap_or_default();
        (word, *SEEN.lock().unwrap(), directory, value, process::current().name().to_owned())
    };
    let builder =
        process::Builder::new().name("twin").current_dir("/").env("FOURFOLD_TEST_VALUE", "v");
    // SAFETY: no other thread locks `SEEN` or changes the environment.
    let child = unsafe { builder.fork() }.spawn(report, "word".to_owned()).unwrap();
    let (word, seen, directory, value, name) = child.join().unwrap();
    assert_eq!((word.as_str(), seen, value.as_str(), name.as_str()), ("word", 7, "v", "twin"));
    assert_eq!(directory, std::path::Path::new("/"));
    // SAFETY: as above.
    let child =
        unsafe { process::Builder::new().fork() }.spawn(|| -> () { panic!("there") }, ()).unwrap();
    assert_eq!(child.join().unwrap_err().panic().unwrap().message(), "there");
}

/// A program with a fork, a fork's child and an older child. Tells all pids, and sleeps.
fn family(path: &str) {
    let sleep = || std::thread::sleep(Duration::from_secs(3600));
    let older = process::spawn(std::thread::sleep, Duration::from_secs(3600)).unwrap();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let forked = fork(move || {
        let child = process::spawn(std::thread::sleep, Duration::from_secs(3600)).unwrap();
        writer.write_all(&child.pid().to_le_bytes()).unwrap();
        sleep();
        0
    });
    let mut inner = [0; 4];
    std::io::Read::read_exact(&mut reader, &mut inner).unwrap();
    let pids = format!("{} {} {}\n", older.pid(), forked.pid(), u32::from_le_bytes(inner));
    fs::write(format!("{path}.new"), pids).unwrap();
    fs::rename(format!("{path}.new"), path).unwrap();
    sleep();
}

fn forks_end_with_a_parent_that_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let path = directory.path().join(format!("pids{round}"));
        let mut program = Command::new(std::env::current_exe().unwrap())
            .arg(format!("family={}", path.display()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + LIMIT;
        while !path.exists() {
            assert!(Instant::now() < end, "the family was not complete within {LIMIT:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        let pids = fs::read_to_string(&path).unwrap();
        program.kill().unwrap();
        assert_eq!(program.wait().unwrap().signal(), Some(9));
        let end = Instant::now() + LIMIT;
        while pids.split_whitespace().any(is_there) {
            assert!(Instant::now() < end, "some of {pids} outlived their parent");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether a process lives, rather than being a zombie that its new parent has not waited for.
fn is_there(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// It has a connection of its own: what it holds is its own, and is free when it dies.
fn a_fork_has_the_served_words_of_its_parent() {
    use fourfold::process::{List, LockError, RLock};

    let (lock, list) = (RLock::new().unwrap(), List::new().unwrap());
    list.push(&0).unwrap();
    let mine = lock.lock().unwrap();
    let inherited = fork(|| {
        list.push(&1).unwrap();
        // The parent's guard is not the fork's.
        let taken = lock.try_lock().unwrap().is_some();
        let other = RLock::new().unwrap().try_lock().unwrap().is_some();
        if !taken && other { 0 } else { 1 }
    });
    inherited.join().unwrap();
    assert_eq!(list.to_vec().unwrap(), [0, 1]);
    assert!(lock.is_locked().unwrap());
    drop(mine);
    // The fork's references are its own: they hold when the parent drops its handle.
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let only = List::new().unwrap();
    only.push(&7).unwrap();
    let keeps = fork(|| {
        std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
        if only.to_vec().unwrap() == [7] { 0 } else { 1 }
    });
    drop(only);
    writer.write_all(&[0]).unwrap();
    keeps.join().unwrap();
    // A fork that dies with a lock, and one below it that goes on for a moment.
    let dies = fork(|| {
        std::mem::forget(lock.lock().unwrap());
        std::process::abort()
    });
    assert_eq!(dies.join().unwrap_err().signal(), Some(6));
    assert!(matches!(lock.lock(), Err(LockError::OwnerDied(_))));
}

/// Another thread makes and drops handles all the time: each that a fork finds in its memory is good.
fn a_fork_has_each_handle_that_it_finds() {
    use fourfold::process::RLock;

    static LAST: Mutex<Option<RLock>> = Mutex::new(None);

    *LAST.lock().unwrap() = Some(RLock::new().unwrap());
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                let next = RLock::new().unwrap();
                let old = LAST.lock().unwrap().replace(next);
                drop(old);
            }
        });
        for round in 0..100 {
            let child = fork(|| {
                // Held by the other thread at this moment: then it is for ever.
                let Ok(last) = LAST.try_lock() else { return 0 };
                i32::from(last.as_ref().unwrap().is_locked().is_err())
            });
            child.join().unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        ends.store(true, Ordering::Relaxed);
    });
    *LAST.lock().unwrap() = None;
}

fn a_fork_has_no_poller_of_its_parent() {
    // A future that waits has the library wait for it.
    let (sender, receiver) = process::pipe::<u8>().unwrap();
    let sends = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        sender.send(7).unwrap();
    });
    assert_eq!(green::block_on(receiver.recv_async()).unwrap(), 7);
    sends.join().unwrap();
    let pollers = || {
        let fds = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let names = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
        names.filter(|name| name.to_string_lossy().contains("eventpoll")).count()
    };
    assert!(pollers() >= 2);
    let theirs = fork(|| pollers() as i32);
    theirs.join().unwrap();
}

#[cfg(not(feature = "cluster"))]
fn a_fork_gives_back_nothing_of_the_parent_s() {}

/// A proxy that the fork drops is the parent's, and so is a lock.
#[cfg(feature = "cluster")]
fn a_fork_gives_back_nothing_of_the_parent_s() {
    use fourfold::cluster::manager::{Client, Key, Server};

    let key = Key::new(*b"abc");
    let server = Server::builder(key.clone()).lock("door").spawn("127.0.0.1:0").unwrap();
    let client = Client::connect(server.address(), key).unwrap();
    let list = Cell::new(Some(client.list::<i32>("list").unwrap()));
    let door = client.lock("door").unwrap();
    let guard = Cell::new(Some(door.lock().unwrap()));
    let before = client.number_of_objects().unwrap();
    let child = fork(|| {
        let theirs = list.take().unwrap();
        theirs.push(&1).unwrap();
        drop(theirs);
        drop(guard.take());
        0
    });
    child.join().unwrap();
    assert_eq!(client.number_of_objects().unwrap(), before);
    assert_eq!(list.take().unwrap().to_vec().unwrap(), [1]);
    assert!(door.try_lock().unwrap().is_none());
    drop(guard.take());
    assert!(!door.try_lock().unwrap().unwrap().owner_died());
    server.shutdown();
}
