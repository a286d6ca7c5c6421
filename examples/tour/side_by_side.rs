//! Computing beside waiting: processes, in each of them threads, on each of these coroutines. All connections are served while
//! all processes compute.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use fourfold::green;
use fourfold::prelude::*;
use fourfold::process::{Event, Fd, Lock};

const PROCESSES: usize = 2;
const HUBS: usize = 2;
const CONNECTIONS: usize = 64;

/// Answers each line in upper case. Plain blocking code, in a coroutine.
fn answer(stream: green::net::TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let (mut line, mut stream) = (String::new(), stream);
    while lines.read_line(&mut line)? > 0 {
        stream.write_all(line.to_uppercase().as_bytes())?;
        line.clear();
    }
    Ok(())
}

/// One thread of coroutines: a coroutine for each of the connections that are expected. How many were served.
fn serve(listener: TcpListener, connections: usize) -> fourfold::Result<usize> {
    green::run(move || {
        let listener = green::net::TcpListener::from(listener);
        let mut sessions = Vec::new();
        for _ in 0..connections {
            let (stream, _) = listener.accept()?;
            sessions.push(green::spawn_local(answer, stream)?);
        }
        let mut served = 0;
        for session in sessions {
            session.join()??;
            served += 1;
        }
        Ok(served)
    })?
}

/// Counts primes until it is told to stop. How often it has counted those below 10,000.
fn compute(until: &Event) -> u64 {
    let mut rounds = 0;
    while !until.is_set() {
        let primes = (2..10_000u32).filter(|n| (2..=n.isqrt()).all(|m| !n.is_multiple_of(m)));
        assert_eq!(primes.count(), 1229);
        rounds += 1;
    }
    rounds
}

/// One process: it serves on as many threads as it has listeners, and computes on its own.
fn worker(
    listeners: Vec<Fd<TcpListener>>,
    served: Lock<u64>,
    all_served: Event,
) -> fourfold::Result<u64> {
    thread::scope(|scope| {
        let mut hubs = Vec::new();
        for Fd(listener) in listeners {
            let served = &served;
            hubs.push(scope.spawn(
                move || -> fourfold::Result<()> {
                    let count = serve(listener, CONNECTIONS / PROCESSES / HUBS)?;
                    *served.lock()? += count as u64;
                    Ok(())
                },
                (),
            )?);
        }
        let rounds = compute(&all_served);
        for hub in hubs {
            hub.join()??;
        }
        Ok(rounds)
    })?
}

/// Opens all connections, then talks on each, then closes them.
fn talk(addresses: &[SocketAddr]) -> std::io::Result<usize> {
    let open = |n: usize| TcpStream::connect(addresses[n % addresses.len()]);
    let mut streams = (0..CONNECTIONS).map(open).collect::<std::io::Result<Vec<_>>>()?;
    for (n, stream) in streams.iter_mut().enumerate() {
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        writeln!(stream, "line {n}")?;
    }
    let mut right = 0;
    for (n, stream) in streams.iter().enumerate() {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        right += usize::from(line == format!("LINE {n}\n"));
    }
    Ok(right)
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let (served, all_served) = (Lock::new(0u64)?, Event::new()?);
    let (mut addresses, mut workers) = (Vec::new(), Vec::new());
    for _ in 0..PROCESSES {
        let mut listeners = Vec::new();
        for _ in 0..HUBS {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            addresses.push(listener.local_addr()?);
            listeners.push(Fd(listener));
        }
        workers.push(process::spawn(worker, (listeners, served.clone(), all_served.clone()))?);
    }
    println!("{PROCESSES} processes: {HUBS} threads of coroutines in each, and one that computes");
    let right = talk(&addresses)?;
    println!("{CONNECTIONS} connections open at once: {right} got their own answer");
    while *served.lock()? < CONNECTIONS as u64 {
        assert!(workers.iter().all(process::Child::is_alive), "a worker has ended before its time");
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("all were served to their end: {}", *served.lock()? == CONNECTIONS as u64);
    all_served.set();
    for worker in workers {
        println!("a process computed all the while: {}", worker.join()?? > 0);
    }
    Ok(())
}
