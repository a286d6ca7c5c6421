//! Sockets that several hubs and threads use at once.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use fourfold::green;
use fourfold::green::net::{TcpListener, TcpStream, UdpSocket};

use crate::ends::pair;
use crate::support::{in_time, on_a_hub};

#[test]
fn a_listener_of_two_hubs_and_a_thread() {
    const CONNECTIONS: u32 = 300;
    in_time(|| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let served = Arc::new(AtomicU32::new(0));
        let accept = {
            let (listener, served) = (listener.clone(), served.clone());
            move || {
                loop {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut word = [0; 4];
                    stream.read_exact(&mut word).unwrap();
                    if &word == b"stop" {
                        return;
                    }
                    stream.write_all(&word).unwrap();
                    served.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let mut acceptors = Vec::new();
        for _ in 0..2 {
            let accept = accept.clone();
            let hub = move || {
                green::run(|| {
                    let two = [(); 2].map(|()| green::spawn(accept.clone(), ()).unwrap());
                    two.into_iter().for_each(|child| child.join().unwrap());
                })
                .unwrap();
            };
            acceptors.push(thread::spawn(hub));
        }
        acceptors.push(thread::spawn(accept));
        let say = |word: &[u8; 4]| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(word).unwrap();
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            back
        };
        for _ in 0..CONNECTIONS {
            assert_eq!(say(b"ping"), b"ping");
        }
        for _ in 0..5 {
            assert_eq!(say(b"stop"), b"");
        }
        acceptors.into_iter().for_each(|acceptor| acceptor.join().unwrap());
        assert_eq!(served.load(Ordering::Relaxed), CONNECTIONS);
    });
}

#[test]
fn a_stream_read_and_written_on_different_hubs() {
    in_time(|| {
        let (here, there) = pair();
        let here = Arc::new(here);
        let reader = {
            let here = here.clone();
            thread::spawn(move || {
                green::run(|| {
                    let mut all = Vec::new();
                    (&*here).read_to_end(&mut all).unwrap();
                    all.len()
                })
                .unwrap()
            })
        };
        let writer = thread::spawn(move || {
            green::run(|| {
                (&*here).write_all(&[1; 4 << 20]).unwrap();
                here.shutdown(std::net::Shutdown::Write).unwrap();
            })
            .unwrap();
        });
        let echoed = std::io::copy(&mut &there, &mut &there).unwrap();
        drop(there);
        writer.join().unwrap();
        assert_eq!((echoed, reader.join().unwrap()), (4 << 20, 4 << 20));
    });
}

#[test]
fn messages_to_many_receivers_are_each_received_once() {
    const MESSAGES: u32 = 2_000;
    in_time(|| {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let receive = {
            let socket = socket.clone();
            move || {
                let mut sum = 0;
                let mut buffer = [0; 4];
                loop {
                    socket.recv(&mut buffer).unwrap();
                    match u32::from_le_bytes(buffer) {
                        u32::MAX => return sum,
                        number => sum += u64::from(number),
                    }
                }
            }
        };
        let hubs = [(); 2].map(|()| {
            let receive = receive.clone();
            thread::spawn(move || green::run(receive).unwrap())
        });
        let thread = thread::spawn(receive);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = socket.local_addr().unwrap();
        let pause = |number: u32| {
            // No more than the queue of the socket has room for.
            if number.is_multiple_of(50) {
                while socket_is_behind(&socket) {
                    thread::yield_now();
                }
            }
        };
        for number in 0..MESSAGES {
            sender.send_to(&number.to_le_bytes(), to).unwrap();
            pause(number);
        }
        for _ in 0..3 {
            sender.send_to(&u32::MAX.to_le_bytes(), to).unwrap();
        }
        let sum: u64 = hubs.into_iter().chain([thread]).map(|one| one.join().unwrap()).sum();
        assert_eq!(sum, u64::from(MESSAGES) * u64::from(MESSAGES - 1) / 2);
    });
}

fn socket_is_behind(socket: &UdpSocket) -> bool {
    rustix::io::ioctl_fionread(socket).unwrap() > 0
}

#[test]
fn one_socket_for_a_thousand_hubs_in_turn() {
    in_time(|| {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        for _ in 0..1_000 {
            let (receiver, sender) = (socket.clone(), socket.clone());
            green::run(move || {
                let child = green::spawn(move || receiver.recv(&mut [0; 8]), ()).unwrap();
                green::yield_now();
                sender.send_to(b"x", sender.local_addr().unwrap()).unwrap();
                assert_eq!(child.join().unwrap().unwrap(), 1);
            })
            .unwrap();
        }
    });
}

#[test]
fn a_socket_of_one_hub_is_dropped_on_another() {
    for _ in 0..100 {
        on_a_hub(|| {
            let (here, there) = pair();
            here.set_read_timeout(Some(std::time::Duration::from_micros(50))).unwrap();
            (&here).read(&mut [0; 8]).unwrap_err();
            thread::spawn(move || drop(here)).join().unwrap();
            assert_eq!((&there).read(&mut [0; 8]).unwrap(), 0);
            // Its place is given away again.
            let (here, mut there) = pair();
            let reader = green::spawn(move || (&here).read(&mut [0; 8]), ()).unwrap();
            green::yield_now();
            there.write_all(b"x").unwrap();
            assert_eq!(reader.join().unwrap().unwrap(), 1);
        });
    }
}
