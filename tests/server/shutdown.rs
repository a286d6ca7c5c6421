//! The end of a server: what is answered yet, and what is cut.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fourfold::server::{Conn, Model, Serial, Server, ThreadPool, Threads};

use super::support::{Client, SOON, eventually, is_serial, model, serve, within};

crate::under_each_model!(
    idle_clients_are_let_go_at_once,
    a_turn_that_has_begun_is_answered,
    what_is_there_after_the_limit_is_cut,
    every_turn_that_was_read_is_answered,
    the_address_can_be_bound_again_at_once,
    a_server_that_is_dropped_ends,
);

const LONG: Duration = Duration::from_secs(60);

fn idle_clients_are_let_go_at_once(model: &Model) {
    let server = serve(model);
    let most = if is_serial(model) { 1 } else { 5 };
    let mut clients: Vec<Client> = (0..most).map(|_| Client::connect(&server)).collect();
    clients[0].is_served();
    let began = Instant::now();
    let ended = server.shutdown(LONG);
    assert!(began.elapsed() < LONG / 2);
    assert_eq!((ended.cut, ended.abandoned), (0, 0));
    clients.iter_mut().for_each(Client::is_over);
    assert!(TcpStream::connect(server.addresses()[0].tcp().unwrap()).is_err());
    let counters = server.counters();
    assert_eq!((counters.active, counters.failed, counters.cut), (0, 0, 0));
}

fn a_turn_that_has_begun_is_answered(model: &Model) {
    let server = serve(model);
    let mut client = Client::connect(&server);
    // The second turn has begun for sure: its beginning came with the first.
    client.send("whole\nhal");
    assert_eq!(client.line(), "whole response\n");
    thread::scope(|scope| {
        let ending = scope.spawn(|| server.shutdown(LONG));
        // It is in the middle of its end.
        let address = server.addresses()[0].tcp().unwrap();
        eventually("no more is accepted", || TcpStream::connect(address).is_err());
        thread::sleep(Duration::from_millis(50));
        assert!(!ending.is_finished());
        client.send("f\n");
        assert_eq!(client.line(), "half response\n");
        client.is_over();
        let ended = ending.join().unwrap();
        assert_eq!((ended.cut, ended.abandoned), (0, 0));
    });
}

fn what_is_there_after_the_limit_is_cut(model: &Model) {
    let server = serve(model);
    let mut client = Client::connect(&server);
    client.send("whole\nhal");
    assert_eq!(client.line(), "whole response\n");
    let limit = Duration::from_millis(200);
    let began = Instant::now();
    let ended = server.shutdown(limit);
    let took = began.elapsed();
    assert!(took >= limit && took < limit + SOON / 2, "{took:?}");
    assert_eq!((ended.cut, ended.abandoned), (1, 0));
    client.is_over();
    let counters = server.counters();
    assert_eq!((counters.active, counters.cut), (0, 1));
}

fn every_turn_that_was_read_is_answered(model: &Model) {
    let clients = if is_serial(model) { 1 } else { 6 };
    let server = serve(model);
    let (answers, greeted) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = Client::connect(&server);
                greeted.fetch_add(1, Ordering::SeqCst);
                loop {
                    // The last one is not read by the server, or is answered.
                    if client.stream.write_all(b"again\n").is_err() {
                        return;
                    }
                    match client.try_line() {
                        Ok(line) if line == "again response\n" => {
                            answers.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(line) => return assert_eq!(line, ""),
                        Err(error) => {
                            return assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                        }
                    }
                }
            });
        }
        eventually("it is under load", || {
            greeted.load(Ordering::SeqCst) == clients && answers.load(Ordering::SeqCst) > 200
        });
        let ended = server.shutdown(LONG);
        assert_eq!((ended.cut, ended.abandoned), (0, 0));
    });
    assert_eq!(server.counters().turns, answers.load(Ordering::SeqCst));
}

