//! Without descriptors, and with very many: each in a process of its own, whose limits are its own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use fourfold::green;
use fourfold::green::net::{TcpListener, TcpStream};
use fourfold::process::{self, Fd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::in_time;

/// As many descriptors as there may be.
fn allow_all() {
    set_limit(getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX));
}

fn set_limit(count: u64) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), ..limit }).unwrap();
}

#[test]
fn without_descriptors_accepting_is_an_error_and_works_again_later() {
    fn child() {
        green::run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let accept = |listener: TcpListener| (listener.accept().map(drop), listener);
            let acceptor = green::spawn(accept, listener).unwrap();
            green::yield_now();
            set_limit(256);
            let mut files = Vec::new();
            while let Ok(file) = File::open("/dev/null") {
                files.push(file);
            }
            drop(files.pop());
            // Takes the last one, before the other coroutine runs again.
            let mut stream = TcpStream::connect(address).unwrap();
            let (result, listener) = acceptor.join().unwrap();
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EMFILE));
            assert_eq!(listener.accept().unwrap_err().raw_os_error(), Some(libc::EMFILE));
            assert_eq!(TcpStream::connect(address).unwrap_err().raw_os_error(), Some(libc::EMFILE));
            files.truncate(files.len() - 2);
            let (peer, _) = listener.accept().unwrap();
            (&peer).write_all(b"x").unwrap();
            assert_eq!(stream.read(&mut [0; 8]).unwrap(), 1);
        })
        .unwrap();
    }
    in_time(|| process::spawn(child, ()).unwrap().join().unwrap());
}

/// How many connections a hub is to hold, and how much memory each of them may take in a build for tests, resident and with
/// its page tables: its stack with what a deep call has touched of it, and what is known of its socket.
const CONNECTIONS: usize = 10_000;
const EACH: usize = 12 << 10;

/// What a connection is greeted with once all are there, and how much goes to and fro.
const GREETING: u8 = 7;
const MESSAGE: usize = 10;

fn answer(mut stream: TcpStream) -> usize {
    let mut buffer = [0; 64];
    let mut count = 0;
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return count,
            more => stream.write_all(&buffer[..more]).unwrap(),
        }
        count += 1;
    }
}

/// In bytes: what is resident of this process, and its page tables.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    };
    line("VmRSS:") + line("VmPTE:")
}

#[test]
fn a_hub_holds_ten_thousand_connections() {
    /// Holds them, and gives how much memory each took while all waited.
    fn server(Fd(listener): Fd<OwnedFd>, count: usize) -> usize {
        allow_all();
        green::run(|| {
            let listener = TcpListener::from(listener);
            let before = memory();
            let mut served = Vec::new();
            let mut greeted = Vec::new();
            for _ in 0..count {
                let (stream, _) = listener.accept().unwrap();
                if greeted.is_empty() {
                    greeted.push(stream.try_clone().unwrap());
                }
                served.push(green::spawn(answer, stream).unwrap());
            }
            // All are waiting now, and each is answered.
            green::sleep(Duration::from_millis(10));
            let each = (memory() - before) / count;
            greeted.pop().unwrap().write_all(&[GREETING]).unwrap();
            assert!(served.into_iter().all(|child| child.join().unwrap() == 2));
            each
        })
        .unwrap()
    }
    fn clients(address: SocketAddr, count: usize) {
        allow_all();
        let connect = |_| std::net::TcpStream::connect(address).unwrap();
        let mut all: Vec<_> = (0..count).map(connect).collect();
        let mut greeting = [0];
        all[0].read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, [GREETING]);
        for round in 0..2 {
            for client in &mut all {
                client.write_all(&[round; MESSAGE]).unwrap();
            }
            for client in &mut all {
                let mut back = [9; MESSAGE];
                client.read_exact(&mut back).unwrap();
                assert_eq!(back, [round; MESSAGE]);
            }
        }
    }
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let count = CONNECTIONS.min(most.saturating_sub(100) as usize);
    if count < CONNECTIONS {
        // Not by `eprintln!`, which the harness keeps.
        let _ = writeln!(
            io::stderr(),
            "\na_hub_holds_ten_thousand_connections: NOT SHOWN: this system allows {most} descriptors, so {count} connections are tried"
        );
    }
    let each = in_time(move || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // All of them may come before one is accepted.
        rustix::net::listen(&listener, CONNECTIONS as i32).unwrap();
        let address = listener.local_addr().unwrap();
        let server = process::spawn(server, (Fd(OwnedFd::from(listener)), count)).unwrap();
        process::spawn(clients, (address, count)).unwrap().join().unwrap();
        server.join().unwrap()
    });
    assert!(each <= EACH, "{each} B for each of {count} connections");
}
