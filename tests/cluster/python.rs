//! Stock Python programs at either end.

use std::time::Duration;

use fourfold::cluster::manager::{Client, GetError, PutError, Value};

use crate::peer::{Python, ends, pythons};
use crate::{builder, client, handing_back, key, server};

#[test]
fn every_stock_client_uses_our_server_over_tcp() {
    std::thread::scope(|scope| {
        for python in pythons() {
            scope.spawn(|| {
                let server = builder().bind("127.0.0.1:0").expect("a server");
                python.run(&["client", &server.address().to_string(), "abc"]);
            });
        }
    });
}

#[test]
fn stock_clients_use_our_server_over_unix_sockets() {
    let folder = tempfile::tempdir().expect("a folder");
    for python in ends() {
        let path = folder.path().join(format!("{}.sock", python.version));
        let server = builder().bind(path.as_path()).expect("a server");
        python.run(&["client", &server.address().to_string(), "abc"]);
        server.shutdown().expect("a good end");
        assert!(!path.exists(), "the socket's path is removed");
    }
}

#[test]
fn a_stock_client_with_another_key_is_refused_and_the_server_goes_on() {
    let server = server();
    let address = server.address().to_string();
    for python in ends() {
        python.run(&["refused", &address, "another"]);
    }
    assert_eq!(client(&server).number_of_objects().expect("an answer"), 0);
}

/// The exception for it is newer than most versions.
#[test]
fn a_queue_that_is_shut_down_says_so_in_words_that_the_client_has() {
    for python in pythons() {
        let server = server();
        let small = client(&server).queue::<String>("get_small").expect("a queue");
        small.put("last".to_owned()).expect("room");
        small.shut_down(false).expect("an answer");
        python.run(&["closed", &server.address().to_string(), "abc"]);
        assert!(matches!(small.get(), Err(GetError::ShutDown)));
    }
}

#[test]
fn a_stock_client_shuts_our_server_down() {
    for python in ends() {
        let server = server();
        python.run(&["stop", &server.address().to_string(), "abc"]);
        server.wait().expect("a good end");
    }
}

/// A stock server in a process of its own, and where it listens.
fn stock(python: &Python, address: &str) -> (crate::peer::Peer, String) {
    let mut peer = python.start(&["serve", address, "abc"]);
    let address = peer.line();
    (peer, address)
}

#[test]
fn our_client_uses_every_stock_server() {
    for python in pythons() {
        let (_peer, address) = stock(python, "127.0.0.1:0");
        let client = Client::connect(&address, key()).expect("a connection");
        uses_stock_server(&client, python);
        assert!(client.number_of_objects().expect("a number") < 20);
        let queue = client.queue::<i64>("get_small").expect("a queue");
        assert!(client.debug_info().expect("a text").contains(queue.proxy().id()));
        client.shutdown_server().expect("an answer");
    }
}

