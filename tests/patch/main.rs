//! Blocking calls of std inside coroutines: a test for each line of the table in `green::patch`.
//!
//! Both ends of each connection are on one thread, so a call that blocks it is never answered: then the deadline fails.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Seek, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fourfold::green;

#[path = "../net/support.rs"]
mod support;

use support::{in_time, on_a_hub};

const SHORT: Duration = Duration::from_millis(20);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, there)
}

/// The mode of a descriptor.
fn flags(fd: &impl AsRawFd) -> rustix::fs::OFlags {
    // SAFETY: the caller has it open.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd.as_raw_fd()) };
    rustix::fs::fcntl_getfl(fd).unwrap()
}

#[test]
fn sleeping() {
    on_a_hub(|| {
        let log = Rc::new(Cell::new(0));
        let nap = |log: Rc<Cell<u32>>, naps: u32, digit: u32| {
            thread::sleep(naps * SHORT);
            log.set(log.get() * 10 + digit);
        };
        let began = Instant::now();
        let children = [(3, 3), (1, 1), (2, 2)]
            .map(|(naps, digit)| green::spawn_local(nap, (log.clone(), naps, digit)).unwrap());
        children.into_iter().for_each(|child| child.join().unwrap());
        assert_eq!(log.get(), 123);
        assert!(began.elapsed() >= 3 * SHORT);
    });
}

fn exchange(mut here: impl Read + Write + Send + 'static, mut there: impl Read + Write) {
    const SIZE: usize = 4 << 20;
    let echo = green::spawn(
        move || {
            let mut all = vec![0; SIZE];
            here.read_exact(&mut all).unwrap();
            here.write_all(&all).unwrap();
            let mut parts = [[0; 2], [0; 2]];
            let [a, b] = &mut parts;
            let slices = &mut [IoSliceMut::new(a), IoSliceMut::new(b)];
            assert_eq!(here.read_vectored(slices).unwrap(), 4);
            let swapped = [IoSlice::new(&parts[1]), IoSlice::new(&parts[0])];
            assert_eq!(here.write_vectored(&swapped).unwrap(), 4);
        },
        (),
    )
    .unwrap();
    there.write_all(&vec![5; SIZE]).unwrap();
    let mut back = vec![0; SIZE];
    there.read_exact(&mut back).unwrap();
    assert!(back.iter().all(|byte| *byte == 5));
    assert_eq!(there.write_vectored(&[IoSlice::new(b"12"), IoSlice::new(b"34")]).unwrap(), 4);
    let mut word = [0; 4];
    there.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"3412");
    echo.join().unwrap();
    assert_eq!(there.read(&mut word).unwrap(), 0);
}

