//! Waiting for any descriptor.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fourfold::green;
use fourfold::green::net::{TcpListener, TcpStream, wait_readable, wait_writable};

use crate::ends::pair;
use crate::support::{in_time, on_a_hub};

const SHORT: Option<Duration> = Some(Duration::from_millis(10));

#[test]
fn pipes_and_files() {
    fn check() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let began = Instant::now();
        assert!(!wait_readable(&reader, SHORT).unwrap());
        assert!(began.elapsed() >= SHORT.unwrap());
        assert!(wait_writable(&writer, None).unwrap());
        writer.write_all(b"x").unwrap();
        assert!(wait_readable(&reader, None).unwrap());
        reader.read_exact(&mut [0]).unwrap();
        drop(writer);
        assert!(wait_readable(&reader, None).unwrap());
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert!(wait_readable(&file, None).unwrap() && wait_writable(&file, None).unwrap());
    }
    on_a_hub(check);
    in_time(check);
}

#[test]
fn a_socket_that_is_also_read_from() {
    on_a_hub(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = green::spawn(
            move || {
                green::yield_now();
                TcpStream::connect(address).unwrap()
            },
            (),
        )
        .unwrap();
        assert!(wait_readable(&listener, None).unwrap());
        let (here, _) = listener.accept().unwrap();
        let here = Arc::new(here);
        let there = connect.join().unwrap();
        for _ in 0..100 {
            let (watcher, reader) = (here.clone(), here.clone());
            let reader = green::spawn(
                move || {
                    let mut word = [0; 5];
                    (&*reader).read_exact(&mut word).unwrap();
                    word
                },
                (),
            )
            .unwrap();
            let watcher = green::spawn(move || wait_readable(watcher.as_fd(), SHORT), ()).unwrap();
            green::yield_now();
            (&there).write_all(b"hello").unwrap();
            assert_eq!(&reader.join().unwrap(), b"hello");
            // Whoever is first: the reader may have left nothing.
            watcher.join().unwrap().unwrap();
        }
    });
}

#[test]
fn both_directions_of_one_descriptor() {
    on_a_hub(|| {
        let (here, there) = pair();
        let here = Arc::new(std::net::TcpStream::from(here));
        let sent = {
            here.set_nonblocking(true).unwrap();
            let mut sent = 0;
            // Full means full: the other end takes in more for a moment.
            while wait_writable(&*here, SHORT).unwrap() {
                while let Ok(count) = (&*here).write(&[1; 65536]) {
                    sent += count;
                }
            }
            sent
        };
        let (reader, writer) = (here.clone(), here.clone());
        let reader = green::spawn(move || wait_readable(&*reader, None), ()).unwrap();
        let writer = green::spawn(move || wait_writable(&*writer, None), ()).unwrap();
        green::yield_now();
        (&there).write_all(b"x").unwrap();
        assert!(reader.join().unwrap().unwrap());
        let mut left = sent;
        while left > 0 {
            left -= (&there).read(&mut vec![0; left.min(65536)]).unwrap();
        }
        assert!(writer.join().unwrap().unwrap());
    });
}

#[test]
fn numbers_are_used_again() {
    on_a_hub(|| {
        for _ in 0..200 {
            let (mut reader, mut writer) = std::io::pipe().unwrap();
            assert!(!wait_readable(&reader, Some(Duration::from_micros(10))).unwrap());
            let copy = reader.try_clone().unwrap();
            drop(reader);
            reader = copy;
            let hello = green::spawn(move || writer.write_all(b"x"), ()).unwrap();
            assert!(wait_readable(&reader, None).unwrap());
            hello.join().unwrap().unwrap();
        }
    });
}
