//! How the process of a child ended, exactly: row U6.

use std::time::Duration;

use fourfold::process::{self, Builder, Child, ExitStatus, StartMethod};
use fourfold::{ErrorKind, Outcome, TaskState};

use crate::support::{Gate, LIMIT, visit, within};

const METHODS: [StartMethod; 2] = [StartMethod::Spawn, StartMethod::Forkserver];

/// Waits at the gate, and ends as it was told.
fn end(port: u16, how: End) -> u32 {
    visit(port, 0);
    match how {
        End::Value => 7,
        End::Exit(code) => std::process::exit(code),
        End::Panic => panic!("asked to"),
        // SAFETY: none; that is the point. The address is not mapped, and this process is there to be lost.
        End::Segfault => unsafe { std::ptr::null::<u32>().wrapping_add(4).read_volatile() },
        End::Abort => std::process::abort(),
        End::Recurse => recurse(0),
    }
}

#[allow(unconditional_recursion)]
fn recurse(depth: u32) -> u32 {
    let frame = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + frame[0]
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
enum End {
    Value,
    Exit(i32),
    Panic,
    Segfault,
    Abort,
    Recurse,
}

fn signaled(signal: i32) -> ExitStatus {
    ExitStatus::Signaled { signal, core_dumped: false }
}

/// The status without the word on a core file, which depends on the system.
fn without_core(status: ExitStatus) -> ExitStatus {
    match status {
        ExitStatus::Signaled { signal, .. } => signaled(signal),
        exited => exited,
    }
}

/// Starts one for each method, checks that there is no status while it runs, has it end, and gives what is told.
fn told(how: End, act: impl Fn(&Child<u32>)) -> [(ExitStatus, Outcome<u32>); 2] {
    METHODS.map(|method| {
        let gate = Gate::new();
        let mut child = Builder::new().start_method(method).spawn(end, (gate.port(), how)).unwrap();
        assert_eq!(child.exit_status(), None);
        let guest = gate.next();
        assert_eq!(child.exit_status(), None, "{how:?}: a status while it runs");
        assert_eq!(child.state(), TaskState::Running);
        assert!(child.try_join().is_none());
        act(&child);
        guest.pass_if_there();
        let outcome = child.join_timeout(LIMIT).expect("it ends");
        let status = child.exit_status().expect("it has ended");
        assert!(!child.is_alive() && !child.terminate() && !child.kill());
        (without_core(status), outcome)
    })
}

#[test]
fn a_value_is_exit_0() {
    within(LIMIT, || {
        for (status, outcome) in told(End::Value, |_| ()) {
            assert_eq!(status, ExitStatus::Exited(0));
            assert_eq!(outcome.unwrap(), 7);
        }
    });
}

#[test]
fn an_exit_is_told_with_its_code() {
    within(LIMIT, || {
        for code in [0, 3, 255] {
            for (status, outcome) in told(End::Exit(code), |_| ()) {
                assert_eq!(status, ExitStatus::Exited(code));
                let error = outcome.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Exited(code));
                assert_eq!((error.exit_code(), error.signal()), (Some(code), None));
                assert!(error.is_worker_lost());
            }
        }
    });
}

#[test]
fn a_panic_is_told_as_one_and_exits_with_101() {
    within(LIMIT, || {
        for (status, outcome) in told(End::Panic, |_| ()) {
            assert_eq!(status, ExitStatus::Exited(101));
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Panicked);
            assert_eq!(error.panic().unwrap().message(), "asked to");
            assert!(error.panic().unwrap().location().unwrap().starts_with(file!()));
        }
    });
}

#[test]
fn a_segfault_an_abort_and_a_deep_recursion_are_told_apart() {
    within(LIMIT, || {
        for (how, signal, kind) in [
            (End::Segfault, libc::SIGSEGV, ErrorKind::Signaled(libc::SIGSEGV)),
            (End::Abort, libc::SIGABRT, ErrorKind::Signaled(libc::SIGABRT)),
            (End::Recurse, libc::SIGSEGV, ErrorKind::StackOverflow),
        ] {
            for (status, outcome) in told(how, |_| ()) {
                assert_eq!(status, signaled(signal), "{how:?}");
                let error = outcome.unwrap_err();
                assert_eq!(error.kind(), kind, "{how:?}");
                assert!(error.signal().is_some() && error.exit_code().is_none());
                assert!(error.is_worker_lost());
            }
        }
    });
}

#[test]
fn terminate_is_sigterm_and_kill_is_sigkill() {
    within(LIMIT, || {
        // None of those that a shell has ignored in what it runs in the background.
        type Act = fn(&Child<u32>) -> bool;
        let acts: [(Act, i32); 4] = [
            (Child::terminate, libc::SIGTERM),
            (Child::kill, libc::SIGKILL),
            (|child| child.signal(libc::SIGUSR1), libc::SIGUSR1),
            (|child| child.signal(libc::SIGXCPU), libc::SIGXCPU),
        ];
        for (act, signal) in acts {
            for (status, outcome) in told(End::Value, |child| assert!(act(child))) {
                assert_eq!(status, signaled(signal));
                let error = outcome.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Signaled(signal));
                assert_eq!(error.signal(), Some(signal));
                assert!(error.pid().is_some() && error.is_worker_lost());
            }
        }
    });
}

#[test]
fn cancel_ends_it_and_is_told_as_such() {
    within(LIMIT, || {
        for (status, outcome) in told(End::Value, |child| assert!(child.cancel())) {
            assert_eq!(status, signaled(libc::SIGKILL));
            assert!(outcome.unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn a_child_over_its_time_is_ended_and_told_so() {
    within(LIMIT, || {
        for method in METHODS {
            let gate = Gate::new();
            let builder = Builder::new().start_method(method).timeout(Duration::from_millis(50));
            let mut child = builder.spawn(visit, (gate.port(), 0)).unwrap();
            let outcome = child.join_timeout(LIMIT).expect("it is ended");
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TimedOut);
            assert_eq!(child.exit_status().map(without_core), Some(signaled(libc::SIGKILL)));
        }
    });
}

#[test]
fn a_status_reads_as_a_sentence() {
    let killed = ExitStatus::Signaled { signal: 9, core_dumped: false };
    assert_eq!(killed.to_string(), "killed by signal 9 (SIGKILL)");
    assert_eq!(ExitStatus::Exited(3).to_string(), "exited with code 3");
    assert!(ExitStatus::Exited(0).success() && !ExitStatus::Exited(3).success());
    assert!(!killed.success());
    let error = process::spawn(|| -> u32 { std::process::exit(3) }, ()).unwrap().join();
    assert!(error.unwrap_err().to_string().contains("exited with code 3"));
}
