//! What pipes do only at the process scale: they carry descriptors and each other, and lose nothing but what dies.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use fourfold::green;
use fourfold::process::{
    self, Duplex, Executor, Fd, GetError, PutError, Receiver, Sender, StartMethod,
};
use fourfold::{ErrorKind, thread};
use serde::{Deserialize, Serialize};

use crate::support::{LIMIT, within};

const METHODS: [StartMethod; 2] = [StartMethod::Spawn, StartMethod::Forkserver];

/// A message whose parts say of each other whether it is whole.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    by: usize,
    number: usize,
    body: String,
}

impl Told {
    /// Of every length, from nothing to what goes in a memory file.
    fn new(by: usize, number: usize) -> Told {
        let len = number * 7919 % [40, 4_000, 90_000][number % 3];
        let letter = char::from(b'a' + ((by * 31 + number) % 26) as u8);
        Told { by, number, body: std::iter::repeat_n(letter, len).collect() }
    }

    fn check(&self) {
        let same = Told::new(self.by, self.number);
        assert!(self.body == same.body, "message {} of {} is not whole", self.number, self.by);
    }
}

fn tell(sender: Sender<Told>, by: usize, count: usize) {
    for number in 0..count {
        sender.send(Told::new(by, number)).unwrap();
    }
}

/// Receives to the end, and checks that those of each writer are whole, in order, and so many.
fn hear(receiver: &Receiver<Told>, writers: usize, count: usize) {
    let mut next = vec![0; writers];
    for told in receiver.iter() {
        told.check();
        assert_eq!(told.number, next[told.by], "in order");
        next[told.by] += 1;
    }
    assert_eq!(next, vec![count; writers]);
}

#[test]
fn messages_of_eight_processes_and_of_eight_threads_stay_whole() {
    within(LIMIT, || {
        let (sender, receiver) = process::pipe().unwrap();
        let children: Vec<_> = (0..8)
            .map(|by| process::spawn(tell, (sender.try_clone().unwrap(), by, 200)).unwrap())
            .collect();
        drop(sender);
        hear(&receiver, 8, 200);
        children.into_iter().for_each(|child| child.join().unwrap());

        let (sender, receiver) = process::pipe::<Told>().unwrap();
        thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|by| {
                    let sender = &sender;
                    let tell = move || {
                        (0..200).for_each(|number| sender.send(Told::new(by, number)).unwrap());
                    };
                    scope.spawn(tell, ()).unwrap()
                })
                .collect();
            let reader =
                scope.spawn(|| (0..1600).for_each(|_| receiver.recv().unwrap().check()), ());
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            reader.unwrap().join().unwrap();
        })
        .unwrap();
    });
}

fn take(receiver: Receiver<u32>) -> Vec<u32> {
    receiver.iter().collect()
}

#[test]
fn each_message_is_received_by_one_of_several_processes() {
    within(LIMIT, || {
        let (sender, receiver) = process::pipe().unwrap();
        let children: Vec<_> =
            (0..4).map(|_| process::spawn(take, receiver.try_clone().unwrap()).unwrap()).collect();
        drop(receiver);
        (0..2000).for_each(|n| sender.send(n).unwrap());
        drop(sender);
        let mut all: Vec<u32> = Vec::new();
        for child in children {
            let taken = child.join().unwrap();
            assert!(taken.is_sorted());
            all.extend(taken);
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..2000));
    });
}

fn tell_for_ever(sender: Sender<Told>) {
    for number in 0.. {
        if sender.send(Told::new(0, number)).is_err() {
            return;
        }
    }
}

#[test]
fn a_writer_that_is_killed_has_sent_whole_messages_and_then_the_end() {
    within(LIMIT, || {
        for round in 0..20 {
            let (sender, receiver) = process::pipe().unwrap();
            let child = process::spawn(tell_for_ever, sender).unwrap();
            // At another moment each time.
            let mut next = 0;
            for _ in 0..round * 17 {
                let told = receiver.recv().unwrap();
                told.check();
                assert_eq!(told.number, next);
                next += 1;
            }
            child.kill();
            let killed = Instant::now();
            for told in receiver.iter() {
                told.check();
                assert_eq!(told.number, next);
                next += 1;
            }
            assert!(matches!(receiver.recv(), Err(GetError::ShutDown)));
            assert!(killed.elapsed() < Duration::from_secs(10), "at once");
            assert!(child.join().is_err());
        }
    });
}

