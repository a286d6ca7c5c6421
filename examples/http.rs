//! A web server in plain blocking code, with `httparse` for the heads of requests: on threads, or as coroutines.
//!
//! `cargo run --example http threads 127.0.0.1:8080` serves until Ctrl-C. Without arguments it talks to itself, under both models.

use std::env::args;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use fourfold::server::{Builder, Conn, Model, Server};

/// The longest head and the longest body of a request, in bytes.
const HEAD: usize = 8 << 10;
const BODY: usize = 64 << 10;

/// What is known of a request once its head is there.
struct Head {
    method: String,
    path: String,
    /// How long the head is, and the body behind it.
    length: usize,
    body: usize,
    keep_alive: bool,
    /// The client waits for a word before it sends the body.
    expects: bool,
}

/// A status, as it is written.
type Status = &'static str;

const BAD: Status = "400 Bad Request";

/// The head at the beginning of what has come, if all of it has.
fn head(came: &[u8]) -> Result<Option<Head>, Status> {
    const TOO_LONG: Status = "431 Request Header Fields Too Large";
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(came) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD => length,
        Ok(httparse::Status::Partial) if came.len() < HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(TOO_LONG),
        Err(_) => return Err(BAD),
    };
    let (Some(method), Some(path), Some(version)) = (request.method, request.path, request.version)
    else {
        return Err(BAD);
    };
    let (mut body, mut hosts, mut keep_alive, mut expects) = (None, 0, version == 1, false);
    for header in &*request.headers {
        let value = std::str::from_utf8(header.value).map_err(|_| BAD)?.trim();
        match &*header.name.to_ascii_lowercase() {
            // Two lengths are how one request is smuggled in behind another.
            "content-length" if body.is_none() && value.bytes().all(|b| b.is_ascii_digit()) => {
                body = Some(value.parse().map_err(|_| BAD)?);
            }
            "content-length" => return Err(BAD),
            "transfer-encoding" => return Err("501 Not Implemented"),
            "connection" if value.eq_ignore_ascii_case("close") => keep_alive = false,
            "connection" if value.eq_ignore_ascii_case("keep-alive") => keep_alive = true,
            "expect" => expects = value.eq_ignore_ascii_case("100-continue"),
            "host" => hosts += 1,
            _ => {}
        }
    }
    let body = body.unwrap_or(0);
    match () {
        _ if hosts > 1 || version == 1 && hosts == 0 => Err(BAD),
        _ if body > BODY => Err("413 Content Too Large"),
        _ => Ok(Some(Head {
            method: method.to_owned(),
            path: path.to_owned(),
            length,
            body,
            keep_alive,
            expects,
        })),
    }
}

/// The pages there are.
fn page(head: &Head, body: &[u8]) -> (Status, String) {
    let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= 100_000);
    match (&*head.method, &*head.path) {
        ("GET" | "HEAD", "/") => ("200 OK", "a page\n".into()),
        ("POST", "/shout") => ("200 OK", String::from_utf8_lossy(body).to_uppercase()),
        ("GET", path) => match path.strip_prefix("/primes/").and_then(number) {
            Some(end) => {
                let is_prime = |n: &u32| (2..=n.isqrt()).all(|d| !n.is_multiple_of(d));
                ("200 OK", format!("{}\n", (2..end).filter(is_prime).count()))
            }
            None => ("404 Not Found", format!("there is no {path}\n")),
        },
        _ => ("405 Method Not Allowed", String::new()),
    }
}

/// Serves one connection: request after request, as long as the client keeps it.
fn serve(conn: &mut Conn) -> io::Result<()> {
    let mut came = Vec::new();
    let more = |came: &mut Vec<u8>| -> io::Result<bool> {
        let mut chunk = [0; 4096];
        let count = (&*conn).read(&mut chunk)?;
        came.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    };
    let refused = 'refused: loop {
        // What a client has sent ahead is here already.
        let head = loop {
            match head(&came) {
                Ok(Some(head)) => break head,
                Ok(None) if more(&mut came)? => {}
                Ok(None) => return Ok(()),
                Err(status) => break 'refused status,
            }
        };
        came.drain(..head.length);
        if head.expects && came.len() < head.body {
            (&*conn).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        while came.len() < head.body {
            if !more(&mut came)? {
                return Ok(());
            }
        }
        let (status, text) = page(&head, &came[..head.body]);
        came.drain(..head.body);
        // A server that shuts down lets its clients know.
        let keep_alive = head.keep_alive && !conn.draining();
        answer(conn, status, keep_alive, &text, head.method == "HEAD")?;
        if !keep_alive {
            return Ok(());
        }
    };
    answer(conn, refused, false, "", false)?;
    // What is closed with something unread is reset, and then the client may never see why.
    conn.shutdown(Shutdown::Write)?;
    io::copy(&mut (&*conn).take(1 << 20), &mut io::sink()).map(drop)
}

