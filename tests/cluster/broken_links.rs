//! Our client when its connection fails, or its server does not answer.

use std::thread;

use fourfold::cluster::manager::{Client, Condition, Server};

use crate::{client, eventually, key, server};

/// A client that fails when it is sent more than 64 KiB.
fn narrow(server: &Server) -> Client {
    Client::builder(key()).message_limit(64 << 10).connect(server.address()).expect("a client")
}

/// Makes this thread's connection of a narrow client fail.
fn break_link(server: &Server, narrow: &Client) {
    let queue = client(server).queue::<String>("get_result_queue").expect("a queue");
    queue.put("x".repeat(1 << 20)).expect("room");
    let item = narrow.queue::<String>("get_result_queue").expect("a queue").get();
    item.expect_err("an item over the limit");
}

/// In a thread of its own, whose connection ends with it.
fn elsewhere<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(call).join().expect("no panic"))
}

#[test]
fn the_guard_of_a_lost_connection_does_not_release_the_lock_of_another() {
    let server = builder_with_a_door();
    let (ours, theirs) = (narrow(&server), client(&server));
    let lock = ours.lock("door").expect("a lock");
    let guard = lock.lock().expect("it is free");
    break_link(&server, &ours);
    let other = theirs.lock("door").expect("a lock");
    let others = other.lock().expect("the server has freed it");
    assert!(others.owner_died());
    drop(guard);
    assert!(elsewhere(|| other.try_lock().expect("an answer").is_none()), "it was freed");
    drop(others);
    assert!(elsewhere(|| other.try_lock().expect("an answer").is_some()));
}

fn builder_with_a_door() -> Server {
    let builder = crate::builder().lock("door").rlock("gate");
    builder.bind("127.0.0.1:0").expect("a server on loopback")
}

#[test]
fn the_guard_of_a_lost_connection_does_not_count_for_the_next() {
    let server = builder_with_a_door();
    let ours = narrow(&server);
    let gate = ours.rlock("gate").expect("a lock");
    let first = gate.lock().expect("it is free");
    break_link(&server, &ours);
    let second = gate.lock().expect("the server has freed it");
    assert!(second.owner_died());
    drop(first);
    assert!(elsewhere(|| gate.try_lock().expect("an answer").is_none()), "it was released");
    drop(second);
    assert!(elsewhere(|| gate.try_lock().expect("an answer").is_some()));
}

#[test]
fn a_condition_s_guard_of_a_lost_connection_is_of_no_more_use() {
    let server = server();
    let ours = narrow(&server);
    let proxy = ours.proxy("Condition", &[]).expect("a condition");
    let condition = Condition::new(proxy.clone());
    let takes = || {
        let taken = proxy.call("acquire", &[false.into()], &[]).expect("an answer");
        taken.root().as_bool().expect("a boolean")
    };
    let first = condition.lock().expect("it is free");
    break_link(&server, &ours);
    let second = condition.lock().expect("the server has freed it");
    let error = first.notify_all().expect_err("its connection is gone");
    assert!(error.to_string().contains("freed"), "{error}");
    drop(first);
    assert!(!elsewhere(takes), "it was released");
    second.notify_all().expect("it is held");
    drop(second);
    eventually("it is free", || elsewhere(takes));
}
