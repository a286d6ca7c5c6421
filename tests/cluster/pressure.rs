//! Clients that ask and do not read, that close behind their last request, or go on sending when all is said.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use fourfold::cluster::manager::{
    Address, Client, HandBack, QueueOptions, Server, ServerProcess, Value,
};
use fourfold_wire::talk::Reply;
use rustix::process::{Pid, Signal, kill_process};

use crate::raw::Raw;
use crate::{builder, client, eventually, key};

/// A server in a process of its own, whose memory and time are its own.
pub(crate) fn child() -> ServerProcess {
    builder().spawn("127.0.0.1:0").expect("a server in a child process")
}

pub(crate) fn client_of(server: &ServerProcess) -> Client {
    Client::connect(server.address(), key()).expect("a client")
}

pub(crate) fn send(server: &ServerProcess, signal: Signal) {
    let pid = Pid::from_raw(server.pid() as i32).expect("a process");
    kill_process(pid, signal).expect("it is our child");
}

/// What a line of the child's status says, in bytes.
pub(crate) fn memory(server: &ServerProcess, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("alive");
    let line = status.lines().find(|text| text.starts_with(line)).expect("a line of it");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib << 10
}

/// How much time of the processor the child has had, in hundredths of a second, while it runs.
pub(crate) fn ticks(server: &ServerProcess) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).ok()?;
    let rest: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let used: u64 = rest[11].parse::<u64>().ok()? + rest[12].parse::<u64>().ok()?;
    (rest[0] != "Z").then_some(used)
}

/// How many items a row of requests appends to a list.
const ROW: usize = 2000;

#[test]
fn requests_wait_while_their_replies_are_not_read() {
    let server = child();
    let client = client_of(&server);
    let list = client.proxy("list", &[]).expect("a list");
    let long = "x".repeat(1 << 20);
    list.call("append", &[long.as_str().into()], &[]).expect("an answer");
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").expect("it is our child");
    let before = memory(&server, "VmRSS:");
    let mut raw = Raw::to(server.address()).accept();
    for _ in 0..200 {
        raw.call(list.id(), "__getitem__", &[0.into()]);
    }
    // Those that come later are served all the same.
    for _ in 0..20 {
        assert_eq!(list.call("__len__", &[], &[]).expect("an answer"), Value::from(1));
    }
    for _ in 0..200 {
        assert_eq!(raw.reply(), Some(Reply::Return(long.as_str().into())));
    }
    let most = memory(&server, "VmHWM:");
    assert!(most < before + (32 << 20), "{before} before, {most} at most");
}

/// Requests and replies that each fill all buffers on their way, in turn.
#[test]
fn a_long_row_of_requests_is_answered_in_order() {
    let server = crate::server();
    let list = client(&server).proxy("list", &[]).expect("a list");
    let long = "x".repeat(200_000);
    list.call("append", &[long.as_str().into()], &[]).expect("an answer");
    let mut raw = Raw::accepted(&server);
    let short = Value::from("y".repeat(2000).as_str());
    for n in 0..ROW {
        raw.talk
            .request(Some(list.id()), "append", std::slice::from_ref(&short), &[])
            .expect("said");
        if n % 10 == 9 {
            raw.talk.request(Some(list.id()), "__getitem__", &[0.into()], &[]).expect("said");
        }
    }
    let bytes = raw.talk.output().to_vec();
    raw.talk.sent(bytes.len());
    let mut writer = raw.stream.try_clone().expect("a descriptor");
    let writer = thread::spawn(move || writer.write_all(&bytes).expect("it is read"));
    for n in 0..ROW + ROW / 10 {
        let expected = match n % 11 {
            10 => Reply::Return(long.as_str().into()),
            _ => Reply::none(),
        };
        assert!(raw.reply() == Some(expected), "the reply to request {n}");
    }
    writer.join().expect("no panic");
    let len = list.call("__len__", &[], &[]).expect("an answer");
    assert_eq!(len, Value::from(1 + ROW as i64));
}

