//! Tasks that submit to their own pool, in whatever way they wait for it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fourfold::process::{Executor, Fd};
use fourfold::{ErrorKind, Result, TaskState};

use crate::support::{Gate, LIMIT, eventually, visit, within};

fn inside() -> Executor {
    Executor::current().expect("called by a task of a pool")
}

fn pool(workers: usize) -> Executor {
    Executor::builder().workers(workers).build().unwrap()
}

fn twice(n: u64) -> u64 {
    2 * n
}

/// The size of a tree of tasks that each wait for two more.
fn tree(depth: u32) -> Result<u64> {
    if depth == 0 {
        return Ok(1);
    }
    let pool = inside();
    let handles = [pool.submit(tree, depth - 1), pool.submit(tree, depth - 1)];
    handles.into_iter().try_fold(1, |sum, handle| Ok(sum + handle.join()??))
}

/// How deep a chain of tasks goes, each waiting for the next.
fn chain(length: u32) -> Result<u32> {
    match length {
        0 => Ok(0),
        _ => Ok(1 + inside().submit(chain, length - 1).join()??),
    }
}

#[test]
fn there_is_no_current_pool_outside_of_a_task() {
    assert!(Executor::current().is_none());
    let child = fourfold::process::spawn(|| Executor::current().is_none(), ()).unwrap();
    assert!(child.join().unwrap());
}

#[test]
fn all_workers_submit_and_wait() {
    within(LIMIT, || {
        for workers in [1, 2, 3] {
            let pool = pool(workers);
            assert_eq!(pool.submit(tree, 5).join().unwrap().unwrap(), 63);
            let handles: Vec<_> = (0..2 * workers).map(|_| pool.submit(chain, 5)).collect();
            for handle in handles {
                assert_eq!(handle.join().unwrap().unwrap(), 5);
            }
            // Those that took the place of others leave.
            eventually("no more workers than asked for", || pool.worker_pids().len() <= workers);
            assert_eq!(pool.submit(twice, 4).join().unwrap(), 8);
        }
    });
}

#[test]
fn a_chain_goes_to_its_limit_and_no_further() {
    within(LIMIT, || {
        let pool = pool(1);
        // One worker and 64 in the place of those that wait: the last runs, and waits for nobody.
        assert_eq!(pool.submit(chain, 64).join().unwrap().unwrap(), 64);
        let error = pool.submit(chain, 65).join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadlock, "{error}");
        assert!(error.to_string().contains("65 tasks of this pool wait"), "{error}");
        assert_eq!(pool.submit(twice, 1).join().unwrap(), 2);
    });
}

/// Waits as async code does.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn by_future(n: u64) -> u64 {
    block_on(inside().submit(twice, n)).unwrap()
}

fn by_callback(n: u64) -> u64 {
    let (sender, receiver) = std::sync::mpsc::channel();
    inside().submit(twice, n).on_done(move |outcome| {
        sender.send(*outcome.as_ref().unwrap()).unwrap();
    });
    receiver.recv().unwrap()
}

fn by_map(n: u64) -> u64 {
    inside().map(twice, 0..n).map(Result::unwrap).sum()
}

fn by_thread(n: u64) -> u64 {
    std::thread::spawn(move || inside().submit(twice, n).join().unwrap()).join().unwrap()
}

