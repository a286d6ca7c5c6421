//! Without descriptors, and with very many: each in a process of its own, whose limits are its own.

use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

use fourfold::green;
use fourfold::green::net::{TcpListener, TcpStream};
use fourfold::process;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::in_time;

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

#[test]
fn a_hub_holds_ten_thousand_connections() {
    fn child() -> usize {
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        set_limit(most);
        // Both ends are this process's.
        let count = (most.saturating_sub(100) / 2).min(10_000) as usize;
        green::run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let serve = |stream: TcpStream| std::io::copy(&mut &stream, &mut &stream).unwrap();
            let mut served = Vec::new();
            let mut clients = Vec::new();
            for _ in 0..count {
                clients.push(TcpStream::connect(address).unwrap());
                let (stream, _) = listener.accept().unwrap();
                served.push(green::spawn(serve, stream).unwrap());
            }
            // All are waiting now, and each is answered.
            green::sleep(Duration::from_millis(10));
            for round in 0..2 {
                for client in &mut clients {
                    client.write_all(&[round; 10]).unwrap();
                }
                for client in &mut clients {
                    let mut back = [9; 10];
                    client.read_exact(&mut back).unwrap();
                    assert_eq!(back, [round; 10]);
                }
            }
            drop(clients);
            assert!(served.into_iter().all(|child| child.join().unwrap() == 20));
        })
        .unwrap();
        count
    }
    let count = in_time(|| process::spawn(child, ()).unwrap().join().unwrap());
    assert!(count >= 400, "this system allows {count} connections only");
}
