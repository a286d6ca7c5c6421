//! The client of all echo servers: one process, two threads, each with its own connections on an epoll.

use std::env;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::{Server, account};
use crate::Failure;

/// The part of the client; what it is to do comes next.
pub(crate) const CLIENT: &str = "--echo-client";

/// What a client has seen of a server.
pub(crate) struct Seen {
    pub(crate) requests: f64,
    /// In seconds.
    pub(crate) elapsed: f64,
    /// Processor time of the server and its children, in seconds: in user mode, and in all.
    pub(crate) user: f64,
    pub(crate) all: f64,
    /// How long requests took, in seconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Memory of the server and its children, in bytes, with the connections open.
    pub(crate) memory: f64,
}

/// New connections.
pub(crate) struct Made {
    pub(crate) connections: f64,
    /// In seconds.
    pub(crate) elapsed: f64,
    /// Processor time of the server and its children, in seconds.
    pub(crate) all: f64,
}

/// Each connection asks again as soon as it has its answer, for this long.
pub(crate) fn load(
    server: &Server,
    connections: usize,
    size: usize,
    limit: Duration,
) -> Result<Seen, Failure> {
    let [requests, elapsed, user, all, p50, p99, memory] =
        run(server, "load", connections, size, limit)?;
    Ok(Seen { requests, elapsed, user, all, p50, p99, memory })
}

/// So many callers connect, ask once, hang up, and connect again, for this long.
pub(crate) fn connects(
    server: &Server,
    callers: usize,
    size: usize,
    limit: Duration,
) -> Result<Made, Failure> {
    let [connections, elapsed, all] = run(server, "connects", callers, size, limit)?;
    Ok(Made { connections, elapsed, all })
}

/// Has a process of its own do it, wherever the caller runs.
fn run<const N: usize>(
    server: &Server,
    verb: &str,
    connections: usize,
    size: usize,
    limit: Duration,
) -> Result<[f64; N], Failure> {
    let millis = limit.as_millis() as usize;
    let output = Command::new(env::current_exe()?)
        .args([CLIENT, verb, &server.address.to_string()])
        .args([server.pid() as usize, connections, size, millis].map(|number| number.to_string()))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the client: {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    numbers.try_into().map_err(|_| format!("{N} numbers, not {text:?}").into())
}

/// Plays the part of the client.
pub(crate) fn client(args: &[String]) -> Result<(), Failure> {
    let [verb, address, numbers @ ..] = args else { return Err("what is it to do?".into()) };
    let address: SocketAddr = address.parse()?;
    let numbers: Vec<usize> = numbers.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    let &[pid, connections, size, millis] = &numbers[..] else { return Err("4 numbers".into()) };
    let (pid, limit) = (pid as u32, Duration::from_millis(millis as u64));
    match &verb[..] {
        "load" => make_load(address, pid, connections, size, limit),
        "connects" => make_connects(address, pid, connections, size, limit),
        _ => Err("it cannot do that".into()),
    }
}

/// How far a measurement has come. At first each connection asks once only: a server that makes a process for each could not go on
/// accepting beside all those that it has made.
const FIRST: u8 = 0;
const WARM: u8 = 1;
const COUNT: u8 = 2;
const OVER: u8 = 3;

/// Ends it, however it is left: clients go on until then.
struct Ends<'a>(&'a AtomicU8);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(OVER, Relaxed);
    }
}

