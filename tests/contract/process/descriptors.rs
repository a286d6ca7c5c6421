//! Sockets, listeners, files and pipes as arguments and values: row U12.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Seek, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use fourfold::Outcome;
use fourfold::process::{Builder, Executor, Fd, StartMethod};
use fourfold::task::{Call, Payload};
use serde::{Deserialize, Serialize};

use crate::support::{Gate, LIMIT, visit, within};

const METHODS: [StartMethod; 2] = [StartMethod::Spawn, StartMethod::Forkserver];

/// Calls a function in a child of its own and in a task of a pool, by each start method, one after the other. The values.
fn everywhere<F, A, M>(function: F, args: impl Fn() -> A) -> Vec<Outcome<F::Output>>
where
    F: Call<A, M> + Copy + Send + Sync + 'static,
    A: Payload,
    F::Output: Payload,
{
    METHODS
        .into_iter()
        .flat_map(|method| {
            let child = Builder::new().start_method(method).spawn(function, args()).unwrap();
            let pool = Executor::builder().workers(1).start_method(method).build().unwrap();
            [child.join(), pool.submit(function, args()).join()]
        })
        .collect()
}

/// A connected pair: the client's end, and the server's.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Answers in upper case what the client says, until it stops. Who answered, and whom.
fn answer(Fd(mut client): Fd<TcpStream>) -> (u32, SocketAddr) {
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    client.write_all(said.to_uppercase().as_bytes()).unwrap();
    (std::process::id(), client.peer_addr().unwrap())
}

/// As a client: says something, and gives the answer.
fn ask(client: &mut TcpStream) -> String {
    client.write_all(b"good day").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_child_answers_the_client_on_the_very_socket_it_is_given() {
    within(LIMIT, || {
        for method in METHODS {
            let (mut client, server) = connected();
            let builder = Builder::new().start_method(method);
            let child = builder.spawn(answer, Fd(server)).unwrap();
            // The parent has no part of it any more: the answer ends when the child's end is closed.
            assert_eq!(ask(&mut client), "GOOD DAY");
            let pid = child.pid();
            assert_eq!(child.join().unwrap(), (pid, client.local_addr().unwrap()));

            let pool = Executor::builder().workers(2).start_method(method).build().unwrap();
            for _ in 0..5 {
                let (mut client, server) = connected();
                let task = pool.submit(answer, Fd(server));
                assert_eq!(ask(&mut client), "GOOD DAY");
                let (pid, peer) = task.join().unwrap();
                assert!(pool.worker_pids().contains(&pid));
                assert_eq!(peer, client.local_addr().unwrap());
            }
        }
    });
}

/// Takes one client and answers it.
fn serve(Fd(listener): Fd<TcpListener>, greeting: String) -> u32 {
    let (mut client, _) = listener.accept().unwrap();
    write!(client, "{greeting} from {}", std::process::id()).unwrap();
    std::process::id()
}

#[test]
fn a_listening_socket_is_served_by_whoever_has_it() {
    within(LIMIT, || {
        for method in METHODS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            let hear = || {
                let mut said = String::new();
                TcpStream::connect(address).unwrap().read_to_string(&mut said).unwrap();
                said
            };
            let copy = || Fd(listener.try_clone().unwrap());
            let builder = Builder::new().start_method(method);
            let child = builder.spawn(serve, (copy(), "hello".into())).unwrap();
            assert_eq!(hear(), format!("hello from {}", child.pid()));
            child.join().unwrap();

            // Three at once on one socket: each takes one client.
            let pool = Executor::builder().workers(3).start_method(method).build().unwrap();
            let tasks = [(); 3].map(|()| pool.submit(serve, (copy(), "hi".into())));
            let mut heard = [(); 3].map(|()| hear());
            let mut pids = tasks.map(|task| format!("hi from {}", task.join().unwrap()));
            heard.sort();
            pids.sort();
            assert_eq!(heard, pids);
        }
    });
}

fn append(Fd(mut file): Fd<File>, text: String) -> u64 {
    file.write_all(text.as_bytes()).unwrap();
    file.stream_position().unwrap()
}

#[test]
fn a_file_is_the_same_open_file_on_the_other_side() {
    within(LIMIT, || {
        let mut file = tempfile::tempfile().unwrap();
        let args = || (Fd(file.try_clone().unwrap()), "four".to_owned());
        // One position for all of them.
        let places: Vec<u64> = everywhere(append, args).into_iter().map(Result::unwrap).collect();
        assert_eq!(places, [4, 8, 12, 16]);
        assert_eq!(file.stream_position().unwrap(), 16);
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "four".repeat(4));
    });
}

fn open(path: PathBuf) -> Fd<File> {
    Fd(File::create_new(path).unwrap())
}

fn connect(address: SocketAddr) -> (Fd<TcpStream>, SocketAddr) {
    let stream = TcpStream::connect(address).unwrap();
    let own = stream.local_addr().unwrap();
    (Fd(stream), own)
}

fn listen(count: usize) -> Vec<Fd<TcpListener>> {
    (0..count).map(|_| Fd(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())).collect()
}

