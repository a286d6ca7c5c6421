//! A fork of a server's process: what it does with its copy is nothing to the server.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use fourfold::Result;
use fourfold::process::{self, Child, Forked};
use fourfold::server::{Address, Ended, Server, Signals};

use super::support::{Client, SOON, eventually, greeter, model, serve, within};

/// Runs `child` in a fork, which exits with 0.
fn fork(child: impl FnOnce()) -> Child<()> {
    // SAFETY: what the forks here use, the other threads of their process, which are the server's, do not hold.
    match unsafe { process::fork() }.unwrap() {
        Forked::Parent(forked) => forked,
        Forked::Child => {
            child();
            std::process::exit(0)
        }
    }
}

/// A fork that is there until it is killed.
fn bystander() -> Child<()> {
    fork(|| {
        loop {
            thread::sleep(SOON);
        }
    })
}

/// Starts a test under each model in turn, in a child of its own, which has no other threads.
fn in_a_child(names: &[&str], start: impl Fn(String) -> Result<Child<()>>) {
    for name in names {
        let child = start((*name).to_owned()).unwrap();
        child.join().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

const NAMES: [&str; 9] = [
    "serial",
    "events",
    "coroutines:2",
    "threads",
    "pool:8",
    "processes",
    "prefork:2:coroutines",
    "prefork:2:events",
    "prefork:2:threads",
];

fn is_dropped_there(name: String) {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let builder = Server::builder()
        .listen("127.0.0.1:0")
        .and_then(|builder| builder.listen(Address::Unix(Some(path.clone()))));
    let server = builder.unwrap().start(model(&name), greeter()).unwrap();
    let mut client = Client::connect(&server);
    let pid = client.ask("pid");
    let forks = [false, true].map(|shuts_down| {
        let mut server = Some(&server).into_iter();
        // What the fork drops is its copy.
        let copy = server.next().map(std::ptr::from_ref).unwrap();
        fork(move || {
            // SAFETY: this process has one thread, and ends without another look at the server.
            let copy = unsafe { copy.read() };
            if shuts_down {
                let Ended { cut, abandoned, .. } = copy.shutdown(Duration::ZERO);
                assert_eq!((cut, abandoned), (0, 0));
            }
            drop(copy);
        })
    });
    for forked in forks {
        forked.join().unwrap();
    }
    client.is_served();
    assert_eq!(client.ask("pid"), pid);
    if name == "serial" {
        drop(client);
    }
    let mut other = UnixStream::connect(&path).unwrap();
    other.set_read_timeout(Some(SOON)).unwrap();
    other.write_all(b"one\n").unwrap();
    let mut lines = BufReader::new(other).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "hello");
    assert_eq!(lines.next().unwrap().unwrap(), "one response");
    drop(lines);
    Client::connect(&server).is_served();
    let ended = server.shutdown(SOON);
    assert_eq!((ended.cut, ended.abandoned), (0, 0));
    assert_eq!(server.counters().workers_lost, 0);
    drop(server);
    assert!(!path.exists());
}

#[test]
fn a_server_goes_on_whatever_a_fork_does_with_its_copy() {
    within(|| in_a_child(&NAMES, |name| process::spawn(is_dropped_there, name)));
}

fn has_a_path(_: String) {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let builder = Server::builder().listen(Address::Unix(Some(path.clone()))).unwrap();
    let mut builder = Some(builder);
    fork(|| drop(builder.take())).join().unwrap();
    assert!(path.exists(), "a fork has removed it");
    drop(builder);
    assert!(!path.exists());
}

#[test]
fn the_file_of_a_server_to_be_is_left_there_by_a_fork() {
    within(|| in_a_child(&["builder"], |name| process::spawn(has_a_path, name)));
}

fn ends_beside_a_fork(name: String) {
    let server = serve(&model(&name));
    let mut client = Client::connect(&server);
    client.is_served();
    let forked = bystander();
    let began = Instant::now();
    let ended = server.shutdown(SOON);
    assert_eq!((ended.cut, ended.abandoned), (0, 0), "after {:?}", began.elapsed());
    assert!(std::net::TcpStream::connect(server.addresses()[0].tcp().unwrap()).is_err());
    forked.kill();
    assert!(forked.join().is_err());
    client.is_over();
}

#[test]
fn a_fork_that_lives_on_does_not_hold_up_the_shutdown() {
    within(|| in_a_child(&NAMES, |name| process::spawn(ends_beside_a_fork, name)));
}

fn has_signals_of_its_own(name: String) {
    let signals = Signals::take().unwrap();
    let server = serve(&model(&name));
    Client::connect(&server).is_served();
    thread::scope(|scope| {
        let forked = bystander();
        let running = scope.spawn(|| signals.run(&server, SOON).unwrap());
        assert!(forked.signal(libc::SIGTERM));
        let error = forked.join().unwrap_err();
        assert_eq!(error.signal(), Some(libc::SIGTERM), "{error}");
        // One that goes by signals itself hears its own.
        let forked = fork(|| {
            let signals = Signals::take().unwrap();
            let own = Server::builder().listen("127.0.0.1:0").unwrap();
            let own = own.start(model("threads"), greeter()).unwrap();
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
                .unwrap();
            assert_eq!(signals.run(&own, SOON).unwrap().signal, Some(libc::SIGTERM));
        });
        forked.join().unwrap();
        // Had it come here, it would have been before the fork's end.
        Client::connect(&server).is_served();
        assert!(!running.is_finished());
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
            .unwrap();
        let ended = running.join().unwrap();
        assert_eq!((ended.cut, ended.signal), (0, Some(libc::SIGTERM)));
    });
    eventually("nobody is there", || server.counters().active == 0);
}

#[test]
fn a_signal_for_a_fork_is_not_the_servers() {
    within(|| {
        in_a_child(&["threads", "processes", "prefork:2:coroutines"], |name| {
            process::spawn(has_signals_of_its_own, name)
        })
    });
}
