//! The end of a server: what is answered yet, and what is cut.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use fourfold::server::{
    Address, Builder, Conn, Coroutines, Ended, Event, Events, Flow, Input, Model, Protocol, Serial,
    Server, ThreadPool, Threads, protocol,
};

use super::support::{Client, SOON, eventually, is_serial, model, serve, serve_with, within};

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
    client.begins_a_turn("hal");
    thread::scope(|scope| {
        let ending = scope.spawn(|| server.shutdown(LONG));
        // It is in the middle of its end.
        let address = server.addresses()[0].tcp().unwrap();
        eventually("no more is accepted", || TcpStream::connect(address).is_err());
        thread::sleep(Duration::from_millis(50));
        assert!(!ending.is_finished());
        client.ends_its_last_turn();
        let ended = ending.join().unwrap();
        assert_eq!((ended.cut, ended.abandoned), (0, 0));
    });
}

fn what_is_there_after_the_limit_is_cut(model: &Model) {
    let server = serve(model);
    let mut client = Client::connect(&server);
    client.begins_a_turn("hal");
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
        let (go, gone) = mpsc::channel::<()>();
        let gone = Arc::new(Mutex::new(gone));
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
        client.begins_a_turn("hal");
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

/// Where handlers and listeners find the server that they are of.
type Place = Arc<Mutex<Option<Arc<Server>>>>;

/// Ends the server in the middle of a turn, and says how it ended, whoever can hear of it yet.
struct Ender(Place, mpsc::Sender<(usize, usize)>);

impl Protocol for Ender {
    fn received(&mut self, input: &mut Input<'_>, answer: &mut Vec<u8>) -> io::Result<Flow> {
        let Some(line) = input.line() else { return Ok(Flow::Go) };
        if line == b"end" {
            // The last one, if the test has let go of its own.
            let server = self.0.lock().unwrap().take().unwrap();
            let ended = server.shutdown(Duration::from_millis(50));
            drop(server);
            let _ = self.1.send((ended.cut, ended.abandoned));
        } else {
            answer.extend_from_slice(b"here\n");
        }
        Ok(Flow::Go)
    }
}

/// A server of a model in this process, which its own handler ends: by a call, or by dropping the last of it too.
fn ends_itself<H>(
    start: impl Fn(H) -> Server,
    handler: impl Fn(Place, mpsc::Sender<(usize, usize)>) -> H,
) {
    for keeps in [true, false] {
        let place = Place::default();
        let (tell, told) = mpsc::channel();
        let server = Arc::new(start(handler(Arc::clone(&place), tell)));
        let address = server.addresses()[0].tcp().unwrap();
        *place.lock().unwrap() = Some(Arc::clone(&server));
        let kept = keeps.then_some(server);
        let mut client = Client::to(address);
        assert_eq!(client.ask("on"), "here\n");
        client.send("end\n");
        // Its own handler cannot end before it does.
        assert_eq!(told.recv_timeout(SOON), Ok((1, 1)));
        client.is_over();
        assert!(TcpStream::connect(address).is_err());
        if let Some(server) = kept {
            eventually("it has left", || server.counters().active == 0);
            assert_eq!((server.shutdown(LONG).cut, server.counters().cut), (0, 1));
        }
    }
}

#[test]
fn a_handler_may_end_its_server() {
    within(|| {
        let builder = || Server::builder().listen("127.0.0.1:0").unwrap();
        let handler = |place: Place, tell: mpsc::Sender<_>| {
            protocol(move |_: &Address| Ender(Arc::clone(&place), tell.clone()))
        };
        ends_itself(|handler| builder().start(Serial, handler).unwrap(), handler);
        ends_itself(|handler| builder().start(Events(1), handler).unwrap(), handler);
        ends_itself(|handler| builder().start(Events(2), handler).unwrap(), handler);
        ends_itself(|handler| builder().start(Coroutines(1), handler).unwrap(), handler);
        ends_itself(|handler| builder().start(Coroutines(2), handler).unwrap(), handler);
        ends_itself(|handler| builder().start(Threads, handler).unwrap(), handler);
        ends_itself(|handler| builder().start(ThreadPool(2), handler).unwrap(), handler);
    });
}

/// A server whose events end it: `is_it` says which. Gives what the end was told as.
fn ended_by_an_event(
    name: &str,
    with: impl FnOnce(Builder) -> Builder,
    is_it: fn(&Event) -> bool,
    cause: impl FnOnce(&Server),
) -> (Ended, Arc<Server>) {
    let place = Place::default();
    let (tell, told) = mpsc::channel();
    let hear = {
        let place = Arc::clone(&place);
        move |event: &Event| {
            let server = place.lock().unwrap().clone();
            if let Some(server) = server.filter(|_| is_it(event)) {
                let _ = tell.send(server.shutdown(LONG));
            }
        }
    };
    let server = Arc::new(serve_with(&model(name), |builder| with(builder).on_event(hear)));
    *place.lock().unwrap() = Some(Arc::clone(&server));
    cause(&server);
    let ended = told.recv_timeout(SOON).expect("it was told of, and has ended");
    place.lock().unwrap().take();
    (ended, server)
}

#[test]
fn who_hears_of_events_may_end_the_server() {
    within(|| {
        // On the thread of the acceptor.
        let huge = |builder: Builder| builder.stack_size(1 << 46);
        let is_rejected = |event: &Event| matches!(event, Event::Rejected { .. });
        let (ended, server) = ended_by_an_event("threads", huge, is_rejected, |server| {
            Client::silent(server).is_over();
        });
        assert_eq!((ended.cut, ended.abandoned), (0, 0));
        assert_eq!((server.shutdown(LONG).cut, server.counters().rejected), (0, 1));
        // Where a worker's end is heard of; a connection of another is let go, and not cut.
        let is_lost = |event: &Event| matches!(event, Event::WorkerLost { .. });
        for name in ["prefork:1:threads", "prefork:2:threads", "processes"] {
            let (ended, server) = ended_by_an_event(
                name,
                |builder| builder,
                is_lost,
                |server| {
                    let mut clients = [Client::connect(server), Client::connect(server)];
                    clients[1].send("abort\n");
                    clients[1].is_over();
                    clients[0].is_over();
                },
            );
            assert_eq!((ended.cut, ended.abandoned), (0, 0), "{name}");
            assert_eq!(
                (server.shutdown(LONG).cut, server.counters().workers_lost),
                (0, 1),
                "{name}"
            );
        }
    });
}

#[test]
fn who_hears_of_an_event_during_the_shutdown_may_end_the_server_too() {
    within(|| {
        for name in ["prefork:2:threads", "processes"] {
            let place = Place::default();
            let (tell, told) = mpsc::channel();
            let hear = {
                let place = Arc::clone(&place);
                move |event: &Event| {
                    let server = place.lock().unwrap().clone();
                    if let (Some(server), Event::WorkerLost { .. }) = (server, event) {
                        let _ = tell.send(server.shutdown(LONG).cut);
                    }
                }
            };
            let server = Arc::new(serve_with(&model(name), |builder| builder.on_event(hear)));
            *place.lock().unwrap() = Some(Arc::clone(&server));
            let mut client = Client::connect(&server);
            client.begins_a_turn("abor");
            thread::scope(|scope| {
                let ending = scope.spawn(|| server.shutdown(LONG));
                let address = server.addresses()[0].tcp().unwrap();
                eventually("no more is accepted", || TcpStream::connect(address).is_err());
                client.send("t\n");
                client.is_over();
                assert_eq!(told.recv_timeout(SOON), Ok(0), "{name}");
                ending.join().unwrap();
            });
            place.lock().unwrap().take();
        }
    });
}