fn hold(receiver: Receiver<u32>, ready: Sender<()>) {
    ready.send(()).unwrap();
    std::thread::park();
    drop(receiver);
}

#[test]
fn a_reader_that_is_killed_is_told_to_who_sends() {
    within(LIMIT, || {
        let (sender, receiver) = process::pipe().unwrap();
        let (ready, is_ready) = process::pipe().unwrap();
        let child = process::spawn(hold, (receiver, ready)).unwrap();
        is_ready.recv().unwrap();
        while sender.try_send(1).is_ok() {}
        thread::scope(|scope| {
            let sends = scope.spawn(|| sender.send(2), ()).unwrap();
            child.kill();
            assert!(matches!(sends.join().unwrap(), Err(PutError::ShutDown(2))));
        })
        .unwrap();
        assert!(child.join().is_err());
    });
}

#[test]
fn an_end_that_travels_is_closed_here() {
    within(LIMIT, || {
        for method in METHODS {
            // As an argument.
            let (sender, receiver) = process::pipe::<Told>().unwrap();
            let builder = process::Builder::new().start_method(method);
            let child = builder.spawn(tell, (sender, 0, 10)).unwrap();
            hear(&receiver, 1, 10);
            child.join().unwrap();

            // As an argument of a pool's task, whose worker goes on living.
            let pool = Executor::builder().workers(1).start_method(method).build().unwrap();
            let (sender, receiver) = process::pipe::<Told>().unwrap();
            let task = pool.submit(tell, (sender, 0, 10));
            hear(&receiver, 1, 10);
            task.join().unwrap();

            // As a value.
            let task = pool.submit(|| process::pipe::<u32>().unwrap(), ());
            let (sender, receiver) = task.join().unwrap();
            sender.send(1).unwrap();
            drop(sender);
            assert_eq!(receiver.recv().unwrap(), 1);
            assert!(matches!(receiver.recv(), Err(GetError::ShutDown)));
        }
    });
}

#[test]
fn ends_travel_in_messages() {
    within(LIMIT, || {
        let (outer, taken) = process::pipe::<(String, Sender<u32>, Duplex<u32>)>().unwrap();
        let (sender, receiver) = process::pipe().unwrap();
        let (here, there) = process::duplex().unwrap();
        outer.send(("take these".to_owned(), sender, there)).unwrap();
        drop(outer);
        let (text, sender, there) = taken.recv().unwrap();
        assert_eq!(text, "take these");
        sender.send(7).unwrap();
        drop(sender);
        assert_eq!(receiver.recv().unwrap(), 7);
        // There was one copy alone: the other end sees the end of it.
        assert!(matches!(receiver.recv(), Err(GetError::ShutDown)));
        there.send(8).unwrap();
        assert_eq!(here.recv().unwrap(), 8);
        drop(there);
        assert!(matches!(here.recv(), Err(GetError::ShutDown)));
        assert!(matches!(taken.recv(), Err(GetError::ShutDown)));
    });
}

fn greet(clients: Receiver<Fd<UnixStream>>) -> usize {
    clients.iter().map(|Fd(mut client)| client.write_all(b"hello").unwrap()).count()
}

#[test]
fn descriptors_go_along() {
    within(LIMIT, || {
        let (sender, receiver) = process::pipe().unwrap();
        let child = process::spawn(greet, receiver).unwrap();
        for _ in 0..50 {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            sender.send(Fd(theirs)).unwrap();
            let mut text = String::new();
            // It ends, since the copy here was closed.
            ours.read_to_string(&mut text).unwrap();
            assert_eq!(text, "hello");
        }
        drop(sender);
        assert_eq!(child.join().unwrap(), 50);
    });
}

#[test]
fn as_many_descriptors_as_the_kernel_takes_and_not_one_more() {
    within(LIMIT, || {
        let (sender, receiver) = process::pipe::<(Vec<Fd<UnixStream>>, Vec<u8>)>().unwrap();
        let many = |count| -> Vec<_> {
            let (one, _) = UnixStream::pair().unwrap();
            (0..count).map(|_| Fd(one.try_clone().unwrap())).collect()
        };
        for len in [0, 100_000] {
            sender.send((many(252), vec![1; len])).unwrap();
            let (fds, body) = receiver.recv().unwrap();
            assert_eq!((fds.len(), body.len()), (252, len));
        }
        let Err(PutError::Failed((fds, _), error)) = sender.send((many(253), vec![])) else {
            panic!("the kernel takes 253")
        };
        assert_eq!((fds.len(), error.kind()), (253, ErrorKind::InvalidInput));
        assert!(matches!(receiver.try_recv(), Err(GetError::Empty)));
    });
}