fn uses_stock_server(client: &Client, python: &Python) {
    let version = python.version.as_str();
    let tasks = client.queue::<(String, Vec<i64>)>("get_task_queue").expect("a queue");
    let item = ("é and text".to_owned(), vec![1, -1, 1 << 40, i64::MIN]);
    tasks.put(item.clone()).expect("room");
    assert_eq!(tasks.len().expect("a number"), 1);
    assert_eq!(tasks.get().expect("an item"), item, "{version}");
    assert!(matches!(tasks.try_get(), Err(GetError::Empty)));
    assert!(matches!(tasks.get_timeout(Duration::from_millis(20)), Err(GetError::Empty)));
    tasks.task_done().expect("one was put");
    tasks.join().expect("all are done");
    let error = tasks.task_done().expect_err("one too many");
    assert!(error.exception().expect("an exception").is("builtins", "ValueError"), "{error}");

    let small = client.queue::<i32>("get_small").expect("a queue");
    small.put(1).expect("room");
    small.put(2).expect("room");
    assert!(matches!(small.try_put(3), Err(PutError::Full(3))));
    let late = small.put_timeout(4, Duration::from_millis(20));
    assert!(matches!(late, Err(PutError::Full(4))));

    let raw = client.proxy("get_result_queue", &[]).expect("a queue");
    let bytes = Value::from(vec![0u8, 0xff, b'a']);
    raw.call("put", std::slice::from_ref(&bytes), &[]).expect("room");
    let back = raw.call("get", &[], &[]).expect("an item");
    assert_eq!(back.root().as_bytes(), Some(&[0u8, 0xff, b'a'][..]), "{version}");
    let refused = raw.call("nosuch", &[], &[]).expect_err("no such method");
    assert!(refused.to_string().contains("nosuch"), "{refused}");

    let dict = client.dict::<String, i64>("dict").expect("a dict");
    dict.insert(&"k".to_owned(), &5).expect("a place");
    assert_eq!(dict.get(&"k".to_owned()).expect("an answer"), Some(5));
    assert_eq!(dict.get(&"z".to_owned()).expect("an answer"), None);
    assert_eq!(dict.to_vec().expect("entries"), [("k".to_owned(), 5)]);
    let list = client.list::<i64>("list").expect("a list");
    list.extend(&[3, 1, 2]).expect("room");
    list.sort().expect("an order");
    assert_eq!(list.to_vec().expect("items"), [1, 2, 3]);
    assert_eq!(list.get(9).expect("an answer"), None);

    let lock = client.lock("Lock").expect("a lock");
    let guard = lock.lock().expect("it is free");
    assert!(lock.try_lock().expect("an answer").is_none());
    drop(guard);
    assert!(lock.try_lock().expect("an answer").is_some());
    let event = client.event("Event").expect("an event");
    event.set().expect("an answer");
    assert!(event.is_set().expect("an answer"));
    let semaphore = client.new_semaphore(1).expect("a semaphore");
    assert!(semaphore.try_acquire().expect("an answer"));
    assert!(!semaphore.try_acquire().expect("an answer"));
}

#[test]
fn our_client_uses_stock_servers_over_unix_sockets() {
    let folder = tempfile::tempdir().expect("a folder");
    for python in ends() {
        let path = folder.path().join(format!("{}.sock", python.version));
        let (_peer, address) = stock(python, path.to_str().expect("text"));
        let client = Client::connect(&address, key()).expect("a connection");
        uses_stock_server(&client, python);
    }
}

#[test]
fn our_client_with_another_key_is_refused_by_a_stock_server() {
    for python in ends() {
        let (_peer, address) = stock(python, "127.0.0.1:0");
        let other = fourfold::cluster::manager::Key::new(*b"another");
        let error = Client::connect(&address, other).expect_err("another key");
        assert!(error.to_string().contains("key"), "{error}");
    }
}

/// Rows Q8 and Q9: work and results on the network, with every mixture of producers and workers.
#[test]
fn work_is_shared_by_python_and_rust() {
    for python in pythons() {
        let server = handing_back();
        let address = server.address().to_string();
        let producer = python.start(&["produce", &address, "abc", "10"]);
        let mut worker = python.start(&["work", &address, "abc", "60", "4"]);
        // It sleeps with its fourth task in hand, and is killed there.
        for n in 0..4 {
            assert_eq!(worker.line(), format!("took {n}"));
        }
        worker.kill();
        std::thread::scope(|scope| {
            scope.spawn(|| square(&client(&server)));
            producer.finish();
            let tasks = client(&server).queue::<i64>("get_task_queue").expect("a queue");
            tasks.put(-1).expect("room");
        });
    }
}

/// A Rust worker: takes and answers, until the end mark comes.
fn square(client: &Client) {
    let tasks = client.queue::<i64>("get_task_queue").expect("a queue");
    let results = client.queue::<(i64, i64)>("get_result_queue").expect("a queue");
    loop {
        match tasks.get_timeout(Duration::from_secs(60)).expect("a task or the end mark") {
            -1 => break,
            n => results.put((n, n * n)).expect("room"),
        }
    }
}