fn the_address_can_be_bound_again_at_once(model: &Model) {
    let server = serve(model);
    let address = server.addresses()[0].clone();
    let mut client = Client::connect(&server);
    client.is_served();
    server.shutdown(LONG);
    // With its client there, and its own end of the connection in TIME_WAIT.
    let again = Server::builder().listen(address).unwrap();
    let again = again.start(model.clone(), super::support::greeter()).unwrap();
    Client::connect(&again).is_served();
}

fn a_server_that_is_dropped_ends(model: &Model) {
    let server = serve(model);
    let mut client = Client::connect(&server);
    client.send("half");
    drop(server);
    // Whether or not it had been read.
    let _ = client.try_line();
    client.is_over();
}

/// Says how it goes until it is told of the end.
fn until_drained(conn: &mut Conn) -> io::Result<()> {
    while !conn.draining() {
        conn.write_all(b".")?;
        thread::sleep(Duration::from_millis(5));
    }
    conn.write_all(b"!\n")
}

#[test]
fn a_handler_is_told_of_the_end() {
    within(|| {
        for name in ["serial", "coroutines", "threads", "pool:2", "processes", "prefork:1:threads"]
        {
            let builder = Server::builder().listen("127.0.0.1:0").unwrap();
            let server = builder.start(model(name), until_drained).unwrap();
            let mut client = Client::silent(&server);
            client.stream.read_exact(&mut [0]).unwrap();
            let ended = server.shutdown(LONG);
            assert_eq!((ended.cut, ended.abandoned), (0, 0), "{name}");
            assert!(client.line().ends_with("!\n"), "{name}");
        }
    });
}

#[test]
fn a_handler_that_cannot_be_ended_is_told_of() {
    within(|| {
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let gone = std::sync::Arc::new(std::sync::Mutex::new(gone));
        let stuck = move |conn: &mut Conn| {
            conn.write_all(b"stuck\n")?;
            // Neither reads nor writes, whatever becomes of its connection.
            let _ = gone.lock().unwrap().recv();
            Ok(())
        };
        let builder = || Server::builder().listen("127.0.0.1:0").unwrap();
        let servers = [
            builder().start(Threads, stuck.clone()).unwrap(),
            builder().start(ThreadPool(2), stuck.clone()).unwrap(),
            builder().start(Serial, stuck).unwrap(),
        ];
        for server in &servers {
            let mut client = Client::silent(server);
            assert_eq!(client.line(), "stuck\n");
            let ended = server.shutdown(Duration::from_millis(10));
            assert_eq!((ended.cut, ended.abandoned), (1, 1));
            client.is_over();
        }
        drop(go);
        for server in &servers {
            eventually("it has ended", || server.counters().active == 0);
        }
    });
}

#[test]
fn a_second_shutdown_waits_for_the_first() {
    within(|| {
        let server = serve(&model("coroutines"));
        let mut client = Client::connect(&server);
        client.send("whole\nhal");
        assert_eq!(client.line(), "whole response\n");
        thread::scope(|scope| {
            let all = [0; 3].map(|_| scope.spawn(|| server.shutdown(Duration::from_millis(300))));
            let cut: usize = all.into_iter().map(|ended| ended.join().unwrap().cut).sum();
            assert_eq!(cut, 1);
        });
    });
}

/// A blocking handler, whose reader has taken the next turn with the first.
fn lines(conn: &mut Conn) -> io::Result<()> {
    for line in BufReader::new(&*conn).lines() {
        writeln!(&*conn, "{}", line?)?;
    }
    Ok(())
}

#[test]
fn turns_that_a_reader_of_the_handler_has_are_answered() {
    within(|| {
        for name in ["coroutines", "threads", "processes", "prefork:1:coroutines"] {
            let builder = Server::builder().listen("127.0.0.1:0").unwrap();
            let server = builder.start(model(name), lines).unwrap();
            let mut client = Client::silent(&server);
            client.send("one\ntwo\nthree\n");
            assert_eq!(client.line(), "one\n");
            let ended = server.shutdown(LONG);
            assert_eq!((ended.cut, ended.abandoned), (0, 0), "{name}");
            assert_eq!(client.line(), "two\n");
            assert_eq!(client.line(), "three\n");
            client.is_over();
        }
    });
}