#[test]
fn tcp() {
    on_a_hub(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let before = flags(&listener);
        let accept = green::spawn(
            move || {
                let first = listener.accept().unwrap().0;
                let second = listener.incoming().next().unwrap().unwrap();
                assert_eq!(flags(&listener), before);
                (first, second)
            },
            (),
        )
        .unwrap();
        green::yield_now();
        let first = TcpStream::connect(address).unwrap();
        let second = TcpStream::connect_timeout(&address, support::PATIENCE).unwrap();
        let before = flags(&first);
        let (a, b) = accept.join().unwrap();
        let peek = green::spawn(move || (a.peek(&mut [0; 8]).unwrap(), a), ()).unwrap();
        green::yield_now();
        (&first).write_all(b"12").unwrap();
        let (count, mut a) = peek.join().unwrap();
        assert_eq!(count, 2);
        a.read_exact(&mut [0; 2]).unwrap();
        let copy = first.try_clone().unwrap();
        exchange(a, first);
        assert_eq!(flags(&copy), before);
        exchange(b, second);
        let refused = TcpStream::connect(copy.local_addr().unwrap()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn connecting_where_nobody_accepts() {
    on_a_hub(|| {
        let full = support::full_listener();
        let began = Instant::now();
        let error = TcpStream::connect_timeout(&full.address, SHORT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() >= SHORT);
        let address = full.address;
        let child = green::spawn(move || TcpStream::connect(address).unwrap_err(), ()).unwrap();
        green::yield_now();
        assert!(child.is_alive());
        child.cancel();
        assert!(child.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn unix_streams() {
    on_a_hub(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let accept = green::spawn(move || (listener.accept().unwrap().0, listener), ()).unwrap();
        green::yield_now();
        let there = UnixStream::connect(&path).unwrap();
        let (here, listener) = accept.join().unwrap();
        exchange(here, there);
        // One that waits for room in the queue.
        rustix::net::listen(&listener, 0).unwrap();
        let _first = UnixStream::connect(&path).unwrap();
        let second = green::spawn(UnixStream::connect::<std::path::PathBuf>, path).unwrap();
        green::sleep(SHORT);
        assert!(second.is_alive());
        listener.accept().unwrap();
        second.join().unwrap().unwrap();
    });
}

#[test]
fn datagrams() {
    on_a_hub(|| {
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (at, from) = (here.local_addr().unwrap(), there.local_addr().unwrap());
        let receive = green::spawn(
            move || {
                let mut buffer = [0; 16];
                assert_eq!(here.peek_from(&mut buffer).unwrap(), (5, from));
                assert_eq!(here.recv_from(&mut buffer).unwrap(), (5, from));
                here.connect(from).unwrap();
                let count = here.recv(&mut buffer).unwrap();
                here.send(&buffer[..count]).unwrap();
            },
            (),
        )
        .unwrap();
        green::yield_now();
        there.send_to(b"hello", at).unwrap();
        green::yield_now();
        there.connect(at).unwrap();
        there.send(b"more").unwrap();
        assert_eq!(there.recv(&mut [0; 16]).unwrap(), 4);
        receive.join().unwrap();

        let (here, there) = UnixDatagram::pair().unwrap();
        // More than the queue holds, so that the sender waits too.
        let send = green::spawn(
            move || (0..2_000).for_each(|_| assert_eq!(there.send(b"x").unwrap(), 1)),
            (),
        );
        for _ in 0..2_000 {
            assert_eq!(here.recv_from(&mut [0; 8]).unwrap().0, 1);
        }
        send.unwrap().join().unwrap();
    });
}

#[test]
fn time_limits_of_sockets() {
    on_a_hub(|| {
        let (mut here, _there) = pair();
        here.set_read_timeout(Some(SHORT)).unwrap();
        here.set_write_timeout(Some(SHORT)).unwrap();
        let ran = Rc::new(Cell::new(false));
        let other = green::spawn_local(|ran: Rc<Cell<bool>>| ran.set(true), ran.clone()).unwrap();
        let began = Instant::now();
        assert_eq!(here.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(began.elapsed() >= SHORT && ran.get());
        other.join().unwrap();
        let full = loop {
            if let Err(error) = here.write(&[0; 65536]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn what_does_not_block_is_left_alone() {
    on_a_hub(|| {
        let (mut here, _there) = pair();
        here.set_nonblocking(true).unwrap();
        assert_eq!(here.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        while here.write(&[0; 65536]).is_ok() {}
        assert_eq!(here.write(&[0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn what_never_waits_in_the_kernel_does_not_wait() {
    fn nothing(mut file: &File, reads: bool) {
        if reads {
            assert_eq!(file.read(&mut []).unwrap(), 0);
            assert_eq!(file.read_vectored(&mut [IoSliceMut::new(&mut [])]).unwrap(), 0);
        } else {
            assert_eq!(file.write(&[]).unwrap(), 0);
            assert_eq!(file.write_vectored(&[IoSlice::new(&[])]).unwrap(), 0);
            for count in [0, -1] {
                // SAFETY: there are no parts.
                let written = unsafe { libc::writev(file.as_raw_fd(), std::ptr::null(), count) };
                assert_eq!(written, i64::from(count) as isize);
            }
        }
    }
    on_a_hub(|| {
        let (here, _there) = pair();
        let here = File::from(std::os::fd::OwnedFd::from(here));
        nothing(&here, true);
        nothing(&here, false);
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let (reader, mut writer) = (File::from(reader), File::from(writer));
        nothing(&reader, true);
        let size = rustix::pipe::fcntl_getpipe_size(&writer).unwrap();
        writer.write_all(&vec![0; size]).unwrap();
        nothing(&writer, false);
        // Nobody has met an error.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut buffer, flags) = ([0_u8; 8], libc::MSG_ERRQUEUE);
        // SAFETY: the buffer is that long.
        let got = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), 8, flags) };
        assert_eq!((got, io::Error::last_os_error().kind()), (-1, ErrorKind::WouldBlock));
    });
}

#[test]
fn names_of_hosts() {
    on_a_hub(|| {
        let ran = Rc::new(Cell::new(false));
        let other = green::spawn_local(|ran: Rc<Cell<bool>>| ran.set(true), ran.clone()).unwrap();
        // One that is quick may be over before there is a wait.
        for _ in 0..1_000 {
            let found: Vec<_> = ("localhost", 80).to_socket_addrs().unwrap().collect();
            assert!(!found.is_empty() && found.iter().all(|found| found.ip().is_loopback()));
            if ran.get() {
                break;
            }
        }
        assert!(ran.get(), "others run while a name is looked up");
        other.join().unwrap();
        assert!("no-such-host.invalid:80".to_socket_addrs().is_err());
    });
    in_time(|| assert!(("localhost", 80).to_socket_addrs().unwrap().count() > 0));
}

#[test]
fn pipes() {
    const SIZE: usize = 1 << 20;
    on_a_hub(|| {
        let (mut reader, writer) = io::pipe().unwrap();
        let write = |mut writer: io::PipeWriter| {
            writer.write_all(&vec![1; SIZE]).unwrap();
            writer.write_all(b"hello").unwrap();
            let mut slices: &mut [IoSlice<'_>] =
                &mut [IoSlice::new(&[2; SIZE]), IoSlice::new(b"end")];
            while !slices.is_empty() {
                let count = writer.write_vectored(slices).unwrap();
                IoSlice::advance_slices(&mut slices, count);
            }
        };
        let write = green::spawn(write, writer).unwrap();
        let mut all = vec![0; SIZE + 5];
        reader.read_exact(&mut all).unwrap();
        assert!(all[..SIZE].iter().all(|byte| *byte == 1) && all.ends_with(b"hello"));
        let (mut a, mut b) = ([0; 2], [0; 2]);
        let slices = &mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
        assert_eq!(reader.read_vectored(slices).unwrap(), 4);
        all.clear();
        reader.read_to_end(&mut all).unwrap();
        assert!(all.len() == SIZE - 4 + 3 && all.ends_with(b"end"));
        write.join().unwrap();
    });
}

#[test]
fn children_and_their_pipes() {
    on_a_hub(|| {
        let mut child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let reader = green::spawn(
            move || {
                let mut text = String::new();
                stdout.read_to_string(&mut text).unwrap();
                text
            },
            (),
        )
        .unwrap();
        green::yield_now();
        stdin.write_all(b"through a child").unwrap();
        drop(stdin);
        assert_eq!(reader.join().unwrap(), "through a child");
        assert!(child.wait().unwrap().success());

        // The child ends only after the other coroutine has run.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let run = |path: std::path::PathBuf| {
            Command::new("sh").args(["-c", "cat \"$0\"; echo >&2 end"]).arg(path).output().unwrap()
        };
        let output = green::spawn(run, path.clone()).unwrap();
        let gate = File::options().read(true).write(true).open(&path).unwrap();
        green::sleep(SHORT);
        assert!(output.is_alive());
        (&gate).write_all(b"opened").unwrap();
        green::sleep(SHORT);
        drop(gate);
        let output = output.join().unwrap();
        assert_eq!((&*output.stdout, &*output.stderr), (&b"opened"[..], &b"end\n"[..]));
    });
}

#[test]
fn copying() {
    const SIZE: u64 = 2 << 20;
    on_a_hub(|| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![9; SIZE as usize]).unwrap();
        file.rewind().unwrap();
        let (here, there) = pair();
        let (pipe, into) = io::pipe().unwrap();
        // From a file to a socket, from that to a pipe, from that to nowhere.
        let first = green::spawn(move || io::copy(&mut file, &mut &here), ()).unwrap();
        let second = move |mut into| io::copy(&mut &there, &mut into);
        let second = green::spawn(second, into).unwrap();
        assert_eq!(io::copy(&mut &pipe, &mut io::sink()).unwrap(), SIZE);
        assert_eq!(first.join().unwrap().unwrap(), SIZE);
        assert_eq!(second.join().unwrap().unwrap(), SIZE);
    });
}

#[test]
fn outside_of_coroutines_all_is_as_before() {
    in_time(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            thread::sleep(SHORT);
            let count = io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
            stream.shutdown(Shutdown::Both).unwrap();
            count
        });
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(None).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.join().unwrap(), 5);
        assert!(File::open("/no/such/file").is_err());
        let (mut reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        reader.read_exact(&mut [0; 1]).unwrap();
    });
}

#[test]
fn a_call_that_is_cancelled_fails() {
    on_a_hub(|| {
        let (here, _there) = pair();
        let seen = Arc::new(std::sync::Mutex::new(None));
        let read = {
            let seen = seen.clone();
            move || {
                let error = (&here).read(&mut [0; 8]).unwrap_err();
                *seen.lock().unwrap() = error.raw_os_error();
            }
        };
        let child = green::spawn(read, ()).unwrap();
        green::yield_now();
        child.cancel();
        assert!(child.join().unwrap_err().is_cancelled());
        assert_eq!(*seen.lock().unwrap(), Some(libc::ECANCELED));

        let sleeper = green::spawn(|| thread::sleep(Duration::from_secs(1_000_000)), ()).unwrap();
        green::yield_now();
        sleeper.cancel();
        assert!(sleeper.join().unwrap_err().is_cancelled());

        let (here, _there) = pair();
        let mut seen = None;
        let limited = green::timeout(SHORT, || {
            seen = (&here).read(&mut [0; 8]).unwrap_err().raw_os_error();
            green::yield_now();
        });
        assert!(limited.unwrap_err().is_timeout());
        assert_eq!(seen, Some(libc::ETIMEDOUT));
    });
}

#[test]
fn where_waiting_is_forbidden_the_thread_blocks() {
    on_a_hub(|| {
        let ran = Rc::new(Cell::new(false));
        let other = green::spawn_local(|ran: Rc<Cell<bool>>| ran.set(true), ran.clone()).unwrap();
        green::no_suspend(|| thread::sleep(SHORT));
        assert!(!ran.get());
        other.join().unwrap();
    });
}

#[test]
fn all_that_is_asked_for() {
    on_a_hub(|| {
        let (here, there) = pair();
        let receive = move || {
            let mut buffer = [0u8; 10];
            let (room, size) = (buffer.as_mut_ptr().cast(), buffer.len());
            // SAFETY: there is room for so many.
            let count = unsafe { libc::recv(here.as_raw_fd(), room, size, libc::MSG_WAITALL) };
            (count, buffer)
        };
        let receive = green::spawn(receive, ()).unwrap();
        for part in [&b"123"[..], b"4567", b"890"] {
            (&there).write_all(part).unwrap();
            green::sleep(Duration::from_millis(1));
        }
        assert_eq!(receive.join().unwrap(), (10, *b"1234567890"));
    });
}
