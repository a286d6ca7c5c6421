//! A fork with a hub alive: neither takes the other's events.

use std::io::{Read, Write};

use fourfold::green;
use fourfold::green::net::{TcpStream, wait_readable};
use fourfold::process::{self, Forked};

use crate::ends::pair;
use crate::support::in_time;

/// To and fro, so that each wait is for the other coroutine's write.
fn play(here: TcpStream, there: TcpStream) {
    const ROUNDS: usize = 500;
    let echo = move || {
        for _ in 0..ROUNDS {
            let mut word = [0; 4];
            (&there).read_exact(&mut word).unwrap();
            (&there).write_all(&word).unwrap();
        }
    };
    let echo = green::spawn(echo, ()).unwrap();
    for round in 0..ROUNDS as u32 {
        (&here).write_all(&round.to_le_bytes()).unwrap();
        let mut word = [0; 4];
        (&here).read_exact(&mut word).unwrap();
        assert_eq!(u32::from_le_bytes(word), round);
    }
    echo.join().unwrap();
}

/// Has both registered with the hub.
fn known_pair() -> (TcpStream, TcpStream) {
    let (here, there) = pair();
    let read = |stream: TcpStream| {
        (&stream).read_exact(&mut [0; 1]).unwrap();
        stream
    };
    let reader = green::spawn(read, there).unwrap();
    green::yield_now();
    (&here).write_all(b"x").unwrap();
    let there = reader.join().unwrap();
    let reader = green::spawn(read, here).unwrap();
    green::yield_now();
    (&there).write_all(b"x").unwrap();
    (reader.join().unwrap(), there)
}

#[test]
fn parent_and_child_go_on_with_the_sockets_they_had() {
    fn child() {
        green::run(|| {
            let (parents, childs) = (known_pair(), known_pair());
            // Waits across the fork, in both.
            let (waiting, wake) = pair();
            let sleeper = green::spawn(move || (&waiting).read(&mut [0; 8]).unwrap(), ()).unwrap();
            let (pipe, mut end) = std::io::pipe().unwrap();
            let watcher = green::spawn(move || wait_readable(&pipe, None).unwrap(), ()).unwrap();
            green::yield_now();
            // SAFETY: this process has no other thread that holds a lock which the child needs.
            match unsafe { process::fork() }.unwrap() {
                Forked::Child => {
                    play(childs.0, childs.1);
                    let (here, there) = pair();
                    play(here, there);
                    std::process::exit(7);
                }
                Forked::Parent(child) => {
                    play(parents.0, parents.1);
                    assert_eq!(child.join().unwrap_err().exit_code(), Some(7));
                    // The child ends with its copies, and what they had registered is the parent's still.
                    (&wake).write_all(b"hello").unwrap();
                    assert_eq!(sleeper.join().unwrap(), 5);
                    end.write_all(b"x").unwrap();
                    assert!(watcher.join().unwrap());
                }
            }
        })
        .unwrap();
    }
    for _ in 0..5 {
        in_time(|| process::spawn(child, ()).unwrap().join().unwrap());
    }
}

#[test]
fn a_child_offloads_on_threads_of_its_own() {
    fn child() {
        green::run(|| {
            assert_eq!(green::offload(|| 1 + 1, ()).unwrap(), 2);
            // SAFETY: the thread of the call above is idle, and holds nothing.
            match unsafe { process::fork() }.unwrap() {
                Forked::Child => {
                    let value = green::offload(|| 3 + 4, ()).unwrap();
                    std::process::exit(value);
                }
                Forked::Parent(child) => {
                    assert_eq!(child.join().unwrap_err().exit_code(), Some(7));
                }
            }
        })
        .unwrap();
    }
    in_time(|| process::spawn(child, ()).unwrap().join().unwrap());
}
