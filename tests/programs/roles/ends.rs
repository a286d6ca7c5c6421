//! Every way in which work can end in another process, and exactly what is said of it.

use std::process::ExitCode;
use std::time::Duration;

use fourfold::process::{self, Builder, Executor, ExitStatus};
use fourfold::{Error, ErrorKind};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

use super::kills::join;
use super::support::{LIMIT, METHODS, Way, die};

#[derive(Debug, Deserialize)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not for sending"))
    }
}

fn segfault(address: usize) {
    // SAFETY: none; that is the point. The address is not mapped, and this process is there to be lost.
    unsafe { (address as *mut u32).write_volatile(1) }
}

fn illegal(_: usize) {
    // SAFETY: none; that is the point: an instruction that there is not.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("ud2")
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("udf #0")
    }
}

#[allow(unconditional_recursion)]
fn recurse(depth: usize) -> usize {
    let frame = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + frame[0]
}

fn deep(_: usize) {
    std::hint::black_box(recurse(0));
}

fn deep_in_a_thread(_: usize) {
    let _ = std::thread::spawn(|| deep(0)).join();
}

fn eat(_: usize) {
    let mut eaten = Vec::new();
    loop {
        eaten.push(vec![1u8; 1 << 20]);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn exit(code: usize) {
    std::process::exit(code as i32)
}

fn exit_at_once(code: usize) {
    // SAFETY: ends the process, and runs nothing.
    unsafe { libc::_exit(code as i32) }
}

fn sleep(_: usize) {
    std::thread::sleep(Duration::from_secs(3600));
}

fn signal(number: usize) {
    die(number as i32);
}

fn panic_here(_: usize) {
    panic!("oh no: {}", 41 + 1)
}

fn panic_in_a_thread(_: usize) {
    // With `panic = "abort"` this ends the process, else it is the thread's own affair.
    let outcome = std::thread::spawn(|| panic!("in a thread")).join();
    assert!(outcome.is_err());
    panic!("joined it");
}

struct Case {
    what: &'static str,
    run: fn(usize),
    arg: usize,
    kind: ErrorKind,
    /// What the text says besides.
    says: &'static str,
}

const LIMITED: u64 = 200 << 20;

/// `forked`: of a child that has this process's threads prepared by std.
fn cases(forked: bool) -> Vec<Case> {
    let case = |what, run, arg, kind, says| Case { what, run, arg, kind, says };
    let signaled = ErrorKind::Signaled;
    let aborts = cfg!(panic = "abort");
    // Where a child begins before `main`, std has not prepared its threads for an overflow: the kernel finds no stack for
    // any handler, and the bare signal is all there is to tell.
    let prepared = forked || std::env::current_exe().unwrap().ends_with("fault-attribute");
    let (in_thread, where_) = match prepared {
        true => (ErrorKind::StackOverflow, "at address"),
        false => (signaled(libc::SIGSEGV), ""),
    };
    let mut cases = vec![
        case("segfault", segfault as fn(usize), 16, signaled(libc::SIGSEGV), "at address 0x10"),
        case("illegal", illegal, 0, signaled(libc::SIGILL), "at address"),
        case("stack", deep, 0, ErrorKind::StackOverflow, "at address"),
        case("stack of a thread", deep_in_a_thread, 0, in_thread, where_),
        case("memory", eat, 0, ErrorKind::OutOfMemory, "limit 209715200"),
        case("time", sleep, 0, ErrorKind::TimedOut, "after 300ms"),
        case("panic", panic_here, 0, ErrorKind::Panicked, "oh no: 42"),
        case(
            "panic in a thread",
            panic_in_a_thread,
            0,
            ErrorKind::Panicked,
            if aborts { "in a thread" } else { "joined it" },
        ),
    ];
    for code in [0, 3, 255] {
        cases.push(case("exit", exit, code, ErrorKind::Exited(code as i32), ""));
        cases.push(case("_exit", exit_at_once, code, ErrorKind::Exited(code as i32), ""));
    }
    let signals = [
        libc::SIGTERM,
        libc::SIGKILL,
        libc::SIGSEGV,
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
    ];
    for number in signals {
        cases.push(case("signal", signal, number as usize, signaled(number), "killed by signal"));
    }
    cases
}

/// Calls a case by its number: a function travels, a pointer to one does not.
fn run(number: usize) {
    let case = &cases(false)[number];
    (case.run)(case.arg);
}

fn check(how: &str, case: &Case, outcome: Result<(), Error>) {
    let what = format!("{how}, {} {}", case.what, case.arg);
    let error = outcome.expect_err(&what);
    assert_eq!(error.kind(), case.kind, "{what}: {error}");
    assert!(error.to_string().contains(case.says), "{what}: {error}");
    assert!(error.pid().is_some(), "{what}: {error}");
    if case.kind == ErrorKind::Panicked {
        let panic = error.panic().unwrap();
        assert!(panic.message().contains(case.says), "{what}: {panic}");
        let place = panic.location().unwrap();
        assert!(place.contains("ends.rs:"), "{what}: {place}");
        let backtrace = panic.backtrace().unwrap();
        assert!(backtrace.contains("0:"), "{what}: {backtrace}");
        let signal = cfg!(panic = "abort").then_some(libc::SIGABRT);
        assert_eq!(error.signal(), signal, "{what}");
    }
}

/// All of them, by `spawn` and in a pool, by each start method.
pub(crate) fn ends(args: &[String]) -> ExitCode {
    let only = args.first();
    by_fork(only);
    for method in METHODS {
        let build = |timeout| {
            let builder = Executor::builder().workers(1).start_method(method);
            let builder = builder.task_timeout(timeout).memory_limit(LIMITED);
            builder.env("RUST_BACKTRACE", "1").build().unwrap()
        };
        // For all but one this is longer than any of it takes.
        let (short, long) = (Duration::from_millis(300), LIMIT);
        let (impatient, pool) = (build(short), build(long));
        for (number, case) in cases(false).iter().enumerate() {
            if only.is_some_and(|only| only != case.what) {
                continue;
            }
            let builder = Builder::new().start_method(method).env("RUST_BACKTRACE", "1");
            let timed = case.kind == ErrorKind::TimedOut;
            let (timeout, pool) = if timed { (short, &impatient) } else { (long, &pool) };
            let builder = builder.timeout(timeout).memory_limit(LIMITED);
            let child = builder.spawn(run, number).unwrap();
            check("a child", case, join(case.what, child.into_handle()));
            check("a task", case, join(case.what, pool.submit(run, number)));
            // The pool goes on, each time.
            assert_eq!(join("afterwards", pool.submit(|n: usize| n, number)).unwrap(), number);
        }
        values(&pool);
        pool.shutdown();
        impatient.shutdown();
        statuses();
    }
    ExitCode::SUCCESS
}

/// Those of a fork, which has this process's backtraces.
fn by_fork(only: Option<&String>) {
    for (number, case) in cases(true).iter().enumerate() {
        if only.is_some_and(|only| only != case.what) {
            continue;
        }
        let timed = case.kind == ErrorKind::TimedOut;
        let timeout = if timed { Duration::from_millis(300) } else { LIMIT };
        let builder = Way::Fork.builder().timeout(timeout).memory_limit(LIMITED);
        let child = builder.env("RUST_BACKTRACE", "1").spawn(run, number).unwrap();
        check("a fork", case, join(case.what, child.into_handle()));
    }
}

/// A value, and one that cannot be written.
fn values(pool: &Executor) {
    let child = process::spawn(|text: String, n: u8| (n, text), ("é".to_owned(), 7)).unwrap();
    assert_eq!(join("a value", child.into_handle()).unwrap(), (7, "é".to_owned()));
    let unwritable: [fourfold::Handle<Unwritable>; 2] =
        [process::spawn(|| Unwritable, ()).unwrap().into_handle(), pool.submit(|| Unwritable, ())];
    for handle in unwritable {
        let error = join("unwritable", handle).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSerializable, "{error}");
        assert!(error.to_string().contains("not for sending"), "{error}");
        assert!(!error.is_worker_lost());
    }
}

/// What the process itself ended with.
fn statuses() {
    let wanted = |code| ExitStatus::Exited(code);
    let killed = |signal| ExitStatus::Signaled { signal, core_dumped: false };
    let panicked = if cfg!(panic = "abort") { killed(libc::SIGABRT) } else { wanted(101) };
    for (run, arg, status) in [
        (exit as fn(usize), 255, wanted(255)),
        (exit_at_once, 0, wanted(0)),
        (signal, libc::SIGTERM as usize, killed(libc::SIGTERM)),
        (panic_here, 0, panicked),
    ] {
        let number =
            cases(false).iter().position(|c| std::ptr::fn_addr_eq(c.run, run) && c.arg == arg);
        let child = Builder::new()
            .limit(process::Resource::CoreBytes, 0)
            .spawn(self::run, number.unwrap())
            .unwrap();
        let pid = child.pid();
        super::support::eventually("it has ended", || child.exit_status().is_some());
        let seen = child.exit_status().unwrap();
        let plain = match seen {
            ExitStatus::Signaled { signal, .. } => killed(signal),
            exited => exited,
        };
        assert_eq!(plain, status, "process {pid}");
        assert!(!child.is_alive());
        assert!(join("its outcome", child.into_handle()).is_err());
    }
    let early = Builder::new().current_dir("/nowhere").spawn(|| (), ()).unwrap_err();
    assert_eq!(early.kind(), ErrorKind::NotStarted, "{early}");
    // It dies before it has taken up its work: the limit leaves no room for its channel.
    let builder = Builder::new().limit(process::Resource::OpenFiles, 3);
    let error = match builder.spawn(|| (), ()) {
        Ok(child) => join("no channel", child.into_handle()).unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::NotStarted, "{error}");
}
