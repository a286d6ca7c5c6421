//! Our client when its connection fails, or its server does not answer.

use std::io::{ErrorKind as Io, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use fourfold::cluster::manager::{
    Address, CallError, Client, Condition, GetError, Key, PutError, QueueOptions, Server, Value,
    read_key,
};
use fourfold::{Error, ErrorKind};
use rustix::process::{Pid, Signal, kill_process};

use crate::{client, eventually, key, server};

/// A client that fails when it is sent more than 64 KiB.
fn narrow(server: &Server) -> Client {
    Client::builder(key()).message_limit(64 << 10).connect(server.address()).expect("a client")
}

/// Makes this thread's connection of a narrow client fail.
fn break_link(server: &Server, narrow: &Client) {
    let queue = client(server).queue::<String>("get_result_queue").expect("a queue");
    queue.put("x".repeat(1 << 20)).expect("room");
    let item = narrow.queue::<String>("get_result_queue").expect("a queue").get();
    item.expect_err("an item over the limit");
}

/// In a thread of its own, whose connection ends with it.
fn elsewhere<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(call).join().expect("no panic"))
}

#[test]
fn the_guard_of_a_lost_connection_does_not_release_the_lock_of_another() {
    let server = builder_with_a_door();
    let (ours, theirs) = (narrow(&server), client(&server));
    let lock = ours.lock("door").expect("a lock");
    let guard = lock.lock().expect("it is free");
    break_link(&server, &ours);
    let other = theirs.lock("door").expect("a lock");
    let others = other.lock().expect("the server has freed it");
    assert!(others.owner_died());
    drop(guard);
    assert!(elsewhere(|| other.try_lock().expect("an answer").is_none()), "it was freed");
    drop(others);
    assert!(elsewhere(|| other.try_lock().expect("an answer").is_some()));
}

fn builder_with_a_door() -> Server {
    let builder = crate::builder().lock("door").rlock("gate");
    builder.bind("127.0.0.1:0").expect("a server on loopback")
}

#[test]
fn the_guard_of_a_lost_connection_does_not_count_for_the_next() {
    let server = builder_with_a_door();
    let ours = narrow(&server);
    let gate = ours.rlock("gate").expect("a lock");
    let first = gate.lock().expect("it is free");
    break_link(&server, &ours);
    let second = gate.lock().expect("the server has freed it");
    assert!(second.owner_died());
    drop(first);
    assert!(elsewhere(|| gate.try_lock().expect("an answer").is_none()), "it was released");
    drop(second);
    assert!(elsewhere(|| gate.try_lock().expect("an answer").is_some()));
}

#[test]
fn a_condition_s_guard_of_a_lost_connection_is_of_no_more_use() {
    let server = server();
    let ours = narrow(&server);
    let proxy = ours.proxy("Condition", &[]).expect("a condition");
    let condition = Condition::new(proxy.clone());
    let takes = || {
        let taken = proxy.call("acquire", &[false.into()], &[]).expect("an answer");
        taken.root().as_bool().expect("a boolean")
    };
    let first = condition.lock().expect("it is free");
    break_link(&server, &ours);
    let second = condition.lock().expect("the server has freed it");
    let error = first.notify_all().expect_err("its connection is gone");
    assert!(error.to_string().contains("freed"), "{error}");
    drop(first);
    assert!(!elsewhere(takes), "it was released");
    second.notify_all().expect("it is held");
    drop(second);
    eventually("it is free", || elsewhere(takes));
}