#[test]
fn huge_messages_and_empty_ones() {
    within(LIMIT, || {
        let (sender, receiver) = process::pipe::<String>().unwrap();
        // With nobody there to take it: it is not in the socket's room.
        sender.send("x".repeat(100 << 20)).unwrap();
        sender.send(String::new()).unwrap();
        let huge = receiver.recv().unwrap();
        assert!(huge == "x".repeat(100 << 20));
        assert!(receiver.recv().unwrap().is_empty());
        // On both sides of where bodies go to memory files.
        for len in (64 << 10) - 40..(64 << 10) + 10 {
            let text = "x".repeat(len);
            sender.send(text.clone()).unwrap();
            assert!(receiver.recv().unwrap() == text);
        }
        let (sender, receiver) = process::pipe::<()>().unwrap();
        sender.send(()).unwrap();
        receiver.recv().unwrap();
        drop(sender);
        assert!(matches!(receiver.recv(), Err(GetError::ShutDown)));
    });
}

#[derive(Debug, Serialize)]
struct Unreadable;

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Unreadable, D::Error> {
        Err(serde::de::Error::custom("nobody reads this"))
    }
}

#[test]
fn a_message_that_cannot_be_read_is_an_error_and_the_next_one_comes() {
    within(LIMIT, || {
        let (sender, receiver) = process::pipe::<Result<u32, Unreadable>>().unwrap();
        sender.send(Err(Unreadable)).unwrap();
        sender.send(Ok(5)).unwrap();
        let Err(GetError::Failed(error)) = receiver.recv() else { panic!("it was read") };
        assert_eq!(error.kind(), ErrorKind::NotSerializable);
        assert_eq!(receiver.recv().unwrap().unwrap(), 5);
    });
}

/// Makes pipes until there is no descriptor left.
fn exhaust() -> (usize, ErrorKind, String) {
    use std::error::Error;
    let mut pipes = Vec::new();
    loop {
        match process::pipe::<u32>() {
            Ok(pipe) => pipes.push(pipe),
            Err(error) => {
                for (number, (sender, receiver)) in pipes.iter().enumerate() {
                    sender.send(number as u32).unwrap();
                    assert_eq!(receiver.recv().unwrap(), number as u32);
                }
                let why = error.source().map(ToString::to_string).unwrap_or_default();
                return (pipes.len(), error.kind(), why);
            }
        }
    }
}

#[test]
fn thousands_of_pipes_and_no_descriptor_left_is_an_error() {
    within(LIMIT, || {
        let limit = process::Resource::OpenFiles;
        let builder = process::Builder::new().limit(limit, 4000);
        let (count, kind, why) = builder.spawn(exhaust, ()).unwrap().join().unwrap();
        assert!((1900..2000).contains(&count), "{count} pipes in 4000 descriptors");
        assert_eq!(kind, ErrorKind::Io);
        assert!(why.contains("Too many open files"), "{why}");
    });
}

/// Receives a message with descriptors that there is no room for, and then one without.
fn receive_without_room(receiver: Receiver<Vec<Fd<UnixStream>>>) -> (ErrorKind, usize) {
    let mut held = Vec::new();
    while let Ok(fd) = std::fs::File::open("/dev/null") {
        held.push(fd);
    }
    let Err(GetError::Failed(error)) = receiver.recv() else { panic!("there was room") };
    (error.kind(), receiver.recv().unwrap().len())
}

#[test]
fn a_message_whose_descriptors_find_no_room_is_an_error_and_the_next_one_comes() {
    within(LIMIT, || {
        let (sender, receiver) = process::pipe().unwrap();
        sender.send(vec![Fd(UnixStream::pair().unwrap().0)]).unwrap();
        sender.send(vec![]).unwrap();
        let builder = process::Builder::new().limit(process::Resource::OpenFiles, 64);
        let child = builder.spawn(receive_without_room, receiver).unwrap();
        assert_eq!(child.join().unwrap(), (ErrorKind::Io, 0));
    });
}

