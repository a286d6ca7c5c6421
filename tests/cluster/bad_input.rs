//! What no client sends: garbage, bombs, stalls. The server goes on, with bounded memory.

use std::io::Write;
use std::time::{Duration, Instant};

use fourfold::cluster::manager::{Client, Globals, Server};
use fourfold_wire::talk::Reply;

use crate::pressure::{client_of, memory};
use crate::raw::Raw;
use crate::{builder, client, server};

fn still_serves(server: &Server) {
    serves(&client(server));
}

fn serves(client: &Client) {
    let queue = client.queue::<i32>("get_small").expect("a queue");
    queue.put(1).expect("room");
    assert_eq!(queue.get().expect("an item"), 1);
}

#[test]
fn garbage_before_the_handshake_closes_the_connection() {
    let server = server();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\0\0\0",
        b"\0\0\x01\x01",
        b"\0\0\0\0",
    ] {
        let mut raw = Raw::connect(&server);
        raw.stream.write_all(garbage).expect("it is read");
        assert!(raw.is_closed(), "{garbage:?}");
    }
    still_serves(&server);
}

#[test]
fn a_handshake_that_stalls_is_closed_at_its_deadline() {
    let limit = Duration::from_millis(200);
    let server = builder().handshake_timeout(limit).bind("127.0.0.1:0").expect("a server");
    let start = Instant::now();
    let mut silent = Raw::connect(&server);
    let mut slow = Raw::connect(&server);
    slow.stream.write_all(b"\0\0").expect("it is read");
    assert!(silent.is_closed() && slow.is_closed());
    assert!(start.elapsed() >= limit);
    let mut good = Raw::accepted(&server);
    good.stream.set_read_timeout(Some(limit * 2)).expect("a socket");
    assert!(!good.receive(), "the deadline is that of the handshake alone");
    good.talk.request(None, "dummy", &[], &[]).expect("it can be said");
    assert!(good.reply().is_some(), "the connection lives");
    still_serves(&server);
}

#[test]
fn long_prefixes_and_long_messages_are_refused_without_memory() {
    // In a process of its own: what other tests take meanwhile is not counted.
    let server = builder().message_limit(1 << 20).spawn("127.0.0.1:0").expect("a server");
    let accepted = || Raw::to(server.address()).accept();
    drop(accepted());
    let before = memory(&server, "VmRSS:");
    let mut held = Vec::new();
    for _ in 0..50 {
        // Just within the limit, announced and never sent.
        let mut raw = accepted();
        raw.stream.write_all(&(1u32 << 20).to_be_bytes()).expect("it is read");
        held.push(raw);
    }
    for prefix in [&b"\x3b\x9a\xca\x00"[..], b"\xff\xff\xff\xff\0\0\0\xff\0\0\0\0", b"\0\x10\0\x01"]
    {
        let mut raw = accepted();
        raw.stream.write_all(prefix).expect("it is read");
        assert!(raw.is_closed());
    }
    let now = memory(&server, "VmRSS:");
    assert!(now < before + (40 << 20), "{before} then {now}");
    serves(&client_of(&server));
}

/// Messages that take more to read than they should.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |open: &[u8], n: usize| [b"\x80\x04", &open.repeat(n)[..], b"."].concat();
    let mut shared = b"\x80\x04]\x94".to_vec();
    for level in 0..200u8 {
        shared.extend_from_slice(&[b']', b'(', b'h', level, b'h', level, b'e', 0x94]);
    }
    shared.push(b'.');
    let memo: Vec<u8> = (0..100_000u32)
        .flat_map(|n| [&b"Nr"[..], &(n.wrapping_mul(65_537)).to_le_bytes()].concat())
        .collect();
    vec![
        ("marks", nested(b"(", 3_000_000)),
        ("lists", nested(b"]", 1_000_000)),
        (
            "a deep list",
            [b"\x80\x04", &b"]".repeat(500_000)[..], &b"a".repeat(499_999), b"."].concat(),
        ),
        ("tuples in tuples", [b"\x80\x04)", &b"\x85".repeat(1_000_000)[..], b"."].concat()),
        ("a list shared without end", shared),
        ("far memo numbers", [b"\x80\x04", &memo[..], b"."].concat()),
        ("a long number", [b"\x80\x02L", &b"9".repeat(2_000_000)[..], b"L\n."].concat()),
        (
            "a string that is not there",
            b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.".to_vec(),
        ),
        ("a system call", b"cos\nsystem\n(S'true'\ntR.".to_vec()),
        ("a persistent id", b"\x80\x04Pid\n.".to_vec()),
        ("nothing at all", Vec::new()),
    ]
}

