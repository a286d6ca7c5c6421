//! A process for each connection: how each one ends, and what becomes of them all when who forks them is killed.

use std::collections::HashSet;
use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fourfold::ErrorKind;
use fourfold::process::{self, Lock};
use fourfold::server::{self, Conn, Event, Model, Portable, Processes, Server};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::support::{Client, SOON, eventually, serve, serve_with, within};

fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').nth(1).unwrap().parse().unwrap()
}

fn is_there(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
}

/// A server with a handler of its own, and what it tells.
fn start(handler: impl Portable) -> (Server, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&told);
    let builder = Server::builder().listen("127.0.0.1:0").unwrap().on_event(move |event| {
        let what = match event {
            Event::WorkerLost { error, .. } => format!("lost: {:?}", error.kind()),
            Event::WorkerStarted { .. } => return,
            other => other.to_string(),
        };
        hear.lock().unwrap().push(what);
    });
    (builder.start(Processes, handler).unwrap(), told)
}

fn overflow(depth: u64) -> u64 {
    if depth == u64::MAX {
        return 0;
    }
    let here = std::hint::black_box([depth; 256]);
    here[0] + overflow(depth + 1) + here[255]
}

/// Ends its process in the way that the client asks for.
fn end_so(conn: &mut Conn) -> io::Result<()> {
    let mut word = [0];
    conn.read_exact(&mut word)?;
    match word[0] {
        b'x' => std::process::exit(3),
        b'0' => std::process::exit(0),
        b'a' => std::process::abort(),
        b's' => drop(writeln!(conn, "{}", overflow(0))),
        b'p' => panic!("asked to"),
        _ => {}
    }
    writeln!(conn, "here")
}

#[test]
fn each_end_is_told_exactly() {
    within(|| {
        let (server, told) = start(end_so);
        let ends = [
            ("x", ErrorKind::Exited(3)),
            ("0", ErrorKind::Exited(0)),
            ("a", ErrorKind::Signaled(libc::SIGABRT)),
            ("s", ErrorKind::StackOverflow),
        ];
        for (count, (word, kind)) in ends.into_iter().enumerate() {
            let mut client = Client::silent(&server);
            client.send(word);
            client.is_over();
            eventually("it is told", || told.lock().unwrap().len() == count + 1);
            assert_eq!(told.lock().unwrap()[count], format!("lost: {kind:?}"));
        }
        let mut client = Client::silent(&server);
        client.send("p");
        client.is_over();
        let mut client = Client::silent(&server);
        client.send("n");
        assert_eq!(client.line(), "here\n");
        drop(client);
        assert_eq!(server.shutdown(SOON).cut, 0);
        let counters = server.counters();
        assert_eq!((counters.workers_lost, counters.panicked, counters.failed), (4, 1, 0));
        assert_eq!(told.lock().unwrap().len(), 4);
    });
}

#[test]
fn when_who_forks_is_killed_its_connections_end_and_others_are_served_at_once() {
    within(|| {
        let server = serve_with(&Model::Processes, |builder| builder.on_event(|_| {}));
        let mut killed = HashSet::new();
        for round in 1..=3 {
            let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(&server)).collect();
            let pids: HashSet<u32> =
                clients.iter_mut().map(|c| c.ask("pid").trim().parse().unwrap()).collect();
            assert_eq!(pids.len(), 4);
            let forkers: HashSet<u32> = pids.iter().map(|pid| parent_of(*pid)).collect();
            assert_eq!(forkers.len(), 1, "one forks them all");
            let forker = forkers.into_iter().next().unwrap();
            assert!(killed.insert(forker));
            kill(forker);
            let began = Instant::now();
            // It waits in the backlog at most.
            let mut next = Client::connect(&server);
            let took = began.elapsed();
            assert!(took < Duration::from_secs(10), "served again after {took:?}");
            next.is_served();
            clients.iter_mut().for_each(Client::is_over);
            eventually("they are gone", || !pids.iter().any(|pid| is_there(*pid)));
            assert_eq!(server.counters().workers_lost, round);
            drop(next);
        }
        assert_eq!(server.shutdown(SOON).cut, 0);
    });
}

