//! Worker processes: they die, are replaced and renewed, and no connection is refused.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fourfold::process::Fd;
use fourfold::server::{Conn, Event, Model, Server};
use rustix::process::{Pid, Signal, kill_process};

use super::support::{Client, SOON, eventually, model, serve, serve_with, within};

const MODELS: [&str; 4] =
    ["prefork:2:coroutines", "prefork:2:events", "prefork:2:threads", "prefork:2:pool:4"];

fn pid_of(client: &mut Client) -> i32 {
    client.ask("pid").trim().parse().unwrap()
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// The workers that take connections.
fn workers(server: &Server, count: usize) -> BTreeSet<i32> {
    let mut pids = BTreeSet::new();
    eventually("all workers serve", || {
        pids.insert(pid_of(&mut Client::connect(server)));
        pids.len() == count
    });
    pids
}

#[test]
fn a_killed_worker_breaks_its_own_connections_only_and_is_replaced() {
    within(|| {
        for name in MODELS {
            let server = serve(&model(name));
            let mut clients: Vec<Client> = (0..6).map(|_| Client::connect(&server)).collect();
            let pids: Vec<i32> = clients.iter_mut().map(pid_of).collect();
            let victim = pids[0];
            assert!(pids.iter().any(|pid| *pid != victim), "{name}: {pids:?}");
            signal(victim, Signal::KILL);
            let killed = Instant::now();
            for (client, pid) in clients.iter_mut().zip(&pids) {
                if *pid == victim {
                    client.is_over();
                } else {
                    client.is_served();
                }
            }
            eventually("it is replaced", || {
                let counters = server.counters();
                counters.workers_lost == 1 && counters.workers == 2
            });
            let took = killed.elapsed();
            assert!(took < Duration::from_secs(10), "{name}: replaced after {took:?}");
            assert!(!workers(&server, 2).contains(&victim));
        }
    });
}

#[test]
fn under_load_no_connection_is_refused_whoever_is_killed() {
    within(|| {
        for name in MODELS {
            let server = serve(&model(name));
            let (over, served, broken) =
                (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        while !over.load(Ordering::SeqCst) {
                            // Refused, it would panic.
                            let mut client = Client::silent(&server);
                            let told = client.stream.write_all(b"one\n").is_ok()
                                && client.try_line().is_ok_and(|line| line == "hello\n")
                                && client.try_line().is_ok_and(|line| line == "one response\n");
                            (if told { &served } else { &broken }).fetch_add(1, Ordering::SeqCst);
                        }
                    });
                }
                for _ in 0..6 {
                    let victim = pid_of(&mut workers_client(&server));
                    signal(victim, Signal::KILL);
                    let before = served.load(Ordering::SeqCst);
                    eventually("it goes on", || served.load(Ordering::SeqCst) > before + 20);
                }
                over.store(true, Ordering::SeqCst);
            });
            // Those that a worker had when it died, and no others.
            let broken = broken.load(Ordering::SeqCst);
            assert!(broken <= 6 * 4, "{name}: {broken} were broken by 6 kills");
            assert_eq!(server.counters().workers_lost, 6, "{name}");
            let ended = server.shutdown(Duration::from_secs(30));
            assert_eq!((ended.cut, ended.abandoned), (0, 0), "{name}");
        }
    });
}

/// A client that lives long enough to say who serves it.
fn workers_client(server: &Server) -> Client {
    loop {
        let mut client = Client::silent(server);
        if client.try_line().is_ok_and(|line| line == "hello\n") {
            return client;
        }
    }
}

#[test]
fn a_worker_that_aborts_is_told_of_with_its_end() {
    within(|| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let hear = {
            let told = Arc::clone(&told);
            move |event: &Event| told.lock().unwrap().push(event.to_string())
        };
        let server = serve_with(&model("prefork:1:threads"), |builder| builder.on_event(hear));
        let mut client = Client::connect(&server);
        client.send("abort\n");
        client.is_over();
        Client::connect(&server).is_served();
        eventually("all is told", || told.lock().unwrap().len() == 3);
        let told = told.lock().unwrap().join("\n");
        assert!(told.contains("is lost") && told.contains("SIGABRT"), "{told}");
        assert!(told.contains("takes connections"), "{told}");
    });
}

