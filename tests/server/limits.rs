//! Limits of time and of number: the same under every model.

use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use fourfold::server::{self, Builder, Conn, Flow, Input, Model, Protocol, Server};

use super::support::{Client, SOON, eventually, is_serial, model, serve_with, within};

crate::under_each_model!(
    an_idle_client_is_closed_in_time,
    half_a_turn_is_closed_in_time,
    a_client_that_takes_nothing_is_closed_in_time,
    a_turn_that_drips_is_closed_in_time,
    a_message_too_long_closes,
    no_more_connections_than_the_limit,
    quiet_clients_are_told,
    what_is_said_to_a_silent_client_does_not_end_its_silence,
    a_client_that_takes_its_answer_slowly_is_served,
);

/// Serves with a limit; meanwhile a client that behaves is served, unless there can be no other.
fn closed_in_time(
    model: &Model,
    limit: Duration,
    with: impl FnOnce(Builder) -> Builder,
    mut misbehave: impl FnMut(&mut Client),
) {
    let server = serve_with(model, with);
    let mut client = Client::connect(&server);
    let began = Instant::now();
    misbehave(&mut client);
    if !is_serial(model) {
        Client::connect(&server).is_served();
    }
    let mut rest = Vec::new();
    // A reset, if something of it was not read.
    let _ = client.stream.read_to_end(&mut rest);
    let took = began.elapsed();
    assert!(took >= limit, "closed after {took:?}, before its limit of {limit:?}");
    assert!(took < limit + SOON / 2, "closed after {took:?} only, over a limit of {limit:?}");
    eventually("it is counted", || server.counters().timed_out == 1);
    Client::connect(&server).is_served();
}

const LIMIT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

fn an_idle_client_is_closed_in_time(model: &Model) {
    let with = |builder: Builder| {
        builder.idle_timeout(LIMIT).read_timeout(LONG).write_timeout(LONG).handler_timeout(LONG)
    };
    closed_in_time(model, LIMIT, with, |client| client.is_served());
}

fn half_a_turn_is_closed_in_time(model: &Model) {
    let with = |builder: Builder| builder.idle_timeout(LONG).read_timeout(LIMIT);
    // Also when a whole turn came before it in the same bytes.
    closed_in_time(model, LIMIT, with, |client| {
        client.begins_a_turn("hal");
    });
}

fn a_client_that_takes_nothing_is_closed_in_time(model: &Model) {
    let server = serve_with(model, |builder| builder.write_timeout(LIMIT));
    let mut client = Client::connect(&server);
    client.send("big 50000000\n");
    eventually("it is counted", || server.counters().timed_out == 1);
    // It had some of it, and then its end.
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest);
    assert!(rest.len() < 50_000_000);
    Client::connect(&server).is_served();
}

fn a_turn_that_drips_is_closed_in_time(model: &Model) {
    let server = serve_with(model, |builder| builder.read_timeout(LONG).handler_timeout(LIMIT));
    let mut client = Client::connect(&server);
    let began = Instant::now();
    // Each byte comes in good time, their line does not.
    while client.stream.write_all(b"x").is_ok() {
        assert!(began.elapsed() < SOON, "a turn of {:?}", began.elapsed());
        thread::sleep(Duration::from_millis(10));
    }
    assert!(began.elapsed() >= LIMIT);
    eventually("it is counted", || server.counters().timed_out == 1);
    Client::connect(&server).is_served();
}

fn a_message_too_long_closes(model: &Model) {
    let server = serve_with(model, |builder| builder.max_message(1000));
    let mut client = Client::connect(&server);
    // At the limit: as many as that may wait for the end of their line.
    let most = "x".repeat(1000);
    client.send(&most);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(client.ask(""), format!("{most} response\n"));
    client.send(&"x".repeat(1001));
    client.is_over();
    eventually("it is counted", || server.counters().failed == 1);
}

fn no_more_connections_than_the_limit(model: &Model) {
    let most = if is_serial(model) { 1 } else { 2 };
    let server = serve_with(model, |builder| builder.max_connections(most));
    let mut served: Vec<Client> = (0..most).map(|_| Client::connect(&server)).collect();
    let mut waiting = Client::silent(&server);
    waiting.send("early\n");
    served.iter_mut().for_each(Client::is_served);
    waiting.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(waiting.try_line().is_err(), "one too many is served");
    assert_eq!(server.counters().accepted, most as u64);
    // It was not refused: it waits until another leaves.
    drop(served.pop());
    waiting.stream.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(waiting.line(), "hello\n");
    assert_eq!(waiting.line(), "early response\n");
}

/// Says `tick` while its client is silent, three times at least, and until it has heard of it.
#[derive(Default)]
struct Ticker(u32, bool);

impl Protocol for Ticker {
    fn received(&mut self, input: &mut Input<'_>, answer: &mut Vec<u8>) -> io::Result<Flow> {
        self.1 = true;
        answer.extend_from_slice(input.all());
        Ok(Flow::Go)
    }

    fn wake_after(&self) -> Option<Duration> {
        Some(Duration::from_millis(30))
    }

    fn quiet(&mut self, answer: &mut Vec<u8>) -> io::Result<Flow> {
        self.0 += 1;
        writeln!(answer, "tick {}", self.0)?;
        Ok(if self.0 < 3 || !self.1 { Flow::Go } else { Flow::Close })
    }
}