/// What a consumer that reads nothing is known not to have got is back in the queue, and in order.
#[test]
fn all_undelivered_items_of_a_connection_go_back() {
    for hand_back in [HandBack::Never, HandBack::UntilDone, HandBack::UntilNext] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let options = QueueOptions::default().hand_back(hand_back);
        let server = Server::builder(key()).queue_with("jobs", options);
        let server = server.bind(Address::Unix(path.clone())).expect("a server");
        let jobs = client(&server).queue::<(usize, String)>("jobs").expect("a queue");
        const ITEMS: usize = 100;
        for n in 0..ITEMS {
            jobs.put((n, "x".repeat(10_000))).expect("room");
        }
        let mut raw = Raw::unix(&path).accept();
        for _ in 0..ITEMS {
            raw.talk.request(Some(jobs.proxy().id()), "get", &[], &[]).expect("it can be said");
        }
        raw.flush();
        // As far as it goes: the rest of the requests waits.
        eventually("some are taken", || jobs.len().is_ok_and(|len| len < ITEMS));
        let mut len = ITEMS;
        eventually("no more are taken", || {
            let before = std::mem::replace(&mut len, jobs.len().expect("a number"));
            len == before && (0..20).all(|_| jobs.len().is_ok_and(|again| again == len))
        });
        assert!(len > 0, "all were taken: nothing is tested");
        // What it could read. All replies are of the length that the first one says.
        let readable = rustix::io::ioctl_fionread(&raw.stream).expect("a socket");
        let mut prefix = [0; 4];
        raw.stream.read_exact(&mut prefix).expect("a reply");
        let got = (readable / (4 + u64::from(u32::from_be_bytes(prefix)))) as usize;
        assert!(got + 1 < ITEMS - len, "{got} were sent of {}", ITEMS - len);
        drop(raw);
        let first = match hand_back {
            HandBack::UntilDone => 0,
            _ => got,
        };
        let kept = ITEMS - first;
        eventually("they are back", || jobs.len().is_ok_and(|len| len == kept));
        for n in first..ITEMS {
            assert_eq!(jobs.try_get().expect("an item").0, n, "{hand_back:?}");
        }
    }
}

#[test]
fn an_item_for_one_that_asked_and_went_stays() {
    let server = child();
    let jobs = client_of(&server).queue::<i32>("get_task_queue").expect("a queue");
    for n in 0..10 {
        jobs.put(n).expect("room");
    }
    let raws: Vec<Raw> = (0..5).map(|_| Raw::to(server.address()).accept()).collect();
    send(&server, Signal::STOP);
    for (n, mut raw) in raws.into_iter().enumerate() {
        raw.call(jobs.proxy().id(), "get", &[]);
        if n % 2 == 1 {
            // The end is behind it.
            raw.call(jobs.proxy().id(), "put", &["x".repeat(20_000).as_str().into()]);
        }
    }
    send(&server, Signal::CONT);
    // Those that sent more have it carried out, though nobody hears of it.
    eventually("both are put", || jobs.len().is_ok_and(|len| len == 12));
    for n in 0..10 {
        assert_eq!(jobs.try_get().expect("an item"), n);
    }
}

/// Whatever its length, and wherever the server's reads happen to end.
#[test]
fn what_is_sent_before_the_end_is_carried_out() {
    let server = child();
    let jobs = client_of(&server).queue::<String>("get_task_queue").expect("a queue");
    let lengths = [65_535, 65_536, 65_537, 131_072, 1_200_000];
    for length in lengths {
        let mut raw = Raw::to(server.address()).accept();
        let put = |raw: &mut Raw, n| {
            let item = Value::from("x".repeat(n).as_str());
            raw.talk.request(Some(jobs.proxy().id()), "put", &[item], &[]).expect("said");
            raw.talk.output().len()
        };
        // Its length without the text, as far as that is long.
        let rest = put(&mut raw, 60_000) - 60_000;
        raw.talk.sent(60_000 + rest);
        assert_eq!(put(&mut raw, length - rest), length);
        let mut stream = raw.stream.try_clone().expect("a descriptor");
        let bytes = raw.talk.output().to_vec();
        // What does not fit into the socket would wait for the server.
        let stops = length < 200_000;
        if stops {
            send(&server, Signal::STOP);
        }
        stream.write_all(&bytes).expect("there is room");
        drop((raw, stream));
        send(&server, Signal::CONT);
        eventually("it is put", || jobs.len().is_ok_and(|len| len == 1));
        assert_eq!(jobs.get().expect("an item").len(), length - rest);
    }
}

#[test]
fn requests_of_one_that_reads_no_reply_are_carried_out_to_the_last() {
    // What TCP has not sent yet when a socket with unread bytes is closed, it throws away; here, what was written is there.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let server = builder().spawn(path.as_path()).expect("a server in a child process");
    let jobs = client_of(&server).queue::<i32>("get_task_queue").expect("a queue");
    let list = client_of(&server).proxy("list", &[]).expect("a list");
    let long = "x".repeat(1 << 20);
    list.call("append", &[long.as_str().into()], &[]).expect("an answer");
    let mut raw = Raw::unix(&path).accept();
    for n in 0..100 {
        raw.call(list.id(), "__getitem__", &[0.into()]);
        raw.call(jobs.proxy().id(), "put", &[n.into()]);
    }
    drop(raw);
    eventually("all are put", || jobs.len().is_ok_and(|len| len == 100));
}

