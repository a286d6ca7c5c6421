//! The same transcript under every model, and clients that do not behave.

use std::io::Write;
use std::net::Shutdown;
use std::thread;

use fourfold::server::Model;

use super::support::{Client, eventually, is_serial, serve, serve_with};

crate::under_each_model!(
    the_transcript,
    conversations_do_not_mix,
    a_panic_costs_its_connection,
    an_error_costs_its_connection,
    a_client_that_leaves_abruptly_hurts_nobody,
    a_flood_is_answered_whole_and_holds_up_nobody,
    a_slow_reader_holds_up_nobody,
    half_a_line_holds_up_nobody,
    a_crowd_is_counted,
    what_is_sent_behind_the_last_turn_resets_nothing,
    turns_are_measured_if_that_is_asked_for,
);

fn the_transcript(model: &Model) {
    let server = serve(model);
    let mut client = Client::connect(&server);
    assert_eq!(client.ask("one"), "one response\n");
    // Several at once, and one in pieces.
    client.send("two\nthree\nfo");
    assert_eq!(client.line(), "two response\n");
    assert_eq!(client.line(), "three response\n");
    client.send("ur\r\n");
    assert_eq!(client.line(), "four response\n");
    // An empty one.
    assert_eq!(client.ask(""), " response\n");
    // What is left at the end is the protocol's too.
    client.send("half");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.line(), "unfinished: half");
    client.is_over();
    let mut client = Client::connect(&server);
    assert_eq!(client.ask("bye"), "bye\n");
    client.is_over();
    eventually("both are over", || server.counters().active == 0);
    let counters = server.counters();
    assert_eq!((counters.accepted, counters.failed, counters.panicked), (2, 0, 0));
}

fn conversations_do_not_mix(model: &Model) {
    let server = serve(model);
    if is_serial(model) {
        for name in ["a", "b", "c"] {
            let mut client = Client::connect(&server);
            assert_eq!(client.ask(name), format!("{name} response\n"));
        }
        return;
    }
    thread::scope(|scope| {
        for name in 0..6 {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::connect(server);
                for turn in 0..100 {
                    let text = format!("{name}.{turn}");
                    assert_eq!(client.ask(&text), format!("{text} response\n"));
                }
            });
        }
    });
}

fn a_panic_costs_its_connection(model: &Model) {
    let server = serve(model);
    let mut other = (!is_serial(model)).then(|| Client::connect(&server));
    let mut client = Client::connect(&server);
    client.send("panic\n");
    client.is_over();
    eventually("it is counted", || server.counters().panicked == 1);
    if let Some(other) = &mut other {
        other.is_served();
    }
    Client::connect(&server).is_served();
}

fn an_error_costs_its_connection(model: &Model) {
    let server = serve(model);
    let mut other = (!is_serial(model)).then(|| Client::connect(&server));
    let mut client = Client::connect(&server);
    // What was answered before is written yet.
    client.send("first\nerror\n");
    assert_eq!(client.line(), "first response\n");
    client.is_over();
    eventually("it is counted", || server.counters().failed == 1);
    if let Some(other) = &mut other {
        other.is_served();
    }
    Client::connect(&server).is_served();
}

fn a_client_that_leaves_abruptly_hurts_nobody(model: &Model) {
    let server = serve(model);
    for text in ["", "whole\n", "half", "big 3000000\n"] {
        let mut client = Client::connect(&server);
        client.send(text);
        client.leave_abruptly();
    }
    Client::connect(&server).is_served();
    eventually("all are gone", || server.counters().active == 0);
    assert_eq!(server.counters().failed, 0);
}

fn a_flood_is_answered_whole_and_holds_up_nobody(model: &Model) {
    const LINES: usize = 100_000;
    let server = serve(model);
    let mut client = Client::connect(&server);
    let mut stream = client.stream.try_clone().unwrap();
    // It reads nothing until all of it is on its way, as far as there is room for that.
    let flood = thread::spawn(move || {
        let lines = (0..LINES).map(|n| format!("line {n}\n")).collect::<String>();
        stream.write_all(lines.as_bytes()).unwrap();
    });
    if !is_serial(model) {
        Client::connect(&server).is_served();
    }
    for n in 0..LINES {
        assert_eq!(client.line(), format!("line {n} response\n"));
    }
    flood.join().unwrap();
}

fn a_slow_reader_holds_up_nobody(model: &Model) {
    const BYTES: usize = 20_000_000;
    let server = serve(model);
    let mut slow = Client::connect(&server);
    slow.send(&format!("big {BYTES}\n"));
    if !is_serial(model) {
        for _ in 0..3 {
            Client::connect(&server).is_served();
        }
    }
    assert_eq!(slow.line().len(), BYTES + 1);
    slow.is_served();
}

fn half_a_line_holds_up_nobody(model: &Model) {
    let server = serve(model);
    let mut half = Client::connect(&server);
    half.send("hal");
    if !is_serial(model) {
        Client::connect(&server).is_served();
    }
    half.send("f\n");
    assert_eq!(half.line(), "half response\n");
}

fn a_crowd_is_counted(model: &Model) {
    const CROWD: usize = 60;
    let server = serve(model);
    for n in 0..CROWD {
        let mut client = Client::connect(&server);
        assert_eq!(client.ask(&n.to_string()), format!("{n} response\n"));
    }
    eventually("all are gone", || server.counters().active == 0);
    eventually("all turns are counted", || server.counters().turns == CROWD as u64);
    let counters = server.counters();
    assert_eq!(counters.accepted, CROWD as u64);
    let text = counters.prometheus("tests");
    assert!(text.contains(&format!("tests_connections_accepted_total {CROWD}\n")), "{text}");
    assert!(text.contains("tests_connections_active 0\n"), "{text}");
}

fn what_is_sent_behind_the_last_turn_resets_nothing(model: &Model) {
    let server = serve(model);
    for _ in 0..5 {
        let mut client = Client::connect(&server);
        client.send(&format!("one\nbye\n{}", "unread\n".repeat(2000)));
        assert_eq!(client.line(), "one response\n");
        assert_eq!(client.line(), "bye\n");
        assert_eq!(client.try_line().unwrap(), "");
    }
}

fn turns_are_measured_if_that_is_asked_for(model: &Model) {
    let server = serve_with(model, |builder| builder.measure_latency(true));
    let mut client = Client::connect(&server);
    for _ in 0..3 {
        client.is_served();
    }
    drop(client);
    eventually("three are measured", || server.counters().latency.count == 3);
    let latency = server.counters().latency;
    assert!(latency.classes().map(|(_, count)| count).sum::<u64>() <= 3);
    assert!(server.counters().prometheus("x").contains("x_turn_seconds_count 3\n"));
}
