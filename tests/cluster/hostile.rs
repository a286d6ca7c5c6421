//! Clients that make the most of what the server lets them do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fourfold::cluster::manager::{Address, HandBack, QueueOptions, Server, Value};
use fourfold_wire::talk::Reply;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::pressure::{child, client_of, memory, send, ticks};
use crate::raw::Raw;
use crate::{builder, client, eventually, key};

/// One that dies while it waits for the next item, with one that was not all sent.
#[test]
fn an_item_that_comes_back_is_not_given_to_the_dead_one_that_waits() {
    for hand_back in [HandBack::Never, HandBack::UntilDone, HandBack::UntilNext] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let options = QueueOptions::default().hand_back(hand_back);
        let server = Server::builder(key()).queue_with("jobs", options);
        let server = server.bind(Address::Unix(path.clone())).expect("a server");
        let jobs = client(&server).queue::<String>("jobs").expect("a queue");
        let mut parts = 0;
        // Some of these lengths are a little more than sockets hold: the next request is carried out all the same.
        for length in (50_000..600_000).step_by(20_000) {
            jobs.put("x".repeat(length)).expect("room");
            let mut raw = Raw::unix(&path).accept();
            for _ in 0..2 {
                raw.talk.request(Some(jobs.proxy().id()), "get", &[], &[]).expect("said");
            }
            raw.flush();
            let readable = || rustix::io::ioctl_fionread(&raw.stream).expect("a socket");
            eventually("the reply begins", || readable() > 0);
            assert_eq!(jobs.len().expect("a number"), 0);
            let readable = readable();
            let mut prefix = [0; 4];
            raw.stream.read_exact(&mut prefix).expect("a reply");
            let is_part = readable < 4 + u64::from(u32::from_be_bytes(prefix));
            drop(raw);
            if is_part || hand_back == HandBack::UntilDone {
                parts += usize::from(is_part);
                eventually("it is back", || jobs.len().is_ok_and(|len| len == 1));
                assert_eq!(jobs.get().expect("it is there").len(), length);
            }
        }
        assert!(parts > 5, "{parts}: nothing is tested");
    }
}

#[test]
fn a_handshake_may_take_for_ever() {
    let server = builder().handshake_timeout(Duration::MAX).bind("127.0.0.1:0").expect("a server");
    let jobs = client(&server).queue::<i32>("get_small").expect("a queue");
    jobs.put(1).expect("room");
    assert_eq!(jobs.get().expect("an item"), 1);
    server.shutdown().expect("it did not fail");
}

/// What a long message took is free again, though nothing more comes on its connection.
#[test]
fn connections_that_had_long_messages_cost_no_more_than_others() {
    let server = child();
    let jobs = client_of(&server).queue::<String>("get_task_queue").expect("a queue");
    let before = memory(&server, "VmRSS:");
    let long = "x".repeat(20 << 20);
    let mut raws = Vec::new();
    for _ in 0..15 {
        let mut raw = Raw::to(server.address()).accept();
        raw.call(jobs.proxy().id(), "put", &[long.as_str().into()]);
        assert_eq!(raw.reply(), Some(Reply::none()));
        raws.push(raw);
        assert_eq!(jobs.get().expect("an item").len(), long.len());
    }
    let now = memory(&server, "VmRSS:");
    // The allocator keeps some of what it has got back.
    assert!(now < before + (150 << 20), "{before} before, {now} now");
}

/// Those that connect do not keep the others waiting, however many there are.
#[test]
fn a_crowd_at_the_door_does_not_keep_those_inside_waiting() {
    const CROWD: usize = 400;
    let server = child();
    let Address::Tcp(address) = *server.address() else { panic!("a TCP address") };
    let list = client_of(&server).proxy("list", &[]).expect("a list");
    let mut raw = Raw::to(server.address()).accept();
    // The last of them may be accepted between the answer and the look at it, if this thread is not run for long.
    eventually("an answer before all are accepted", || {
        send(&server, Signal::STOP);
        let crowd: Vec<TcpStream> =
            (0..CROWD).map(|_| TcpStream::connect(address).expect("a connection")).collect();
        raw.call(list.id(), "__len__", &[]);
        send(&server, Signal::CONT);
        assert_eq!(raw.reply(), Some(Reply::Return(0.into())));
        // The server speaks first.
        let is_accepted =
            |stream: &TcpStream| rustix::io::ioctl_fionread(stream).expect("a socket") > 0;
        let is_before = !is_accepted(&crowd[CROWD - 1]);
        eventually("all are accepted", || crowd.iter().all(is_accepted));
        is_before
    });
}