fn echo(end: Duplex<u32>) -> u32 {
    let mut count = 0;
    while let Ok(n) = end.recv() {
        end.send(n).unwrap();
        count += 1;
    }
    count
}

#[test]
fn coroutines_wait_at_pipes_while_others_run() {
    within(LIMIT, || {
        let children = green::run(|| {
            let talks: Vec<_> = (0..8)
                .map(|_| {
                    let (here, there) = process::duplex::<u32, u32>().unwrap();
                    let child = process::spawn(echo, there).unwrap();
                    let talk = move || {
                        for n in 0..200 {
                            here.send(n).unwrap();
                            assert_eq!(here.recv().unwrap(), n);
                        }
                        let empty = here.recv_timeout(Duration::from_millis(1));
                        assert!(matches!(empty, Err(GetError::Empty)));
                        child
                    };
                    green::spawn(talk, ()).unwrap()
                })
                .collect();
            talks.into_iter().map(|talk| talk.join().unwrap()).collect::<Vec<_>>()
        })
        .unwrap();
        children.into_iter().for_each(|child| assert_eq!(child.join().unwrap(), 200));

        // On one thread, both ends of one pipe, whose writer finds it full.
        green::run(|| {
            let (sender, receiver) = process::pipe::<Told>().unwrap();
            let tells = green::spawn(move || tell(sender, 0, 1000), ()).unwrap();
            hear(&receiver, 1, 1000);
            tells.join().unwrap();
        })
        .unwrap();
    });
}

#[test]
fn a_coroutine_that_is_cancelled_at_a_pipe_has_received_nothing() {
    within(LIMIT, || {
        green::run(|| {
            let (sender, receiver) = process::pipe::<u32>().unwrap();
            let receiver = std::sync::Arc::new(receiver);
            let same = receiver.clone();
            let waits = green::spawn(move || same.recv().is_ok(), ()).unwrap();
            green::yield_now();
            assert!(waits.cancel());
            assert!(waits.join().unwrap_err().is_cancelled());
            sender.send(3).unwrap();
            assert_eq!(receiver.recv().unwrap(), 3);
        })
        .unwrap();
    });
}

#[test]
fn futures_wait_at_pipes() {
    within(LIMIT, || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let talks: Vec<_> = (0..8)
                .map(|_| {
                    let (here, there) = process::duplex::<u32, u32>().unwrap();
                    let child = process::spawn(echo, there).unwrap();
                    let (sender, receiver) = here.split();
                    tokio::spawn(async move {
                        for n in 0..100 {
                            sender.send_async(n).await.unwrap();
                            assert_eq!(receiver.recv_async().await.unwrap(), n);
                        }
                        drop(sender);
                        assert!(matches!(receiver.recv_async().await, Err(GetError::ShutDown)));
                        assert_eq!(child.await.unwrap(), 100);
                    })
                })
                .collect();
            for talk in talks {
                talk.await.unwrap();
            }
            // Full, and then not.
            let (sender, receiver) = process::pipe::<Told>().unwrap();
            let tells = tokio::spawn(async move {
                for number in 0..500 {
                    sender.send_async(Told::new(0, number)).await.unwrap();
                }
            });
            for number in 0..500 {
                let told = receiver.recv_async().await.unwrap();
                told.check();
                assert_eq!(told.number, number);
            }
            tells.await.unwrap();
        });
    });
}

#[test]
fn words_of_both_kinds_go_through_a_pipe() {
    type Words = (process::RLock, process::Lock<u8>, Vec<u8>);
    within(LIMIT, || {
        // In the packet, and in a memory file.
        for length in [0, 90_000] {
            let (sender, receiver) = process::pipe::<Words>().unwrap();
            let child = process::spawn(
                |receiver: Receiver<Words>| {
                    let (served, shared, bytes) = receiver.recv().unwrap();
                    *shared.lock().unwrap() += 1;
                    (served.lock().is_ok(), bytes.len())
                },
                receiver,
            );
            let shared = process::Lock::new(1).unwrap();
            let served = process::RLock::new().unwrap();
            sender.send((served, shared.clone(), vec![0; length])).unwrap();
            assert_eq!(child.unwrap().join().unwrap(), (true, length));
            assert_eq!(*shared.lock().unwrap(), 2);
        }
    });
}