#[test]
fn the_guard_of_a_lost_connection_does_not_add_a_permit() {
    let server = server();
    let ours = narrow(&server);
    let semaphore = ours.new_semaphore(1).expect("a semaphore");
    let free = || elsewhere(|| semaphore.permits().expect("a number"));
    let first = semaphore.guard().expect("there is one");
    assert_eq!(free(), 0);
    assert!(elsewhere(|| semaphore.try_guard().expect("an answer").is_none()));
    break_link(&server, &ours);
    eventually("the server has given it back", || free() == 1);
    let second = semaphore.guard_timeout(LONG).expect("an answer").expect("it is free");
    drop(first);
    assert_eq!(free(), 0, "a permit that is held was given back");
    break_link(&server, &ours);
    eventually("the server has given it back", || free() == 1);
    drop(second);
    assert_eq!(free(), 1, "it was given back twice");
    // As long as the connection lasts, it is the guard that gives it back.
    drop(semaphore.try_guard().expect("an answer").expect("it is free"));
    assert_eq!(free(), 1);
    semaphore.guard().expect("there is one").forget();
    assert_eq!(free(), 0);
    semaphore.release().expect("an answer");
    assert_eq!(free(), 1);
}

/// What is short here, and longer than any answer of a server on this machine.
const SHORT: Duration = Duration::from_millis(400);
/// What no call takes that has an end.
const LONG: Duration = Duration::from_secs(8);

/// Sees to it that a call ends, no sooner than at its limit and not much later.
fn ends_after<T>(limit: Duration, call: impl FnOnce() -> T) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if is_done.recv_timeout(2 * LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("a call with a limit does not end");
            std::process::abort();
        }
    });
    let start = Instant::now();
    let value = call();
    let took = start.elapsed();
    drop(done);
    watch.join().expect("no panic");
    assert!(took >= limit && took < LONG, "{took:?}");
    value
}

/// Somebody who sends a byte now and then, of a message that would take hours: without an end unless the deadline is one.
fn drip(mut to: impl Write, from: &[u8]) {
    for byte in from.chunks(1) {
        thread::sleep(SHORT / 20);
        if to.write_all(byte).is_err() {
            return;
        }
    }
}

#[test]
fn a_call_with_a_limit_ends_when_the_server_is_stopped() {
    let builder = crate::builder().lock("door").event("bell").barrier("all", 2);
    let server = builder.spawn("127.0.0.1:0").expect("a process");
    let client = Client::builder(key()).grace(SHORT).connect(server.address()).expect("a client");
    let queue = client.queue::<i32>("get_small").expect("a queue");
    let (door, bell) = (client.lock("door").expect("a lock"), client.event("bell").expect("one"));
    let all = client.barrier("all").expect("a barrier");
    let guard = door.lock().expect("it is free");
    assert!(queue.is_empty().expect("an answer"));
    let pid = Pid::from_raw(server.pid().cast_signed()).expect("a process");
    kill_process(pid, Signal::STOP).expect("it is ours");
    let limit = SHORT / 4;
    let error = ends_after(limit + SHORT, || queue.get_timeout(limit)).expect_err("no answer");
    let GetError::Failed(CallError::Failed(error)) = error else { panic!("{error}") };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains(&server.address().to_string()), "{error}");
    // The connection that held the lock is given up: there is nothing to ask.
    drop(guard);
    kill_process(pid, Signal::CONT).expect("it is ours");
    assert!(door.lock().expect("an answer").owner_died(), "the server saw the connection end");

    type Call<'a> = (&'a str, Box<dyn Fn() -> Error + 'a>);
    let calls: [Call<'_>; 6] = [
        ("try_get", Box::new(|| queue.try_get().expect_err("no answer").into())),
        ("try_put", Box::new(|| queue.try_put(1).expect_err("no answer").into())),
        ("put_timeout", Box::new(|| queue.put_timeout(1, limit).expect_err("no answer").into())),
        ("try_lock", Box::new(|| door.try_lock().expect_err("no answer").into())),
        ("wait_timeout", Box::new(|| bell.wait_timeout(limit).expect_err("no answer").into())),
        ("a barrier", Box::new(|| all.wait_timeout(limit).expect_err("no answer").into())),
    ];
    for (what, call) in &calls {
        queue.is_full().expect("a connection");
        kill_process(pid, Signal::STOP).expect("it is ours");
        let error = ends_after(SHORT, call);
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{what}: {error}");
        kill_process(pid, Signal::CONT).expect("it is ours");
    }
    let guard = door.lock().expect("it is free");
    kill_process(pid, Signal::STOP).expect("it is ours");
    ends_after(SHORT, || drop(guard));
    kill_process(pid, Signal::CONT).expect("it is ours");
    drop(calls);
    server.shutdown();
}

