//! What the system has no more of: descriptors, above all.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use fourfold::process::{self, Fd, Resource};
use fourfold::server::{Event, Server};

use super::support::{Client, SOON, eventually, greeter, model, serve_with, within};

/// In a child that may have few descriptors: serves until its pipe ends. Gives how many attempts to accept failed.
fn starved(listener: Fd<OwnedFd>, name: String, end: process::Receiver<()>) -> u64 {
    let builder = Server::builder().listen_on(listener.0).unwrap().on_event(|event| {
        assert!(
            matches!(event, Event::AcceptFailed { .. } | Event::WorkerStarted { .. }),
            "{event}"
        );
    });
    let server = builder.start(model(&name), greeter()).unwrap();
    let _ = end.recv();
    let ended = server.shutdown(Duration::from_secs(30));
    assert_eq!((ended.cut, ended.abandoned), (0, 0));
    server.counters().accept_errors
}

#[test]
fn it_goes_on_accepting_when_there_are_descriptors_again() {
    within(|| {
        for name in ["serial", "events", "coroutines", "threads", "pool:64"] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let (ends, end) = process::pipe().unwrap();
            let builder = process::Builder::new().limit(Resource::OpenFiles, 40);
            let given = (Fd(listener.into()), name.to_owned(), end);
            let child = builder.spawn(starved, given).unwrap();
            // More than it has room for: the kernel keeps the rest.
            let mut clients: Vec<Client> = (0..60).map(|_| Client::to(address)).collect();
            assert_eq!(clients[0].line(), "hello\n", "{name}");
            if name != "serial" {
                clients[1].line();
                std::thread::sleep(Duration::from_millis(100));
            }
            clients.drain(..40);
            for client in &mut clients {
                if name == "serial" {
                    break;
                }
                assert_eq!(client.line(), "hello\n", "{name}");
                client.is_served();
            }
            clients.clear();
            let mut last = Client::to(address);
            assert_eq!(last.line(), "hello\n", "{name}");
            drop(last);
            drop(ends);
            let failed = child.join().unwrap();
            assert_eq!(failed > 0, name != "serial", "{name}: {failed} attempts failed");
        }
    });
}

#[test]
fn a_thousand_that_send_nothing_keep_nobody_out_and_are_closed_in_time() {
    within(|| {
        for name in ["events", "coroutines", "threads", "prefork:2:events", "prefork:2:coroutines"]
        {
            let limit = Duration::from_millis(1500);
            let server = serve_with(&model(name), |builder| builder.idle_timeout(limit));
            let address = server.addresses()[0].tcp().unwrap();
            let silent: Vec<TcpStream> =
                (0..1000).map(|_| TcpStream::connect(address).unwrap()).collect();
            let mut client = Client::connect(&server);
            client.is_served();
            eventually("all are closed", || {
                client.is_served();
                server.counters().timed_out >= 1000
            });
            client.is_served();
            for stream in &silent {
                stream.set_read_timeout(Some(SOON)).unwrap();
                let mut text = String::new();
                std::io::Read::read_to_string(&mut &*stream, &mut text).unwrap();
                assert_eq!(text, "hello\n");
            }
        }
    });
}
