//! Values, arrays and buffers in shared memory: row Q10.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fourfold::ErrorKind;
use fourfold::process::{
    self, Array, Buffer, Event, GetError, Lock, PutError, Queue, SharedBuffer, Value,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::{FromBytes, IntoBytes};

use crate::support::{LIMIT, within};

#[test]
fn a_value_is_changed_by_several_processes_one_at_a_time() {
    within(LIMIT, || {
        fn add(sum: Value<u64>) {
            for _ in 0..1000 {
                sum.update(|sum| *sum += 1).unwrap();
            }
        }
        let sum = Value::new(0u64).unwrap();
        let children: Vec<_> = (0..3).map(|_| process::spawn(add, sum.clone()).unwrap()).collect();
        children.into_iter().for_each(|child| child.join().unwrap());
        assert_eq!(sum.get().unwrap(), 3000);
        sum.set(7).unwrap();
        let held = sum.lock().unwrap();
        assert!(sum.as_lock().try_lock().unwrap().is_none());
        assert_eq!(*held, 7);
    });
}

fn hold_value(value: Value<u32>, elements: Array<u32>, held: Event) {
    let (mut value, mut elements) = (value.lock().unwrap(), elements.lock().unwrap());
    (*value, elements[1]) = (8, 9);
    held.set();
    std::thread::sleep(LIMIT);
}

#[test]
fn a_holder_s_death_is_told_once_and_nothing_is_done_before() {
    within(LIMIT, || {
        let deadly = || {
            let (value, elements) = (Value::new(1u32).unwrap(), Array::new(2, 1u32).unwrap());
            let held = Event::new().unwrap();
            let args = (value.clone(), elements.clone(), held.clone());
            let child = process::spawn(hold_value, args).unwrap();
            assert!(held.wait_timeout(LIMIT));
            assert!(elements.try_lock().unwrap().is_none());
            assert!(elements.lock_timeout(Duration::from_millis(5)).unwrap().is_none());
            child.kill();
            child.join().unwrap_err();
            (value, elements)
        };
        let (value, elements) = deadly();
        assert_eq!(*value.set(3).unwrap_err().into_inner(), 8);
        assert_eq!(value.get().unwrap(), 8);
        assert_eq!(*elements.set(0, 3).unwrap_err().into_inner(), [1, 9]);
        assert_eq!(*elements.lock().unwrap(), [1, 9]);
        let (value, elements) = deadly();
        drop(value.update(|_| panic!("it is not called")).unwrap_err());
        drop(elements.try_lock().unwrap_err());
        let (value, elements) = deadly();
        assert_eq!(**value.get().unwrap_err().get_ref(), 8);
        assert_eq!(elements.get(1).unwrap_err().get_mut()[1], 9);
        let elements = deadly().1;
        drop(elements.lock_timeout(LIMIT).unwrap_err());
        let kind = fourfold::Error::from(deadly().1.lock().unwrap_err()).kind();
        assert_eq!(kind, ErrorKind::OwnerDied);
    });
}

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes)]
#[repr(C, align(32))]
struct Wide([u64; 4]);

#[test]
fn arrays_of_any_length_and_of_what_must_lie_anywhere() {
    within(LIMIT, || {
        let bytes = Array::from_slice(b"abc").unwrap();
        assert_eq!((bytes.len(), bytes.get(2).unwrap()), (3, b'c'));
        let wide = Array::new(3, Wide([7; 4])).unwrap();
        wide.set(1, Wide([8; 4])).unwrap();
        let slice = wide.lock().unwrap();
        assert!(slice.as_ptr().is_aligned());
        assert_eq!(*slice, [7, 8, 7].map(|n| Wide([n; 4])));
        drop(slice);
        let none = Array::<u64>::new(0, 1).unwrap();
        assert!(none.is_empty() && none.lock().unwrap().is_empty());
        assert_eq!(Array::new(usize::MAX, ()).unwrap().lock().unwrap().len(), usize::MAX);
        // More than a reused block is left of, and all zero.
        for len in [1usize, 100, 5000, 100_000] {
            drop(Array::new(len, u64::MAX).unwrap());
            assert!(Array::new(len, 0u64).unwrap().lock().unwrap().iter().all(|n| *n == 0));
        }
        for len in [usize::MAX, usize::MAX / 8, 1 << 36] {
            let error = Array::new(len, 0u64).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutOfMemory);
            assert!(error.to_string().contains("no room for"), "{error}");
        }
        let out = std::panic::catch_unwind(|| bytes.get(3).map(drop).unwrap()).unwrap_err();
        let text = out.downcast_ref::<String>().unwrap();
        assert!(text.contains("no element 3 in an array of 3"), "{text}");
    });
}

fn doubled(mut buffer: Buffer) -> Buffer {
    buffer.iter_mut().for_each(|byte| *byte *= 2);
    buffer
}