/// Messages that are no requests are answered, as far as the answers are read.
#[test]
fn what_is_no_request_waits_as_requests_do() {
    let server = child();
    let list = client_of(&server).proxy("list", &[]).expect("a list");
    let mut raw = Raw::to(server.address()).accept();
    let before = memory(&server, "VmRSS:");
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").expect("it is our child");
    // Empty ones, until no more are read.
    raw.stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a socket");
    let mut sent = 0;
    while let Ok(n) = raw.stream.write(&[0; 1 << 16]) {
        sent += n;
        assert!(sent < 64 << 20, "it reads on");
    }
    assert_eq!(list.call("__len__", &[], &[]).expect("an answer"), Value::from(0));
    let most = memory(&server, "VmHWM:");
    assert!(most < before + (4 << 20), "{before} before, {most} at most");
    for n in 0..sent / 4 {
        assert!(matches!(raw.reply(), Some(Reply::Traceback(_))), "the answer to message {n}");
    }
    // The rest of the one that was cut off.
    if sent % 4 > 0 {
        raw.stream.write_all(&[0; 4][sent % 4..]).expect("it is read");
        assert!(matches!(raw.reply(), Some(Reply::Traceback(_))));
    }
    raw.call(list.id(), "__len__", &[]);
    assert_eq!(raw.reply(), Some(Reply::Return(0.into())));
}

/// A connection, and a thread that sends the same request on it until the connection ends.
fn flood(to: &Address, id: &str, method: &str, args: &[Value]) -> (Raw, JoinHandle<()>) {
    let mut raw = Raw::to(to).accept();
    raw.talk.request(Some(id), method, args, &[]).expect("said");
    let row = raw.talk.output().repeat(1000);
    raw.talk.sent(raw.talk.output().len());
    let mut writer = raw.stream.try_clone().expect("a descriptor");
    (raw, thread::spawn(move || while writer.write_all(&row).is_ok() {}))
}

fn end_flood(raw: &Raw, writer: JoinHandle<()>) {
    raw.stream.shutdown(Shutdown::Both).expect("it is connected");
    writer.join().expect("no panic");
}

/// One that reads as fast as replies come, and asks still faster.
#[test]
fn requests_that_come_faster_than_they_are_carried_out_are_not_read() {
    let server = child();
    let list = client_of(&server).proxy("list", &[]).expect("a list");
    let long = "x".repeat(70_000);
    list.call("append", &[long.as_str().into()], &[]).expect("an answer");
    let before = memory(&server, "VmRSS:");
    let (mut raw, writer) = flood(server.address(), list.id(), "__getitem__", &[0.into()]);
    let mut buffer = vec![0; 1 << 20];
    let begin = Instant::now();
    let mut read: u64 = 0;
    while read < 4 << 30 && begin.elapsed() < Duration::from_secs(8) {
        read += raw.stream.read(&mut buffer).expect("a reply") as u64;
    }
    let most = memory(&server, "VmHWM:");
    assert!(most < before + (6 << 20), "{before} before, {most} at most, {read} bytes read");
    end_flood(&raw, writer);
}

/// One whose requests come without an end has its turn, and no more than that.
#[test]
fn a_row_of_requests_does_not_keep_others_waiting() {
    let server = child();
    let list = client_of(&server).proxy("list", &[]).expect("a list");
    let (mut raw, writer) = flood(server.address(), list.id(), "__len__", &[]);
    let mut prefix = [0; 4];
    raw.stream.read_exact(&mut prefix).expect("a reply");
    const REPLIES: usize = 300_000;
    let mut left = REPLIES * (4 + u32::from_be_bytes(prefix) as usize) - 4;
    let reader = thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            let n = left.min(buffer.len());
            left -= raw.stream.read(&mut buffer[..n]).expect("a reply");
        }
        raw
    });
    let mut calls = 0;
    while !reader.is_finished() {
        assert_eq!(list.call("__len__", &[], &[]).expect("an answer"), Value::from(0));
        calls += 1;
    }
    end_flood(&reader.join().expect("no panic"), writer);
    // A buffer of requests holds some ten thousand.
    assert!(calls > 80, "{calls} calls beside {REPLIES}");
}

/// Without descriptors for more, those who are connected are served, without work for the others, who come in later.
#[test]
fn who_comes_when_there_are_no_descriptors_left_is_served_later() {
    let server = child();
    let list = client_of(&server).proxy("list", &[]).expect("a list");
    assert_eq!(list.call("__len__", &[], &[]).expect("an answer"), Value::from(0));
    let pid = Pid::from_raw(server.pid() as i32).expect("a process");
    let open = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("alive").count();
    let most = open() as u64 + 3;
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    prlimit(Some(pid), Resource::Nofile, limit).expect("it is our child");
    let mut crowd: Vec<Raw> = (0..10).map(|_| Raw::to(server.address())).collect();
    eventually("none is left", || open() as u64 == most);
    let begin = Instant::now();
    let before = ticks(&server).expect("it runs");
    let mut calls = 0;
    while begin.elapsed() < Duration::from_secs(1) {
        assert_eq!(list.call("__len__", &[], &[]).expect("an answer"), Value::from(0));
        calls += 1;
        thread::sleep(Duration::from_millis(10));
    }
    let used = ticks(&server).expect("it runs") - before;
    assert!(used < 30 && calls > 20, "{used} ticks of the processor for {calls} calls");
    assert_eq!(open() as u64, most);
    // The first three are in. For each that goes another one comes.
    while !crowd.is_empty() {
        let mut raw = crowd.remove(0).accept();
        raw.call(list.id(), "__len__", &[]);
        assert_eq!(raw.reply(), Some(Reply::Return(0.into())));
    }
}