/// Passes on what a client and a server say, and from `slow` on what the server says a byte at a time.
fn relay(server: &Server, slow: &Arc<AtomicBool>) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    let Address::Tcp(to) = *server.address() else { panic!("a TCP address") };
    let slow = slow.clone();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("a connection");
            let server = TcpStream::connect(to).expect("a connection");
            let ends = [(&client, &server, false), (&server, &client, true)];
            for (from, to, is_reply) in ends {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let slow = slow.clone();
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    loop {
                        let n = match from.read(&mut buffer) {
                            Err(error) if error.kind() == Io::Interrupted => continue,
                            Ok(0) | Err(_) => break,
                            Ok(n) => n,
                        };
                        match is_reply && slow.load(Ordering::SeqCst) {
                            true => drip(&to, &buffer[..n]),
                            false => to.write_all(&buffer[..n]).unwrap_or_default(),
                        }
                    }
                    let _ =
                        (to.flush(), to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
                });
            }
        }
    });
    address.into()
}

#[test]
fn a_call_with_a_limit_ends_when_the_answer_comes_in_drops() {
    let (server, slow) = (server(), Arc::new(AtomicBool::new(false)));
    let address = relay(&server, &slow);
    let through = Client::builder(key()).grace(SHORT).connect(&address).expect("a client");
    let queue = through.queue::<String>("get_small").expect("a queue");
    queue.put("x".repeat(100_000)).expect("room");
    slow.store(true, Ordering::SeqCst);
    let error = ends_after(SHORT, || queue.try_get()).expect_err("not in time");
    assert_eq!(Error::from(error).kind(), ErrorKind::TimedOut);
    slow.store(false, Ordering::SeqCst);
    assert!(queue.len().is_ok(), "on a new connection");
}

#[test]
fn connecting_has_one_deadline_for_all_that_comes_in_drops() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    let dripping = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        // A challenge that does not end in time.
        drip(stream, &[&[0, 0, 0, 200, b'#'][..], &[b'x'; 3000]].concat());
    });
    let builder = Client::builder(key()).connect_timeout(SHORT);
    let error = ends_after(SHORT, || builder.connect(address)).expect_err("not in time");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    dripping.join().expect("no panic");
}

#[test]
fn connecting_to_a_unix_socket_that_nobody_accepts_at_has_a_deadline() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let folder = tempfile::tempdir().expect("a folder");
    let path: PathBuf = folder.path().join("full.sock");
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
    bind(&listener, &SocketAddrUnix::new(path.as_path()).expect("a path")).expect("it is free");
    listen(&listener, 0).expect("a socket that listens");
    let first = UnixStream::connect(&path).expect("there is room for one");
    let builder = Client::builder(key()).connect_timeout(SHORT);
    let error = ends_after(SHORT, || builder.connect(path.as_path())).expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("full.sock"), "{error}");
    // Who waits gets in as soon as there is room.
    let builder = Client::builder(key()).connect_timeout(LONG);
    let waiting = thread::spawn(move || builder.connect(path.as_path()));
    for _ in 0..2 {
        drop(rustix::net::accept(&listener).expect("one that waits"));
    }
    let error = waiting.join().expect("no panic").expect_err("it was let in, and closed");
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    drop(first);
}

