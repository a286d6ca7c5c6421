//! A `main` that serves until it gets a signal.

use std::os::fd::OwnedFd;
use std::time::Duration;

use fourfold::process::{self, Child, Fd};
use fourfold::server::{Ended, Server};

use super::support::{Client, SOON, eventually, greeter, model, within};

type Outcome = (usize, usize);

/// In a child: a whole program that serves.
fn program(listener: Fd<OwnedFd>, name: String) -> Outcome {
    let builder = Server::builder().listen_on(listener.0).unwrap();
    let server = builder.start(model(&name), greeter()).unwrap();
    let Ended { cut, abandoned, .. } = server.run_until_signal(Duration::from_secs(60)).unwrap();
    (cut, abandoned)
}

/// The child, and a server here that shares its address without accepting.
fn run(name: &str) -> (Child<Outcome>, std::net::SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let child = process::spawn(program, (Fd(listener.into()), name.to_owned())).unwrap();
    // It goes by the signals once it has the thread for one of them.
    eventually("it goes by signals", || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.pid())).unwrap();
        let names = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
        names.flatten().any(|name| name == "fourfold-renew\n")
    });
    (child, address)
}

fn connect(address: std::net::SocketAddr) -> Client {
    let mut client = Client::to(address);
    assert_eq!(client.line(), "hello\n");
    client
}

#[test]
fn sigterm_and_ctrl_c_let_clients_finish() {
    within(|| {
        for name in ["events", "coroutines", "threads", "processes", "prefork:2"] {
            for signal in [libc::SIGTERM, libc::SIGINT] {
                let (child, address) = run(name);
                let mut idle = connect(address);
                let mut busy = connect(address);
                busy.begins_a_turn("hal");
                assert!(child.signal(signal));
                idle.is_over();
                busy.ends_its_last_turn();
                assert_eq!(child.join().unwrap(), (0, 0), "{name}");
            }
        }
    });
}

#[test]
fn a_second_signal_ends_the_wait() {
    within(|| {
        for name in ["coroutines", "processes", "prefork:1"] {
            let (mut child, address) = run(name);
            let mut busy = connect(address);
            busy.begins_a_turn("hal");
            assert!(child.signal(libc::SIGTERM));
            let early = child.join_timeout(Duration::from_millis(100));
            assert!(early.is_none(), "{name}: {early:?}");
            assert!(child.signal(libc::SIGTERM));
            let ended = child.join_timeout(SOON).expect("it ends at once").unwrap();
            assert_eq!(ended.1, 0, "{name}");
            busy.is_over();
        }
    });
}

#[test]
fn sighup_renews_the_workers() {
    within(|| {
        let (child, address) = run("prefork:2:threads");
        let mut old = connect(address);
        let before = old.ask("pid");
        assert!(child.signal(libc::SIGHUP));
        for _ in 0..2 {
            eventually("others serve", || connect(address).ask("pid") != before);
        }
        old.is_served();
        assert!(child.signal(libc::SIGTERM));
        assert_eq!(child.join().unwrap(), (0, 0));
    });
}