fn answer(
    mut conn: &Conn,
    status: Status,
    keep_alive: bool,
    body: &str,
    without: bool,
) -> io::Result<()> {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: {connection}\r\n\r\n",
        body.len()
    );
    if !without {
        text.push_str(body);
    }
    conn.write_all(text.as_bytes())
}

fn server() -> Builder {
    Server::builder()
        .max_connections(10_000)
        .idle_timeout(Duration::from_secs(30))
        .read_timeout(Duration::from_secs(10))
        .write_timeout(Duration::from_secs(10))
        .handler_timeout(Duration::from_secs(60))
}

/// A client that sees what is on the wire.
struct Client {
    stream: TcpStream,
    came: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Client { stream, came: Vec::new() })
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes())
    }

    /// The next answer: its status and its body. `None` at the end.
    fn answer(&mut self) -> io::Result<Option<String>> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut response = httparse::Response::new(&mut headers);
            if let Ok(httparse::Status::Complete(head)) = response.parse(&self.came) {
                let length = response.headers.iter().find(|header| header.name == "Content-Length");
                let length = length.and_then(|header| std::str::from_utf8(header.value).ok());
                let end = head + length.map_or(0, |length| length.parse().expect("a number"));
                if self.came.len() >= end {
                    let code = response.code.unwrap_or(0);
                    let body = String::from_utf8_lossy(&self.came[head..end]);
                    let told = format!("{code} {} {body:?}", response.reason.unwrap_or(""));
                    self.came.drain(..end);
                    return Ok(Some(told));
                }
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk)? {
                0 => return Ok(None),
                count => self.came.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

/// Says something on each of a few connections, and tells what is answered.
fn transcript(address: SocketAddr) -> io::Result<Vec<String>> {
    let (long, host) = ("x".repeat(HEAD), "Host: here\r\n");
    let conversations: [(&str, Vec<String>); 7] = [
        (
            "one request after another",
            vec![
                format!("GET / HTTP/1.1\r\n{host}\r\n"),
                format!("GET /primes/1000 HTTP/1.1\r\n{host}\r\n"),
                format!("GET /nowhere HTTP/1.1\r\n{host}Connection: close\r\n\r\n"),
            ],
        ),
        (
            "three ahead of their answers",
            vec![format!(
                "GET / HTTP/1.1\r\n{host}\r\nPOST /shout HTTP/1.1\r\n{host}Content-Length: 5\r\n\r\nhelloGET /primes/10 HTTP/1.1\r\n{host}Connection: close\r\n\r\n"
            )],
        ),
        (
            "a body that waits for a word",
            vec![
                format!(
                    "POST /shout HTTP/1.1\r\n{host}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
                ),
                "late".into(),
                format!("DELETE / HTTP/1.1\r\n{host}Connection: close\r\n\r\n"),
            ],
        ),
        ("the old version", vec!["GET / HTTP/1.0\r\n\r\n".into()]),
        ("nonsense", vec!["how do you do?\r\n\r\n".into()]),
        ("a head that is too long", vec![format!("GET /{long} HTTP/1.1\r\n{host}\r\n")]),
        (
            "a body that is too long",
            vec![format!("POST /shout HTTP/1.1\r\n{host}Content-Length: 9999999\r\n\r\n{long}")],
        ),
    ];
    let mut told = Vec::new();
    for (what, requests) in conversations {
        let mut client = Client::connect(address)?;
        told.push(format!("{what}:"));
        for request in requests {
            client.say(&request)?;
            told.extend(client.answer()?.map(|answer| format!("  {answer}")));
        }
        while let Some(answer) = client.answer()? {
            told.push(format!("  {answer}"));
        }
        told.push("  closed".into());
    }
    Ok(told)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let (Some(model), Some(address)) = (args().nth(1), args().nth(2)) {
        let server = server().listen(&address)?.start(model.parse::<Model>()?, serve)?;
        println!("http://{} ({model})", server.addresses()[0]);
        let ended = server.run_until_signal(Duration::from_secs(10))?;
        println!("{} answered, {} cut", server.counters().turns, ended.cut);
        return Ok(());
    }
    let under = |model: &str| -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let server = server().listen("127.0.0.1:0")?.start(model.parse::<Model>()?, serve)?;
        let told = transcript(server.addresses()[0].tcp().expect("a port"))?;
        assert_eq!(server.shutdown(Duration::from_secs(60)).cut, 0);
        Ok(told)
    };
    let (threads, coroutines) = (under("threads")?, under("coroutines")?);
    println!("{}", threads.join("\n"));
    println!("as coroutines the same: {}", coroutines == threads);
    Ok(())
}