#[test]
fn a_message_over_the_limit_is_not_sent_and_the_connection_goes_on() {
    let server = builder_with_a_door();
    let ours = narrow(&server);
    let (queue, door) = (ours.queue::<String>("get_small"), ours.lock("door"));
    let (queue, door) = (queue.expect("a queue"), door.expect("a lock"));
    let guard = door.lock().expect("it is free");
    let long = "x".repeat(64 << 10);
    let error = match queue.put(long.clone()) {
        Err(PutError::Failed(item, CallError::Failed(error))) if item == long => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("65536"), "{error}");
    queue.put("short".to_owned()).expect("room");
    assert_eq!(queue.len().expect("a number"), 1);
    assert!(ours.proxy(&long, &[]).is_err(), "a command has the same limit");
    drop(guard);
    let guard = door.lock().expect("it is free");
    assert!(!guard.owner_died(), "it was the same connection that released it");
}

#[test]
fn errors_of_calls_have_a_kind_to_match_on() {
    let server = server();
    let ours = client(&server);
    let queue = ours.queue::<i32>("get_small").expect("a queue");
    let kind = |error: Error| (error.kind(), error.to_string());
    let empty = queue.try_get().expect_err("it is empty");
    assert_eq!(kind(empty.into()), (ErrorKind::TimedOut, "timed out: the queue is empty".into()));
    let capacity = QueueOptions::default().capacity(1);
    let full = Server::builder(key()).queue_with("one", capacity).bind("127.0.0.1:0").expect("one");
    let one = client(&full).queue::<i32>("one").expect("a queue");
    one.put(1).expect("room");
    let error = one.try_put(2).expect_err("it is full");
    assert_eq!(kind(error.into()), (ErrorKind::TimedOut, "timed out: the queue is full".into()));
    one.shut_down(true).expect("an answer");
    assert_eq!(kind(one.put(3).expect_err("it is over").into()).0, ErrorKind::ShutDown);
    assert_eq!(kind(one.get().expect_err("it is over").into()).0, ErrorKind::ShutDown);
    let raised = one.proxy().call("put", &[Value::from(4)], &[]).expect_err("it is over");
    assert_eq!(kind(raised.into()).0, ErrorKind::ShutDown);
    let many = queue.task_done().expect_err("there was none");
    let (is, text) = kind(many.into());
    assert_eq!(is, ErrorKind::Refused);
    assert!(text.contains("ValueError"), "{text}");
    let (is, text) = kind(ours.queue::<i32>("get_nothing").expect_err("no such name").into());
    assert_eq!(is, ErrorKind::Refused);
    assert!(text.contains("get_nothing"), "{text}");
    queue.put(5).expect("room");
    let wrong = Error::from(ours.queue::<String>("get_small").expect("one").get().expect_err("5"));
    assert_eq!(wrong.kind(), ErrorKind::NotSerializable);
}

#[test]
fn what_cannot_be_reached_is_named() {
    let server = server();
    let address = server.address().clone();
    let other = Client::connect(&address, Key::new(*b"other")).expect_err("another key");
    assert_eq!(other.kind(), ErrorKind::Refused);
    assert!(other.to_string().contains("the key is not"), "{other}");
    assert!(other.to_string().contains(&address.to_string()), "{other}");
    let ours = client(&server);
    let queue = ours.queue::<i32>("get_small").expect("a queue");
    assert!(queue.is_empty().expect("an answer"));
    server.shutdown().expect("a good end");
    let gone = Error::from(queue.len().expect_err("the server is gone"));
    assert_eq!(gone.kind(), ErrorKind::Io);
    assert!(gone.to_string().contains(&address.to_string()), "{gone}");
    for error in [
        Error::from(queue.len().expect_err("nobody is there")),
        Client::connect(&address, key()).expect_err("nobody is there"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains(&format!("nobody serves at {address}")), "{error}");
    }
    let nowhere = Client::connect("/nowhere/queue.sock", key()).expect_err("nobody is there");
    assert!(nowhere.to_string().contains("/nowhere/queue.sock"), "{nowhere}");
    let folder = read_key("/").expect_err("it is no file").to_string();
    assert!(folder.contains("is a directory") && !folder.contains("chmod"), "{folder}");
}
