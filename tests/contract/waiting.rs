//! Waiting for many things at once: row S3.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use fourfold::thread::{Event, LifoQueue, PriorityQueue, Queue};
use fourfold::wait::{
    WaitSet, Waitable, Watch, wait_any, wait_any_async, wait_any_timeout, writable,
};
use fourfold::{ErrorKind, green, process, thread};

use crate::support::{Gate, LIMIT, visit, within};

/// A time in which nothing is to come.
const SHORT: Duration = Duration::from_millis(20);

/// Runs a test as a thread, as a coroutine and as a future, which wait by these.
fn each_way(
    test: impl Fn(&dyn Fn(&[&dyn Waitable]) -> Vec<usize>) + Sync + Send + Clone + 'static,
) {
    within(LIMIT, || {
        test(&|things| wait_any(things).unwrap());
        let same = test.clone();
        green::run(move || same(&|things| wait_any(things).unwrap())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        test(&|things| runtime.block_on(wait_any_async(things)).unwrap());
        // A future, polled by a coroutine.
        let same = test.clone();
        green::run(move || same(&|things| green::block_on(wait_any_async(things)).unwrap()))
            .unwrap();
    });
}

/// Has something happen a little later, beside whoever waits. What it is given is dropped after that.
fn soon<R: Send + 'static>(
    what: impl FnOnce() -> R + Send + 'static,
) -> std::thread::JoinHandle<R> {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(2));
        what()
    })
}

#[test]
fn sockets_and_pipes_of_the_system_are_told_when_they_are_ready() {
    each_way(|wait| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut one, mut two) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let (address, to) = (listener.local_addr().unwrap(), udp.local_addr().unwrap());

        let client = soon(move || TcpStream::connect(address).unwrap());
        assert_eq!(wait(&[&udp, &listener, &one, &reader]), [1]);
        drop(client.join().unwrap());
        listener.accept().unwrap();

        let same = udp.try_clone().unwrap();
        let sent = soon(move || same.send_to(b"hello", to).unwrap());
        assert_eq!(wait(&[&udp, &listener, &one, &reader]), [0]);
        sent.join().unwrap();
        udp.recv(&mut [0; 9]).unwrap();

        let two = soon(move || two.write_all(b"x").map(|()| two).unwrap()).join().unwrap();
        assert_eq!(wait(&[&udp, &listener, &one, &reader]), [2]);
        one.read_exact(&mut [0]).unwrap();
        // The end counts, too.
        let end = soon(move || drop(two));
        assert_eq!(wait(&[&udp, &listener, &one, &reader]), [2]);
        end.join().unwrap();

        let writer = soon(move || writer.write_all(b"y").map(|()| writer).unwrap());
        assert_eq!(wait(&[&udp, &listener, &reader]), [2]);
        drop(writer.join().unwrap());
        // Many are ready at once, some twice.
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(wait(&[&reader, &udp, &one, &reader]), [0, 2, 3]);
    });
}

#[test]
fn writes_wait_for_room() {
    each_way(|wait| {
        let (mut one, mut two) = UnixStream::pair().unwrap();
        assert_eq!(wait(&[&one, &writable(&one)]), [1]);
        one.set_nonblocking(true).unwrap();
        while one.write(&[0; 4096]).is_ok() {}
        let reads = soon(move || {
            let mut all = vec![0; 1 << 20];
            two.read(&mut all).map(|_| two).unwrap()
        });
        assert_eq!(wait(&[&one, &writable(&one)]), [1]);
        drop(reads.join().unwrap());
    });
}

#[test]
fn a_file_is_always_ready() {
    each_way(|wait| {
        let file = tempfile::tempfile().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(wait(&[&reader, &file, &null, &writable(&file)]), [1, 2, 3]);
    });
}

