//! Unix sockets.

use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::time::Duration;

use fourfold::green;
use fourfold::green::net::{UnixDatagram, UnixListener, UnixStream};

use crate::ends::fill;
use crate::support::{in_time, on_a_hub};

#[test]
fn streams_by_path_and_by_abstract_name() {
    fn check() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let there = UnixStream::connect(&path).unwrap();
        let (here, _) = listener.accept().unwrap();
        exchange(here, there);

        let name = format!("fourfold-net-{}-{:?}", std::process::id(), std::thread::current().id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let there = UnixStream::connect_addr(&address).unwrap();
        let here = listener.incoming().next().unwrap().unwrap();
        exchange(here, there);

        let gone = UnixStream::connect(folder.path().join("nothing")).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    }
    fn exchange(mut here: UnixStream, mut there: UnixStream) {
        here.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        assert_eq!(here.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        there.write_all(b"hello").unwrap();
        assert_eq!(here.peek(&mut [0; 8]).unwrap(), 5);
        assert_eq!(here.read(&mut [0; 8]).unwrap(), 5);
        drop(there);
        assert_eq!(here.read(&mut [0; 8]).unwrap(), 0);
    }
    on_a_hub(check);
    in_time(check);
}

#[test]
fn a_read_that_ends_at_a_message_with_descriptors_leaves_the_next_readable() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    on_a_hub(|| {
        let (here, there) = UnixStream::pair().unwrap();
        let reader = green::spawn(
            move || {
                let mut all = Vec::new();
                let mut buffer = [0; 64];
                while all.len() < 13 {
                    let count = (&here).read(&mut buffer).unwrap();
                    all.extend_from_slice(&buffer[..count]);
                }
                all
            },
            (),
        )
        .unwrap();
        green::yield_now();
        let fds = [std::os::fd::AsFd::as_fd(&there)];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let text = [std::io::IoSlice::new(b"with")];
        (&there).write_all(b"plain").unwrap();
        sendmsg(&there, &text, &mut control, SendFlags::empty()).unwrap();
        (&there).write_all(b"more").unwrap();
        assert_eq!(reader.join().unwrap(), b"plainwithmore");
    });
}

#[test]
fn connecting_waits_while_the_queue_is_full() {
    on_a_hub(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        // The kernel reads a new length of the queue at any time.
        rustix::net::listen(&listener, 0).unwrap();
        let first = UnixStream::connect(&path).unwrap();
        let second = {
            let path = path.clone();
            green::spawn(move || UnixStream::connect(path), ()).unwrap()
        };
        let limit = Duration::from_millis(10);
        assert!(green::timeout(limit, || UnixStream::connect(&path)).unwrap_err().is_timeout());
        assert!(second.is_alive());
        listener.accept().unwrap();
        second.join().unwrap().unwrap();
        listener.accept().unwrap();
        drop(first);
    });
}

#[test]
fn datagrams_wait_for_room() {
    fn check() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let here = UnixDatagram::bind(&path).unwrap();
        let there = UnixDatagram::unbound().unwrap();
        there.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut sent = 0;
        // One by one to a path, and then connected.
        loop {
            match there.send_to(b"message", &path) {
                Ok(count) => sent += count / 7,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::TimedOut),
            }
        }
        there.connect(&path).unwrap();
        assert_eq!(there.send(b"message").unwrap_err().kind(), ErrorKind::TimedOut);
        let mut buffer = [0; 16];
        for _ in 0..sent {
            let (count, from) = here.recv_from(&mut buffer).unwrap();
            assert!(count == 7 && from.is_unnamed());
        }
        assert_eq!(there.send(b"message").unwrap(), 7);
        assert_eq!(here.recv(&mut buffer).unwrap(), 7);
        let named = UnixDatagram::bind(folder.path().join("other")).unwrap();
        named.send_to_addr(b"x", &here.local_addr().unwrap()).unwrap();
        let (_, from) = here.recv_from(&mut buffer).unwrap();
        assert_eq!(from.as_pathname(), Some(&*folder.path().join("other")));
    }
    on_a_hub(check);
    in_time(check);
    // One that waits for room, as a coroutine, while another makes it.
    on_a_hub(|| {
        let (here, there) = UnixDatagram::pair().unwrap();
        let sender =
            green::spawn(move || (0..5_000).try_for_each(|_| there.send(b"x").map(drop)), ());
        for _ in 0..5_000 {
            assert_eq!(here.recv(&mut [0; 8]).unwrap(), 1);
        }
        sender.unwrap().join().unwrap().unwrap();
    });
}

#[test]
fn a_full_stream_is_emptied() {
    on_a_hub(|| {
        let (here, mut there) = UnixStream::pair().unwrap();
        let sent = fill(&here, |limit| here.set_write_timeout(limit).unwrap());
        let writer = green::spawn(move || (&here).write_all(&[1; 1 << 20]), ()).unwrap();
        green::yield_now();
        let mut all = Vec::new();
        there.read_to_end(&mut all).unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(all.len(), sent + (1 << 20));
    });
}