fn make_load(
    address: SocketAddr,
    pid: u32,
    connections: usize,
    size: usize,
    limit: Duration,
) -> Result<(), Failure> {
    let threads = connections.min(2);
    let mut streams: Vec<Vec<TcpStream>> = (0..threads).map(|_| Vec::new()).collect();
    for index in 0..connections {
        streams[index % threads].push(TcpStream::connect(address)?);
    }
    let (phase, answered) = (AtomicU8::new(FIRST), AtomicUsize::new(0));
    thread::scope(|scope| {
        let ends = Ends(&phase);
        let run = |streams| {
            let (phase, answered) = (&phase, &answered);
            let run = move || ask(streams, size, phase, answered).map_err(|e| e.to_string());
            scope.spawn(run)
        };
        let clients: Vec<_> = streams.into_iter().map(run).collect();
        let began = Instant::now();
        // Each has been answered once: whoever serves it is there.
        while answered.load(Relaxed) < connections {
            if clients.iter().any(|client| client.is_finished())
                || began.elapsed() > Duration::from_secs(60)
            {
                return Err("the server does not answer all connections".into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        phase.store(WARM, Relaxed);
        thread::sleep(limit / 8);
        let tree = account::tree(pid)?;
        let before = account::times(&tree);
        phase.store(COUNT, Relaxed);
        let began = Instant::now();
        thread::sleep(limit);
        let elapsed = began.elapsed();
        // They go on asking while the server's account is taken, which takes as long as it did before.
        phase.store(WARM, Relaxed);
        let after = account::times(&tree);
        let memory = account::memory(&account::tree(pid)?);
        drop(ends);
        let mut latencies = Vec::new();
        for client in clients {
            latencies.extend(client.join().map_err(|_| "a client panicked")??);
        }
        latencies.sort_unstable();
        let at = |part: f64| {
            let index = (part * latencies.len() as f64) as usize;
            latencies.get(index).map_or(0.0, |nanos| f64::from(*nanos) / 1e9)
        };
        let (count, elapsed) = (latencies.len(), elapsed.as_secs_f64());
        // Which part of it was in user mode is the tick's to say; how much it was in all, the scheduler's.
        let all = after.alive - before.alive;
        let part = (after.user - before.user) / (after.all - before.all).max(1e-9);
        println!("{count} {elapsed} {} {all} {} {} {memory}", part * all, at(0.5), at(0.99));
        Ok(())
    })
}

/// Asks on all of these connections in turn, and gives how long each answer took while it counted, in nanoseconds.
fn ask(
    connections: Vec<TcpStream>,
    size: usize,
    phase: &AtomicU8,
    answered: &AtomicUsize,
) -> Result<Vec<u32>, Failure> {
    struct Asking {
        stream: TcpStream,
        have: usize,
        asked: Instant,
        is_new: bool,
    }
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let message = vec![7; size];
    let mut streams = Vec::with_capacity(connections.len());
    for (token, mut stream) in (0..).zip(connections) {
        stream.set_nodelay(true)?;
        let data = epoll::EventData::new_u64(token);
        epoll::add(&epoll, &stream, data, epoll::EventFlags::IN)?;
        let asked = Instant::now();
        stream.write_all(&message)?;
        streams.push(Asking { stream, have: 0, asked, is_new: true });
    }
    let mut latencies = Vec::with_capacity(1 << 20);
    let mut events = Vec::with_capacity(256);
    let mut buffer = vec![0; size];
    let patience = Duration::from_millis(20).try_into()?;
    let mut is_first = true;
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), Some(&patience))?;
        let phase = phase.load(Relaxed);
        if phase == OVER {
            return Ok(latencies);
        }
        if phase != FIRST && std::mem::take(&mut is_first) {
            // All have been answered, and have not asked again.
            for asking in &mut streams {
                asking.asked = Instant::now();
                asking.stream.write_all(&message)?;
            }
        }
        for event in &events {
            let asking = &mut streams[event.data.u64() as usize];
            asking.have += match asking.stream.read(&mut buffer)? {
                0 => return Err("the server has closed a connection".into()),
                count => count,
            };
            if asking.have < size {
                continue;
            }
            let now = Instant::now();
            if phase == COUNT {
                let nanos = (now - asking.asked).as_nanos();
                latencies.push(u32::try_from(nanos).unwrap_or(u32::MAX));
            }
            if std::mem::take(&mut asking.is_new) {
                answered.fetch_add(1, Relaxed);
            }
            (asking.have, asking.asked) = (0, now);
            if !is_first {
                asking.stream.write_all(&message)?;
            }
        }
    }
}

fn make_connects(
    address: SocketAddr,
    pid: u32,
    callers: usize,
    size: usize,
    limit: Duration,
) -> Result<(), Failure> {
    let (phase, counted) = (AtomicU8::new(WARM), AtomicU64::new(0));
    thread::scope(|scope| {
        let ends = Ends(&phase);
        let run = |caller| {
            let (phase, counted) = (&phase, &counted);
            let run =
                move || call(address, caller, size, phase, counted).map_err(|e| e.to_string());
            scope.spawn(run)
        };
        let clients: Vec<_> = (0..callers as u8).map(run).collect();
        thread::sleep(limit / 8);
        let all = || Ok::<_, Failure>(account::times(&account::tree(pid)?).all);
        let before = all()?;
        phase.store(COUNT, Relaxed);
        let began = Instant::now();
        thread::sleep(limit);
        let elapsed = began.elapsed().as_secs_f64();
        phase.store(WARM, Relaxed);
        let all = all()? - before;
        drop(ends);
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        println!("{} {elapsed} {all}", counted.load(Relaxed));
        Ok(())
    })
}

/// Connects, asks and hangs up, again and again.
fn call(
    address: SocketAddr,
    caller: u8,
    size: usize,
    phase: &AtomicU8,
    counted: &AtomicU64,
) -> Result<(), Failure> {
    let message = vec![7; size];
    let mut buffer = vec![0; size];
    // Each has an address of its own: those of ports that it has used are not free again at once.
    let from = SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, caller + 1), 0);
    while phase.load(Relaxed) != OVER {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &from)?;
        connect(&socket, &address)?;
        let mut stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(&message)?;
        stream.read_exact(&mut buffer)?;
        if phase.load(Relaxed) == COUNT {
            counted.fetch_add(1, Relaxed);
        }
    }
    Ok(())
}
