//! Std's own sleep and sockets on one thread, with the feature `patch`: built under each profile, it ends only if they are patched.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use fourfold::green;

fn main() {
    // A call that blocked the thread would never be answered.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(60));
        eprintln!("patched: a call has blocked its thread");
        std::process::exit(1);
    });
    let play = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = move || {
            for stream in listener.incoming().take(3) {
                let mut stream = stream.unwrap();
                let mut word = [0; 5];
                stream.read_exact(&mut word).unwrap();
                std::thread::sleep(Duration::from_millis(2));
                stream.write_all(&word).unwrap();
            }
        };
        let server = green::spawn(server, ()).unwrap();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(("localhost", address.port())).unwrap();
            stream.write_all(b"hello").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert_eq!(text, "hello");
        }
        server.join().unwrap();
    };
    green::run(play).unwrap();
    println!("patched");
}
