//! What `fourfold echo` serves, under each model and with each option.

use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::*;

#[test]
fn each_model_gives_the_same_transcript() {
    for model in MODELS {
        let echo = Echo::start(model, &["--greet", "hello", "--upper", "--append", " response"]);
        let mut client = echo.client();
        assert_eq!(client.line(), "hello\n", "{model}");
        assert_eq!(client.asks("one\n"), "ONE response\n", "{model}");
        // In parts, two at once, an empty one, and one without an end.
        client.say("tw");
        client.say("o\r\nthree\n\nfo");
        let expected = "TWO response\nTHREE response\n response\nFO response\n";
        assert_eq!(client.rest(), expected, "{model}");
        // The first one is served to its end before the next under every model.
        assert_eq!(echo.client().rest(), "hello\n", "{model}");
        let told = echo.end();
        assert!(told.starts_with("fourfold: connections: 2, turns answered: "), "{model}: {told}");
        assert!(!told.contains("failed") && !told.contains("cut"), "{model}: {told}");
    }
}

#[test]
fn without_options_a_line_comes_back_as_it_is_whatever_is_in_it() {
    let echo = Echo::start("threads", &[]);
    let mut client = echo.client();
    assert_eq!(client.asks("Ä\t\u{1F600}\n"), "Ä\t\u{1F600}\n");
    client.0.get_mut().write_all(b"\xff\0\n").expect("it reads");
    let mut line = Vec::new();
    std::io::BufRead::read_until(&mut client.0, b'\n', &mut line).expect("a line in time");
    assert_eq!(line, b"\xff\0\n");
    assert_eq!(client.rest(), "");
    echo.end();
}

#[test]
fn it_says_where_it_listens_with_the_model_in_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo.sock");
    let unix = format!("unix:{}", path.display());
    let mut command = fourfold(&["echo", "--listen", "0", &unix, "--listen", "localhost:0"]);
    command.args(["--model", "prefork:1"]);
    let program = Program::start(command);
    let at: Vec<String> = (0..3).map(|_| program.line()).collect();
    assert!(at[0].starts_with("listening on 127.0.0.1:"), "{at:?}");
    assert!(at[0].ends_with(" (prefork:1:coroutines:1)"), "{at:?}");
    assert_eq!(at[1], format!("listening on {unix} (prefork:1:coroutines:1)"));
    for line in [&at[0], &at[2]] {
        assert_eq!(Client::connect(&Echo::address(line)).asks("x\n"), "x\n");
    }
    let mut client = UnixStream::connect(&path).expect("it listens");
    client.set_read_timeout(Some(LIMIT)).expect("a socket");
    client.write_all(b"by a path\n").expect("it reads");
    client.shutdown(std::net::Shutdown::Write).expect("it is there");
    assert_eq!(std::io::read_to_string(client).expect("an end in time"), "by a path\n");
    program.signal(Signal::TERM);
    assert_eq!(program.end().code, 143);
    assert!(!path.exists());
}

#[test]
fn an_address_is_bound_again_at_once() {
    // One of this process alone, whose ports nobody else is given.
    let [_, high, low, last] = std::process::id().to_be_bytes();
    let host = format!("127.{}.{low}.{last}:0", high | 0x80);
    let start =
        |at: &str| Program::start(fourfold(&["echo", "--listen", at, "--model", "processes"]));
    let program = start(&host);
    let at = Echo::address(&program.line());
    let mut client = Client::connect(&at);
    assert_eq!(client.asks("x\n"), "x\n");
    // The server closes first, so that the address is in the state that keeps others off.
    program.signal(Signal::TERM);
    assert_eq!(client.line(), "");
    assert_eq!(program.end().code, 143);
    let again = start(&at);
    assert_eq!(Echo::address(&again.line()), at);
    assert_eq!(Client::connect(&at).asks("y\n"), "y\n");
}

#[test]
fn more_connections_than_allowed_wait_for_the_others() {
    for model in ["threads", "events", "prefork:1"] {
        let echo = Echo::start(model, &["--greet", "hello", "--max-connections", "1"]);
        let mut first = echo.client();
        assert_eq!(first.line(), "hello\n");
        let mut second = echo.client();
        second.0.get_ref().set_read_timeout(Some(Duration::from_millis(50))).expect("a socket");
        let early = second.peek().expect_err("too early");
        assert_eq!(early.kind(), ErrorKind::WouldBlock, "{model}");
        second.0.get_ref().set_read_timeout(Some(LIMIT)).expect("a socket");
        assert_eq!(first.rest(), "");
        assert_eq!(second.line(), "hello\n", "{model}");
        echo.end();
    }
}