#[test]
fn they_are_no_descendants_of_one_another_and_none_is_left() {
    within(|| {
        let server = serve(&Model::Processes);
        // More than there is room for in one piece of what they share.
        let mut clients: Vec<Client> = (0..100).map(|_| Client::connect(&server)).collect();
        let pids: HashSet<u32> =
            clients.iter_mut().map(|c| c.ask("pid").trim().parse().unwrap()).collect();
        assert_eq!(pids.len(), 100);
        let forker = parent_of(*pids.iter().next().unwrap());
        assert!(pids.iter().all(|pid| parent_of(*pid) == forker));
        assert_eq!(parent_of(forker), std::process::id());
        eventually("they are counted", || server.counters().workers == 100);
        // A handler has room for descriptors of its own, however many others there are.
        for pid in &pids {
            let count = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
            assert!(count < 64, "{count} descriptors");
        }
        clients.truncate(50);
        eventually("half of them are gone", || {
            pids.iter().filter(|pid| is_there(**pid)).count() == 50
        });
        clients.iter_mut().for_each(Client::is_served);
        let ended = server.shutdown(SOON);
        assert_eq!((ended.cut, ended.abandoned), (0, 0));
        eventually("none is left", || !pids.iter().any(|pid| is_there(*pid)) && !is_there(forker));
    });
}

/// Cannot be read: the error is longer than any answer may be.
#[derive(Clone, Debug)]
struct Unreadable;

impl Serialize for Unreadable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Unreadable, D::Error> {
        Err(serde::de::Error::custom("no".repeat(10_000)))
    }
}

#[test]
fn arguments_that_cannot_be_read_reject_the_connection_and_nothing_else() {
    within(|| {
        let (server, told) = start(server::with(Unreadable, |_: &mut Conn, _: &Unreadable| Ok(())));
        for count in 1..=3 {
            Client::silent(&server).is_over();
            eventually("it is counted", || server.counters().rejected == count);
        }
        eventually("all is told", || told.lock().unwrap().len() == 3);
        assert!(told.lock().unwrap().iter().all(|told| told.contains("is closed: ")), "{told:?}");
        assert_eq!(server.counters().workers_lost, 0);
    });
}

#[test]
fn each_process_has_arguments_of_its_own_with_descriptors_and_words() {
    within(|| {
        let (sender, receiver) = process::pipe::<u32>().unwrap();
        let total = Lock::new(0_u64).unwrap();
        let args = (Shared(sender), total.clone());
        let handler = server::with(args, |conn: &mut Conn, (sender, total)| {
            *total.lock().map_err(|_| io::ErrorKind::Other)? += 1;
            sender.0.send(std::process::id()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            writeln!(conn, "done")
        });
        let (server, told) = start(handler);
        for _ in 0..150 {
            assert_eq!(Client::silent(&server).line(), "done\n");
        }
        let said: HashSet<u32> = (0..150).map(|_| receiver.recv().unwrap()).collect();
        assert_eq!(said.len(), 150);
        assert_eq!(*total.lock().unwrap(), 150);
        assert_eq!(server.shutdown(SOON).cut, 0);
        assert_eq!(*told.lock().unwrap(), Vec::<String>::new());
    });
}

/// A sender that is copied by a copy of its descriptor.
#[derive(Serialize, Deserialize)]
struct Shared(process::Sender<u32>);

impl Clone for Shared {
    fn clone(&self) -> Shared {
        Shared(self.0.try_clone().unwrap())
    }
}

#[test]
fn a_fork_that_comes_back_from_the_handler_says_nothing() {
    within(|| {
        let (server, told) = start(|conn: &mut Conn| {
            let mut line = [0; 5];
            conn.read_exact(&mut line)?;
            // SAFETY: the fork has one thread, as this process has, and returns.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                return Ok(());
            }
            let mut status = 0;
            // SAFETY: the kernel writes the status of our own child.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            writeln!(conn, "{status}")
        });
        let mut client = Client::silent(&server);
        client.send("fork\n");
        assert_eq!(client.line(), "0\n");
        drop(client);
        assert_eq!(server.shutdown(SOON).cut, 0);
        let counters = server.counters();
        assert_eq!((counters.turns, counters.workers_lost, counters.failed), (1, 0, 0));
        assert!(told.lock().unwrap().is_empty());
    });
}

