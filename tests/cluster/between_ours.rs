//! Our client with our server.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use fourfold::cluster::manager::{Client, GetError, Key, PutError, QueueOptions, Server};
use fourfold_wire::talk::{Address as WireAddress, Reply, Token};
use serde::{Deserialize, Serialize};

use crate::raw::Raw;
use crate::{client, eventually, key, server};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    name: String,
    sizes: Vec<u64>,
    options: BTreeMap<String, Option<f64>>,
}

#[test]
fn items_come_out_as_they_went_in() {
    let server = server();
    let queue = client(&server).queue::<Job>("get_task_queue").expect("a queue");
    let job = Job {
        name: "naïve \u{1f600}".into(),
        sizes: vec![0, u64::MAX],
        options: [("a".into(), None), ("b".into(), Some(0.5))].into(),
    };
    queue.put(job.clone()).expect("room");
    assert_eq!(queue.get().expect("an item"), job);
    let large = Job { name: "x".repeat(5 << 20), ..job };
    queue.put(large.clone()).expect("room");
    assert_eq!(queue.get().expect("an item"), large);
}

#[test]
fn full_and_empty_are_told_and_the_item_comes_back() {
    let server = server();
    let queue = client(&server).queue::<String>("get_small").expect("a queue");
    assert!(queue.is_empty().expect("an answer"));
    queue.put("a".into()).expect("room");
    queue.put_timeout("b".into(), Duration::from_secs(9)).expect("room");
    assert!(queue.is_full().expect("an answer"));
    assert!(matches!(queue.try_put("c".into()), Err(PutError::Full(c)) if c == "c"));
    let start = Instant::now();
    let late = queue.put_timeout("d".into(), Duration::from_millis(50));
    assert!(matches!(late, Err(PutError::Full(_))) && start.elapsed() >= Duration::from_millis(50));
    assert_eq!((queue.get().expect("a"), queue.get().expect("b")), ("a".into(), "b".into()));
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    let start = Instant::now();
    assert!(matches!(queue.get_timeout(Duration::from_millis(50)), Err(GetError::Empty)));
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn the_order_is_that_of_the_queue() {
    let server = server();
    let client = client(&server);
    let stack = client.queue::<i32>("get_stack").expect("a queue");
    for n in 0..3 {
        stack.put(n).expect("room");
    }
    assert_eq!([0; 3].map(|_| stack.get().expect("an item")), [2, 1, 0]);
    let sorted = client.queue::<(i32, String)>("get_sorted").expect("a queue");
    for (n, text) in [(20, "b"), (20, "a"), (-1, "z")] {
        sorted.put((n, text.to_owned())).expect("room");
    }
    let order = [0; 3].map(|_| sorted.get().expect("an item").1);
    assert_eq!(order, ["z", "a", "b"]);
    // Items without an order, by a priority of their own; of the same, the first comes first.
    let mixed = client.queue::<serde_json::Value>("get_sorted").expect("a queue");
    let items = [serde_json::json!({"b": 1}), serde_json::json!(["c"]), serde_json::json!("a")];
    for (priority, item) in [2, 2, 1].into_iter().zip(&items) {
        mixed.put_at(priority, item.clone()).expect("room");
    }
    let order = [0; 3].map(|_| mixed.get().expect("an item"));
    assert_eq!(order, [items[2].clone(), items[0].clone(), items[1].clone()]);
}

#[test]
fn four_producers_and_three_consumers_lose_nothing() {
    const EACH: u32 = 200;
    let server = server();
    let client = client(&server);
    let mut got: Vec<u32> = thread::scope(|scope| {
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let queue = client.queue::<Option<u32>>("get_joinable").expect("a queue");
                scope.spawn(move || {
                    let mut got = Vec::new();
                    while let Some(item) = queue.get().expect("an item or an end mark") {
                        got.push(item);
                        queue.task_done().expect("one was got");
                    }
                    queue.task_done().expect("the end mark");
                    got
                })
            })
            .collect();
        let producers: Vec<_> = (0..4)
            .map(|producer| {
                let queue = client.queue::<Option<u32>>("get_joinable").expect("a queue");
                scope.spawn(move || {
                    for n in 0..EACH {
                        queue.put(Some(producer * EACH + n)).expect("room");
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().expect("no panic");
        }
        let queue = client.queue::<Option<u32>>("get_joinable").expect("a queue");
        for _ in 0..3 {
            queue.put(None).expect("room");
        }
        queue.join().expect("all is done");
        consumers.into_iter().flat_map(|consumer| consumer.join().expect("no panic")).collect()
    });
    got.sort_unstable();
    assert_eq!(got, (0..4 * EACH).collect::<Vec<_>>());
}

#[test]
fn a_queue_that_is_shut_down_says_so() {
    let server = server();
    let client = client(&server);
    let queue = client.new_queue::<i32>(0).expect("a queue");
    queue.put(1).expect("room");
    thread::scope(|scope| {
        let other = client.queue::<i32>("get_result_queue").expect("a queue");
        let waiter = scope.spawn(move || other.get());
        let other = client.queue::<i32>("get_result_queue").expect("a queue");
        other.shut_down(false).expect("an answer");
        assert!(matches!(waiter.join().expect("no panic"), Err(GetError::ShutDown)));
    });
    queue.shut_down(false).expect("an answer");
    assert!(matches!(queue.put(2), Err(PutError::ShutDown(2))));
    assert_eq!(queue.get().expect("what was in it"), 1);
    assert!(matches!(queue.get(), Err(GetError::ShutDown)));
}

#[test]
fn a_hundred_workers_take_from_a_shared_number() {
    let server = Server::builder(key())
        .value("stock", 100)
        .lock("door")
        .bind("127.0.0.1:0")
        .expect("a server");
    let client = client(&server);
    thread::scope(|scope| {
        for _ in 0..100 {
            let (door, stock) = (client.lock("door"), client.value::<i64>("stock"));
            let (door, stock) = (door.expect("a lock"), stock.expect("a value"));
            scope.spawn(move || {
                let _guard = door.lock().expect("the lock");
                let left = stock.get().expect("a number");
                stock.set(&(left - 1)).expect("an answer");
            });
        }
    });
    assert_eq!(client.value::<i64>("stock").expect("a value").get().expect("a number"), 0);
}

#[test]
fn an_rlock_is_taken_again_by_its_thread_alone() {
    let server = server();
    let lock = client(&server).rlock("RLock").expect("a lock");
    let first = lock.lock().expect("it is free");
    let second = lock.lock().expect("it is ours");
    let others_try = || {
        thread::scope(|scope| {
            scope.spawn(|| lock.try_lock().expect("an answer").is_some()).join().expect("no panic")
        })
    };
    assert!(!others_try());
    drop(first);
    assert!(!others_try());
    drop(second);
    assert!(others_try());
    let error = lock.release().expect_err("nobody holds it");
    assert!(error.exception().is_some_and(|error| error.is("builtins", "RuntimeError")), "{error}");
}

#[test]
fn waiters_are_let_go() {
    let server = server();
    let client = client(&server);
    let event = client.event("Event").expect("an event");
    let condition = client.condition("Condition").expect("a condition");
    let barrier = client.new_barrier(3).expect("a barrier");
    let ready = client.new_semaphore(0).expect("a semaphore");
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    event.wait().expect("an answer");
                    let mut guard = condition.lock().expect("the lock");
                    ready.release().expect("an answer");
                    guard.wait().expect("a notification");
                    drop(guard);
                    barrier.wait().expect("an answer").expect("not broken")
                })
            })
            .collect();
        event.set().expect("an answer");
        ready.acquire().expect("a permit");
        ready.acquire().expect("a permit");
        // Both have the lock behind them, so both wait.
        let guard = condition.lock().expect("the lock");
        guard.notify_all().expect("an answer");
        drop(guard);
        let mut places = vec![barrier.wait().expect("an answer").expect("not broken")];
        places.extend(waiters.into_iter().map(|waiter| waiter.join().expect("no panic")));
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2]);
    });
    let mut guard = condition.lock().expect("the lock");
    assert!(!guard.wait_timeout(Duration::from_millis(20)).expect("an answer"));
    drop(guard);
    assert_eq!(barrier.wait_timeout(Duration::from_millis(20)).expect("an answer"), None);
    assert!(barrier.is_broken().expect("an answer"));
    barrier.reset().expect("an answer");
    assert!(!barrier.is_broken().expect("an answer"));
}