#[test]
fn files_sockets_and_listeners_are_values_too() {
    within(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        let next = Cell::new(0);
        let path = |n: i32| directory.path().join(n.to_string());
        let fresh = || {
            next.set(next.get() + 1);
            path(next.get())
        };
        for (n, file) in (1..).zip(everywhere(open, fresh)) {
            write!(file.unwrap().0, "file {n}").unwrap();
            assert_eq!(std::fs::read_to_string(path(n)).unwrap(), format!("file {n}"));
        }
        assert_eq!(next.get(), 4);

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for outcome in everywhere(connect, || listener.local_addr().unwrap()) {
            let (Fd(mut client), own) = outcome.unwrap();
            assert_eq!(client.local_addr().unwrap(), own);
            // The process that connected it has nothing to do with it any more.
            let (mut server, peer) = listener.accept().unwrap();
            assert_eq!(peer, own);
            write!(server, "hello").unwrap();
            drop(server);
            let mut said = String::new();
            client.read_to_string(&mut said).unwrap();
            assert_eq!(said, "hello");
        }

        for listeners in everywhere(listen, || 3) {
            for listener in listeners.unwrap() {
                let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (_, peer) = listener.accept().unwrap();
                assert_eq!(peer, client.local_addr().unwrap());
            }
        }
    });
}

#[derive(Serialize, Deserialize)]
enum Source {
    Text(String),
    File { file: Fd<File>, skip: u64 },
}

/// Descriptors in fields, in variants, in maps, beside other values, and one twice.
#[derive(Serialize, Deserialize)]
struct Order {
    sources: Vec<Source>,
    spare: Option<Fd<OwnedFd>>,
    to: BTreeMap<String, Fd<PipeWriter>>,
}

fn copy(order: Order) -> usize {
    assert!(order.spare.is_none());
    let mut all = String::new();
    for source in order.sources {
        match source {
            Source::Text(text) => all += &text,
            Source::File { file: Fd(mut file), skip } => {
                file.seek(std::io::SeekFrom::Start(skip)).unwrap();
                file.read_to_string(&mut all).unwrap();
            }
        }
    }
    for (name, Fd(mut to)) in order.to {
        write!(to, "{name}: {all}").unwrap();
    }
    all.len()
}

#[test]
fn they_go_in_values_of_any_shape() {
    within(LIMIT, || {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let readers: RefCell<Vec<(&str, PipeReader)>> = RefCell::default();
        let order = || {
            let to = ["a", "b"].map(|name| {
                let (reader, writer) = std::io::pipe().unwrap();
                readers.borrow_mut().push((name, reader));
                (name.to_owned(), Fd(writer))
            });
            let part = |skip| Source::File { file: Fd(file.try_clone().unwrap()), skip };
            let sources = vec![part(7), Source::Text("-".into()), part(8)];
            Order { sources, spare: None, to: to.into() }
        };
        for length in everywhere(copy, order) {
            assert_eq!(length.unwrap(), 6);
        }
        let readers = readers.into_inner();
        assert_eq!(readers.len(), 8);
        for (name, mut reader) in readers {
            let mut text = String::new();
            // It ends only if no copy of the other end is left anywhere.
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, format!("{name}: 789-89"));
        }
    });
}

fn greet_all(all: Vec<Fd<UnixStream>>) -> usize {
    for (n, stream) in (0u8..=255).cycle().zip(&all) {
        (&stream.0).write_all(&[n]).unwrap();
    }
    all.len()
}

#[test]
fn more_go_at_once_than_the_kernel_takes_in_one_message() {
    within(LIMIT, || {
        // It takes 253.
        let pairs = || (0..260).map(|_| UnixStream::pair().unwrap());
        let check = |ours: Vec<UnixStream>| {
            for (n, mut stream) in (0u8..=255).cycle().zip(ours) {
                let mut said = Vec::new();
                stream.read_to_end(&mut said).unwrap();
                assert_eq!(said, [n]);
            }
        };
        let (ours, theirs): (Vec<_>, Vec<_>) = pairs().map(|(a, b)| (a, Fd(b))).unzip();
        let child = Builder::new().spawn(greet_all, theirs).unwrap();
        assert_eq!(child.join().unwrap(), 260);
        check(ours);
        let (ours, theirs): (Vec<_>, Vec<_>) = pairs().map(|(a, b)| (a, Fd(b))).unzip();
        let pool = Executor::builder().workers(1).build().unwrap();
        assert_eq!(pool.submit(greet_all, theirs).join().unwrap(), 260);
        check(ours);
    });
}

#[test]
fn a_descriptor_of_a_task_that_is_cancelled_is_closed() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = Executor::builder().workers(1).build().unwrap();
        let held = pool.submit(visit, (gate.port(), 0));
        let guest = gate.next();
        let (mut client, server) = connected();
        let waiting = pool.submit(answer, Fd(server));
        assert!(waiting.cancel());
        assert!(waiting.join().unwrap_err().is_cancelled());
        // The end of file: nobody has the other end.
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
        guest.pass();
        held.join().unwrap();
    });
}

#[test]
fn without_a_task_a_descriptor_is_no_bytes() {
    let file = Fd(tempfile::tempfile().unwrap());
    let error = serde_json::to_string(&file).unwrap_err().to_string();
    assert!(error.contains("in the arguments and the value of a task"), "{error}");
    assert!(serde_json::from_str::<Fd<File>>("0").is_err());
}
