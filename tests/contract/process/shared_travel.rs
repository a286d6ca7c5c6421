//! Handles to words in shared memory on their way: row U12.

use std::collections::BTreeMap;
use std::time::Duration;

use fourfold::green;
use fourfold::process::{
    self, Array, Buffer, Event, Executor, List, Lock, Queue, Semaphore, UnboundedQueue, Value,
};
use serde::{Deserialize, Serialize};

use crate::support::{LIMIT, within};

#[derive(Serialize, Deserialize)]
enum Word {
    Lock(Lock<u32>),
    Event(Event),
    Semaphore(Semaphore),
    Named { queue: Queue<String>, value: Option<Value<u8>> },
    Nothing,
}

#[derive(Serialize, Deserialize)]
struct Bag {
    words: Vec<Word>,
    arrays: BTreeMap<String, Array<u16>>,
}

/// Uses each word once, and gives them all back.
fn used(bag: Bag) -> Bag {
    for word in &bag.words {
        match word {
            Word::Lock(lock) => *lock.lock().unwrap() += 1,
            Word::Event(event) => event.set(),
            Word::Semaphore(semaphore) => semaphore.release().unwrap(),
            Word::Named { queue, value } => {
                queue.put("from below".into()).unwrap();
                value.as_ref().unwrap().update(|value| *value += 1).unwrap();
            }
            Word::Nothing => {}
        }
    }
    bag.arrays.values().for_each(|array| array.set(0, 7).unwrap());
    bag
}

fn bag() -> Bag {
    let queue = Queue::bounded(4).unwrap();
    let value = Some(Value::new(0).unwrap());
    Bag {
        words: vec![
            Word::Lock(Lock::new(0).unwrap()),
            Word::Event(Event::new().unwrap()),
            Word::Semaphore(Semaphore::new(0).unwrap()),
            Word::Nothing,
            Word::Named { queue, value },
        ],
        arrays: [("a".to_owned(), Array::new(2, 0).unwrap())].into(),
    }
}

fn check(bag: &Bag, times: u32) {
    let mut seen = 0;
    for word in &bag.words {
        match word {
            Word::Lock(lock) => assert_eq!(*lock.lock().unwrap(), times),
            Word::Event(event) => assert!(event.is_set()),
            Word::Semaphore(semaphore) => assert_eq!(semaphore.permits(), times as usize),
            Word::Named { queue, value } => {
                assert_eq!(queue.try_iter().count(), 1);
                assert_eq!(u32::from(value.as_ref().unwrap().get().unwrap()), times);
            }
            Word::Nothing => {}
        }
        seen += 1;
    }
    assert_eq!((seen, bag.arrays["a"].get(0).unwrap()), (5, 7));
}

#[test]
fn handles_in_structs_and_enums_go_as_arguments_and_values_of_a_child_and_a_pool() {
    within(LIMIT, || {
        let bag = process::spawn(used, bag()).unwrap().join().unwrap();
        check(&bag, 1);
        let pool = Executor::builder().workers(1).build().unwrap();
        let bag = pool.submit(used, bag).join().unwrap();
        check(&bag, 2);
    });
}

#[test]
fn handles_go_as_items_through_queues_of_queues() {
    within(LIMIT, || {
        fn serve(requests: Queue<(u32, Queue<u32>)>) {
            for (number, answer) in requests.iter() {
                answer.put(number * 2).unwrap();
            }
        }
        let requests = Queue::bounded(2).unwrap();
        let child = process::spawn(serve, requests.clone()).unwrap();
        for number in 0..100 {
            // Each request with a queue of its own for the answer.
            let answer = Queue::bounded(1).unwrap();
            requests.put((number, answer.clone())).unwrap();
            assert_eq!(answer.get_timeout(LIMIT).unwrap(), number * 2);
        }
        requests.shut_down(false);
        child.join().unwrap();
    });
}

#[test]
fn a_handle_is_good_when_its_sender_has_dropped_its_own() {
    within(LIMIT, || {
        let words = Queue::bounded(8).unwrap();
        for number in 0..8u32 {
            words.put(Lock::new(number).unwrap()).unwrap();
        }
        fn sum(words: Queue<Lock<u32>>) -> u32 {
            words.try_iter().map(|lock| *lock.lock().unwrap()).sum()
        }
        assert_eq!(process::spawn(sum, words).unwrap().join().unwrap(), 28);
        fn make() -> Queue<u32> {
            let queue = Queue::bounded(2).unwrap();
            queue.put(7).unwrap();
            queue
        }
        // The maker has ended by then.
        assert_eq!(process::spawn(make, ()).unwrap().join().unwrap().try_get().unwrap(), 7);
    });
}

