//! UDP sockets.

use std::io::ErrorKind;
use std::time::Duration;

use fourfold::green;
use fourfold::green::net::UdpSocket;

use crate::support::{in_time, on_a_hub};

#[test]
fn messages_come_whole_and_with_their_sender() {
    fn check() {
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (here_at, there_at) = (here.local_addr().unwrap(), there.local_addr().unwrap());
        for length in [0, 1, 100, 1400] {
            assert_eq!(here.send_to(&vec![5; length], there_at).unwrap(), length);
        }
        let mut buffer = [0; 2000];
        assert_eq!(there.peek_from(&mut buffer).unwrap(), (0, here_at));
        for length in [0, 1, 100, 1400] {
            assert_eq!(there.peek(&mut buffer).unwrap(), length);
            assert_eq!(there.recv_from(&mut buffer).unwrap(), (length, here_at));
        }
        there.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        assert_eq!(there.recv(&mut buffer).unwrap_err().kind(), ErrorKind::TimedOut);
        // A message that was refused is an error of a later call, and no more than one.
        here.connect(there_at).unwrap();
        drop(there);
        here.send(b"x").unwrap();
        assert_eq!(here.recv(&mut buffer).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        here.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        assert_eq!(here.recv(&mut buffer).unwrap_err().kind(), ErrorKind::TimedOut);
    }
    on_a_hub(check);
    in_time(check);
}

#[test]
fn several_receive_from_one_socket() {
    on_a_hub(|| {
        let socket = std::sync::Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let receive = |socket: std::sync::Arc<UdpSocket>| {
            let mut buffer = [0; 8];
            socket.recv(&mut buffer).unwrap();
            u32::from(buffer[0])
        };
        let children: Vec<_> =
            (0..10).map(|_| green::spawn(receive, socket.clone()).unwrap()).collect();
        green::yield_now();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..10 {
            sender.send_to(&[number], socket.local_addr().unwrap()).unwrap();
        }
        let sum: u32 = children.into_iter().map(|child| child.join().unwrap()).sum();
        assert_eq!(sum, 45);
    });
}