#[test]
fn objects_live_as_long_as_their_proxies() {
    let server = server();
    let client = client(&server);
    let list = client.list::<i32>("list").expect("a list");
    let again = list.clone();
    assert_eq!(client.number_of_objects().expect("a number"), 1);
    assert!(client.debug_info().expect("a text").ends_with(":       refcount=1\n    []"));
    drop(list);
    again.push(&1).expect("it is there");
    drop(again);
    assert_eq!(client.number_of_objects().expect("a number"), 0);
    // What is registered stays, with what is in it.
    client.queue::<i32>("get_small").expect("a queue").put(1).expect("room");
    assert_eq!(client.number_of_objects().expect("a number"), 0);
    assert_eq!(client.queue::<i32>("get_small").expect("a queue").get().expect("an item"), 1);
    let iterator = {
        let dict = client.dict::<String, i32>("dict").expect("a dict");
        dict.insert(&"k".into(), &1).expect("a place");
        dict.proxy().call_for_proxy("__iter__", &[]).expect("an iterator")
    };
    let next = || iterator.call("__next__", &[], &[]);
    assert_eq!(next().expect("a key").root().as_str(), Some("k"));
    let error = next().expect_err("the end");
    assert!(error.exception().is_some_and(|error| error.is("builtins", "StopIteration")));
    drop(iterator);
    assert_eq!(client.number_of_objects().expect("a number"), 0);
}

