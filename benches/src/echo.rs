//! Servers that send back what they get, each a process of its own, and the clients that ask them.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::Failure;

/// The part of the server; its kind comes next.
pub(crate) const SERVER: &str = "--echo-server";

/// What a connection reads into.
const BUFFER: usize = 1024;

/// How a server deals with its connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hub,
    Epoll,
    Tokio,
    Threads,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Hub, Kind::Epoll, Kind::Tokio, Kind::Threads];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Hub => "green::net, one hub",
            Kind::Epoll => "raw epoll",
            Kind::Tokio => "tokio current_thread",
            Kind::Threads => "a thread each",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Hub => "hub",
            Kind::Epoll => "epoll",
            Kind::Tokio => "tokio",
            Kind::Threads => "threads",
        }
    }
}

/// A server in a process of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Result<Server, Failure> {
        let mut child = Command::new(env::current_exe()?)
            .args([SERVER, kind.word()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("a pipe was asked for")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Server { child, address: line.trim().parse()? })
    }

    /// The processor time in user mode so far, and in the kernel, in seconds.
    pub(crate) fn times(&self) -> Result<(f64, f64), Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("a line of the kernel's")?;
        let mut fields = fields.split_whitespace().skip(14 - 3);
        let mut next = || -> Result<f64, Failure> {
            let ticks: u64 = fields.next().ok_or("a number")?.parse()?;
            Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
        };
        Ok((next()?, next()?))
    }

    /// Its resident memory with the tables of its pages, in bytes.
    pub(crate) fn memory(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = |name: &str| -> Result<u64, Failure> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            Ok(number.ok_or("a line of it")?.parse()?)
        };
        Ok((kib("VmRSS:")? + kib("VmPTE:")?) << 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays the part of a server, until it is killed.
pub(crate) fn serve(word: &str) -> ExitCode {
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.word() == word) else {
        return ExitCode::FAILURE;
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("it has been bound"));
    let result = match kind {
        Kind::Hub => by_hub(listener),
        Kind::Epoll => by_epoll(&listener),
        Kind::Tokio => by_tokio(listener),
        Kind::Threads => by_threads(&listener),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{word}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn by_hub(listener: TcpListener) -> Result<(), Failure> {
    use fourfold::green::{self, net};
    let echo = |mut stream: net::TcpStream| {
        let mut buffer = [0; BUFFER];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    };
    green::run(|| {
        let listener = net::TcpListener::from(listener);
        for stream in listener.incoming() {
            let stream = stream?;
            stream.set_nodelay(true)?;
            green::spawn_local(echo, stream)?;
        }
        Ok(())
    })?
}

fn by_epoll(listener: &TcpListener) -> Result<(), Failure> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let add = |fd: &dyn std::os::fd::AsFd, token: u64| {
        epoll::add(&epoll, fd.as_fd(), epoll::EventData::new_u64(token), epoll::EventFlags::IN)
    };
    listener.set_nonblocking(true)?;
    add(listener, u64::MAX)?;
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut events = Vec::with_capacity(256);
    let mut buffer = [0; BUFFER];
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            let token = event.data.u64();
            if token == u64::MAX {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let index = stream.as_raw_fd() as usize;
                    add(&stream, index as u64)?;
                    if streams.len() <= index {
                        streams.resize_with(index + 1, || None);
                    }
                    streams[index] = Some(stream);
                }
                continue;
            }
            let place = &mut streams[token as usize];
            let Some(stream) = place else { continue };
            let good = match stream.read(&mut buffer) {
                Ok(0) => false,
                Ok(count) => stream.write_all(&buffer[..count]).is_ok(),
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            };
            if !good {
                *place = None;
            }
        }
    }
}

fn by_tokio(listener: TcpListener) -> Result<(), Failure> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut buffer = [0; BUFFER];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    })
}

fn by_threads(listener: &TcpListener) -> Result<(), Failure> {
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        thread::Builder::new().spawn(move || {
            let mut buffer = [0; BUFFER];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
        })?;
    }
    Ok(())
}

/// What the clients have seen.
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    /// Of the server, in seconds: in user mode, and in the kernel.
    pub(crate) user_time: f64,
    pub(crate) kernel_time: f64,
    /// How long each request took, sorted.
    pub(crate) latencies: Vec<Duration>,
}

/// Each connection asks again as soon as it has its answer, for this long.
pub(crate) fn load(
    server: &Server,
    connections: usize,
    size: usize,
    limit: Duration,
) -> Result<Seen, Failure> {
    const THREADS: usize = 2;
    let warm_up = limit / 8;
    let connect = || (0..connections / THREADS).map(|_| TcpStream::connect(server.address));
    let streams = (0..THREADS).map(|_| connect().collect()).collect::<Result<Vec<Vec<_>>, _>>()?;
    thread::scope(|scope| {
        let run = |streams| {
            let run = move || ask(streams, size, warm_up, limit).map_err(|error| error.to_string());
            scope.spawn(run)
        };
        let clients: Vec<_> = streams.into_iter().map(run).collect();
        thread::sleep(warm_up);
        let before = server.times()?;
        let began = Instant::now();
        thread::sleep(limit);
        let elapsed = began.elapsed();
        let after = server.times()?;
        let (user_time, kernel_time) = (after.0 - before.0, after.1 - before.1);
        let mut latencies = Vec::new();
        for client in clients {
            latencies.extend(client.join().map_err(|_| "a client panicked")??);
        }
        latencies.sort_unstable();
        Ok(Seen { requests: latencies.len() as u64, elapsed, user_time, kernel_time, latencies })
    })
}

fn ask(
    connections: Vec<TcpStream>,
    size: usize,
    warm_up: Duration,
    limit: Duration,
) -> Result<Vec<Duration>, Failure> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let message = vec![7; size];
    let counts = Instant::now() + warm_up;
    let end = counts + limit;
    let mut streams = HashMap::new();
    for (token, mut stream) in (0..).zip(connections) {
        stream.set_nodelay(true)?;
        let data = epoll::EventData::new_u64(token);
        epoll::add(&epoll, &stream, data, epoll::EventFlags::IN)?;
        let asked = Instant::now();
        stream.write_all(&message)?;
        streams.insert(token, (stream, 0, asked));
    }
    let mut latencies = Vec::with_capacity(1 << 20);
    let mut events = Vec::with_capacity(256);
    let mut buffer = vec![0; size];
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            let entry = streams.get_mut(&event.data.u64()).ok_or("an unknown token")?;
            let (stream, have, asked) = entry;
            *have += match stream.read(&mut buffer)? {
                0 => return Err("the server has closed a connection".into()),
                count => count,
            };
            if *have < size {
                continue;
            }
            let now = Instant::now();
            if now >= end {
                return Ok(latencies);
            }
            if now >= counts {
                latencies.push(now - *asked);
            }
            (*have, *asked) = (0, now);
            stream.write_all(&message)?;
        }
    }
}

/// Connections that have been answered once, and wait.
pub(crate) fn idle(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>, Failure> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        streams.push(stream);
    }
    Ok(streams)
}
