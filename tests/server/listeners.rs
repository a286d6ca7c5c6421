//! Where a server listens.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use fourfold::ErrorKind;
use fourfold::server::{Address, Conn, Model, Server};
use rustix::net::sockopt;

use super::support::{Client, SOON, eventually, greeter, model, serve, serve_with, within};

crate::under_each_model!(several_kinds_at_once, silent_clients_are_asked_for);

fn unix_client(path: &std::path::Path) -> BufReader<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    BufReader::new(stream)
}

fn several_kinds_at_once(model: &Model) {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let inherited = TcpListener::bind("127.0.0.1:0").unwrap();
    let third = inherited.local_addr().unwrap();
    let builder = Server::builder()
        .listen("127.0.0.1:0")
        .and_then(|builder| builder.listen(Address::Unix(Some(path.clone()))))
        .and_then(|builder| builder.listen_on(inherited));
    let server = builder.unwrap().start(model.clone(), greeter()).unwrap();
    assert_eq!(server.addresses()[1].to_string(), format!("unix:{}", path.display()));
    assert_eq!(server.addresses()[2].tcp(), Some(third));
    Client::connect(&server).is_served();
    let mut client = unix_client(&path);
    client.get_mut().write_all(b"one\n").unwrap();
    for expected in ["hello\n", "one response\n"] {
        let mut line = String::new();
        client.read_line(&mut line).unwrap();
        assert_eq!(line, expected);
    }
    drop(client);
    let stream = TcpStream::connect(third).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
    drop(server);
    assert!(!path.exists(), "the file of the socket is left");
}

/// The timer that runs at the server's end of a connection, as the kernel tells of it: its kind, and in how many hundredths of a second.
fn timer(client: &Client) -> (u8, u64) {
    let ends = [client.stream.peer_addr(), client.stream.local_addr()];
    let [its, ours] = ends.map(|end| format!(":{:04X}", end.unwrap().port()));
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let found = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields[1].ends_with(&its) && fields[2].ends_with(&ours);
        is_it.then(|| {
            fields[5].split_once(':').map(|(kind, time)| (kind.to_owned(), time.to_owned()))
        })
    });
    let (kind, time) = found.flatten().expect("it is connected");
    (u8::from_str_radix(&kind, 16).unwrap(), u64::from_str_radix(&time, 16).unwrap())
}

/// The kernel's number for the timer that asks a silent client whether it is there.
const KEEPALIVE: u8 = 2;

fn silent_clients_are_asked_for(model: &Model) {
    let silence = Duration::from_secs(600);
    let server = serve_with(model, |builder| builder.keepalive(silence));
    let mut client = Client::connect(&server);
    client.is_served();
    // Another timer may run until the kernel has heard of the answer.
    eventually("it waits to ask", || {
        let (kind, time) = timer(&client);
        kind == KEEPALIVE && (1..=60_000).contains(&time) && time > 30_000
    });
    drop(client);
    let server = serve(model);
    let mut client = Client::connect(&server);
    client.is_served();
    eventually("no timer runs", || timer(&client) == (0, 0));
}

/// What the kernel was told of the client's silence: after how long it asks, how long it waits then, and how often; not whether it asks at all.
fn say_keepalive(conn: &mut Conn) -> std::io::Result<()> {
    let does = sockopt::socket_keepalive(&*conn)?;
    let (idle, again) = (sockopt::tcp_keepidle(&*conn)?, sockopt::tcp_keepintvl(&*conn)?);
    let count = sockopt::tcp_keepcnt(&*conn)?;
    writeln!(conn, "{does} {} {} {count}", idle.as_secs(), again.as_secs())
}

#[test]
fn how_long_a_client_may_be_silent_comes_to_the_kernel() {
    within(|| {
        for name in ["serial", "coroutines", "threads", "pool:2", "processes", "prefork:1"] {
            // The kernel counts in seconds, and no more of them than 32,767.
            let cases = [
                (Duration::from_secs(60), "true 60 20 3\n"),
                (Duration::from_millis(1500), "true 2 1 3\n"),
                (Duration::from_millis(1), "true 1 1 3\n"),
                (Duration::from_secs(100_000), "true 32767 10923 3\n"),
                (Duration::MAX, "true 32767 10923 3\n"),
            ];
            for (silence, told) in cases {
                let builder = Server::builder().listen("127.0.0.1:0").unwrap().keepalive(silence);
                let server = builder.start(model(name), say_keepalive).unwrap();
                assert_eq!(Client::silent(&server).line(), told, "{name}, {silence:?}");
            }
        }
    });
}

fn say_peer(conn: &mut Conn) -> std::io::Result<()> {
    let peer = conn.peer().clone();
    writeln!(conn, "{peer}")
}

#[test]
fn the_peer_is_told() {
    within(|| {
        for name in ["threads", "coroutines", "processes", "prefork:1"] {
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("socket");
            let builder = Server::builder().listen("[::1]:0").unwrap();
            let builder = builder.listen(&format!("unix:{}", path.display())).unwrap();
            let server = builder.start(model(name), say_peer).unwrap();
            let mut client = Client::silent(&server);
            let own = client.stream.local_addr().unwrap();
            assert_eq!(client.line(), format!("{own}\n"));
            let mut line = String::new();
            unix_client(&path).read_line(&mut line).unwrap();
            assert_eq!(line, "unix\n");
        }
    });
}

#[test]
fn the_file_of_a_server_that_was_killed_is_replaced_and_no_other() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let address = Address::Unix(Some(path.clone()));
    // Its listener is gone, its file is there.
    drop(UnixListener::bind(&path).unwrap());
    let builder = Server::builder().listen(address.clone()).unwrap();
    // One that somebody listens at is not.
    let error = Server::builder().listen(address.clone()).unwrap_err();
    assert!(error.to_string().contains("cannot listen on unix:"), "{error}");
    drop(builder);
    assert!(!path.exists());
    std::fs::write(&path, "a file").unwrap();
    assert!(Server::builder().listen(address).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
}

#[test]
fn what_cannot_be_listened_on_is_refused() {
    let kind = |address: &str| Server::builder().listen(address).unwrap_err().kind();
    for text in ["", "localhost", "127.0.0.1:99999", "unix:", "no such host:80"] {
        assert_eq!(kind(text), ErrorKind::InvalidInput, "{text}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = Server::builder().listen(&address).unwrap_err();
    assert!(error.to_string().contains(&address), "{error}");
    // No socket that listens.
    let stream = TcpStream::connect(taken.local_addr().unwrap()).unwrap();
    assert!(Server::builder().listen_on(stream).is_err());
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(Server::builder().listen_on(file).is_err());
    let nowhere = Server::builder().start(model("threads"), greeter()).unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::InvalidInput);
}
