//! The forms of a handler, and which models take them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fourfold::ErrorKind;
use fourfold::server::{
    self, Conn, Coroutines, Events, Flow, Handler, Input, Prefork, Processes, Protocol, Serial,
    Server, Serves, ThreadPool, Threads,
};
use serde::{Deserialize, Serialize};

use super::support::{Client, eventually, model, shout, within};

fn start<M: Serves<H>, H: Handler>(model: M, handler: H) -> Server {
    Server::builder().listen("127.0.0.1:0").unwrap().start(model, handler).unwrap()
}

#[test]
fn a_closure_that_captures_is_shared_by_the_connections_of_one_process() {
    fn count<M: Serves<H>, H: Handler>(model: M, handler: H, shared: &AtomicU32) {
        let server = start(model, handler);
        let before = shared.load(Ordering::SeqCst);
        for n in 1..=3 {
            assert_eq!(Client::silent(&server).line(), format!("{}\n", before + n));
        }
    }
    within(|| {
        let shared = Arc::new(AtomicU32::new(0));
        let handler = {
            let shared = Arc::clone(&shared);
            move |conn: &mut Conn| writeln!(conn, "{}", shared.fetch_add(1, Ordering::SeqCst) + 1)
        };
        count(Serial, handler.clone(), &shared);
        count(Threads, handler.clone(), &shared);
        count(ThreadPool(2), handler.clone(), &shared);
        count(Coroutines(2), handler, &shared);
    });
}

#[test]
fn a_function_runs_where_it_has_a_stack() {
    within(|| {
        for name in
            ["serial", "coroutines:2", "threads", "pool:1", "processes", "prefork:2:threads"]
        {
            let server = start(model(name), shout);
            let mut client = Client::silent(&server);
            assert_eq!(client.ask("hello"), "HELLO\n", "{name}");
        }
        for name in ["events", "prefork:1:events"] {
            let builder = Server::builder().listen("127.0.0.1:0").unwrap();
            let error = builder.start(model(name), shout).unwrap_err();
            assert!(error.to_string().contains("protocol"), "{name}: {error}");
        }
    });
}

#[derive(Clone, Serialize, Deserialize)]
struct Words {
    greeting: String,
    behind: String,
}

/// Answers with the words that it was given.
struct Given(Words);

impl Protocol for Given {
    fn connected(&mut self, answer: &mut Vec<u8>) -> io::Result<Flow> {
        writeln!(answer, "{}", self.0.greeting)?;
        Ok(Flow::Go)
    }

    fn received(&mut self, input: &mut Input<'_>, answer: &mut Vec<u8>) -> io::Result<Flow> {
        if let Some(line) = input.line() {
            answer.extend_from_slice(line);
            writeln!(answer, "{}", self.0.behind)?;
        }
        Ok(Flow::Go)
    }
}

#[test]
fn arguments_reach_the_handler_wherever_it_runs() {
    within(|| {
        let words = Words { greeting: "good day".into(), behind: "!".into() };
        let all = [
            "serial",
            "events",
            "coroutines",
            "threads",
            "pool:1",
            "processes",
            "prefork:1:events",
        ];
        for name in all {
            let given =
                server::protocol_with(words.clone(), |_, words: &Words| Given(words.clone()));
            let server = start(model(name), given);
            let mut client = Client::silent(&server);
            assert_eq!(client.line(), "good day\n", "{name}");
            assert_eq!(client.ask("so"), "so!\n", "{name}");
        }
        for name in ["serial", "coroutines", "threads", "processes", "prefork:1"] {
            let given = server::with(words.clone(), |conn: &mut Conn, words: &Words| {
                writeln!(conn, "{}", words.greeting)
            });
            let server = start(model(name), given);
            assert_eq!(Client::silent(&server).line(), "good day\n", "{name}");
        }
    });
}

#[test]
fn types_choose_a_model_too() {
    within(|| {
        let greeter = super::support::greeter;
        for server in [
            start(Serial, greeter()),
            start(Coroutines(1), greeter()),
            start(Threads, greeter()),
            start(Processes, greeter()),
            start(Prefork(1, Coroutines(1)), greeter()),
            start(Prefork(1, Prefork(1, Threads)), greeter()),
            start(Prefork(1, Processes), greeter()),
            start(Events(1), server::protocol(|_| super::support::Greeter)),
        ] {
            Client::connect(&server).is_served();
        }
    });
}