#[test]
fn a_process_of_a_connection_that_aborts_is_told_of_with_its_end() {
    within(|| {
        let server = serve_with(&Model::Processes, |builder| builder.on_event(|_| {}));
        let mut other = Client::connect(&server);
        let mut client = Client::connect(&server);
        assert_ne!(pid_of(&mut client), pid_of(&mut other));
        client.send("abort\n");
        client.is_over();
        eventually("it is counted", || server.counters().workers_lost == 1);
        other.is_served();
    });
}

#[test]
fn a_stopped_worker_holds_up_its_own_connections_only() {
    within(|| {
        let server = serve(&model("prefork:2:coroutines"));
        let pids = workers(&server, 2);
        let stopped = *pids.first().unwrap();
        signal(stopped, Signal::STOP);
        // Those that it is handed wait for it; every other one goes to the other.
        let mut waiting: Vec<Client> = (0..6).map(|_| Client::silent(&server)).collect();
        let mut greeted = Vec::new();
        let mut look = |waiting: &mut Vec<Client>| {
            for mut client in std::mem::take(waiting) {
                client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                match client.try_line() {
                    Ok(line) => {
                        assert_eq!(line, "hello\n");
                        greeted.push(client);
                    }
                    Err(_) => waiting.push(client),
                }
            }
            waiting.len()
        };
        eventually("the other has greeted its own", || look(&mut waiting) == 3);
        assert_eq!(look(&mut waiting), 3);
        signal(stopped, Signal::CONT);
        eventually("all are greeted", || look(&mut waiting) == 0);
        // It was taken for no dead one.
        assert_eq!(server.counters().workers_lost, 0);
        assert_eq!(workers(&server, 2), pids);
    });
}

#[test]
fn workers_are_renewed_and_their_connections_served_to_the_end() {
    within(|| {
        for name in MODELS {
            let server = serve(&model(name));
            let before = workers(&server, 2);
            let mut busy = Client::connect(&server);
            busy.begins_a_turn("hal");
            server.renew();
            eventually("one of the old is left", || server.counters().workers == 3);
            let after = workers(&server, 2);
            assert!(before.is_disjoint(&after), "{name}: {before:?} {after:?}");
            busy.send("f\n");
            assert_eq!(busy.line(), "half response\n");
            busy.is_served();
            drop(busy);
            eventually("the old ones are gone", || server.counters().workers == 2);
            assert_eq!(server.counters().workers_lost, 0, "{name}");
        }
    });
}

#[test]
fn workers_are_renewed_by_number_age_and_memory() {
    within(|| {
        let name = model("prefork:1:coroutines");
        // One connection makes one due; the next goes to it or to the one that replaces it.
        let by_number = serve_with(&name, |builder| builder.renew_after(3));
        let by_age = serve_with(&name, |builder| builder.renew_age(Duration::from_millis(10)));
        let by_memory = serve_with(&name, |builder| builder.renew_memory(1 << 20));
        for server in [by_number, by_age, by_memory] {
            let mut pids = BTreeSet::new();
            eventually("a third worker", || {
                pids.insert(pid_of(&mut workers_client(&server)));
                pids.len() >= 3
            });
            assert_eq!(server.counters().workers_lost, 0);
            let ended = server.shutdown(Duration::from_secs(30));
            assert_eq!((ended.cut, ended.abandoned), (0, 0));
        }
    });
}

/// Leaves a process behind that goes on, whoever ends.
fn leave_one_behind(conn: &mut Conn) -> std::io::Result<()> {
    drop(fourfold::process::spawn(|| thread::sleep(Duration::from_secs(3600)), ()).unwrap());
    conn.write_all(b"left\n")
}