#[test]
fn a_handle_is_not_written_where_it_would_go_nowhere() {
    within(LIMIT, || {
        let told = [
            serde_json::to_string(&Lock::new(1u8).unwrap()).unwrap_err(),
            serde_json::to_string(&Event::new().unwrap()).unwrap_err(),
            serde_json::to_string(&Semaphore::new(1).unwrap()).unwrap_err(),
            serde_json::to_string(&Queue::<u8>::bounded(1).unwrap()).unwrap_err(),
            serde_json::to_string(&Array::new(1, 1u8).unwrap()).unwrap_err(),
            serde_json::to_string(&Value::new(1u8).unwrap()).unwrap_err(),
            serde_json::to_string(&process::Buffer::new(1).unwrap()).unwrap_err(),
            serde_json::to_string(&process::Buffer::new(1).unwrap().share()).unwrap_err(),
        ];
        for error in told {
            assert!(
                error.to_string().contains("in the arguments and the value of a task"),
                "{error}"
            );
        }
    });
}

#[test]
fn a_handle_that_is_shown_when_its_word_is_gone_is_an_error() {
    #[derive(Serialize, Deserialize)]
    struct Numbers {
        object: u64,
        serial: u64,
        ticket: u64,
        number: u64,
    }
    /// Reads the handle's numbers only.
    struct Read(Option<Lock<u32>>, Option<Numbers>);
    impl Serialize for Read {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.as_ref().unwrap().serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Read {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Read, D::Error> {
            Numbers::deserialize(deserializer).map(|numbers| Read(None, Some(numbers)))
        }
    }
    within(LIMIT, || {
        let queue = Queue::bounded(1).unwrap();
        let lock = Lock::new(1u32).unwrap();
        queue.put(Read(Some(lock.clone()), None)).unwrap_or_else(|error| panic!("{error}"));
        let numbers = queue.get().unwrap_or_else(|error| panic!("{error}")).1.unwrap();
        let mut shown = serde_json::to_value(&numbers).unwrap();
        // As long as somebody has it, it is this lock.
        *lock.lock().unwrap() = 2;
        let again: Lock<u32> = serde_json::from_value(shown.clone()).unwrap();
        assert_eq!(*again.lock().unwrap(), 2);
        drop((lock, again));
        for ticket in [0, 1, 31, 32, u64::MAX, u64::MAX - 31] {
            let error = serde_json::from_value::<Lock<u32>>(shown.clone()).unwrap_err();
            assert!(error.to_string().contains("is gone"), "{error}");
            // Nor is it anything if it is nonsense.
            shown["object"] = ticket.into();
            shown["ticket"] = ticket.into();
        }
    });
}

#[test]
fn handles_are_numbers_and_not_descriptors() {
    within(LIMIT, || {
        let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        fn many() -> (usize, Vec<Event>) {
            let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let before = count();
            let words: Vec<_> = (0..2000).map(|_| Event::new().unwrap()).collect();
            (count() - before, words)
        }
        let (more, words) = process::spawn(many, ()).unwrap().join().unwrap();
        assert!(more <= 2, "{more} descriptors");
        words.iter().for_each(Event::set);
        assert!(words.iter().all(|word| word.wait_timeout(Duration::ZERO)));
        // Other tests open and close some.
        assert!(count() < 2000);
    });
}

/// Something that can be read the second time only, and not the first.
#[derive(Debug)]
struct Fussy;

static FUSSY: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(true);

impl serde::Serialize for Fussy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> serde::Deserialize<'de> for Fussy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Fussy, D::Error> {
        <()>::deserialize(deserializer)?;
        match FUSSY.swap(false, std::sync::atomic::Ordering::SeqCst) {
            true => Err(serde::de::Error::custom("not yet")),
            false => Ok(Fussy),
        }
    }
}

#[test]
fn an_item_that_is_handed_back_has_its_buffer() {
    type Item = (Buffer, Option<Fussy>, Lock<u32>);
    let queue = Queue::<Item>::bounded(4).unwrap();
    let lock = Lock::new(3).unwrap();
    for (text, fussy) in [("first", None), ("second", Some(Fussy))] {
        let buffer = Buffer::from_slice(text.as_bytes()).unwrap();
        queue.put((buffer, fussy, lock.clone())).unwrap();
    }
    let first = queue.get_many(4).unwrap();
    assert_eq!(first.len(), 1, "the second cannot be read yet");
    assert_eq!(*first[0].0, *b"first");
    let (buffer, fussy, lock) = queue.get().unwrap();
    assert_eq!(*buffer, *b"second");
    assert!(fussy.is_some() && *lock.lock().unwrap() == 3);
}

