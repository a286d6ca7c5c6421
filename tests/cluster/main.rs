//! The network queue: our server and client, with each other and with stock Python programs on either side.

mod bad_input;
mod between_ours;
mod broken_links;
mod deaths;
mod hostile;
mod peer;
mod pressure;
mod python;
mod raw;
mod replay;
mod rows;
mod values;

use fourfold::cluster::manager::{Client, HandBack, Key, QueueOptions, Server, ServerBuilder};

/// The key of all tests.
fn key() -> Key {
    Key::new(*b"abc")
}

/// A server with what the programs of `peer.py` ask for.
fn builder() -> ServerBuilder {
    builder_with(QueueOptions::default())
}

/// The same, with a queue of tasks of that kind.
fn builder_with(tasks: QueueOptions) -> ServerBuilder {
    let options = QueueOptions::default;
    Server::builder(key())
        .queue_with("get_task_queue", tasks)
        .queue("get_result_queue")
        .queue_with("get_small", options().capacity(2))
        .queue_with("get_stack", options().lifo())
        .queue_with("get_sorted", options().priority())
        .queue("get_joinable")
}

fn server() -> Server {
    builder().bind("127.0.0.1:0").expect("a server on loopback")
}

/// A server whose tasks go back when their worker goes away.
fn handing_back() -> Server {
    let tasks = QueueOptions::default().hand_back(HandBack::UntilNext);
    builder_with(tasks).bind("127.0.0.1:0").expect("a server on loopback")
}

fn client(server: &Server) -> Client {
    Client::connect(server.address(), key()).expect("a client of a server that runs")
}

/// Asks again until it is so, for half a minute.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed().as_secs() < 30, "not within half a minute: {what}");
        std::thread::yield_now();
    }
}
