//! Children that the kernel does not keep until they are waited for: how they ended is told all the same, or that it is not known.

use std::io::Read;
use std::mem::MaybeUninit;
use std::process::{Command as Program, ExitCode};
use std::time::Duration;

use fourfold::process::{self, Builder, Child, Command, End, Executor, Forked, Jobs, Stdio};
use fourfold::{Error, ErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::support::{LIMIT, METHODS, WAYS, Way, die};

/// What SIGCHLD does in this process: whether it is ignored, and whether children are kept.
fn present() -> (bool, bool) {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: reads the present action into a place of its type, for which zeroes are valid.
    let action = unsafe {
        libc::sigaction(libc::SIGCHLD, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    let ignored = action.sa_sigaction == libc::SIG_IGN;
    (ignored, !ignored && action.sa_flags & libc::SA_NOCLDWAIT == 0)
}

fn set(handler: libc::sighandler_t, flags: i32) {
    // SAFETY: an action of zeroes but for these, which the kernel knows; no handler of ours.
    unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(libc::SIGCHLD, &action, std::ptr::null_mut()), 0);
    }
}

/// Whether the kernel tells how a process ended that is gone: since 6.15.
fn kernel_tells() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-', '+', '\n']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap_or(0)) >= (6, 15)
}

/// Has the kernel answer as one that does not know `PIDFD_GET_INFO`, nor signals to the group of a descriptor, in this process and all
/// that it starts.
fn as_before_6_15() {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let refuse = |error| step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32);
    // The number of the call is the first field of what is looked at; its arguments, of 64 bits each, begin at the 16th byte.
    let mut steps = [
        step(LOAD, 0, 0, 0),
        step(IS, 0, 3, libc::SYS_ioctl as u32),
        step(LOAD, 0, 0, 24),
        step(IS, 4, 0, 0xc040_ff0b),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        step(IS, 0, 3, libc::SYS_pidfd_send_signal as u32),
        step(LOAD, 0, 0, 40),
        step(IS, 2, 1, 4),
        refuse(libc::ENOTTY),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        refuse(libc::EINVAL),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: calls on numbers, and on a program that lives until the kernel has copied it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program), 0);
    }
}

/// Has a thread wait for whatever child ends, as an init does, or a library that forks.
fn steal() {
    std::thread::spawn(|| {
        loop {
            // SAFETY: a call on numbers. There may be no child just now.
            if unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } == -1 {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    });
}

fn exit(code: i32) {
    std::process::exit(code)
}

fn sleep() {
    std::thread::sleep(LIMIT);
}

fn panic(_: i32) {
    panic!("oh no")
}

/// Leaves a process behind in its group, which holds what is its output, and dies.
fn leave_one_behind() {
    let left = Program::new("sleep").arg("3600").spawn().unwrap();
    std::mem::forget(left);
    die(libc::SIGKILL);
}

fn join<T: Serialize + DeserializeOwned + Send + 'static>(child: Child<T>) -> Result<T, Error> {
    super::kills::join("a child", child.into_handle())
}

/// Whether it is told as `kind`, or that it is not known and why, where nothing tells.
#[track_caller]
fn check(told: bool, error: &Error, kind: ErrorKind, what: &str) {
    if told {
        assert_eq!(error.kind(), kind, "{what}: {error}");
    } else {
        assert_eq!(error.kind(), ErrorKind::EndUnknown, "{what}: {error}");
        let why = ["ignores SIGCHLD", "has waited for it"];
        assert!(why.iter().any(|why| error.to_string().contains(why)), "{what}: {error}");
    }
}

fn children(told: bool) {
    for way in WAYS {
        let what = format!("{way:?}");
        let children = [
            (exit as fn(i32), 3, ErrorKind::Exited(3)),
            (die, libc::SIGKILL, ErrorKind::Signaled(libc::SIGKILL)),
            (die, libc::SIGTERM, ErrorKind::Signaled(libc::SIGTERM)),
        ];
        for (_, arg, kind) in children {
            let run = way.builder();
            let child = match kind {
                ErrorKind::Exited(_) => run.spawn(exit, arg),
                _ => run.spawn(die, arg),
            };
            check(told, &join(child.unwrap()).unwrap_err(), kind, &what);
        }
        // What it said of itself is not the kernel's to tell.
        assert_eq!(join(way.builder().spawn(|| 7, ()).unwrap()).unwrap(), 7, "{what}");
        if !cfg!(panic = "abort") {
            let panicked = join(way.builder().spawn(panic, 0).unwrap()).unwrap_err();
            assert_eq!(panicked.kind(), ErrorKind::Panicked, "{what}: {panicked}");
        }
        let asleep = way.builder().spawn(sleep, ()).unwrap();
        assert!(asleep.kill());
        check(told, &join(asleep).unwrap_err(), ErrorKind::Signaled(libc::SIGKILL), &what);
        let late = way.builder().timeout(Duration::from_millis(20)).spawn(sleep, ());
        assert_eq!(join(late.unwrap()).unwrap_err().kind(), ErrorKind::TimedOut, "{what}");
        // Its group goes with it.
        let (mut reader, writer) = std::io::pipe().unwrap();
        let child = way.builder().stdout(writer).spawn(leave_one_behind, ()).unwrap();
        let killed = ErrorKind::Signaled(libc::SIGKILL);
        check(told, &join(child).unwrap_err(), killed, &what);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "{what}");
    }
}

