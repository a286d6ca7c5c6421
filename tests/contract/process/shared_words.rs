//! Words in shared memory: what they do, and what is left of those who die.

use std::time::{Duration, Instant};

use fourfold::process::{self, Event, GetError, Lock, Queue, Semaphore};

#[test]
fn a_lock_counts_for_several_processes() {
    let count = Lock::new(0u64).unwrap();
    fn add(count: Lock<u64>) {
        for _ in 0..10_000 {
            *count.lock().unwrap() += 1;
        }
    }
    let children: Vec<_> = (0..4).map(|_| process::spawn(add, count.clone()).unwrap()).collect();
    for child in children {
        child.join().unwrap();
    }
    assert_eq!(*count.lock().unwrap(), 40_000);
}

#[test]
fn a_killed_holder_is_told_once() {
    let lock = Lock::new(7u32).unwrap();
    let held = Event::new().unwrap();
    fn hold(lock: Lock<u32>, held: Event) {
        let mut guard = lock.lock().unwrap();
        *guard = 8;
        held.set();
        std::thread::sleep(Duration::from_secs(60));
    }
    let child = process::spawn(hold, (lock.clone(), held.clone())).unwrap();
    assert!(held.wait_timeout(Duration::from_secs(20)));
    assert!(lock.try_lock().unwrap().is_none());
    let began = Instant::now();
    child.kill();
    let guard = lock.lock().unwrap_err().into_inner();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(*guard, 8);
    drop(guard);
    drop(lock.lock().unwrap());
}

#[test]
fn items_go_through_a_queue_in_order() {
    let queue = Queue::bounded(3).unwrap();
    fn produce(queue: Queue<(u32, String)>) {
        for number in 0..5_000 {
            queue.put((number, "x".repeat(number as usize % 300))).unwrap();
        }
        queue.shut_down(false);
    }
    let mut child = process::spawn(produce, queue.clone()).unwrap();
    for number in 0..5_000 {
        let (got, text) = queue.get_timeout(Duration::from_secs(3)).unwrap_or_else(|error| {
            panic!("{number} {error} {:?}", child.join_timeout(Duration::from_secs(1)))
        });
        assert_eq!((got, text.len()), (number, number as usize % 300));
    }
    assert!(matches!(queue.get(), Err(GetError::ShutDown)));
    child.join().unwrap();
}

#[test]
fn many_put_and_many_get() {
    let (numbers, sums) = (Queue::bounded(16).unwrap(), Queue::bounded(4).unwrap());
    fn produce(queue: Queue<u64>, from: u64) {
        for number in from..from + 20_000 {
            queue.put(number).unwrap();
        }
    }
    fn consume(queue: Queue<u64>, sums: Queue<(u64, u64)>) {
        let (mut sum, mut count) = (0, 0);
        for number in queue.iter() {
            sum += number;
            count += 1;
        }
        sums.put((sum, count)).unwrap();
    }
    let consumers: Vec<_> =
        (0..3).map(|_| process::spawn(consume, (numbers.clone(), sums.clone())).unwrap()).collect();
    let producers: Vec<_> =
        (0..3).map(|at| process::spawn(produce, (numbers.clone(), at * 20_000)).unwrap()).collect();
    for producer in producers {
        producer.join().unwrap();
    }
    numbers.shut_down(false);
    for consumer in consumers {
        consumer.join().unwrap();
    }
    let all: Vec<_> = sums.try_iter().collect();
    assert_eq!(all.iter().map(|(_, count)| count).sum::<u64>(), 60_000);
    assert_eq!(all.iter().map(|(sum, _)| sum).sum::<u64>(), (0..60_000).sum::<u64>());
}

#[test]
fn permits_of_the_dead_come_back() {
    let seats = Semaphore::new(2).unwrap();
    fn die(seats: Semaphore) {
        seats.acquire();
        seats.acquire();
        std::process::abort();
    }
    process::spawn(die, seats.clone()).unwrap().join().unwrap_err();
    assert!(seats.acquire_timeout(Duration::from_secs(5)));
    assert!(seats.acquire_timeout(Duration::from_secs(5)));
    assert!(!seats.try_acquire());
}

#[test]
fn a_queue_and_an_event_can_be_waited_for_beside_others() {
    use fourfold::wait::{wait_any, wait_any_timeout};
    let (queue, event) = (Queue::<u32>::bounded(2).unwrap(), Event::new().unwrap());
    let nothing = wait_any_timeout(&[&queue, &event], Duration::from_millis(20)).unwrap();
    assert!(nothing.is_empty());
    fn put(queue: Queue<u32>) {
        queue.put(5).unwrap();
    }
    let child = process::spawn(put, queue.clone()).unwrap();
    assert_eq!(wait_any_timeout(&[&event, &queue], Duration::from_secs(20)).unwrap(), [1]);
    assert_eq!(queue.try_get().unwrap(), 5);
    child.join().unwrap();
    event.set();
    assert_eq!(wait_any(&[&event, &queue]).unwrap(), [0]);
}

/// A list that does not say how long it is, as what serde flattens does not.
#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(transparent)]
struct Untold(Vec<u16>);

impl serde::Serialize for Untold {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut seq = serializer.serialize_seq(None)?;
        self.0.iter().try_for_each(|item| seq.serialize_element(item))?;
        seq.end()
    }
}

#[test]
fn items_of_all_lengths_come_out_as_they_were() {
    let (untold, bytes, texts) =
        (Queue::bounded(4).unwrap(), Queue::bounded(4).unwrap(), Queue::bounded(4).unwrap());
    for length in (0..300).chain([5000]) {
        let numbers: Vec<u16> = (0..length).map(|n| n * 13).collect();
        untold.put(Untold(numbers.clone())).unwrap();
        untold.put_many([Untold(vec![1]), Untold(numbers.clone())]).unwrap();
        assert_eq!(untold.get().unwrap(), Untold(numbers.clone()));
        assert_eq!(untold.get_many(2).unwrap(), [Untold(vec![1]), Untold(numbers)]);
        bytes.put(vec![length as u8; length.into()]).unwrap();
        assert_eq!(bytes.get().unwrap(), vec![length as u8; length.into()]);
        texts.put("x".repeat(length.into())).unwrap();
        assert_eq!(texts.get().unwrap(), "x".repeat(length.into()));
    }
}
