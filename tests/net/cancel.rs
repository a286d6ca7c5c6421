//! Coroutines that are cancelled, or over their time, at each kind of wait: nothing is left behind, the socket works on.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use fourfold::green;
use fourfold::green::net::{TcpListener, TcpStream, UdpSocket, UnixListener, wait_readable};
use fourfold::process;

use crate::ends::{fill, pair};
use crate::support::{full_listener, in_time, on_a_hub};

/// Ends `f` at its wait, in both ways.
fn ended_at_its_wait(f: impl Fn() + Clone + Send + 'static) {
    let child = green::spawn(f.clone(), ()).unwrap();
    // After a few turns it has come to its wait.
    (0..5).for_each(|_| green::yield_now());
    assert!(child.is_alive(), "it does not wait");
    child.cancel();
    assert!(child.join().unwrap_err().is_cancelled());
    let error = green::timeout(Duration::from_millis(10), f).unwrap_err();
    assert!(error.is_timeout());
}

#[test]
fn reading() {
    on_a_hub(|| {
        let (here, mut there) = pair();
        let here = Arc::new(here);
        for _ in 0..100 {
            let reader = here.clone();
            ended_at_its_wait(move || {
                let _ = (&*reader).read(&mut [0; 8]);
            });
            there.write_all(b"hello").unwrap();
            let mut word = [0; 5];
            (&*here).read_exact(&mut word).unwrap();
            assert_eq!(&word, b"hello");
        }
    });
}

#[test]
fn writing() {
    on_a_hub(|| {
        let (here, mut there) = pair();
        let here = Arc::new(here);
        let sent = fill(&*here, |limit| here.set_write_timeout(limit).unwrap());
        for _ in 0..20 {
            let writer = here.clone();
            ended_at_its_wait(move || {
                let _ = (&*writer).write(&[7; 65536]);
            });
        }
        let mut left = sent;
        while left > 0 {
            left -= there.read(&mut vec![0; left.min(65536)]).unwrap();
        }
        (&*here).write_all(b"again").unwrap();
        let mut word = [0; 5];
        there.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"again");
    });
}

#[test]
fn accepting() {
    on_a_hub(|| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let unix = Arc::new(UnixListener::bind(&path).unwrap());
        for _ in 0..50 {
            let acceptor = listener.clone();
            ended_at_its_wait(move || drop(acceptor.accept()));
            let _stream = TcpStream::connect(address).unwrap();
            listener.accept().unwrap();
            let acceptor = unix.clone();
            ended_at_its_wait(move || drop(acceptor.accept()));
            let _stream = green::net::UnixStream::connect(&path).unwrap();
            unix.accept().unwrap();
        }
    });
}

#[test]
fn connecting() {
    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }
    fn child() {
        green::run(|| {
            let full = full_listener();
            let address = full.address;
            let connect = move || drop(TcpStream::connect(address));
            // What a hub has once is there after the first.
            ended_at_its_wait(connect);
            let before = descriptors();
            (0..20).for_each(|_| ended_at_its_wait(connect));
            assert_eq!(descriptors(), before);
        })
        .unwrap();
    }
    // In a process of its own: other tests open and close descriptors meanwhile.
    in_time(|| process::spawn(child, ()).unwrap().join().unwrap());
}

#[test]
fn receiving_and_watching() {
    on_a_hub(|| {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let (reader, mut writer) = std::io::pipe().unwrap();
        let reader = Arc::new(reader);
        for _ in 0..50 {
            let receiver = socket.clone();
            ended_at_its_wait(move || drop(receiver.recv_from(&mut [0; 8])));
            socket.send_to(b"hello", socket.local_addr().unwrap()).unwrap();
            assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 5);

            let watcher = reader.clone();
            ended_at_its_wait(move || drop(wait_readable(&*watcher, None)));
            writer.write_all(b"x").unwrap();
            assert!(wait_readable(&*reader, None).unwrap());
            (&*reader).read_exact(&mut [0; 1]).unwrap();
        }
    });
}

#[test]
fn a_hub_that_ends_with_some_who_wait() {
    for _ in 0..50 {
        on_a_hub(|| {
            let (here, there) = pair();
            let read = |stream: TcpStream| drop((&stream).read(&mut [0; 8]));
            let daemon = |stream| green::Builder::new().daemon(true).spawn(read, stream).unwrap();
            daemon(here);
            daemon(there);
            green::yield_now();
        });
    }
}