#[test]
fn queues_events_and_pipes_within_this_process() {
    each_way(|wait| {
        let (queue, stack, heap) = (Queue::new(), LifoQueue::new(), PriorityQueue::new());
        let bounded = Queue::bounded(1);
        let (sender, receiver) = thread::pipe();
        let event = std::sync::Arc::new(Event::new());
        let all: [&dyn Waitable; 6] = [&queue, &stack, &heap, &bounded, &receiver, &*event];
        // Alone they are waited for in another way than beside a descriptor.
        let (reader, _writer) = std::io::pipe().unwrap();
        for beside in [false, true] {
            let wait = |things: &[&dyn Waitable]| {
                let mut things = things.to_vec();
                things.extend(beside.then_some(&reader as &dyn Waitable));
                wait(&things)
            };
            let put = queue.clone();
            let other = soon(move || put.put(1).unwrap());
            assert_eq!(wait(&all), [0]);
            other.join().unwrap();
            assert_eq!(queue.try_get(), Ok(1), "looking takes nothing");
            let put = stack.clone();
            let other = soon(move || put.put(1).unwrap());
            assert_eq!(wait(&all), [1]);
            other.join().unwrap();
            stack.get().unwrap();
            let put = heap.clone();
            let other = soon(move || put.put(1).unwrap());
            assert_eq!(wait(&all), [2]);
            other.join().unwrap();
            heap.get().unwrap();
            let put = bounded.clone();
            let other = soon(move || put.put(1).unwrap());
            assert_eq!(wait(&all), [3]);
            other.join().unwrap();
            bounded.get().unwrap();
            sender.send(1).unwrap();
            assert_eq!(wait(&all), [4]);
            receiver.recv().unwrap();
            let set = event.clone();
            let other = soon(move || set.set());
            assert_eq!(wait(&all), [5]);
            assert_eq!(wait(&all), [5], "it stays set");
            other.join().unwrap();
            event.clear();
        }
        let shut = queue.clone();
        let other = soon(move || shut.shut_down(false));
        assert_eq!(wait(&all), [0]);
        other.join().unwrap();
        drop(sender);
        assert_eq!(wait(&all), [0, 4]);
    });
}

#[test]
fn room_in_a_pipe() {
    each_way(|wait| {
        let (sender, receiver) = thread::pipe_with_room(1);
        let (far, near) = process::pipe().unwrap();
        assert_eq!(wait(&[&sender, &far, &receiver, &near]), [0, 1]);
        sender.send(1).unwrap();
        while far.try_send(1).is_ok() {}
        let receives = soon(move || receiver.recv().map(|_| receiver).unwrap());
        assert_eq!(wait(&[&sender, &far]), [0]);
        sender.send(1).unwrap();
        let receives_all = soon(move || {
            while near.try_recv().is_ok() {}
            near
        });
        assert_eq!(wait(&[&sender, &far]), [1]);
        drop((receives.join().unwrap(), receives_all.join().unwrap()));
        assert_eq!(wait(&[&sender, &far]), [0, 1], "the other ends are closed");
    });
}

fn send_one(sender: process::Sender<u32>, port: u16) {
    sender.send(1).unwrap();
    drop(sender);
    visit(port, 0);
}

#[test]
fn pipes_between_processes_children_and_handles() {
    each_way(|wait| {
        let gate = Gate::new();
        let pool = process::Executor::builder().workers(1).build().unwrap();
        let (sender, receiver) = process::pipe::<u32>().unwrap();
        let child = process::spawn(send_one, (sender, gate.port())).unwrap();
        let handle = pool.submit(visit, (gate.port(), 1));
        let on_thread = thread::spawn(visit, (gate.port(), 2)).unwrap();
        let all: [&dyn Waitable; 4] = [&receiver, &child, &handle, &on_thread];
        assert_eq!(wait(&all), [0]);
        receiver.recv().unwrap();
        assert_eq!(wait(&all), [0], "the end");
        let guests = gate.next_few(3);
        for (guest, place) in guests.into_iter().zip([1, 2, 3]) {
            guest.pass();
            assert_eq!(wait(&all[place..]), [0]);
        }
        assert_eq!(wait(&all), [0, 1, 2, 3]);
        child.join().unwrap();
        assert_eq!((handle.join().unwrap(), on_thread.join().unwrap()), (1, 2));
    });
}