/// In a child, which takes in what its descendants leave behind: gives what its handlers are allowed before and after it has given up its rights.
fn give_up_rights() -> (Vec<String>, u64) {
    let (server, _) = start(|conn: &mut Conn| {
        // SAFETY: calls without arguments.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        writeln!(conn, "{user} {group}")?;
        conn.read_exact(&mut [0])
    });
    let mut early = Client::silent(&server);
    let mut said = vec![early.line()];
    for step in [0, 1] {
        // SAFETY: calls on numbers, in a process that is here for this alone.
        unsafe {
            match step {
                0 => assert_eq!(libc::setegid(65_533), 0),
                _ => assert_eq!(libc::seteuid(65_534), 0),
            }
        }
        said.extend((0..3).map(|_| Client::silent(&server).line()));
    }
    // Who was there goes on, and its handler ends as it should.
    early.send("x");
    early.is_over();
    eventually("all are over", || server.counters().active == 0);
    (said, server.counters().workers_lost)
}

#[test]
fn nobody_is_served_with_rights_that_the_server_has_given_up() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can give up rights");
        return;
    }
    within(|| {
        let (said, lost) = process::spawn(give_up_rights, ()).unwrap().join().unwrap();
        let [user, group] = [65_534, 65_533];
        let mut wanted = vec!["0 0\n".to_owned()];
        wanted.extend((0..3).map(|_| format!("0 {group}\n")));
        wanted.extend((0..3).map(|_| format!("{user} {group}\n")));
        assert_eq!((said, lost), (wanted, 0));
    });
}

/// Becomes another program, as those of inetd do.
fn execute(conn: &mut Conn) -> io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    writeln!(conn, "{}", std::process::id())?;
    Err(std::process::Command::new("sleep").arg("60").exec())
}

#[test]
fn a_handler_that_has_become_another_program_ends_with_the_server_and_with_who_forked_it() {
    within(|| {
        for kills_forker in [false, true] {
            let (server, _) = start(execute);
            // More than those for which descriptors are kept.
            let mut clients: Vec<Client> = (0..30).map(|_| Client::silent(&server)).collect();
            let pids: Vec<u32> =
                clients.iter_mut().map(|c| c.line().trim().parse().unwrap()).collect();
            eventually("they have become programs", || {
                let name = |pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
                pids.iter().all(|pid| name(*pid) == "sleep\n")
            });
            if kills_forker {
                kill(parent_of(pids[0]));
            } else {
                let ended = server.shutdown(Duration::from_millis(50));
                assert_eq!((ended.cut, ended.abandoned), (30, 0));
            }
            eventually("they are gone", || !pids.iter().any(|pid| is_there(*pid)));
        }
    });
}

/// In a child, which takes in what its descendants leave behind: how many were cut of 1 that is at work and 20 that have just ended, and how many dead
/// processes nobody has waited for.
fn count_the_cut() -> (usize, usize) {
    // SAFETY: a call on numbers.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let server = serve_with(&Model::Processes, |builder| builder.on_event(|_| {}));
    let mut busy = Client::connect(&server);
    busy.begins_a_turn("hal");
    let mut others: Vec<Client> = (0..20).map(|_| Client::connect(&server)).collect();
    others.iter_mut().for_each(Client::is_served);
    drop(others);
    let ended = server.shutdown(Duration::from_millis(100));
    let me = std::process::id().to_string();
    let dead = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let fields =
            stat.rsplit_once(") ").map(|(_, fields)| fields.to_owned()).unwrap_or_default();
        fields.starts_with(&format!("Z {me} "))
    });
    (ended.cut, dead.count())
}