/// Lets other coroutines go on in the middle of being written, and of being read.
#[derive(Debug)]
struct Slow<T>(T);

impl<T: serde::Serialize> serde::Serialize for Slow<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        green::yield_now();
        let done = self.0.serialize(serializer);
        green::sleep(Duration::from_micros(200));
        done
    }
}

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Slow<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Slow<T>, D::Error> {
        green::yield_now();
        let value = T::deserialize(deserializer);
        green::sleep(Duration::from_micros(200));
        value.map(Slow)
    }
}

/// Has coroutines send values of this kind to each other, all at a time, and look at each whether it is whole.
fn in_coroutines<T: 'static>(
    make: fn(u32) -> T,
    put: impl Fn(T) + Copy + Send + 'static,
    get: impl Fn() -> T + Copy + Send + 'static,
    number: fn(T) -> u32,
) {
    const COUNT: u32 = 40;
    let numbers = green::run(move || {
        let senders: Vec<_> =
            (0..COUNT).map(|n| green::spawn(move || put(make(n)), ()).unwrap()).collect();
        let getters: Vec<_> =
            (0..COUNT).map(|_| green::spawn(move || number(get()), ()).unwrap()).collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let numbers = getters.into_iter().map(|getter| getter.join().unwrap());
        numbers.collect::<std::collections::BTreeSet<u32>>()
    });
    assert_eq!(numbers.unwrap(), (0..COUNT).collect());
}

#[test]
fn coroutines_that_suspend_in_the_middle_of_a_value_do_not_mix_what_is_in_it() {
    within(LIMIT, || {
        type Shared = (Lock<u32>, Slow<Lock<u32>>, Slow<u32>, Buffer);
        let queue: &Queue<Shared> = Box::leak(Box::new(Queue::bounded(7).unwrap()));
        let make = |n: u32| {
            let (first, second) = (Lock::new(n).unwrap(), Lock::new(n).unwrap());
            (first, Slow(second), Slow(n), Buffer::from_slice(&n.to_le_bytes()).unwrap())
        };
        let number = |(first, second, third, bytes): Shared| {
            assert_eq!(*first.lock().unwrap(), third.0);
            assert_eq!(*second.0.lock().unwrap(), third.0);
            assert_eq!(*bytes, third.0.to_le_bytes());
            third.0
        };
        in_coroutines(make, |item| queue.put(item).unwrap(), || queue.get().unwrap(), number);
    });
}

#[test]
fn coroutines_that_suspend_in_the_middle_of_a_value_do_not_mix_words_that_are_served() {
    within(LIMIT, || {
        type Served = (List<u32>, Slow<List<u32>>, Slow<u32>);
        let queue = UnboundedQueue::<Served>::new().unwrap();
        let queue: &UnboundedQueue<Served> = Box::leak(Box::new(queue));
        fn list(n: u32) -> List<u32> {
            let list = List::new().unwrap();
            list.push(&n).unwrap();
            list
        }
        let make = |n: u32| (list(n), Slow(list(n)), Slow(n));
        let number = |(first, second, third): Served| {
            assert_eq!(first.get(0).unwrap(), Some(third.0));
            assert_eq!(second.0.get(0).unwrap(), Some(third.0));
            third.0
        };
        in_coroutines(make, |item| queue.put(item).unwrap(), || queue.get().unwrap(), number);
    });
}

#[test]
fn coroutines_that_suspend_in_the_middle_of_a_value_do_not_mix_descriptors() {
    use std::io::{Seek, Write};
    within(LIMIT, || {
        type File = process::Fd<std::fs::File>;
        type Message = (File, Slow<File>, Slow<u32>);
        let (sender, receiver) = process::pipe::<Message>().unwrap();
        let ends = Box::leak(Box::new((sender, receiver)));
        let (sender, receiver) = (&ends.0, &ends.1);
        let make = |n: u32| {
            let file = || {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&vec![0; n as usize]).unwrap();
                process::Fd(file)
            };
            (file(), Slow(file()), Slow(n))
        };
        let number = |(mut first, mut second, third): Message| {
            assert_eq!(first.seek(std::io::SeekFrom::End(0)).unwrap(), u64::from(third.0));
            assert_eq!(second.0.seek(std::io::SeekFrom::End(0)).unwrap(), u64::from(third.0));
            third.0
        };
        in_coroutines(make, |m| sender.send(m).unwrap(), || receiver.recv().unwrap(), number);
    });
}
