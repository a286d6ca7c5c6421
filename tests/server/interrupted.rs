//! Signals that have nothing to do with the server come at every moment; and a watch that comes late.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fourfold::process::{self, Fd};
use fourfold::server::{self, Address, Ended, Flow, Input, Protocol, Server, Signals};

use super::support::{Client, Greeter, SOON, eventually, model, serve_with, within};

/// Has a signal handled by `handler`, after which what it has interrupted is not begun again by the kernel.
fn handle(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: zeroes are an action without flags and with an empty mask; the handlers here use atomics and `nanosleep` alone.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

/// The threads of this process, with their names.
fn threads() -> Vec<(i32, String)> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let named = tasks.filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, name.trim().to_owned()))
    });
    named.collect()
}

fn signal_thread(thread: i32, signal: i32) {
    // SAFETY: a call on numbers.
    unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, signal) };
}

extern "C" fn nothing(_signal: i32) {}

/// From now on each thread of this process is interrupted again and again.
fn storm() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        handle(libc::SIGALRM, nothing);
        thread::spawn(|| {
            let me = rustix::thread::gettid().as_raw_nonzero().get();
            loop {
                for (thread, _) in threads() {
                    if thread != me {
                        signal_thread(thread, libc::SIGALRM);
                    }
                }
                thread::sleep(Duration::from_micros(300));
            }
        });
    });
}

/// Greets in a process in which the storm has begun.
#[derive(Default)]
struct Stormy(Greeter);

impl Protocol for Stormy {
    fn connected(&mut self, answer: &mut Vec<u8>) -> io::Result<Flow> {
        storm();
        self.0.connected(answer)
    }

    fn received(&mut self, input: &mut Input<'_>, answer: &mut Vec<u8>) -> io::Result<Flow> {
        self.0.received(input, answer)
    }
}

/// In a child: a whole program that serves.
fn program(listener: Fd<OwnedFd>, name: String) -> (usize, usize) {
    storm();
    let signals = Signals::take().unwrap();
    let builder = Server::builder().listen_on(listener.0).unwrap().idle_timeout(3 * SOON);
    let stormy = server::protocol(|_: &Address| Stormy::default());
    let server = builder.start(model(&name), stormy).unwrap();
    let Ended { cut, abandoned, .. } = signals.run(&server, 2 * SOON).unwrap();
    assert_eq!(server.counters().workers_lost, 0);
    assert_eq!((server.counters().failed, server.counters().accept_errors), (0, 0));
    (cut, abandoned)
}

fn served_in_a_storm(name: &str) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let child = process::spawn(program, (Fd(listener.into()), name.to_owned())).unwrap();
    let connect = || {
        let mut client = Client::to(address);
        assert_eq!(client.line(), "hello\n", "{name}");
        client
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let mut client = connect();
                    client.is_served();
                    let answer = client.ask("big 300000");
                    assert!(answer.len() == 300_001, "{name}: {}", answer.len());
                    assert_eq!(client.ask("bye"), "bye\n");
                }
            });
        }
    });
    let mut idle = (name != "serial").then(connect);
    let mut busy = connect();
    busy.begins_a_turn("hal");
    assert!(child.signal(libc::SIGTERM));
    if let Some(idle) = &mut idle {
        idle.is_over();
    }
    busy.ends_its_last_turn();
    assert_eq!(child.join().unwrap(), (0, 0), "{name}");
}

#[test]
fn signals_of_others_at_every_moment_are_no_news_within_a_process() {
    within(|| {
        for name in ["serial", "events:2", "coroutines:2", "threads", "pool:8"] {
            served_in_a_storm(name);
        }
    });
}

#[test]
fn signals_of_others_at_every_moment_are_no_news_between_processes() {
    within(|| {
        for name in ["processes", "prefork:2:coroutines", "prefork:2:events", "prefork:2:threads"] {
            served_in_a_storm(name);
        }
    });
}