fn by_polling(n: u64) -> u64 {
    let mut handle = inside().submit(twice, n);
    loop {
        match handle.try_join() {
            Some(outcome) => return outcome.unwrap(),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[test]
fn every_way_of_waiting_gets_its_outcome() {
    within(LIMIT, || {
        let pool = pool(1);
        for _ in 0..3 {
            assert_eq!(pool.submit(by_future, 1).join().unwrap(), 2);
            assert_eq!(pool.submit(by_callback, 2).join().unwrap(), 4);
            assert_eq!(pool.submit(by_map, 300).join().unwrap(), 300 * 299);
            assert_eq!(pool.submit(by_thread, 3).join().unwrap(), 6);
            assert_eq!(pool.submit(by_polling, 4).join().unwrap(), 8);
        }
    });
}

fn told_of_its_ends() -> Vec<ErrorKind> {
    let pool = inside();
    let ends: [fourfold::Handle<()>; 3] = [
        pool.submit(|| panic!("inner"), ()),
        pool.submit(|| std::process::exit(9), ()),
        pool.submit(|| std::process::abort(), ()),
    ];
    let kinds = ends.into_iter().map(|handle| {
        let error = handle.join().unwrap_err();
        assert!(error.pid().is_some_and(|pid| pid != std::process::id()), "{error}");
        assert!(error.task().is_some_and(|task| task.contains("told_of_its_ends")), "{error}");
        assert_eq!(error.panic().map(|panic| panic.message()), error.panic().map(|_| "inner"));
        error.kind()
    });
    kinds.collect()
}

#[test]
fn a_task_is_told_how_its_own_tasks_ended() {
    within(LIMIT, || {
        let ends = pool(1).submit(told_of_its_ends, ()).join().unwrap();
        assert_eq!(ends, [ErrorKind::Panicked, ErrorKind::Exited(9), ErrorKind::Signaled(6)]);
    });
}

#[test]
fn the_time_of_a_task_goes_on_while_it_waits() {
    within(LIMIT, || {
        let gate = Gate::new();
        let limit = Duration::from_millis(200);
        let pool = Executor::builder().workers(1).task_timeout(limit).build().unwrap();
        let waits =
            |port: u16| inside().submit(visit, (port, 1)).join().map_err(|error| error.kind());
        let handle = pool.submit(waits, gate.port());
        let guest = gate.next();
        assert_eq!(handle.join().unwrap_err().kind(), ErrorKind::TimedOut);
        drop(guest);
    });
}

fn cancels(port: u16) -> (bool, bool, bool) {
    let pool = inside();
    let running = pool.submit(visit, (port, 1));
    while running.state() != TaskState::Running {
        std::thread::sleep(Duration::from_millis(1));
    }
    visit(port, 2);
    let cancelled = running.cancel();
    let state = running.state() == TaskState::Cancelled;
    (cancelled, state, running.join().unwrap_err().is_cancelled())
}

#[test]
fn a_task_cancels_its_own_tasks() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        let handle = pool.submit(cancels, gate.port());
        let mut guests = gate.next_few(2);
        guests.pop().unwrap().pass();
        assert_eq!(handle.join().unwrap(), (true, true, true));
        drop(guests);
        assert_eq!(pool.submit(twice, 1).join().unwrap(), 2);
    });
}

fn dies_while_it_waits(port: u16) -> u64 {
    let handle = inside().submit(visit, (port, 2));
    std::thread::spawn(move || {
        visit(port, 1);
        std::process::abort();
    });
    handle.join().unwrap()
}

#[test]
fn a_submitter_that_dies_leaves_its_tasks_to_their_end() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        let handle = pool.submit(dies_while_it_waits, gate.port());
        let mut guests = gate.next_few(2);
        let inner = guests.pop().unwrap();
        guests.pop().unwrap().pass();
        assert_eq!(handle.join().unwrap_err().signal(), Some(6));
        // What it had submitted has its worker now.
        let next = pool.submit(twice, 1);
        inner.pass();
        assert_eq!(next.join().unwrap(), 2);
        pool.shutdown();
    });
}

fn leaves_tasks_behind(port: u16) -> u32 {
    drop(inside().submit(visit, (port, 7)));
    std::process::id()
}

#[test]
fn what_a_task_leaves_behind_goes_on() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = pool(1);
        assert!(pool.submit(leaves_tasks_behind, gate.port()).join().is_ok());
        let guest = gate.next();
        assert_eq!(guest.name, 7);
        guest.pass();
        pool.shutdown();
    });
}

fn sends_a_file(text: String) -> String {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    let Fd(file): Fd<std::fs::File> = inside().submit(|file: Fd<_>| file, Fd(file)).join().unwrap();
    let mut text = vec![0; text.len()];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut text, 0).unwrap();
    String::from_utf8(text).unwrap()
}

fn sends_much(len: usize) -> bool {
    let much: Vec<u8> = (0..len).map(|n| n as u8).collect();
    inside().submit(|much: Vec<u8>| much, much.clone()).join().unwrap() == much
}

#[test]
fn descriptors_and_large_values_travel_from_worker_to_worker() {
    within(LIMIT, || {
        let pool = pool(1);
        assert_eq!(pool.submit(sends_a_file, "text".to_owned()).join().unwrap(), "text");
        assert!(pool.submit(sends_much, 3 << 20).join().unwrap());
    });
}

fn shuts_down() -> (Option<ErrorKind>, u64) {
    let pool = inside();
    let handle = pool.submit(twice, 4);
    pool.shutdown();
    let late = pool.submit(twice, 4).join().err().map(|error| error.kind());
    (late, handle.join().unwrap() + inside().submit(twice, 1).join().unwrap())
}

#[test]
fn a_worker_shuts_down_only_what_is_its_own() {
    within(LIMIT, || {
        let pool = pool(1);
        assert_eq!(pool.submit(shuts_down, ()).join().unwrap(), (Some(ErrorKind::ShutDown), 10));
        assert_eq!(pool.submit(twice, 1).join().unwrap(), 2);
    });
}

#[test]
fn workers_of_the_forkserver_have_a_pool_too() {
    within(LIMIT, || {
        let pool = Executor::builder()
            .workers(2)
            .start_method(fourfold::process::StartMethod::Forkserver)
            .build()
            .unwrap();
        assert_eq!(pool.submit(tree, 4).join().unwrap().unwrap(), 31);
    });
}