#[test]
fn limits_close_a_connection_that_is_over_them() {
    for model in ["threads", "events", "coroutines", "prefork:1"] {
        let echo = Echo::start(model, &["--idle-timeout", "50ms"]);
        echo.client().is_closed(model);
        assert!(echo.end().contains(", over their time: 1"), "{model}");

        let echo = Echo::start(model, &["--read-timeout", "0.05s"]);
        let mut client = echo.client();
        client.say("half a li");
        client.is_closed(model);
        echo.end();

        let echo = Echo::start(model, &["--max-line", "10"]);
        let mut client = echo.client();
        assert_eq!(client.asks("nine only\n"), "nine only\n");
        client.say("more than ten");
        client.is_closed(model);
        assert!(echo.end().contains(", failed: 1"), "{model}");

        let echo = Echo::start(model, &["--write-timeout", "50ms"]);
        let mut client = echo.client();
        // It takes no answer: at last nothing of what it says is taken either, and it is closed.
        let line = "x".repeat(9_999) + "\n";
        let refused = loop {
            if let Err(error) = client.0.get_mut().write_all(line.as_bytes()) {
                break error.kind();
            }
        };
        assert!(matches!(refused, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{refused}");
        echo.end();
    }
}

#[test]
fn a_worker_is_replaced_after_so_many_connections() {
    let echo = Echo::start("prefork:1", &["--renew-after", "2"]);
    let before = echo.workers();
    assert_eq!(before.len(), 1);
    for _ in 0..2 {
        assert_eq!(echo.client().asks("x\n"), "x\n");
    }
    until("another worker serves", || {
        let now = echo.workers();
        now.len() == 1 && now != before
    });
    assert_eq!(echo.client().asks("x\n"), "x\n");
    assert!(!echo.end().contains("lost"));
}

#[test]
fn counters_are_served_to_prometheus() {
    let echo = Echo::start("prefork:1", &["--metrics", "0"]);
    let line = echo.program.line();
    let metrics = line.strip_prefix("metrics on ").expect("where");
    let mut client = echo.client();
    assert_eq!(client.asks("x\n"), "x\n");
    let get = |request: &str| {
        let mut client = Client::connect(metrics);
        client.say(request);
        client.rest()
    };
    // A worker tells what it has counted ten times a second.
    until("the turn is counted", || {
        let text = get("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        text.contains("\nfourfold_echo_turn_seconds_count 1\n")
            && text.contains("\nfourfold_echo_connections_active 1\n")
            && text.contains("\nfourfold_echo_workers 1\n")
    });
    assert!(get("GET /other HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(get("POST /metrics HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(get("nonsense\n\n").starts_with("HTTP/1.1 400 "));
    assert_eq!(client.asks("y\n"), "y\n");
    echo.end();
}

/// What it says and how it ends, if it cannot begin.
fn refused(args: &[&str]) -> String {
    let ended = Program::start(fourfold(&[&["echo"], args].concat())).end();
    assert_eq!((ended.code, &*ended.stdout), (255, ""), "{ended:?}");
    ended.stderr
}

#[test]
fn what_cannot_be_served_is_told_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = taken.local_addr().expect("bound").to_string();
    let told = refused(&["--listen", &at]);
    assert!(
        told.starts_with(&format!("fourfold: cannot listen on {at}: Address already in use")),
        "{told}"
    );
    let told = refused(&["--listen", "0", "--metrics", &at]);
    assert!(told.contains(&format!("cannot listen on {at}")), "{told}");
    let told = refused(&["--listen", "unix:/nowhere/at/all/echo.sock"]);
    assert!(
        told.contains("cannot listen on unix:/nowhere/at/all/echo.sock: No such file"),
        "{told}"
    );
    let told = refused(&["--listen", "nonsense"]);
    assert!(told.contains("\"nonsense\" is no address: give HOST:PORT or unix:PATH"), "{told}");
    let told = refused(&["--listen", "0", "--model", "thread"]);
    assert!(told.contains("no model is called \"thread\": give serial, events[:N], "), "{told}");
    let told = refused(&["--listen", "0", "--model", "pool:0"]);
    assert!(told.contains("\"0\" in \"pool:N\" is no number of 1 or more"), "{told}");
    for wrong in [&["--max-connections", "0"], &["--idle-timeout", "0"], &["--max-line", "big"]] {
        let told = refused(&[&["--listen", "0"], &wrong[..]].concat());
        assert!(told.contains(wrong[0]), "{told}");
    }
    let told = refused(&[]);
    assert!(told.contains("--listen <ADDR>..."), "{told}");
}

#[test]
fn nobody_has_to_read_what_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo.sock");
    let unix = format!("unix:{}", path.display());
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = fourfold(&["echo", "--listen", &unix]);
    command.stdout(Stdio::from(writer));
    let program = Program::start(command);
    until("it listens", || UnixStream::connect(&path).is_ok());
    let mut connect = Program::connect(&[&unix]);
    connect.type_in("still there?\n");
    assert_eq!(connect.line(), "still there?");
    assert_eq!(connect.end().code, 0);
    program.signal(Signal::TERM);
    assert_eq!(program.end().code, 143);
}

#[test]
fn the_two_terminals_of_the_readme() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(path).expect("text");
    let typed = |begin: &str| -> Vec<String> {
        let line = readme.lines().find(|line| line.starts_with(begin));
        let words = line.unwrap_or_else(|| panic!("no line {begin}")).split(' ').skip(1);
        words.map(str::to_owned).collect()
    };
    // Any port that is free, in place of the one that the README chooses.
    let words = typed("fourfold echo ").join(" ").replace(" 7007 ", " 0 ");
    let program = Program::start(fourfold(&words.split(' ').collect::<Vec<_>>()));
    let line = program.line();
    assert!(line.ends_with(" (prefork:4:coroutines:1)"), "{line}");
    assert_eq!(typed("fourfold connect "), ["connect", "7007"]);
    let mut connect = Program::connect(&[&Echo::address(&line)]);
    assert_eq!(connect.line(), "hello");
    connect.type_in("one\n");
    assert_eq!(connect.line(), "ONE");
    assert_eq!(connect.end().code, 0);
}