static FROZEN: AtomicBool = AtomicBool::new(false);

/// Holds up the thread that it comes to.
extern "C" fn freeze(_signal: i32) {
    while FROZEN.load(Ordering::SeqCst) {
        let time = libc::timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        // SAFETY: the kernel reads the time. It may be called in a handler.
        unsafe { libc::nanosleep(&time, std::ptr::null_mut()) };
    }
}

/// Holds up the watch of this process's server, where it holds nothing that others want.
fn freeze_the_watch(server: &Server) {
    loop {
        FROZEN.store(true, Ordering::SeqCst);
        let mut watch = 0;
        eventually("it has its name", || {
            let found = threads().into_iter().find(|(_, name)| name == "fourfold-watch");
            found.is_some_and(|(thread, _)| {
                watch = thread;
                true
            })
        });
        signal_thread(watch, libc::SIGUSR2);
        eventually("the signal has come", || {
            let status = std::fs::read_to_string(format!("/proc/self/task/{watch}/status"));
            status.unwrap().lines().any(|line| line.strip_prefix("SigPnd:").is_some_and(is_none))
        });
        let is_served = {
            let mut client = Client::silent(server);
            client.stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            client.try_line().is_ok()
        };
        if is_served {
            return;
        }
        // It came while the watch looked.
        FROZEN.store(false, Ordering::SeqCst);
    }
}

fn is_none(mask: &str) -> bool {
    mask.trim().bytes().all(|digit| digit == b'0')
}

/// In a child: a server whose watch sleeps for two and a half times the limit it is to keep. Gives how long the clients were silent at
/// most, once it was awake again.
fn with_a_late_watch(name: String) -> Duration {
    handle(libc::SIGUSR2, freeze);
    let limit = LATE_LIMIT;
    let server = serve_with(&model(&name), |builder| builder.idle_timeout(limit));
    let mut old = Client::connect(&server);
    freeze_the_watch(&server);
    thread::sleep(limit * 5 / 2);
    // Their descriptors are free again, and the next ones get the same.
    for round in 0..3 {
        let leavers: Vec<Client> = (0..8).map(|_| Client::connect(&server)).collect();
        if round == 1 {
            leavers.into_iter().for_each(Client::leave_abruptly);
        } else {
            drop(leavers);
        }
        eventually("they have left", || server.counters().active == 1);
    }
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(&server)).collect();
    let mut silent = Duration::ZERO;
    let mut said = Instant::now();
    old.is_served();
    FROZEN.store(false, Ordering::SeqCst);
    let awake = Instant::now();
    while awake.elapsed() < limit * 3 / 2 {
        for client in clients.iter_mut().chain([&mut old]) {
            // If this machine has kept us waiting it may be over.
            let is_served = client.stream.write_all(b"on\n").is_ok()
                && client.try_line().is_ok_and(|line| line == "on response\n");
            assert!(
                is_served || said.elapsed() > limit / 2,
                "{name}: cut after {:?}",
                said.elapsed()
            );
        }
        silent = silent.max(said.elapsed());
        said = Instant::now();
        thread::sleep(Duration::from_millis(10));
    }
    if silent < limit / 2 {
        assert_eq!(server.counters().timed_out, 0, "{name}");
        // It is at work again.
        clients.iter_mut().for_each(Client::is_over);
        eventually("they are counted", || server.counters().timed_out == 9);
    }
    silent
}

const LATE_LIMIT: Duration = Duration::from_millis(800);

#[test]
fn a_watch_that_comes_late_closes_nobody_who_is_in_time() {
    within(|| {
        for name in ["events", "coroutines", "threads", "pool:16"] {
            eventually("this machine lets it be seen", || {
                let child = process::spawn(with_a_late_watch, name.to_owned()).unwrap();
                child.join().unwrap() < LATE_LIMIT / 2
            });
        }
    });
}
