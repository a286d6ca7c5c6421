//! Echo over TCP by coroutines, beside raw epoll, tokio on one thread, and a thread for each connection.

use std::cell::RefCell;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Failure;
use crate::contest::{Contest, Results, Verdict};
use crate::echo::{self, Kind, Server};

const CONNECTIONS: usize = 64;
const SIZE: usize = 100;
const ROUNDS: usize = 9;
/// Long enough for the kernel's account of user time, which has steps of 10 ms.
const ROUND: Duration = Duration::from_millis(2_500);

/// How many connections wait; of threads, fewer will do.
const IDLE: usize = 10_000;
const IDLE_THREADS: usize = 1_000;

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let mut verdicts = busy()?;
    verdicts.extend(idle()?);
    Ok(verdicts)
}

fn busy() -> Result<Vec<Verdict>, Failure> {
    let servers = Kind::ALL
        .into_iter()
        .map(|kind| Ok((kind, Server::start(kind)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let user: Vec<RefCell<Vec<f64>>> = servers.iter().map(|_| RefCell::default()).collect();
    let (kernel, p50, p99) = (user.clone(), user.clone(), user.clone());
    let title = format!("Echo of {SIZE} B on {CONNECTIONS} connections: by the clock, a request");
    let mut contest = Contest::new(title);
    for (index, (kind, server)) in servers.iter().enumerate() {
        let (user, kernel) = (&user[index], &kernel[index]);
        let (p50, p99) = (&p50[index], &p99[index]);
        contest.entry(kind.name(), move || {
            let seen = echo::load(server, CONNECTIONS, SIZE, ROUND)?;
            let requests = seen.requests as f64;
            user.borrow_mut().push(seen.user_time / requests);
            kernel.borrow_mut().push(seen.kernel_time / requests);
            let at = |part: f64| {
                let index = (part * requests) as usize;
                seen.latencies.get(index).map_or(0.0, Duration::as_secs_f64)
            };
            p50.borrow_mut().push(at(0.5));
            p99.borrow_mut().push(at(0.99));
            Ok(seen.elapsed.as_secs_f64() / requests)
        });
    }
    let clock = contest.run(ROUNDS)?;
    let table = |title: &str, samples: Vec<RefCell<Vec<f64>>>| {
        let names = servers.iter().map(|(kind, _)| kind.name().to_owned());
        // The first round does not count.
        let samples = samples.into_iter().map(|samples| samples.into_inner().split_off(1));
        let results = Results::new(title, names.zip(samples).collect());
        println!("{}", results.table());
        results
    };
    let user = table("The same: processor time of the server in user mode, a request", user);
    table("The same: processor time of the server in the kernel, a request", kernel);
    table("The same: half of the requests are answered within", p50);
    table("The same: 99 of 100 requests are answered within", p99);
    let ours = Kind::Hub.name();
    Ok(vec![
        user.at_most(1.0, ours, Kind::Tokio.name()),
        user.at_most(1.5, ours, Kind::Epoll.name()),
        clock.at_most(1.1, ours, Kind::Tokio.name()),
    ])
}

fn idle() -> Result<Vec<Verdict>, Failure> {
    let limit = getrlimit(Resource::Nofile);
    // The servers inherit it.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let room = limit.maximum.unwrap_or(u64::MAX).saturating_sub(100) as usize;
    let title = "Memory of the server, resident and page tables, a connection that waits";
    println!("{title}\n");
    let mut each = Vec::new();
    for kind in Kind::ALL {
        let wanted = if kind == Kind::Threads { IDLE_THREADS } else { IDLE };
        let count = wanted.min(room);
        let server = Server::start(kind)?;
        // What the first ones make is not counted.
        let first = echo::idle(server.address, 10)?;
        let before = server.memory()?;
        let streams = echo::idle(server.address, count)?;
        let bytes = (server.memory()?.saturating_sub(before)) as f64 / count as f64;
        drop((first, streams));
        println!("  {:<22} {bytes:>8.0} B, of {count}", kind.name());
        each.push((kind, bytes));
    }
    println!();
    let of = |wanted: Kind| each.iter().find(|(kind, _)| *kind == wanted).map_or(0.0, |e| e.1);
    let (ours, thread) = (of(Kind::Hub), of(Kind::Threads));
    let text = format!(
        "{}: {ours:.0} B, at most that of a thread ({thread:.0} B) wanted",
        Kind::Hub.name()
    );
    Ok(vec![Verdict::new(title, text, ours <= thread)])
}
