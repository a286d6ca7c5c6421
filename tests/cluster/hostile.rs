//! Clients that make the most of what the server lets them do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fourfold::cluster::manager::{Address, HandBack, Queue, QueueOptions, Server, Value};
use fourfold_wire::talk::Reply;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::pressure::{child, client_of, memory, send, ticks};
use crate::raw::Raw;
use crate::{builder, client, eventually, key, server};

/// One that dies while it waits for the next item, with one that was not all sent.
#[test]
fn an_item_that_comes_back_is_not_given_to_the_dead_one_that_waits() {
    for hand_back in [HandBack::Never, HandBack::UntilDone, HandBack::UntilNext] {
        let mut parts = 0;
        // Some of these lengths are a little more than sockets hold: the next request is carried out all the same.
        for length in (50_000..600_000).step_by(20_000) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("socket");
            let options = QueueOptions::default().hand_back(hand_back);
            let server = Server::builder(key()).queue_with("jobs", options);
            let server = server.bind(Address::Unix(path.clone())).expect("a server");
            let jobs = client(&server).queue::<String>("jobs").expect("a queue");
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
    let long = "x".repeat(2 << 20);
    let mut raws = Vec::new();
    for _ in 0..60 {
        let mut raw = Raw::to(server.address()).accept();
        raw.call(jobs.proxy().id(), "put", &[long.as_str().into()]);
        assert_eq!(raw.reply(), Some(Reply::none()));
        raws.push(raw);
        assert_eq!(jobs.get().expect("an item").len(), long.len());
    }
    let now = memory(&server, "VmRSS:");
    // The allocator keeps some of what it has got back.
    assert!(now < before + (60 << 20), "{before} before, {now} now");
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

/// More than are carried out in a turn, on either kind of socket, and of either kind of end.
#[test]
fn thousands_of_requests_before_the_end_are_carried_out() {
    const ROW: i64 = 20_000;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let unix = builder().bind(path.as_path()).expect("a server");
    let tcp = crate::server();
    let row = |id: &str| {
        let mut talk = Raw::accepted(&tcp).talk;
        for n in 0..ROW {
            talk.request(Some(id), "put", &[n.into()], &[]).expect("it can be said");
        }
        talk.output().to_vec()
    };
    let all_are_there = |jobs: &Queue<i64>| {
        eventually("all are put", || jobs.len().is_ok_and(|len| len == ROW as usize));
        for n in 0..ROW {
            assert_eq!(jobs.try_get().expect("an item"), n);
        }
    };
    for is_half in [true, false] {
        let jobs = client(&tcp).queue::<i64>("get_task_queue").expect("a queue");
        let mut raw = Raw::accepted(&tcp);
        raw.stream.write_all(&row(jobs.proxy().id())).expect("it is read");
        raw.stream.shutdown(Shutdown::Write).expect("it is connected");
        assert!(raw.is_closed());
        all_are_there(&jobs);
        let jobs = client(&unix).queue::<i64>("get_task_queue").expect("a queue");
        let mut raw = Raw::unix(&path).accept();
        let reader = raw.stream.try_clone().expect("a descriptor");
        let reader = thread::spawn(move || std::io::copy(&mut { reader }, &mut std::io::sink()));
        raw.stream.write_all(&row(jobs.proxy().id())).expect("it is read");
        match is_half {
            true => raw.stream.shutdown(Shutdown::Write),
            false => raw.stream.shutdown(Shutdown::Both),
        }
        .expect("it is connected");
        all_are_there(&jobs);
        let _ = reader.join().expect("no panic");
    }
}

/// What a row of requests is made of.
#[derive(Clone, Copy, PartialEq)]
enum Sort {
    Put(i64),
    Get,
    TryGet,
    Long,
    Nothing,
}

impl Sort {
    fn any(next: &mut u64, item: i64) -> Sort {
        *next =
            next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (*next >> 33) % 100 {
            0..45 => Sort::Put(item),
            45..70 => Sort::TryGet,
            70..90 => Sort::Get,
            90..93 => Sort::Long,
            _ => Sort::Nothing,
        }
    }
}

/// Clients with rows of requests of all sorts, some of which wait: each is answered, and each item is got once.
#[test]
fn rows_of_all_sorts_are_answered_to_the_last() {
    const CLIENTS: u64 = 8;
    const ROW: usize = 1500;
    let server = server();
    let client = client(&server);
    let jobs = client.queue::<i64>("get_task_queue").expect("a queue");
    let list = client.proxy("list", &[]).expect("a list");
    let long = "x".repeat(100_000);
    list.call("append", &[long.as_str().into()], &[]).expect("an answer");
    let run = |seed: u64| {
        let mut next = seed;
        let mut raw = Raw::accepted(&server);
        let (mut bytes, mut sorts) = (Vec::new(), Vec::new());
        for n in 0..ROW {
            let sort = Sort::any(&mut next, (seed << 32) as i64 + n as i64);
            let limit = [true.into(), 0.002.into()];
            let (id, method, args) = match sort {
                Sort::Put(item) => (jobs.proxy().id(), "put", vec![item.into()]),
                Sort::Get => (jobs.proxy().id(), "get", limit.to_vec()),
                Sort::TryGet => (jobs.proxy().id(), "get_nowait", Vec::new()),
                Sort::Long => (list.id(), "__getitem__", vec![0.into()]),
                Sort::Nothing => {
                    bytes.extend_from_slice(&[0; 4]);
                    sorts.push(sort);
                    continue;
                }
            };
            raw.talk.request(Some(id), method, &args, &[]).expect("it can be said");
            bytes.extend_from_slice(raw.talk.output());
            raw.talk.sent(raw.talk.output().len());
            sorts.push(sort);
        }
        let mut writer = raw.stream.try_clone().expect("a descriptor");
        let writer = thread::spawn(move || {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (part, more) =
                    rest.split_at(rest.len().min(1 + (next >> 40) as usize % 20_000));
                writer.write_all(part).expect("it is read");
                rest = more;
            }
        });
        let mut got = Vec::new();
        for (n, sort) in sorts.iter().enumerate() {
            let reply = raw.reply();
            match (sort, &reply) {
                (Sort::Put(_), Some(reply)) => assert_eq!(*reply, Reply::none()),
                (Sort::Get | Sort::TryGet, Some(Reply::Return(value))) => {
                    got.push(value.root().as_i64().expect("a number"));
                }
                (Sort::Get | Sort::TryGet, Some(Reply::Error(error))) => {
                    assert_eq!(error.name(), "Empty");
                }
                (Sort::Long, Some(Reply::Return(value))) => {
                    assert_eq!(value.root().as_str(), Some(&*long));
                }
                (Sort::Nothing, Some(Reply::Traceback(_))) => {}
                _ => panic!("{n} of {seed}: {reply:?}"),
            }
        }
        writer.join().expect("no panic");
        let put = sorts.iter().filter_map(|sort| match sort {
            Sort::Put(item) => Some(*item),
            _ => None,
        });
        (put.collect::<Vec<_>>(), got)
    };
    let (mut put, mut got) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let runs: Vec<_> = (1..=CLIENTS).map(|seed| scope.spawn(move || run(seed))).collect();
        for run in runs {
            let (its_put, its_got) = run.join().expect("no panic");
            put.extend(its_put);
            got.extend(its_got);
        }
    });
    while let Ok(item) = jobs.try_get() {
        got.push(item);
    }
    put.sort_unstable();
    got.sort_unstable();
    assert!(put == got, "{} put, {} got", put.len(), got.len());
}

/// Limits that no clock can tell are none.
#[test]
fn a_wait_may_be_as_long_as_a_number_says() {
    let server = server();
    let jobs = client(&server).queue::<i64>("get_task_queue").expect("a queue");
    for limit in [1e6, 1e9, 1e18, 1.8e19, 1e300, f64::INFINITY] {
        let mut raw = Raw::accepted(&server);
        raw.call(jobs.proxy().id(), "get", &[true.into(), limit.into()]);
        jobs.put(1).expect("room");
        assert_eq!(raw.reply(), Some(Reply::Return(1.into())), "{limit}");
    }
}