#[test]
fn a_model_of_nobody_is_refused() {
    let refused = |result: fourfold::Result<Server>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    };
    let builder = || Server::builder().listen("127.0.0.1:0").unwrap();
    let greeter = || server::protocol(|_| super::support::Greeter);
    refused(builder().start(Events(0), greeter()));
    refused(builder().start(Coroutines(0), greeter()));
    refused(builder().start(ThreadPool(0), greeter()));
    refused(builder().start(Prefork(0, Threads), greeter()));
    refused(builder().start(Prefork(1, Coroutines(0)), greeter()));
}

/// Cannot be copied, or written for another process: it says so by a panic.
struct Brittle(bool);

impl Clone for Brittle {
    fn clone(&self) -> Brittle {
        assert!(self.0, "not to be cloned");
        Brittle(self.0)
    }
}

impl Serialize for Brittle {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("not to be written")
    }
}

impl<'de> Deserialize<'de> for Brittle {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Brittle, D::Error> {
        bool::deserialize(deserializer).map(Brittle)
    }
}

#[test]
fn arguments_that_panic_on_their_way_are_an_error() {
    within(|| {
        for can_be_cloned in [false, true] {
            let handler = || {
                server::with(Brittle(can_be_cloned), |conn: &mut Conn, _: &Brittle| {
                    conn.write_all(b"served\n")
                })
            };
            let builder = || Server::builder().listen("127.0.0.1:0").unwrap().on_event(|_| {});
            let error = builder().start(Prefork(2, Threads), handler()).unwrap_err();
            assert!(error.to_string().contains("not to be"), "{error}");
            // Each connection is refused, and the next one is too.
            let server = builder().start(Processes, handler()).unwrap();
            for rejected in 1..=2 {
                Client::silent(&server).is_over();
                eventually("it is counted", || server.counters().rejected == rejected);
            }
        }
    });
}

/// Panics in the step that is named.
struct Panicky(String);

impl Panicky {
    fn step(&self, name: &str) {
        assert_ne!(self.0, name, "asked to");
    }
}

impl Protocol for Panicky {
    fn connected(&mut self, _: &mut Vec<u8>) -> io::Result<Flow> {
        self.step("connected");
        Ok(Flow::Go)
    }

    fn received(&mut self, _: &mut Input<'_>, _: &mut Vec<u8>) -> io::Result<Flow> {
        self.step("received");
        Ok(Flow::Close)
    }

    fn wake_after(&self) -> Option<Duration> {
        self.step("wake_after");
        Some(Duration::from_millis(5))
    }

    fn quiet(&mut self, _: &mut Vec<u8>) -> io::Result<Flow> {
        self.step("quiet");
        Ok(Flow::Go)
    }
}

impl Drop for Panicky {
    fn drop(&mut self) {
        if self.0 == "drop" {
            panic!("asked to");
        }
    }
}

#[test]
fn a_protocol_may_panic_anywhere() {
    within(|| {
        let names = [
            "serial",
            "events",
            "coroutines",
            "threads",
            "pool:2",
            "processes",
            "prefork:1:events",
        ];
        for name in names {
            // By the file that its client says: one after another, in one server, which goes on.
            let folder = tempfile::TempDir::new().unwrap();
            let file = folder.path().join("step");
            let panicky = server::protocol_with(file.clone(), |_, file: &std::path::PathBuf| {
                let step = std::fs::read_to_string(file).unwrap();
                assert_ne!(step, "made", "asked to");
                Panicky(step)
            });
            let server = start(model(name), panicky);
            for step in ["made", "connected", "received", "wake_after", "quiet", "drop", "", "last"]
            {
                std::fs::write(&file, step).unwrap();
                let mut client = Client::silent(&server);
                if step != "quiet" {
                    let _ = client.stream.write_all(b"anything\n");
                }
                client.is_over();
                eventually("it is over", || server.counters().active == 0);
            }
        }
    });
}