#[test]
fn bombs_are_answered_and_the_conversation_goes_on() {
    // In a process of its own: what other tests take meanwhile is not counted.
    let server = builder().spawn("127.0.0.1:0").expect("a server");
    serves(&client_of(&server));
    let before = memory(&server, "VmRSS:");
    for (name, bomb) in bombs() {
        let mut raw = Raw::to(server.address()).accept();
        let start = Instant::now();
        raw.send_frame(&bomb);
        let reply = raw.reply();
        assert!(matches!(reply, Some(Reply::Traceback(_))), "{name}: {reply:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{name} took {:?}", start.elapsed());
        serves(&client_of(&server));
    }
    let now = memory(&server, "VmRSS:");
    assert!(now < before + (400 << 20), "{before} then {now}");
}

#[test]
fn bombs_as_arguments_do_no_harm() {
    let server = server();
    let mut wrapped = Vec::new();
    for (name, bomb) in bombs() {
        // ('ID', 'put', (bomb,), {}), as far as the bomb is a value on its own.
        let body = bomb.strip_prefix(b"\x80\x04").unwrap_or(&bomb);
        let body = body.strip_suffix(b".").unwrap_or(body);
        for method in ["append", "index", "__contains__", "extend"] {
            let method_op = [b"\x8c", &[method.len() as u8][..], method.as_bytes()].concat();
            wrapped.push((name, [&b"(\x8c\x04ID__"[..], &method_op, body, b"\x85}t."].concat()));
        }
    }
    let list = client(&server).list::<i32>("list").expect("a list");
    let id = list.proxy().id().to_owned();
    for (name, message) in wrapped {
        let at = message.windows(4).position(|part| part == b"ID__").expect("it is there");
        let mut message = [b"\x80\x04", &message[..]].concat();
        message.splice(at + 1..at + 6, [&[id.len() as u8][..], id.as_bytes()].concat());
        let mut raw = Raw::accepted(&server);
        let start = Instant::now();
        raw.send_frame(&message);
        assert!(raw.reply().is_some(), "{name}");
        assert!(start.elapsed() < Duration::from_secs(10), "{name} took {:?}", start.elapsed());
    }
    // What the list holds by now is shown and compared within bounds.
    for method in ["__repr__", "sort", "reverse"] {
        let start = Instant::now();
        let _ = list.proxy().call(method, &[], &[]);
        assert!(start.elapsed() < Duration::from_secs(10), "{method} took {:?}", start.elapsed());
    }
    still_serves(&server);
}

/// Every captured message of clients with each byte flipped: an answer or a closed connection, and the server goes on.
#[test]
fn flipped_bytes_of_captured_messages_do_no_harm() {
    let server = server();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crates/fourfold-wire/tests/captures/messages");
    let mut sent = 0;
    for family in ["py27", "py36", "py313"] {
        let mut raw = Raw::accepted(&server);
        for entry in std::fs::read_dir(folder.join(family)).expect("the captures") {
            let path = entry.expect("a file").path();
            if !path.to_string_lossy().contains("C_to_S") {
                continue;
            }
            let message = std::fs::read(path).expect("a capture");
            for at in 0..message.len() {
                let mut flipped = message.clone();
                flipped[at] ^= 0x41;
                raw.send_frame(&flipped);
                sent += 1;
                match raw.reply() {
                    Some(_) => {}
                    None => raw = Raw::accepted(&server),
                }
            }
        }
    }
    assert!(sent > 10_000, "{sent}");
    still_serves(&server);
}

#[test]
fn only_what_is_on_the_list_is_let_through() {
    let server = builder().globals(Globals::standard()).bind("127.0.0.1:0").expect("a server");
    let mut raw = Raw::accepted(&server);
    raw.send_frame(b"\x80\x04(N\x8c\x03putcos\nsystem\n\x85}t.");
    assert!(matches!(raw.reply(), Some(Reply::Traceback(text)) if text.contains("os.system")));
    raw.send_frame(b"\x80\x04(N\x8c\x03putcdecimal\nDecimal\n\x85}t.");
    assert!(matches!(raw.reply(), Some(Reply::Traceback(text)) if !text.contains("decimal")));
}
