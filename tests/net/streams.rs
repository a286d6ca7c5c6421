//! TCP streams and listeners.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fourfold::green;
use fourfold::green::net::{TcpListener, TcpStream};

use crate::ends::{fill, pair};
use crate::support::{in_time, on_a_hub};

fn echo(stream: TcpStream) -> std::io::Result<u64> {
    std::io::copy(&mut &stream, &mut &stream)
}

#[test]
fn a_hub_serves_64_clients_that_it_has_itself() {
    const CLIENTS: u64 = 64;
    const ROUNDS: u64 = 50;
    let served = on_a_hub(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = green::spawn(
            move || {
                let streams = listener.incoming().take(CLIENTS as usize);
                let serving: Vec<_> =
                    streams.map(|stream| green::spawn(echo, stream.unwrap()).unwrap()).collect();
                serving.into_iter().map(|child| child.join().unwrap().unwrap()).sum::<u64>()
            },
            (),
        )
        .unwrap();
        let client = move |number: u64| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            for round in 0..ROUNDS {
                let sent = [(number + round) as u8; 100];
                stream.write_all(&sent).unwrap();
                let mut back = [0; 100];
                stream.read_exact(&mut back).unwrap();
                assert_eq!(back, sent);
            }
        };
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| green::spawn(client, number).unwrap()).collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        server.join().unwrap()
    });
    assert_eq!(served, CLIENTS * ROUNDS * 100);
}

