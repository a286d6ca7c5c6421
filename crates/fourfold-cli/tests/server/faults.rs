//! Workers that are killed, clients that leave, and the end, with clients at everything.

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::*;

#[test]
fn a_worker_that_is_killed_takes_its_connections_and_no_others() {
    for model in ["prefork:2", "prefork:2:threads", "prefork:2:events:1"] {
        let echo = Echo::start(model, &[]);
        // In turn: two for each.
        let mut clients: Vec<Client> = (0..4).map(|_| echo.client()).collect();
        for client in &mut clients {
            assert_eq!(client.asks("x\n"), "x\n");
        }
        let before = echo.workers();
        assert_eq!(before.len(), 2, "{model}");
        kill_process(Pid::from_raw(before[0]).expect("a number"), Signal::KILL).expect("ours");
        let told = echo.program.error_line();
        let expected = format!("fourfold server: worker {} is lost: ", before[0]);
        assert!(told.starts_with(&expected) && told.contains("SIGKILL"), "{model}: {told}");
        // Those of the other one go on; what comes is served, and the worker comes back.
        let mut broken = 0;
        for client in &mut clients {
            let _ = std::io::Write::write_all(client.0.get_mut(), b"y\n");
            let mut line = String::new();
            match std::io::BufRead::read_line(&mut client.0, &mut line) {
                Ok(2) => assert_eq!(line, "y\n"),
                _ => broken += 1,
            }
        }
        assert_eq!(broken, 2, "{model}");
        for _ in 0..4 {
            assert_eq!(echo.client().asks("z\n"), "z\n", "{model}");
        }
        until("the worker is back", || {
            let now = echo.workers();
            now.len() == 2 && !now.contains(&before[0])
        });
        assert!(echo.end().contains(", workers lost: 1"), "{model}");
    }
}

#[test]
fn a_process_that_is_killed_takes_its_connection_alone() {
    let echo = Echo::start("processes", &[]);
    let (mut one, mut other) = (echo.client(), echo.client());
    assert_eq!(one.asks("x\n"), "x\n");
    assert_eq!(other.asks("x\n"), "x\n");
    let pid = echo.server_of(&one);
    assert_ne!(pid, echo.server_of(&other));
    kill_process(Pid::from_raw(pid).expect("a number"), Signal::KILL).expect("ours");
    one.is_closed("processes");
    assert!(
        echo.program.error_line().starts_with(&format!("fourfold server: worker {pid} is lost: "))
    );
    assert_eq!(other.asks("y\n"), "y\n");
    assert_eq!(echo.client().asks("z\n"), "z\n");
    assert!(echo.end().contains(", workers lost: 1"));
}

#[test]
fn at_the_end_what_was_read_is_answered_and_nothing_more() {
    let signals = [(Signal::INT, 130), (Signal::TERM, 143)];
    for (model, (signal, status)) in MODELS.into_iter().zip(signals.into_iter().cycle()) {
        let echo = Echo::start(model, &["--drain", "1h"]);
        let mut busy = echo.client();
        assert_eq!(busy.asks("x\n"), "x\n");
        let mut idle = None;
        if model != "serial" {
            let client = idle.insert(echo.client());
            assert_eq!(client.asks("x\n"), "x\n");
        }
        // What comes with a whole line has been read when that is answered.
        assert_eq!(busy.asks("whole\na turn that has b"), "whole\n");
        // As a terminal does it: to all processes of the group.
        echo.program.signal_group(signal);
        if let Some(mut idle) = idle {
            assert_eq!(idle.line(), "", "{model}");
        }
        busy.say("egun\n");
        assert_eq!(busy.line(), "a turn that has begun\n", "{model}");
        assert_eq!(busy.line(), "", "{model}");
        let ended = echo.program.end();
        assert_eq!(ended.code, status, "{model}: {ended:?}");
        assert!(!ended.stderr.contains("cut"), "{model}: {ended:?}");
    }
}

#[test]
fn what_is_not_done_in_time_is_cut() {
    for model in ["serial", "events", "threads", "coroutines", "processes", "prefork:1"] {
        let echo = Echo::start(model, &["--drain", "100ms"]);
        let mut client = echo.client();
        assert_eq!(client.asks("whole\nhalf a li"), "whole\n");
        echo.program.signal(Signal::TERM);
        client.is_closed(model);
        let ended = echo.program.end();
        assert_eq!(ended.code, 143, "{model}: {ended:?}");
    }
}

#[test]
fn a_second_signal_cuts_at_once() {
    for model in ["events", "threads", "processes", "prefork:1"] {
        let echo = Echo::start(model, &["--drain", "1h"]);
        let (mut client, mut idle) = (echo.client(), echo.client());
        assert_eq!(client.asks("whole\nhalf a li"), "whole\n");
        assert_eq!(idle.asks("x\n"), "x\n");
        echo.program.signal(Signal::TERM);
        // The first one has come.
        idle.is_closed(model);
        echo.program.signal(Signal::INT);
        client.is_closed(model);
        let ended = echo.program.end();
        assert_eq!(ended.code, 143, "{model}: {ended:?}");
    }
}

#[test]
fn a_hang_up_replaces_the_workers_and_breaks_no_connection() {
    let echo = Echo::start("prefork:2", &[]);
    let mut clients = [echo.client(), echo.client()];
    for client in &mut clients {
        assert_eq!(client.asks("x\n"), "x\n");
    }
    let before = echo.workers();
    echo.program.signal(Signal::HUP);
    until("others have come", || {
        echo.workers().iter().filter(|pid| !before.contains(pid)).count() == 2
    });
    assert_eq!(echo.client().asks("y\n"), "y\n");
    // The old ones serve those that they have.
    for client in &mut clients {
        assert_eq!(client.asks("x\n"), "x\n");
    }
    assert!(!echo.end().contains("lost"));
}

#[test]
fn clients_that_leave_abruptly_harm_nobody() {
    for model in MODELS {
        let echo = Echo::start(model, &["--greet", "hello"]);
        for _ in 0..20 {
            let client = echo.client();
            // What it was sent and has not read breaks the connection when it goes.
            let _ = std::io::Write::write_all(&mut client.0.get_ref(), b"half a li");
            drop(client);
        }
        let mut client = echo.client();
        assert_eq!(client.line(), "hello\n", "{model}");
        assert_eq!(client.asks("x\n"), "x\n", "{model}");
        drop(client);
        let told = echo.end();
        assert!(!told.contains("failed") && !told.contains("lost"), "{model}: {told}");
    }
}
