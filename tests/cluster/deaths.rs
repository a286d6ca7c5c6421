//! Clients that die, or only go away.

use std::thread;

use fourfold::cluster::manager::{HandBack, QueueOptions, Server};

use crate::peer::ends;
use crate::{client, eventually, handing_back, key, server};

#[test]
fn what_a_thread_held_is_free_when_it_ends_and_the_next_is_told() {
    let server = server();
    let client = client(&server);
    let (lock, rlock) =
        (client.lock("Lock").expect("a lock"), client.rlock("RLock").expect("a lock"));
    let semaphore = client.new_semaphore(2).expect("a semaphore");
    thread::scope(|scope| {
        scope.spawn(|| {
            lock.lock().expect("it is free").forget();
            std::mem::forget(rlock.lock().expect("it is free"));
            std::mem::forget(rlock.lock().expect("it is ours"));
            semaphore.acquire().expect("a permit");
            semaphore.acquire().expect("a permit");
        });
    });
    assert!(lock.lock().expect("the lock").owner_died());
    assert!(rlock.lock().expect("the lock").owner_died());
    assert!(!lock.lock().expect("the lock").owner_died());
    eventually("the permits are back", || semaphore.permits().is_ok_and(|free| free == 2));
}

/// Row L7: a stock client that holds a lock is killed with SIGKILL.
#[test]
fn a_lock_of_a_killed_python_is_taken_by_the_next() {
    for python in ends() {
        let server =
            Server::builder(key()).lock("get_small").bind("127.0.0.1:0").expect("a server");
        let lock = client(&server).lock("get_small").expect("a lock");
        let mut peer = python.start(&["hold", &server.address().to_string(), "abc"]);
        assert_eq!(peer.line(), "held");
        assert!(lock.try_lock().expect("an answer").is_none());
        peer.kill();
        assert!(lock.lock().expect("the lock").owner_died());
    }
}

#[test]
fn an_item_in_the_hands_of_a_killed_worker_goes_to_another() {
    for (hand_back, returns) in
        [(HandBack::Never, false), (HandBack::UntilDone, true), (HandBack::UntilNext, true)]
    {
        for python in ends() {
            let options = QueueOptions::default().hand_back(hand_back);
            let server = Server::builder(key())
                .queue_with("get_task_queue", options)
                .queue("get_result_queue")
                .bind("127.0.0.1:0")
                .expect("a server");
            let tasks = client(&server).queue::<i32>("get_task_queue").expect("a queue");
            let mut worker =
                python.start(&["work", &server.address().to_string(), "abc", "60", "2"]);
            tasks.put(1).expect("room");
            assert_eq!(worker.line(), "took 1");
            tasks.put(2).expect("room");
            assert_eq!(worker.line(), "took 2");
            worker.kill();
            if returns {
                assert_eq!(
                    tasks.get().expect("it is handed back"),
                    if hand_back == HandBack::UntilNext { 2 } else { 1 }
                );
            } else {
                // Its end has been seen when a new object's count has not risen: ask for what is left.
                assert_eq!(tasks.len().expect("a number"), 0);
            }
        }
    }
}

#[test]
fn an_item_is_not_given_to_a_dead_waiter() {
    let server = server();
    let client = client(&server);
    let results = client.queue::<i32>("get_result_queue").expect("a queue");
    for python in ends() {
        for round in 0..5 {
            let mut waiter = python.start(&["wait", &server.address().to_string(), "abc"]);
            assert_eq!(waiter.line(), "waiting");
            waiter.kill();
            results.put(round).expect("room");
            assert_eq!(results.get().expect("nobody else took it"), round);
        }
    }
}

/// Workers that are killed at random, over and over: with hand-back, every item is answered at least once.
#[test]
fn workers_killed_at_random_lose_nothing() {
    let rounds = match std::env::var_os("FOURFOLD_SOAK") {
        Some(_) => 200,
        None => 6,
    };
    let Some(python) = ends().pop() else { return };
    let server = handing_back();
    let address = server.address().to_string();
    let client = client(&server);
    let tasks = client.queue::<i64>("get_task_queue").expect("a queue");
    let results = client.queue::<(i64, i64)>("get_result_queue").expect("a queue");
    const ITEMS: i64 = 2000;
    for n in 0..ITEMS {
        tasks.put(n).expect("room");
    }
    for round in 0..rounds {
        let mut worker = python.start(&["work", &address, "abc", "60"]);
        // Somewhere in the midst of its work.
        for _ in 0..(round * 7) % 40 + 1 {
            worker.line();
        }
        worker.kill();
    }
    python.start(&["work", &address, "abc", "1"]).finish();
    let mut answered = vec![0; ITEMS as usize];
    while let Ok((n, square)) = results.try_get() {
        assert_eq!(square, n * n);
        answered[n as usize] += 1;
    }
    assert!(answered.iter().all(|&times| times > 0), "an item without an answer");
    let twice = answered.iter().filter(|&&times| times > 1).count();
    assert!(twice <= rounds as usize, "{twice} of {rounds} rounds answered twice");
}

#[test]
fn a_barrier_is_broken_by_the_death_of_one_who_waits() {
    let server =
        Server::builder(key()).barrier("get_barrier", 3).bind("127.0.0.1:0").expect("a server");
    let client = client(&server);
    for python in ends() {
        // It came with Python 3.
        if python.version == "2.7" {
            continue;
        }
        let barrier = client.barrier("get_barrier").expect("a barrier");
        let mut peer = python.start(&["meet", &server.address().to_string(), "abc"]);
        assert_eq!(peer.line(), "waiting");
        thread::scope(|scope| {
            let other = scope.spawn(|| barrier.wait().expect("an answer"));
            eventually("both wait", || barrier.waiting().is_ok_and(|waiting| waiting == 2));
            peer.kill();
            assert_eq!(other.join().expect("no panic"), None);
        });
        barrier.reset().expect("an answer");
    }
}