#[test]
fn a_server_in_a_child_process_serves_the_same_and_ends_with_its_handle() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.sock");
    let builder =
        || Server::builder(key()).queue("jobs").value("n", 5).semaphore("permits", 2, true);
    let server = builder().spawn(path.as_path()).expect("a process");
    assert_ne!(server.pid(), std::process::id());
    let client = Client::connect(server.address(), key()).expect("a connection");
    let jobs = client.queue::<i32>("jobs").expect("a queue");
    jobs.put(1).expect("room");
    assert_eq!(jobs.get().expect("an item"), 1);
    assert_eq!(client.value::<i32>("n").expect("a value").get().expect("a number"), 5);
    assert_eq!(client.semaphore("permits").expect("permits").permits().expect("a number"), 2);
    assert!(server.is_running() && path.exists());
    server.shutdown();
    assert!(jobs.put(2).is_err() && !path.exists());

    let server = builder().spawn("127.0.0.1:0").expect("a process");
    let client = Client::connect(server.address(), key()).expect("a connection");
    client.shutdown_server().expect("an answer");
    server.wait().expect("a good end");
}

#[test]
fn another_key_and_another_name_are_refused() {
    let server = server();
    let error = Client::connect(server.address(), Key::new(*b"other")).expect_err("another key");
    assert!(error.to_string().contains("key"), "{error}");
    let error = client(&server).queue::<i32>("get_nothing").expect_err("no such name");
    assert!(error.to_string().contains("get_nothing"), "{error}");
    let closed = Server::builder(key()).creation(false).bind("127.0.0.1:0").expect("a server");
    assert!(client(&closed).lock("Lock").is_err());
}

#[test]
fn beyond_loopback_it_takes_a_word() {
    let error = Server::builder(key()).bind("0.0.0.0:0").expect_err("no word was said");
    assert!(error.to_string().contains("plaintext"), "{error}");
    let server = Server::builder(key()).plaintext(true).bind("0.0.0.0:0").expect("a server");
    server.shutdown().expect("a good end");
}

#[test]
fn a_name_of_two_is_refused() {
    let twice = Server::builder(key()).queue("a").lock("b").lock("a");
    let error = twice.bind("127.0.0.1:0").expect_err("one of them would not be served");
    assert!(error.to_string().contains("a is the name of two"), "{error}");
}

#[test]
fn the_address_can_be_bound_again_at_once() {
    let first = server();
    let address = first.address().clone();
    let queue = client(&first).queue::<i32>("get_small").expect("a queue");
    queue.put(1).expect("room");
    first.shutdown().expect("a good end");
    assert!(queue.put(2).is_err(), "the server is gone");
    let second =
        Server::builder(key()).queue_with("get_small", QueueOptions::default()).bind(&address);
    let second = second.expect("the same address");
    client(&second).queue::<i32>("get_small").expect("a queue").put(3).expect("room");
}

#[test]
fn whoever_waits_hears_of_the_end_of_the_server() {
    let server = server();
    let client = client(&server);
    thread::scope(|scope| {
        let queue = client.queue::<i32>("get_result_queue").expect("a queue");
        let waiter = scope.spawn(move || queue.get());
        eventually("somebody waits or will", || client.number_of_objects().is_ok_and(|n| n == 1));
        client.shutdown_server().expect("an answer");
        assert!(matches!(waiter.join().expect("no panic"), Err(GetError::Failed(_))));
    });
    server.wait().expect("a good end");
}

/// A proxy within an argument keeps its object where it may be put away, and not where it is only looked at.
#[test]
fn what_is_only_asked_about_is_not_kept() {
    let server = server();
    let list = client(&server).proxy("list", &[]).expect("a list");
    let after = |ask: &dyn Fn(&Token)| {
        let dict = client(&server).proxy("dict", &[]).expect("a dict");
        let id = dict.id().to_owned();
        let address = WireAddress::Tcp("127.0.0.1".to_owned(), 1);
        ask(&Token { typeid: "dict".to_owned(), address, id: id.clone() });
        drop(dict);
        let mut raw = Raw::accepted(&server);
        raw.call(&id, "__len__", &[]);
        raw.reply().expect("an answer") == Reply::Return(0.into())
    };
    assert!(!after(&|token| {
        let mut raw = Raw::connect(&server);
        raw.talk.request(None, "get_methods", &[token.to_value()], &[]).expect("said");
        assert!(matches!(raw.reply(), Some(Reply::Return(_))));
    }));
    assert!(!after(&|token| {
        assert_eq!(list.call("count", &[token.to_value()], &[]).expect("a number"), 0.into());
    }));
    assert!(after(&|token| {
        list.call("append", &[token.to_value()], &[]).expect("an answer");
    }));
}