#[test]
fn a_message_over_the_limit_is_told_of_and_the_connection_closed() {
    let server = builder().message_limit(1 << 20).bind("127.0.0.1:0").expect("a server");
    let told = |reply: Option<Reply>| match reply {
        Some(Reply::Traceback(text)) => assert!(text.contains("limit of 1048576"), "{text}"),
        other => panic!("{other:?}"),
    };
    // All of it, a part of it, its length alone.
    for (length, sent) in [(20 << 20, 20 << 20), (4 << 20, 3 << 20), (u32::MAX >> 1, 0)] {
        for raw in [Raw::accepted(&server), Raw::trusted(&server)] {
            let mut raw = raw;
            let begin = Instant::now();
            raw.stream.write_all(&length.to_be_bytes()).expect("it is read");
            raw.stream.write_all(&vec![b'x'; sent]).expect("it is read, to the last byte");
            told(raw.reply());
            assert!(raw.is_closed());
            assert!(begin.elapsed() < Duration::from_secs(9), "only when its time was over");
        }
    }
    let jobs = client(&server).queue::<i32>("get_small").expect("a queue");
    jobs.put(1).expect("room");
}

#[test]
fn a_connection_that_is_over_takes_nothing_more() {
    let server = child();
    let mut raw = Raw::to(server.address());
    // The reply says it back, and is more than sockets hold.
    let name = "n".repeat(20 << 20);
    raw.talk.request(None, &name, &[], &[]).expect("it can be said");
    while !raw.talk.is_authenticated() {
        raw.talk.shake_hands().expect("the key is right");
        raw.flush();
        assert!(raw.talk.is_authenticated() || raw.receive());
    }
    raw.flush();
    raw.stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a socket");
    let mut more = 0;
    while let Ok(n) = raw.stream.write(&[b'z'; 1 << 16]) {
        more += n;
        assert!(more < 64 << 20, "it reads on");
    }
    // Whoever sends what nobody wants may find the connection reset in place of the rest of the reply.
    assert!(raw.is_closed());
}

/// The last second of a server with a client that neither reads nor stops sending.
#[test]
fn a_server_that_stops_waits_for_its_last_replies_without_work() {
    let server = child();
    let list = client_of(&server).proxy("list", &[]).expect("a list");
    let long = "x".repeat(20 << 20);
    list.call("append", &[long.as_str().into()], &[]).expect("an answer");
    let mut raw = Raw::to(server.address()).accept();
    raw.call(list.id(), "__getitem__", &[0.into()]);
    let mut part = [0; 1];
    raw.stream.read_exact(&mut part).expect("the reply begins");
    let begin = Instant::now();
    let before = ticks(&server).expect("it runs");
    let mut shutdown = Raw::to(server.address());
    shutdown.talk.request(None, "shutdown", &[], &[]).expect("it can be said");
    assert_eq!(shutdown.reply(), Some(Reply::none()));
    // What the server does not read any more.
    raw.call(list.id(), "__len__", &[]);
    let mut used = 0;
    while let Some(now) = ticks(&server) {
        used = now - before;
        assert!(begin.elapsed() < Duration::from_secs(30), "it does not end");
        thread::yield_now();
    }
    assert!(begin.elapsed() > Duration::from_millis(900), "it waited for nobody");
    // Of a hundred.
    assert!(used < 40, "{used} ticks of the processor");
}

/// The proxy of a server that is gone is not one of what the next server has there.
#[test]
fn a_stale_proxy_is_no_proxy_of_the_next_server() {
    let (first, second) = (crate::server(), crate::server());
    let ids = |server: &Server| -> Vec<String> {
        let client = client(server);
        let names = ["get_task_queue", "dict", "list"];
        names.iter().map(|name| client.proxy(name, &[]).expect("it").id().to_owned()).collect()
    };
    let (stale, fresh) = (ids(&first), ids(&second));
    assert!(stale.iter().all(|id| !fresh.contains(id)), "{stale:?} {fresh:?}");
    let mut raw = Raw::accepted(&second);
    for id in stale {
        raw.call(&id, "__len__", &[]);
        let reply = raw.reply();
        assert!(
            matches!(&reply, Some(Reply::Traceback(text)) if text.contains("KeyError")),
            "{reply:?}"
        );
    }
}