#[test]
fn a_buffer_goes_as_an_argument_a_value_and_an_item() {
    within(LIMIT, || {
        for len in [0, 1, 104, 40_000, 1 << 20] {
            let mut buffer = Buffer::new(len).unwrap();
            assert!(buffer.iter().all(|byte| *byte == 0));
            assert!(len < 32 << 10 || buffer.as_ptr().addr().is_multiple_of(4096));
            buffer.fill(1);
            let buffer = process::spawn(doubled, buffer).unwrap().join().unwrap();
            assert!(buffer.len() == len && buffer.iter().all(|byte| *byte == 2));
            let queue = Queue::bounded(2).unwrap();
            let before = buffer.as_ptr();
            queue.put((len, Some(buffer))).unwrap();
            let buffer = queue.get().unwrap().1.unwrap();
            assert!(std::ptr::eq(before, buffer.as_ptr()), "the very bytes, at their place");
            assert!(buffer.iter().all(|byte| *byte == 2));
        }
        assert_eq!(Buffer::new(usize::MAX).unwrap_err().kind(), ErrorKind::OutOfMemory);
    });
}

#[test]
fn a_buffer_that_was_not_taken_is_as_it_was() {
    within(LIMIT, || {
        let queue = Queue::bounded(1).unwrap();
        queue.put(Buffer::from_slice(b"first").unwrap()).unwrap();
        let Err(PutError::Full(mut buffer)) = queue.try_put(Buffer::from_slice(b"second").unwrap())
        else {
            panic!("there was room")
        };
        buffer[0] = b'S';
        let late = queue.put_timeout(buffer, Duration::from_millis(5)).unwrap_err().into_item();
        queue.shut_down(false);
        let late = queue.put(late).unwrap_err().into_item();
        assert_eq!(*queue.get().unwrap(), *b"first");
        assert_eq!(*late, *b"Second");
        assert_eq!(*process::spawn(doubled, Buffer::new(1).unwrap()).unwrap().join().unwrap(), [0]);
        assert_eq!(late.share()[..], *b"Second");
    });
}

/// Writes its buffer, and keeps it.
#[derive(Debug)]
struct Sly(Arc<Buffer>);

impl Serialize for Sly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sly, D::Error> {
        Buffer::deserialize(deserializer).map(|buffer| Sly(Arc::new(buffer)))
    }
}

#[test]
fn a_buffer_that_was_handed_over_is_spent_and_nobody_s_before_it_is_dropped() {
    within(LIMIT, || {
        let kept = Arc::new(Buffer::from_slice(b"bytes").unwrap());
        let bytes: &[u8] = &kept;
        let queue = Queue::bounded(2).unwrap();
        queue.put(Sly(kept.clone())).unwrap();
        let spent = std::panic::catch_unwind(|| kept.len()).unwrap_err();
        assert!(spent.downcast_ref::<&str>().unwrap().contains("handed over"));
        let again = queue.try_put(Sly(kept.clone())).map(drop).unwrap_err();
        assert!(again.to_string().contains("has been handed over"), "{again}");
        let Sly(came) = queue.get().unwrap();
        let uses = std::thread::spawn(move || {
            let mut came = Arc::into_inner(came).unwrap();
            came.fill(b'x');
        });
        // It is not to be used as long as there may be references to its bytes here.
        std::thread::sleep(Duration::from_millis(50));
        assert!(!uses.is_finished());
        assert_eq!(bytes, b"bytes");
        drop(again);
        drop(kept);
        uses.join().unwrap();
    });
}

/// What a handle writes.
#[derive(Serialize, Deserialize)]
struct Numbers {
    object: u64,
    serial: u64,
    ticket: u64,
    number: u64,
}

/// Shows its numbers to two who read them.
#[derive(Debug)]
struct Twice(Option<Buffer>, Result<Buffer, String>);

impl Serialize for Twice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Twice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Twice, D::Error> {
        let numbers = Option::<Numbers>::deserialize(deserializer)?.unwrap();
        let read = || {
            let numbers = serde_json::to_value(&numbers).unwrap();
            serde_json::from_value::<Buffer>(numbers).map_err(|error| error.to_string())
        };
        Ok(Twice(read().ok(), read()))
    }
}

#[test]
fn one_alone_gets_a_buffer_whose_number_is_read_twice() {
    within(LIMIT, || {
        let queue = Queue::bounded(2).unwrap();
        queue.put(Twice(Some(Buffer::from_slice(b"one").unwrap()), Err(String::new()))).unwrap();
        match queue.get() {
            Ok(Twice(first, second)) => {
                assert_eq!(*first.unwrap(), *b"one");
                let error = second.unwrap_err();
                assert!(error.contains("another's already"), "{error}");
            }
            Err(error) => panic!("{error}"),
        }
    });
}

#[test]
fn many_read_a_shared_buffer_and_it_is_no_other_s() {
    within(LIMIT, || {
        fn sum(table: SharedBuffer) -> u64 {
            table.iter().map(|byte| u64::from(*byte)).sum()
        }
        let table = Buffer::from_slice(&[1; 50_000]).unwrap().share();
        let pool = process::Executor::builder().workers(2).build().unwrap();
        let sums: Vec<u64> =
            pool.map(sum, vec![table.clone(); 4]).collect::<fourfold::Result<_>>().unwrap();
        assert_eq!(sums, [50_000; 4]);
        assert_eq!(table.len(), 50_000);
    });
}