#[test]
fn a_worker_whose_children_go_on_does_not_keep_the_server() {
    within(|| {
        let builder = Server::builder().listen("127.0.0.1:0").unwrap();
        let server = builder.start(model("prefork:1:threads"), leave_one_behind).unwrap();
        assert_eq!(Client::silent(&server).line(), "left\n");
        let began = Instant::now();
        server.shutdown(Duration::from_secs(5));
        assert!(began.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn a_client_whose_path_is_no_text_is_served_as_any() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, socket};
    use std::os::unix::ffi::OsStrExt;
    within(|| {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("socket");
        for name in ["prefork:1", "processes"] {
            let builder = Server::builder().listen(&format!("unix:{}", path.display())).unwrap();
            let server = builder.start(model(name), super::support::greeter()).unwrap();
            let own = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
            let _ = std::fs::remove_file(&own);
            let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
            bind(&socket, &SocketAddrUnix::new(&own).unwrap()).unwrap();
            connect(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
            let stream = std::os::unix::net::UnixStream::from(socket);
            stream.set_read_timeout(Some(super::support::SOON)).unwrap();
            let mut said = [0; 6];
            std::io::Read::read_exact(&mut &stream, &mut said).unwrap();
            assert_eq!(&said, b"hello\n", "{name}");
            drop(server);
        }
    });
}

/// In a child that may have few descriptors, and its workers with it.
fn starved(listener: Fd<OwnedFd>, end: fourfold::process::Receiver<()>) -> (u64, usize) {
    let builder = Server::builder().listen_on(listener.0).unwrap().on_event(|_| {});
    let server = builder.start(model("prefork:2:events"), super::support::greeter()).unwrap();
    let _ = end.recv();
    let ended = server.shutdown(Duration::from_secs(30));
    (server.counters().workers_lost, ended.cut)
}

#[test]
fn a_worker_with_no_descriptor_left_keeps_its_connections() {
    within(|| {
        // The two have fewer than there are clients.
        let builder = fourfold::process::Builder::new();
        let builder = builder.limit(fourfold::process::Resource::OpenFiles, 80);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (ends, end) = fourfold::process::pipe::<()>().unwrap();
        let child = builder.spawn(starved, (Fd(listener.into()), end)).unwrap();
        let mut clients: Vec<Client> = (0..200).map(|_| Client::to(address)).collect();
        for (index, client) in clients[..60].iter_mut().enumerate() {
            assert_eq!(client.try_line().ok().as_deref(), Some("hello\n"), "of the first, {index}");
        }
        thread::sleep(Duration::from_millis(300));
        clients[..60].iter_mut().for_each(Client::is_served);
        clients.drain(..140);
        for (index, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.try_line().ok().as_deref(), Some("hello\n"), "of the last, {index}");
            client.is_served();
        }
        drop(clients);
        drop(ends);
        assert_eq!(child.join().unwrap(), (0, 0));
    });
}

#[test]
fn what_happens_in_a_worker_is_told_where_the_server_is() {
    within(|| {
        // More than there is: no thread can be made for a connection.
        let huge = 1 << 46;
        for name in ["prefork:1:threads", "prefork:2:threads"] {
            let (tell, told) = std::sync::mpsc::channel();
            let tell = Mutex::new(tell);
            let hear = move |event: &Event| {
                if let Event::Rejected { peer, error } = event {
                    let _ = tell.lock().unwrap().send((peer.tcp(), error.to_string()));
                }
            };
            let server =
                serve_with(&model(name), |builder| builder.stack_size(huge).on_event(hear));
            for _ in 0..3 {
                let mut client = Client::silent(&server);
                let own = client.stream.local_addr().unwrap();
                client.is_over();
                let (peer, error) = told.recv_timeout(SOON).expect("it is told of");
                assert_eq!(peer, Some(own), "{name}");
                assert!(error.contains("no thread for it"), "{name}: {error}");
            }
            eventually("they are counted", || server.counters().rejected == 3);
            assert_eq!(server.counters().workers_lost, 0);
        }
    });
}