fn quiet_clients_are_told(model: &Model) {
    let ticker = server::protocol(|_| Ticker::default());
    let server = Server::builder().listen("127.0.0.1:0").unwrap().start(model.clone(), ticker);
    let server = server.unwrap();
    let began = Instant::now();
    let mut client = Client::silent(&server);
    assert_eq!(client.line(), "tick 1\n");
    assert!(began.elapsed() >= Duration::from_millis(30));
    client.send("not quiet\n");
    let mut lines: Vec<String> = Vec::new();
    while lines.last().is_none_or(|line| !line.is_empty()) {
        lines.push(client.line());
    }
    lines.pop();
    let echo = lines.iter().position(|line| line == "not quiet\n").expect("it was heard of");
    lines.remove(echo);
    // As many as there were until then, and two more at least.
    let ticks: Vec<String> = (2..).take(lines.len()).map(|n| format!("tick {n}\n")).collect();
    assert_eq!(lines, ticks);
    assert!(lines.len() >= 2);
}

/// Reads until its deadline, which the first line sets.
fn with_a_deadline(conn: &mut Conn) -> io::Result<()> {
    conn.set_deadline(Some(Instant::now() + Duration::from_millis(150)));
    let error = io::copy(&mut &*conn, &mut io::sink()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    Err(error)
}

/// Gives up waiting three times, and goes on.
fn with_a_limit_of_its_own(conn: &mut Conn) -> io::Result<()> {
    conn.set_read_timeout(Some(Duration::from_millis(20)))?;
    let mut byte = [0];
    for turn in 0..3 {
        let error = conn.read(&mut byte).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        writeln!(conn, "waited {turn}")?;
    }
    conn.set_read_timeout(None)?;
    conn.read_exact(&mut byte)?;
    conn.write_all(&byte)
}

#[test]
fn a_connection_has_limits_of_its_own() {
    within(|| {
        for name in ["serial", "coroutines", "threads", "pool:2", "processes", "prefork:1:threads"]
        {
            let builder = Server::builder().listen("127.0.0.1:0").unwrap();
            let server = builder.start(model(name), with_a_deadline).unwrap();
            let began = Instant::now();
            let mut client = Client::silent(&server);
            client.is_over();
            assert!(began.elapsed() >= Duration::from_millis(150), "{name}");
            eventually("it is counted", || server.counters().timed_out == 1);
            let builder = Server::builder().listen("127.0.0.1:0").unwrap();
            let server = builder.start(model(name), with_a_limit_of_its_own).unwrap();
            let mut client = Client::silent(&server);
            for turn in 0..3 {
                assert_eq!(client.line(), format!("waited {turn}\n"));
            }
            client.send("x");
            assert_eq!(client.line(), "x");
            drop(client);
            eventually("it is over", || server.counters().active == 0);
            assert_eq!(server.counters().timed_out, 0);
        }
    });
}

/// Ticks as long as it may.
struct Endless;

impl Protocol for Endless {
    fn received(&mut self, _: &mut Input<'_>, _: &mut Vec<u8>) -> io::Result<Flow> {
        Ok(Flow::Go)
    }

    fn wake_after(&self) -> Option<Duration> {
        // Taken for a millisecond.
        Some(Duration::ZERO)
    }

    fn quiet(&mut self, answer: &mut Vec<u8>) -> io::Result<Flow> {
        answer.extend_from_slice(b"tick\n");
        Ok(Flow::Go)
    }
}

fn what_is_said_to_a_silent_client_does_not_end_its_silence(model: &Model) {
    // Silent between turns; within one; and within one whose handler has a limit.
    type Limit = fn(Builder) -> Builder;
    let cases: [(&str, Limit); 3] = [
        ("", |builder| builder.idle_timeout(LIMIT)),
        ("half", |builder| builder.idle_timeout(LONG).read_timeout(LIMIT)),
        ("half", |builder| builder.handler_timeout(LIMIT)),
    ];
    for (text, with) in cases {
        let builder = with(Server::builder().listen("127.0.0.1:0").unwrap());
        let server = builder.start(model.clone(), server::protocol(|_| Endless)).unwrap();
        let mut client = Client::silent(&server);
        client.send(text);
        let began = Instant::now();
        let mut said = Vec::new();
        let _ = client.stream.read_to_end(&mut said);
        let took = began.elapsed();
        assert!(took >= LIMIT && took < SOON, "{took:?} after {text:?}");
        assert!(said.starts_with(b"tick\ntick\n"));
        eventually("it is counted", || server.counters().timed_out == 1);
        assert_eq!(server.counters().turns, 0);
    }
}

fn a_client_that_takes_its_answer_slowly_is_served(model: &Model) {
    const BYTES: usize = 12_000_000;
    let server = serve_with(model, |builder| builder.write_timeout(LIMIT));
    let mut client = Client::connect(&server);
    client.send(&format!("big {BYTES}\n"));
    let began = Instant::now();
    let (mut chunk, mut rest) = (vec![0; 1 << 20], BYTES + 1);
    while rest > 0 {
        // Longer in all than it may take of nothing.
        thread::sleep(LIMIT / 8);
        let most = rest.min(chunk.len());
        client.stream.read_exact(&mut chunk[..most]).unwrap();
        rest -= most;
    }
    assert!(began.elapsed() > LIMIT);
    client.is_served();
    assert_eq!(server.counters().timed_out, 0);
}
