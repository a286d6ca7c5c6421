//! What `fourfold connect` shows and sends, and how it ends.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use rustix::process::Signal;

use crate::harness::*;

#[test]
fn the_greeting_comes_first_and_then_answers_to_what_is_typed() {
    let echo = Echo::start("threads", &["--greet", "hello", "--append", " response"]);
    let mut connect = Program::connect(&[&echo.at]);
    assert_eq!(connect.line(), "hello");
    connect.type_in("one\n");
    assert_eq!(connect.line(), "one response");
    // Empty lines are not sent; the last one has no end.
    connect.type_in("\n\r\n\ntwo words\nthr");
    assert_eq!(connect.line(), "two words response");
    let ended = connect.end();
    assert_eq!(ended, Ended { code: 0, stdout: "thr response".into(), stderr: String::new() });
    echo.end();
}

#[test]
fn with_nothing_to_type_the_greeting_is_shown_and_that_is_all() {
    let echo = Echo::start("events", &["--greet", "hello"]);
    let ended = Program::start(fourfold(&["connect", &echo.at])).end();
    assert_eq!(ended, Ended { code: 0, stdout: "hello".into(), stderr: String::new() });
    echo.end();
}

#[test]
fn many_lines_at_once_come_back_in_order() {
    let echo = Echo::start("coroutines", &[]);
    let mut connect = Program::connect(&[&echo.at]);
    let mut stdin = connect.stdin.take().expect("a pipe");
    let typing = std::thread::spawn(move || {
        for n in 0..50_000 {
            writeln!(stdin, "line {n}").expect("it reads");
        }
    });
    for n in 0..50_000 {
        assert_eq!(connect.line(), format!("line {n}"));
    }
    typing.join().expect("no panic");
    assert_eq!(connect.end().code, 0);
    echo.end();
}

#[test]
fn a_server_that_goes_is_told_of() {
    let echo = Echo::start("threads", &["--greet", "hello"]);
    let at = echo.at.clone();
    let mut connect = Program::connect(&[&at]);
    assert_eq!(connect.line(), "hello");
    let open = connect.stdin.take();
    echo.end();
    let ended = connect.end();
    drop(open);
    let stderr = format!("fourfold: {at} has closed the connection");
    assert_eq!(ended, Ended { code: 255, stdout: String::new(), stderr });
}

#[test]
fn a_server_that_is_not_there_is_told_of() {
    // Nobody listens there, and nobody else can.
    let bound = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&bound, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let at = SocketAddrV4::try_from(getsockname(&bound).expect("bound")).expect("so").to_string();
    for (at, why) in [(&*at, "Connection refused"), ("unix:/nowhere/at.sock", "No such file")] {
        let ended = Program::start(fourfold(&["connect", at])).end();
        assert_eq!((ended.code, &*ended.stdout), (255, ""), "{ended:?}");
        let expected = format!("fourfold: cannot connect to {at}: {why}");
        assert!(ended.stderr.starts_with(&expected), "{ended:?}");
        assert!(ended.stderr.contains(&format!("`fourfold echo --listen {at}`")), "{ended:?}");
    }
    for wrong in ["host", "host:port", "unix:", "1.2.3.4:70000"] {
        let ended = Program::start(fourfold(&["connect", wrong])).end();
        assert_eq!(ended.code, 255, "{ended:?}");
        assert!(ended.stderr.contains("invalid value"), "{ended:?}");
    }
}

#[test]
fn a_server_that_does_not_close_is_waited_for_so_long() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound").to_string();
    let connect = Program::start(fourfold(&["connect", &at, "--wait", "20ms"]));
    let (client, _) = listener.accept().expect("it calls");
    let ended = connect.end();
    drop(client);
    assert_eq!(ended.code, 255);
    assert!(ended.stderr.contains("has not closed the connection in time"), "{ended:?}");
}

#[test]
fn with_nobody_to_show_it_to_it_ends() {
    let echo = Echo::start("threads", &["--greet", "hello"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = fourfold(&["connect", &echo.at]);
    command.stdin(Stdio::piped()).stdout(Stdio::from(writer));
    let mut connect = Program::start(command);
    let open = connect.stdin.take();
    let ended = connect.end();
    drop(open);
    assert_eq!((ended.code, &*ended.stderr), (141, ""));
    echo.end();
}

#[test]
fn ctrl_c_ends_it() {
    let echo = Echo::start("threads", &["--greet", "hello"]);
    let mut connect = Program::connect(&[&echo.at]);
    let open = connect.stdin.take();
    assert_eq!(connect.line(), "hello");
    connect.signal_group(Signal::INT);
    assert_eq!(connect.end().code, -2);
    drop(open);
    // That was an abrupt leave: the server goes on.
    assert_eq!(echo.client().line(), "hello\n");
    echo.end();
}

/// Reads up to something that must come, and gives it all.
fn read_up_to(terminal: &mut impl BufRead, what: &str) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(what.as_bytes()) {
        let mut byte = [0];
        terminal.read_exact(&mut byte).unwrap_or_else(|error| {
            panic!("{error} before {what:?}: {:?}", String::from_utf8_lossy(&seen))
        });
        seen.push(byte[0]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

#[test]
fn on_a_terminal_there_is_a_prompt_which_gives_way_to_what_comes() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("ours");
    unlockpt(&master).expect("ours");
    let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
    let terminal = File::options().read(true).write(true).open(name).expect("its other side");
    let echo = Echo::start("threads", &["--greet", "hello", "--upper"]);
    let mut command = fourfold(&["connect", &echo.at]);
    command.stdin(OwnedFd::from(terminal.try_clone().expect("a descriptor")));
    command.stdout(OwnedFd::from(terminal));
    let connect = Program::start(command);
    let mut keys = File::from(master.as_fd().try_clone_to_owned().expect("a descriptor"));
    // In a thread, so that what does not come fails loudly.
    let (say, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut seen = BufReader::new(File::from(master));
        let greeting = read_up_to(&mut seen, "hello\r\n> ");
        keys.write_all(b"one\n").expect("it reads");
        let answer = read_up_to(&mut seen, "ONE\r\n> ");
        keys.write_all(b"\n\x04").expect("it reads");
        let end = read_up_to(&mut seen, "\x1b[K");
        let _ = say.send([greeting, answer, end]);
    });
    let [greeting, answer, end] = said.recv_timeout(LIMIT).expect("all in time");
    assert!(["> \r\x1b[Khello\r\n> ", "hello\r\n> "].contains(&&*greeting), "{greeting:?}");
    // The terminal shows what is typed itself.
    assert!(answer.starts_with("one\r\n") && !answer.contains("hello"), "{answer:?}");
    assert!(end.starts_with("\r\n> "), "{end:?}");
    assert_eq!(connect.end().code, 0);
    echo.end();
}