#[test]
fn at_the_end_those_that_are_cut_are_counted_and_waited_for() {
    within(|| {
        assert_eq!(process::spawn(count_the_cut, ()).unwrap().join().unwrap(), (1, 0));
    });
}

/// Leaves a process behind that goes on by itself, with all that it has open.
fn leave_a_daemon(conn: &mut Conn) -> io::Result<()> {
    // SAFETY: the fork has one thread, as this process has, and sleeps.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: a call without arguments.
        unsafe { libc::setsid() };
        std::thread::sleep(SOON * 2);
        std::process::exit(0);
    }
    // SAFETY: a call on numbers.
    while unsafe { libc::getsid(pid) } != pid {
        std::thread::yield_now();
    }
    writeln!(conn, "{pid} {}", std::os::unix::process::parent_id())
}

#[test]
fn what_a_handler_leaves_behind_holds_up_neither_the_end_nor_the_next_one() {
    within(|| {
        let (server, _) = start(leave_a_daemon);
        let leave = || -> [u32; 2] {
            let line = Client::silent(&server).line();
            let pids: Vec<u32> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
            pids.try_into().unwrap()
        };
        let [first, forker] = leave();
        kill(forker);
        let began = Instant::now();
        let [second, other] = leave();
        assert_ne!(forker, other);
        let daemons = [first, second];
        let ended = server.shutdown(SOON * 2);
        assert_eq!((ended.cut, ended.abandoned), (0, 0));
        assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
        assert!(daemons.iter().all(|pid| is_there(*pid)));
        daemons.into_iter().for_each(kill);
    });
}

#[test]
fn a_shutdown_in_a_burst_cuts_nobody_however_large_the_arguments_are() {
    within(|| {
        for size in [10, 5_000, 50_000, 200_000] {
            let (server, told) =
                start(server::with("x".repeat(size), |conn: &mut Conn, text: &String| {
                    writeln!(conn, "{}", text.len())
                }));
            let address = server.addresses()[0].tcp().unwrap();
            let clients: Vec<_> =
                (0..64).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            let ended = server.shutdown(SOON);
            assert_eq!((ended.cut, ended.abandoned), (0, 0), "{size}");
            assert_eq!(*told.lock().unwrap(), Vec::<String>::new());
            drop(clients);
        }
    });
}

#[test]
fn a_thread_that_holds_the_output_does_not_hold_up_the_end() {
    within(|| {
        let (server, _) = start(|conn: &mut Conn| {
            let (tell, told) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let _output = std::io::stdout().lock();
                tell.send(()).unwrap();
                std::thread::sleep(SOON * 2);
            });
            told.recv().map_err(io::Error::other)?;
            writeln!(conn, "held")
        });
        assert_eq!(Client::silent(&server).line(), "held\n");
        eventually("it is over", || server.counters().active == 0);
    });
}

/// Many descriptors.
#[derive(Serialize, Deserialize)]
struct Files(Vec<process::Fd<std::fs::File>>);

impl Clone for Files {
    fn clone(&self) -> Files {
        Files(self.0.iter().map(|file| process::Fd(file.try_clone().unwrap())).collect())
    }
}

#[test]
fn arguments_that_cannot_be_sent_reject_the_connection() {
    within(|| {
        for (count, is_served) in [(250, true), (251, false)] {
            let file = || process::Fd(std::fs::File::open("/dev/null").unwrap());
            let files = Files((0..count).map(|_| file()).collect());
            let (server, told) = start(server::with(files, |conn: &mut Conn, files: &Files| {
                writeln!(conn, "{}", files.0.len())
            }));
            for _ in 0..20 {
                let mut client = Client::silent(&server);
                match is_served {
                    true => assert_eq!(client.line(), format!("{count}\n")),
                    false => client.is_over(),
                }
            }
            let rejected = if is_served { 0 } else { 20 };
            eventually("all is told", || told.lock().unwrap().len() == rejected);
            assert!(told.lock().unwrap().iter().all(|told| told.contains("at most 250 can go")));
        }
    });
}
