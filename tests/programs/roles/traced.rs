//! A child that somebody else traces: its end is told to the tracer first, and to us when that has looked.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use fourfold::process::{self, Builder, Fd};

use super::support::LIMIT;

fn until(mut gate: Fd<PipeReader>) -> u32 {
    // SAFETY: a call on numbers: whoever may trace us may.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
    gate.read_to_string(&mut String::new()).unwrap();
    7
}

/// Traces a process, says so, and looks at its end when the gate opens. Whether it could.
fn trace(pid: u32, mut ready: Fd<PipeWriter>, mut gate: Fd<PipeReader>) -> bool {
    // SAFETY: calls on numbers; a null status is allowed.
    unsafe {
        if libc::ptrace(libc::PTRACE_SEIZE, pid as libc::pid_t, 0, 0) != 0 {
            return false;
        }
        ready.write_all(b"!").unwrap();
        gate.read_to_string(&mut String::new()).unwrap();
        libc::waitpid(pid as libc::pid_t, std::ptr::null_mut(), libc::__WALL) == pid as libc::pid_t
    }
}

pub(crate) fn traced(_: &[String]) -> ExitCode {
    for way in ["join", "join with a limit", "a callback"] {
        let (end, may_end) = std::io::pipe().unwrap();
        let (look, may_look) = std::io::pipe().unwrap();
        let (mut ready, says_ready) = std::io::pipe().unwrap();
        let mut child = Builder::new().spawn(until, Fd(end)).unwrap();
        let tracer = process::spawn(trace, (child.pid(), Fd(says_ready), Fd(look))).unwrap();
        if ready.read(&mut [0]).unwrap() == 0 {
            println!("left out: a process may not be traced here");
            drop((may_end, may_look));
            assert_eq!(child.join().unwrap(), 7);
            return ExitCode::SUCCESS;
        }
        drop(may_end);
        // It has ended, or is about to; the tracer has not looked.
        assert!(child.join_timeout(Duration::from_millis(200)).is_none(), "{way}");
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(may_look);
        });
        let value = match way {
            "join" => child.join(),
            "join with a limit" => child.join_timeout(LIMIT).expect("in time"),
            _ => {
                let (sender, receiver) = std::sync::mpsc::channel();
                child.on_done(move |outcome| sender.send(outcome.is_ok()).unwrap());
                assert!(receiver.recv_timeout(LIMIT).expect("in time"));
                child.join()
            }
        };
        assert_eq!(value.unwrap(), 7, "{way}");
        late.join().unwrap();
        assert!(tracer.join().unwrap());
    }
    ExitCode::SUCCESS
}