#[test]
fn a_coroutine_can_be_waited_for_beside_a_socket() {
    within(LIMIT, || {
        green::run(|| {
            let (one, _two) = UnixStream::pair().unwrap();
            let child = green::spawn(|| green::sleep(SHORT), ()).unwrap();
            assert_eq!(wait_any(&[&one, &child]).unwrap(), [1]);
            child.join().unwrap();
        })
        .unwrap();
    });
}

#[test]
fn others_run_while_a_coroutine_waits() {
    within(LIMIT, || {
        green::run(|| {
            let (one, two) = UnixStream::pair().unwrap();
            let queue = Queue::<u32>::new();
            let same = queue.clone();
            let waits = green::spawn(move || wait_any(&[&one, &same]).unwrap(), ()).unwrap();
            green::yield_now();
            queue.put(1).unwrap();
            assert_eq!(waits.join().unwrap(), [1]);
            drop(two);
        })
        .unwrap();
    });
}

#[test]
fn timers_are_told_once_and_members_can_be_taken_out() {
    within(LIMIT, || {
        let test = || {
            let queue = Queue::new();
            let (one, _two) = UnixStream::pair().unwrap();
            let mut set = WaitSet::new();
            assert_eq!(set.wait().unwrap_err().kind(), ErrorKind::Deadlock);
            let first = set.add_timer(SHORT);
            let never = set.add_timer(Duration::MAX);
            let begin = Instant::now();
            assert_eq!(set.wait().unwrap(), [first]);
            assert!(begin.elapsed() >= SHORT);
            let socket = set.add(&one);
            let items = set.add(&queue);
            let late = set.add_timer(SHORT);
            assert_eq!(set.wait().unwrap(), [late]);
            assert!(begin.elapsed() >= SHORT * 2);
            let both = [set.add_timer(Duration::ZERO), set.add_timer(Duration::ZERO)];
            assert_eq!(set.wait().unwrap(), both);
            assert!(!set.contains(late) && !set.remove(late) && set.len() == 3);

            queue.put(1).unwrap();
            assert_eq!(set.wait().unwrap(), [items]);
            assert!(set.remove(items));
            assert!(set.wait_timeout(SHORT).unwrap().is_empty(), "it was taken out");
            let again = set.add(&queue);
            assert_ne!(again, items);
            assert_eq!(set.wait_timeout(LIMIT).unwrap(), [again]);
            assert!(set.remove(socket) && set.remove(never) && set.remove(again) && set.is_empty());
            assert!(set.wait_timeout(Duration::ZERO).unwrap().is_empty());
        };
        test();
        green::run(test).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            // As a task of its own, which must be `Send`.
            let task = tokio::spawn(async {
                let queue = Queue::<u32>::new();
                let mut set = WaitSet::new();
                set.add(&queue);
                let first = set.add_timer(SHORT);
                set.add_timer(LIMIT);
                assert_eq!(set.wait_async().await.unwrap(), [first]);
            });
            task.await.unwrap();
        });
    });
}

/// Processor time of the calling thread.
fn burnt() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Counts how often it is asked.
struct Counted<'a>(&'a std::sync::atomic::AtomicUsize);

impl Waitable for Counted<'_> {
    fn watch(&self) -> Watch<'_> {
        Watch::poll_fn(|_| {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Poll::Pending
        })
    }
}

