//! The protocol that the tests speak, its client, and a deadline for each test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fourfold::server::{
    self, Address, Builder, Conn, Flow, Input, Model, Portable, Protocol, Server,
};

/// How long a test may take that should take a second or two.
const LIMIT: Duration = Duration::from_secs(90);
/// How long a client waits for what is to come at once.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Runs a test that must end in time. What it panics with is its own.
pub(crate) fn within(test: impl FnOnce() + Send + 'static) {
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        let _ = tell.send(());
    });
    match told.recv_timeout(LIMIT) {
        Ok(()) => thread.join().unwrap(),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(payload) => std::panic::resume_unwind(payload),
            Ok(()) => unreachable!("it would have told"),
        },
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the test did not end in {LIMIT:?}"),
    }
}

/// Looks until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < end, "not in {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn model(name: &str) -> Model {
    name.parse().unwrap()
}

/// Whether it serves one connection at a time.
pub(crate) fn is_serial(model: &Model) -> bool {
    *model == Model::Serial
}

/// Greets with `hello`, and answers each line with itself and `response`; some lines are orders.
#[derive(Default)]
pub(crate) struct Greeter;

impl Protocol for Greeter {
    fn connected(&mut self, answer: &mut Vec<u8>) -> io::Result<Flow> {
        answer.extend_from_slice(b"hello\n");
        Ok(Flow::Go)
    }

    fn received(&mut self, input: &mut Input<'_>, answer: &mut Vec<u8>) -> io::Result<Flow> {
        let Some(line) = input.line() else {
            if input.is_end() {
                answer.extend_from_slice(b"unfinished: ");
                answer.extend_from_slice(input.all());
            }
            return Ok(Flow::Go);
        };
        match line {
            b"panic" => panic!("asked to"),
            b"abort" => std::process::abort(),
            b"error" => return Err(io::Error::other("asked to")),
            b"pid" => writeln!(answer, "{}", std::process::id())?,
            b"bye" => {
                answer.extend_from_slice(b"bye\n");
                return Ok(Flow::Close);
            }
            _ => match line.strip_prefix(b"big ") {
                Some(count) => {
                    let count: usize = std::str::from_utf8(count).unwrap().parse().unwrap();
                    answer.extend(std::iter::repeat_n(b'x', count));
                    answer.push(b'\n');
                }
                None => {
                    answer.extend_from_slice(line);
                    answer.extend_from_slice(b" response\n");
                }
            },
        }
        Ok(Flow::Go)
    }
}

/// The handler of most tests: every model runs it.
pub(crate) fn greeter() -> impl Portable {
    server::protocol(|_: &Address| Greeter)
}

/// A server of the greeting protocol.
pub(crate) fn serve(model: &Model) -> Server {
    serve_with(model, |builder| builder)
}

pub(crate) fn serve_with(model: &Model, with: impl FnOnce(Builder) -> Builder) -> Server {
    let builder = Server::builder().listen("127.0.0.1:0").unwrap();
    with(builder).start(model.clone(), greeter()).unwrap()
}

/// A plain blocking handler: each line back in upper case.
pub(crate) fn shout(conn: &mut Conn) -> io::Result<()> {
    for line in BufReader::new(&*conn).lines() {
        writeln!(&*conn, "{}", line?.to_uppercase())?;
    }
    Ok(())
}

/// A client, which waits for nothing for ever.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects, and does not wait for the greeting.
    pub(crate) fn silent(server: &Server) -> Client {
        Client::to(server.addresses()[0].tcp().unwrap())
    }

    pub(crate) fn to(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Client { stream, reader }
    }

    /// Connects, and is greeted.
    pub(crate) fn connect(server: &Server) -> Client {
        let mut client = Client::silent(server);
        assert_eq!(client.line(), "hello\n");
        client
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// The next line; what there is before the end of the connection.
    pub(crate) fn line(&mut self) -> String {
        self.try_line().unwrap()
    }

    pub(crate) fn try_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).map(|_| line)
    }

    pub(crate) fn ask(&mut self, text: &str) -> String {
        self.send(&format!("{text}\n"));
        self.line()
    }

    /// It is served: another turn is answered.
    pub(crate) fn is_served(&mut self) {
        assert_eq!(self.ask("still"), "still response\n");
    }

    /// Begins a turn that is read for sure: its beginning comes with a whole one.
    pub(crate) fn begins_a_turn(&mut self, half: &str) {
        self.send(&format!("whole\n{half}"));
        assert_eq!(self.line(), "whole response\n");
    }

    /// Ends a turn that began with `hal`: it is answered, and the connection's last.
    pub(crate) fn ends_its_last_turn(&mut self) {
        assert_eq!(self.ask("f"), "half response\n");
        self.is_over();
    }

    /// Nothing comes any more: the end, or a reset.
    pub(crate) fn is_over(&mut self) {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(String::from_utf8_lossy(&rest), ""),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    }

    /// Leaves with a reset.
    pub(crate) fn leave_abruptly(self) {
        let linger = Some(Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(&self.stream, linger).unwrap();
    }
}