/// Has the forking thread come late from the C library's `fork`: time enough for a fork to end before anybody looks at it.
extern "C" fn come_late() {
    std::thread::sleep(Duration::from_millis(2));
}

/// Forks that would end before we have looked.
fn forks(told: bool) {
    // SAFETY: the handler sleeps, and is a function of this program.
    assert_eq!(unsafe { libc::pthread_atfork(None, Some(come_late), None) }, 0);
    for code in [0, 3].repeat(5) {
        // SAFETY: the child ends, and uses nothing.
        let child = match unsafe { process::fork() }.unwrap() {
            // SAFETY: ends this process, and runs nothing.
            Forked::Child => unsafe { libc::_exit(code) },
            Forked::Parent(child) => child,
        };
        match join(child) {
            Ok(()) => assert!(told && code == 0),
            Err(error) => check(told, &error, ErrorKind::Exited(3), "fork"),
        }
    }
}

fn pools(told: bool) {
    for method in METHODS {
        let pool = Executor::builder().workers(1).start_method(method).build().unwrap();
        for _ in 0..3 {
            assert_eq!(pool.submit(u32::pow, (2, 5)).join().unwrap(), 32);
            let killed = ErrorKind::Signaled(libc::SIGKILL);
            check(told, &pool.submit(die, 9).join().unwrap_err(), killed, "pool");
            let ended = ErrorKind::Exited(3);
            check(told, &pool.submit(exit, 3).join().unwrap_err(), ended, "pool");
        }
    }
}

fn jobs(told: bool) {
    let mut jobs = Jobs::new().unwrap();
    let ends = [
        ("exit 0", End::Exited(0)),
        ("exit 3", End::Exited(3)),
        ("kill -KILL $$", End::Signaled { signal: 9, core_dumped: false }),
    ];
    for _ in 0..20 {
        for (key, (script, _)) in (0..).zip(&ends) {
            jobs.start(key, Command::new("sh").args(["-c", script])).unwrap();
        }
        while !jobs.is_empty() {
            let finished = jobs.wait(Some(LIMIT)).unwrap();
            let finished = finished.expect("jobs that end");
            let wanted = if told { &ends[finished.key as usize].1 } else { &End::Unknown };
            assert_eq!(finished.end, *wanted, "{}", finished.end);
        }
    }
    let mut late = Command::new("sleep");
    let done = late.arg("3600").timeout(Duration::from_millis(20)).run().unwrap();
    assert_eq!(done.end, End::TimedOut);
    // Why it could not be started is told, though the child that tried is not kept.
    let error = Command::new("/nowhere/at/all").run().unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

/// Whatever this program does about SIGCHLD, what it starts finds the default.
fn heirs() {
    for way in [Way::Spawn, Way::Forkserver] {
        let found = join(way.builder().spawn(present, ()).unwrap()).unwrap();
        assert_eq!(found, (false, true), "{way:?}");
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", "grep SigIgn /proc/self/status"]).stdout(Stdio::Capture);
    let text = shell.run().unwrap().stdout.unwrap().to_vec().unwrap();
    let text = String::from_utf8(text).unwrap();
    let ignored = u64::from_str_radix(text.trim_start_matches("SigIgn:").trim(), 16).unwrap();
    assert_eq!(ignored & 1 << (libc::SIGCHLD - 1), 0, "{text}");
    // As a grandchild, that can wait for its own.
    let nested = Builder::new().spawn(|| Builder::new().spawn(exit, 3)?.join(), ()).unwrap();
    assert_eq!(join(nested).unwrap().unwrap_err().kind(), ErrorKind::Exited(3));
}

/// `inherited`, `ignored`, `not-kept`, or `stolen` by a thread that waits for whatever ends; and `old`, for an older kernel.
pub(crate) fn forgotten(args: &[String]) -> ExitCode {
    let is_old = args.iter().any(|arg| arg == "old");
    if is_old {
        as_before_6_15();
    }
    let tells = kernel_tells() && !is_old;
    let how = args[0].as_str();
    match how {
        // The program has not asked for it, so it is put right before `main`.
        "inherited" => assert_eq!(present(), (false, true)),
        "ignored" => set(libc::SIG_IGN, 0),
        "not-kept" => set(libc::SIG_DFL, libc::SA_NOCLDWAIT),
        "stolen" if !tells => {
            println!(
                "left out: this kernel does not tell of a child that somebody else has waited for"
            );
            return ExitCode::SUCCESS;
        }
        "stolen" => steal(),
        other => panic!("{other} is no way to lose children"),
    }
    let told = tells || how == "inherited";
    children(told);
    forks(told);
    pools(told);
    jobs(told);
    heirs();
    ExitCode::SUCCESS
}