#[test]
fn nobody_looks_again_and_again_while_nothing_is_ready() {
    within(LIMIT, || {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let test = |kind: &str, wait: &dyn Fn(&[&dyn Waitable], Duration)| {
            let (listener, queue) =
                (TcpListener::bind("127.0.0.1:0").unwrap(), Queue::<u32>::new());
            let (one, _two) = UnixStream::pair().unwrap();
            let event = Event::new();
            let (_sender, receiver) = process::pipe::<u32>().unwrap();
            let counted = Counted(&asked);
            let (before, begin) = (burnt(), Instant::now());
            let long = Duration::from_millis(300);
            wait(&[&listener, &queue, &one, &event, &receiver, &counted], long);
            assert!(begin.elapsed() >= long);
            let burnt = burnt() - before;
            assert!(burnt < long / 10, "{kind}: {burnt:?} of {long:?}");
            let asked = asked.swap(0, std::sync::atomic::Ordering::Relaxed);
            assert!(asked <= 4, "{kind}: asked {asked} times");
        };
        let wait = |things: &[&dyn Waitable], limit| {
            assert!(wait_any_timeout(things, limit).unwrap().is_empty());
        };
        test("thread", &wait);
        green::scope(|scope| scope.spawn(|| test("coroutine", &wait), ()).unwrap().join().unwrap())
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        test("future", &|things, limit| {
            runtime.block_on(async {
                assert!(tokio::time::timeout(limit, wait_any_async(things)).await.is_err());
            });
        });
    });
}

#[test]
fn a_wait_that_is_given_up_leaves_nothing_behind() {
    within(LIMIT, || {
        let queue = Queue::new();
        let (one, two) = UnixStream::pair().unwrap();
        let things: [&dyn Waitable; 2] = [&queue, &one];
        for _ in 0..100 {
            let mut future = pin!(wait_any_async(&things));
            let mut context = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut context).is_pending());
        }
        // Who gets is not kept from it by those who only look, nor are they by each other.
        let mut looks = pin!(wait_any_async(&things));
        let mut context = Context::from_waker(Waker::noop());
        assert!(looks.as_mut().poll(&mut context).is_pending());
        let same = queue.clone();
        let gets = std::thread::spawn(move || same.get().unwrap());
        let same = queue.clone();
        let waits = std::thread::spawn(move || wait_any(&[&same]).unwrap());
        queue.put(1).unwrap();
        assert_eq!(gets.join().unwrap(), 1);
        while !waits.is_finished() {
            // It may have come after the first had gone.
            queue.put(2).unwrap();
            std::thread::yield_now();
        }
        assert_eq!(waits.join().unwrap(), [0]);
        queue.put(3).unwrap();
        assert_eq!(
            looks.as_mut().poll(&mut context).map(|ready| ready.unwrap()),
            Poll::Ready(vec![0])
        );
        drop(two);
    });
}

#[test]
fn a_descriptor_whose_number_goes_to_another_is_told_of_as_that_other() {
    each_way(|wait| {
        for _ in 0..50 {
            let (one, two) = UnixStream::pair().unwrap();
            let (reader, writer) = std::io::pipe().unwrap();
            let sent = std::thread::spawn(move || (&two).write_all(b"x").map(|()| two).unwrap());
            assert_eq!(wait(&[&reader, &one]), [1]);
            drop((sent.join().unwrap(), one));
            // The same numbers, most likely.
            let (other, another) = std::io::pipe().unwrap();
            let end = std::thread::spawn(move || drop(another));
            assert_eq!(wait(&[&reader, &other]), [1]);
            end.join().unwrap();
            drop(writer);
        }
    });
}

#[test]
fn many_who_wait_for_one_queue_lose_no_item() {
    within(LIMIT, || {
        let queue = Queue::<u32>::bounded(2);
        let takes = |looks: bool| {
            let queue = queue.clone();
            move || {
                let mut sum = 0;
                loop {
                    if looks {
                        wait_any(&[&queue]).unwrap();
                    }
                    let got = if looks { queue.try_get() } else { queue.get() };
                    match got {
                        Ok(n) => sum += u64::from(n),
                        Err(thread::GetError::Empty) => {}
                        Err(_) => return sum,
                    }
                }
            }
        };
        let takers: Vec<_> =
            (0..6).map(|n| thread::spawn(takes(n % 2 == 0), ()).unwrap()).collect();
        (0..5000).for_each(|n| queue.put(n).unwrap());
        queue.shut_down(false);
        let sum: u64 = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
        assert_eq!(sum, 5000 * 4999 / 2);
    });
}