fn keeps(buffer: Buffer, ready: Event) {
    assert_eq!(buffer[0], 1);
    ready.set();
    std::thread::sleep(LIMIT);
}

#[test]
fn a_buffer_of_a_process_that_dies_is_gone_and_others_go_on() {
    within(LIMIT, || {
        for _ in 0..3 {
            let ready = Event::new().unwrap();
            let buffer = Buffer::from_slice(&[1; 100_000]).unwrap();
            let child = process::spawn(keeps, (buffer, ready.clone())).unwrap();
            assert!(ready.wait_timeout(LIMIT));
            child.kill();
            child.join().unwrap_err();
        }
        assert!(Buffer::new(100_000).unwrap().iter().all(|byte| *byte == 0));
    });
}

fn pass_on(from: Queue<Buffer>, to: Queue<Buffer>) {
    for mut buffer in from.iter() {
        buffer[0] += 1;
        to.put(buffer).unwrap();
    }
}

#[test]
fn buffers_go_round_among_processes_in_a_hurry() {
    within(LIMIT, || {
        let (there, back) = (Queue::bounded(4).unwrap(), Queue::bounded(4).unwrap());
        let child = process::spawn(pass_on, (there.clone(), back.clone())).unwrap();
        for number in 0..3 {
            there.put(Buffer::from_slice(&[number; 5000]).unwrap()).unwrap();
        }
        for _ in 0..300 {
            let mut buffer: Buffer = back.get_timeout(LIMIT).unwrap();
            assert_eq!(buffer.iter().filter(|byte| **byte != buffer[4999]).count(), 1);
            assert_eq!(buffer[0], buffer[4999].wrapping_add(1));
            let next = buffer[0].wrapping_add(1) % 100;
            buffer.fill(next);
            there.put(buffer).unwrap();
        }
        there.shut_down(false);
        // Those on their way have room.
        child.join().unwrap();
        assert_eq!(back.len(), 3);
    });
}

fn echo(from: Queue<Buffer>, to: Queue<Buffer>) {
    from.iter().for_each(|buffer| to.put(buffer).unwrap());
}

#[test]
fn handing_over_takes_no_longer_for_many_bytes() {
    within(LIMIT, || {
        let (there, back) = (Queue::bounded(1).unwrap(), Queue::bounded(1).unwrap());
        let child = process::spawn(echo, (there.clone(), back.clone())).unwrap();
        let mut quickest = Duration::MAX;
        let mut buffer = Buffer::new(64 << 20).unwrap();
        for _ in 0..50 {
            let began = Instant::now();
            there.put(buffer).unwrap();
            buffer = back.get_timeout(LIMIT).unwrap();
            quickest = quickest.min(began.elapsed() / 2);
        }
        println!("64 MiB handed over in {quickest:?}");
        // A copy takes ten times as long, at least.
        assert!(quickest < Duration::from_millis(1), "{quickest:?}");
        there.shut_down(false);
        child.join().unwrap();
    });
}

#[test]
fn what_is_written_for_one_kind_of_word_is_none_of_another() {
    /// Written as the one, read as the other.
    struct Mislabelled<A, B>(Option<A>, Option<B>);
    impl<A: Serialize, B> Serialize for Mislabelled<A, B> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.as_ref().unwrap().serialize(serializer)
        }
    }
    impl<'de, A, B: Deserialize<'de>> Deserialize<'de> for Mislabelled<A, B> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            B::deserialize(deserializer).map(|read| Mislabelled(None, Some(read)))
        }
    }
    fn told<A, B>(value: A) -> String
    where
        A: Serialize + Send + 'static,
        B: for<'de> Deserialize<'de> + Send + 'static,
    {
        let queue = Queue::<Mislabelled<A, B>>::bounded(1).unwrap();
        queue.put(Mislabelled(Some(value), None)).unwrap_or_else(|error| panic!("{error}"));
        match queue.get() {
            Err(GetError::Failed(error)) => error.to_string(),
            other => panic!("{}", other.is_ok_and(|Mislabelled(_, read)| read.is_some())),
        }
    }
    within(LIMIT, || {
        let lock = || Lock::new(1u32).unwrap();
        let buffer = || Buffer::new(1).unwrap();
        let other = "another type";
        for (text, part) in [
            (told::<_, Lock<u64>>(lock()), other),
            (told::<_, Lock<i32>>(lock()), other),
            (told::<_, Event>(lock()), other),
            (told::<_, Queue<u8>>(Queue::<i8>::bounded(1).unwrap()), other),
            (told::<_, Array<u8>>(Array::new(1, 1i8).unwrap()), other),
            (told::<_, Array<u32>>(lock()), other),
            (told::<_, SharedBuffer>(buffer()), "all may read"),
            (told::<_, Buffer>(buffer().share()), "all may read"),
        ] {
            assert!(text.contains(part), "{text}");
        }
    });
}