#[test]
fn both_families_and_names_work() {
    on_a_hub(|| {
        for host in ["127.0.0.1", "::1", "localhost"] {
            let listener = match TcpListener::bind((host, 0)) {
                Ok(listener) => listener,
                // A machine may have no IPv6.
                Err(error) if host == "::1" => {
                    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
                    continue;
                }
                Err(error) => panic!("{host}: {error}"),
            };
            let port = listener.local_addr().unwrap().port();
            let there = TcpStream::connect((host.to_owned(), port)).unwrap();
            let (here, from) = listener.accept().unwrap();
            assert_eq!(from, there.local_addr().unwrap());
            (&there).write_all(b"x").unwrap();
            assert_eq!((&here).read(&mut [0; 8]).unwrap(), 1);
        }
        let error = TcpStream::connect("no-such-host.invalid:80").unwrap_err();
        assert!(!error.to_string().is_empty());
        let none: &[std::net::SocketAddr] = &[];
        assert_eq!(TcpStream::connect(none).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn each_direction_is_closed_by_itself() {
    on_a_hub(|| {
        let (mut here, mut there) = pair();
        here.write_all(b"question").unwrap();
        here.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        there.read_to_string(&mut text).unwrap();
        assert_eq!(text, "question");
        // Again at the end, at once.
        assert_eq!(there.read(&mut [0; 8]).unwrap(), 0);
        there.write_all(b"answer").unwrap();
        drop(there);
        text.clear();
        here.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
        assert_eq!(here.write(b"late").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn what_arrives_in_pieces_is_read_as_one() {
    on_a_hub(|| {
        let (mut here, there) = pair();
        let writer = green::spawn(
            move || {
                for letter in b"abcdefgh".chunks(1) {
                    (&there).write_all(letter).unwrap();
                    green::yield_now();
                }
                there
            },
            (),
        )
        .unwrap();
        let mut all = [0; 8];
        here.read_exact(&mut all).unwrap();
        assert_eq!(&all, b"abcdefgh");
        let there = writer.join().unwrap();
        // Of more than there is room for, the rest stays.
        let parts = [IoSlice::new(b"12"), IoSlice::new(b"345")];
        assert_eq!((&there).write_vectored(&parts).unwrap(), 5);
        let (mut a, mut b) = ([0; 1], [0; 2]);
        assert_eq!(here.peek(&mut [0; 16]).unwrap(), 5);
        let count =
            here.read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]).unwrap();
        assert_eq!((count, &a, &b), (3, b"1", b"23"));
        assert_eq!(here.read(&mut [0; 16]).unwrap(), 2);
    });
}

#[test]
fn a_large_amount_goes_both_ways_at_once() {
    const SIZE: usize = 8 << 20;
    on_a_hub(|| {
        let (here, there) = pair();
        let here = Arc::new(here);
        let echo = green::spawn(echo, there).unwrap();
        let writer = {
            let here = here.clone();
            let write = move || {
                (&*here).write_all(&vec![3; SIZE]).unwrap();
                here.shutdown(Shutdown::Write).unwrap();
            };
            green::spawn(write, ()).unwrap()
        };
        let mut back = Vec::new();
        (&*here).read_to_end(&mut back).unwrap();
        assert!(back.len() == SIZE && back.iter().all(|byte| *byte == 3));
        writer.join().unwrap();
        assert_eq!(echo.join().unwrap().unwrap(), SIZE as u64);
    });
}

#[test]
fn urgent_data_do_not_hide_what_is_behind_them() {
    on_a_hub(|| {
        let (here, there) = pair();
        here.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        // Has it registered, so that what it remembers matters.
        let reader = green::spawn(
            move || {
                let mut all = Vec::new();
                let mut buffer = [0; 64];
                loop {
                    match (&here).read(&mut buffer).unwrap() {
                        0 => return all,
                        count => all.extend_from_slice(&buffer[..count]),
                    }
                }
            },
            (),
        )
        .unwrap();
        green::yield_now();
        let flags = rustix::net::SendFlags::OOB;
        for _ in 0..10 {
            (&there).write_all(b"before").unwrap();
            rustix::net::send(&there, b"!", flags).unwrap();
            (&there).write_all(b"behind").unwrap();
            green::sleep(Duration::from_millis(1));
        }
        drop(there);
        assert_eq!(reader.join().unwrap(), b"beforebehind".repeat(10));
    });
}

#[test]
fn time_limits_hold_in_coroutines_and_threads() {
    fn check() {
        let limit = Duration::from_millis(20);
        let (mut here, there) = pair();
        here.set_read_timeout(Some(limit)).unwrap();
        assert_eq!(here.read_timeout().unwrap(), Some(limit));
        let clone = here.try_clone().unwrap();
        let began = Instant::now();
        assert_eq!(here.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!((&clone).read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() >= 2 * limit);
        // The limit is the socket's, whichever handle sets it.
        clone.set_read_timeout(None).unwrap();
        assert_eq!(here.read_timeout().unwrap(), None);
        let zero = here.set_write_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);

        let sent = fill(&here, |limit| here.set_write_timeout(limit).unwrap());
        assert!(sent > 0);
        let mut drained = 0;
        while drained < sent {
            drained += (&there).read(&mut [0; 65536]).unwrap();
        }
        here.write_all(b"again").unwrap();
        assert_eq!((&there).read(&mut [0; 8]).unwrap(), 5);
    }
    on_a_hub(check);
    in_time(check);
}

#[test]
fn limits_go_over_to_std_and_back() {
    in_time(|| {
        let limit = Some(Duration::from_secs(7));
        let (here, mut there) = pair();
        here.set_read_timeout(limit).unwrap();
        let mut std = std::net::TcpStream::from(here);
        assert_eq!(std.read_timeout().unwrap(), limit);
        there.write_all(b"x").unwrap();
        assert_eq!(std.read(&mut [0; 8]).unwrap(), 1);
        let here = TcpStream::from(std);
        assert_eq!(here.read_timeout().unwrap(), limit);
        // A listener of std's blocks again: who connects is accepted.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = std::net::TcpListener::from(listener);
        let accept = std::thread::spawn(move || listener.accept().map(|_| ()));
        let _stream = TcpStream::connect(address).unwrap();
        accept.join().unwrap().unwrap();
    });
}

#[test]
fn refused_and_reset_are_told() {
    fn check() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);

        let (here, there) = pair();
        rustix::net::sockopt::set_socket_linger(&there, Some(Duration::ZERO)).unwrap();
        drop(there);
        assert_eq!((&here).read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    on_a_hub(check);
    in_time(check);
    // And to one who waits for it.
    on_a_hub(|| {
        let (here, there) = pair();
        let reader = green::spawn(move || (&here).read(&mut [0; 8]), ()).unwrap();
        green::yield_now();
        rustix::net::sockopt::set_socket_linger(&there, Some(Duration::ZERO)).unwrap();
        drop(there);
        let error = reader.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn connecting_ends_at_its_limit_where_nobody_accepts() {
    fn check() {
        let full = crate::support::full_listener();
        let began = Instant::now();
        let limit = Duration::from_millis(50);
        let error = TcpStream::connect_timeout(&full.address, limit).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() >= limit);
        let error = TcpStream::connect_timeout(&full.address, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    on_a_hub(check);
    in_time(check);
}

#[test]
fn one_that_never_waits_lets_others_run() {
    on_a_hub(|| {
        let done = Arc::new(AtomicBool::new(false));
        let flood = {
            let done = done.clone();
            move || {
                let socket = green::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                let to_itself = socket.local_addr().unwrap();
                let mut count = 0u64;
                while !done.load(Ordering::Relaxed) {
                    socket.send_to(b"x", to_itself).unwrap();
                    count += socket.recv(&mut [0; 8]).unwrap() as u64;
                }
                count
            }
        };
        let flood = green::spawn(flood, ()).unwrap();
        for _ in 0..10 {
            green::yield_now();
        }
        done.store(true, Ordering::Relaxed);
        assert!(flood.join().unwrap() > 0);
    });
}
