//! What goes wrong without a lock, certainly, and what does not with one; and who gives up on an event.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use fourfold::cluster::manager::{Client, Server, ServerBuilder};

use crate::{client, key};

/// What no wait of these tests takes, unless it would never end.
const DEADLINE: Duration = Duration::from_secs(60);

/// Serves at loopback, and runs so many workers, each with a connection of its own. The server is there as long as what
/// comes back.
fn run<T: Send>(
    builder: ServerBuilder,
    workers: usize,
    work: impl Fn(usize, &Client) -> T + Sync,
) -> (Server, Client, Vec<T>) {
    let server = builder.bind("127.0.0.1:0").expect("a server");
    let client = client(&server);
    let done = thread::scope(|scope| {
        let (client, work) = (&client, &work);
        let workers: Vec<_> =
            (0..workers).map(|worker| scope.spawn(move || work(worker, client))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    (server, client, done)
}

fn builder() -> ServerBuilder {
    Server::builder(key())
}

/// Row L1: which worker printed which of its lines, in the order of the terminal.
fn lines_on_a_terminal(locked: bool) -> Vec<(usize, usize)> {
    let terminal = Mutex::new(Vec::new());
    let words = builder().lock("terminal").barrier("others", 3);
    let _server = run(words, 3, |worker, client| {
        let lock = client.lock("terminal").expect("a lock");
        let others = client.barrier("others").expect("a barrier");
        let guard = locked.then(|| lock.lock().expect("the lock"));
        for line in 0..3 {
            terminal.lock().expect("no panic").push((worker, line));
            let limit = if locked { Duration::from_millis(20) } else { DEADLINE };
            let met = others.wait_timeout(limit).expect("an answer");
            assert_eq!(met.is_some(), !locked, "who has the lock is alone, and nobody is without");
            if locked {
                others.reset().expect("an answer");
            }
        }
        drop(guard);
    });
    terminal.into_inner().expect("no panic")
}

#[test]
fn lines_stand_together_under_a_lock_and_not_without() {
    let together = |lines: &[(usize, usize)]| {
        lines.chunks(3).all(|three| three.iter().all(|(worker, _)| *worker == three[0].0))
    };
    let lines = lines_on_a_terminal(false);
    assert!(!together(&lines), "{lines:?}");
    let lines = lines_on_a_terminal(true);
    assert!(together(&lines) && lines.len() == 9, "{lines:?}");
}

/// Row L2: the number in the file is the number of tickets left. How many of ten buyers get one.
fn sell_one_ticket(at_a_time: usize, locked: bool) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tickets.json");
    let read = |file: &Path| -> u32 {
        serde_json::from_slice(&fs::read(file).expect("the file")).expect("a number")
    };
    fs::write(&file, "1").expect("a file");
    let words = || builder().lock("counter").barrier("all", at_a_time);
    let buy = |_, client: &Client| {
        let (counter, all) = (client.lock("counter"), client.barrier("all"));
        let (counter, all) = (counter.expect("a lock"), all.expect("a barrier"));
        let meet = || all.wait_timeout(DEADLINE).expect("an answer").expect("not broken");
        // The look: nobody leaves before all are here.
        read(&file);
        meet();
        let guard = locked.then(|| counter.lock().expect("the lock"));
        let left = read(&file);
        if !locked {
            meet();
        }
        if left > 0 {
            // A moment, in which others read the same number, if they can.
            thread::sleep(Duration::from_millis(20));
            fs::write(&file, (left - 1).to_string()).expect("the file");
        }
        drop(guard);
        left > 0
    };
    let rounds = (0..10 / at_a_time).flat_map(|_| run(words(), at_a_time, buy).2);
    rounds.filter(|&bought| bought).count()
}

#[test]
fn the_ticket_is_sold_once_under_a_lock_or_in_turn_and_to_all_without() {
    assert_eq!(sell_one_ticket(10, false), 10);
    assert_eq!(sell_one_ticket(10, true), 1);
    assert_eq!(sell_one_ticket(1, false), 1);
}

/// Row L3: without a lock.
#[test]
fn a_hundred_workers_without_a_lock_leave_more() {
    let words = builder().value("stock", 100).barrier("all", 100);
    let (_server, client, _) = run(words, 100, |_, client| {
        let (stock, all) = (client.value::<i64>("stock"), client.barrier("all"));
        let (stock, all) = (stock.expect("a value"), all.expect("a barrier"));
        let left = stock.get().expect("a number");
        all.wait_timeout(DEADLINE).expect("an answer").expect("not broken");
        stock.set(&(left - 1)).expect("an answer");
    });
    assert_eq!(client.value::<i64>("stock").expect("a value").get().expect("a number"), 99);
}

/// Row L5: the event comes when the first try of all is over.
#[test]
fn connectors_connect_at_once_when_the_event_comes() {
    let words = builder().event("is up").semaphore("tried", 0, false);
    let (_server, _, tries) = run(words, 4, |worker, client| {
        let (is_up, tried) = (client.event("is up"), client.semaphore("tried"));
        let (is_up, tried) = (is_up.expect("an event"), tried.expect("a semaphore"));
        if worker == 0 {
            // The check.
            for _ in 0..3 {
                assert!(tried.acquire_timeout(DEADLINE).expect("an answer"));
            }
            is_up.set().expect("an answer");
            return (false, 0);
        }
        assert!(!is_up.wait_timeout(Duration::from_millis(20)).expect("an answer"));
        tried.release().expect("an answer");
        let begin = Instant::now();
        let connected = is_up.wait_timeout(DEADLINE).expect("an answer");
        assert!(begin.elapsed() < DEADLINE / 2, "it waited on after the event");
        (connected, 2)
    });
    assert_eq!(tries, [(false, 0), (true, 2), (true, 2), (true, 2)]);
}

/// Row L5: the event comes when all have tried three times.
#[test]
fn each_connector_gives_up_after_its_third_try() {
    const UNIT: Duration = Duration::from_millis(20);
    let (_server, client, ends) = run(builder().event("is up"), 3, |_, client| {
        let is_up = client.event("is up").expect("an event");
        let begin = Instant::now();
        let tries = (1..=3).take_while(|_| !is_up.wait_timeout(UNIT).expect("an answer")).count();
        (tries, begin.elapsed() >= 3 * UNIT)
    });
    assert_eq!(ends, [(3, true); 3]);
    let is_up = client.event("is up").expect("an event");
    is_up.set().expect("an answer");
    assert!(is_up.wait_timeout(DEADLINE).expect("an answer"));
}
