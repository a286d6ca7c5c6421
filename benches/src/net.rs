//! Echo over TCP by coroutines, beside raw epoll, tokio on one thread, and a thread for each connection.

use std::cell::RefCell;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Failure;
use crate::contest::{Contest, Results, Verdict};
use crate::echo::{self, Kind, Server};

const KINDS: [Kind; 4] = [Kind::Hub, Kind::Epoll, Kind::Tokio(1), Kind::Threads];
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
    let servers = KINDS
        .into_iter()
        .map(|kind| Ok((kind.name(), Server::start(&kind)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let user: Vec<RefCell<Vec<f64>>> = servers.iter().map(|_| RefCell::default()).collect();
    let (kernel, p50, p99) = (user.clone(), user.clone(), user.clone());
    let title = format!("Echo of {SIZE} B on {CONNECTIONS} connections: by the clock, a request");
    let mut contest = Contest::new(title);
    for (index, (name, server)) in servers.iter().enumerate() {
        let (user, kernel) = (&user[index], &kernel[index]);
        let (p50, p99) = (&p50[index], &p99[index]);
        contest.entry(name, move || {
            let seen = echo::load(server, CONNECTIONS, SIZE, ROUND)?;
            user.borrow_mut().push(seen.user / seen.requests);
            kernel.borrow_mut().push((seen.all - seen.user) / seen.requests);
            p50.borrow_mut().push(seen.p50);
            p99.borrow_mut().push(seen.p99);
            Ok(seen.elapsed / seen.requests)
        });
    }
    let clock = contest.run(ROUNDS)?;
    let table = |title: &str, samples: Vec<RefCell<Vec<f64>>>| {
        let names = servers.iter().map(|(name, _)| name.clone());
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
    let (ours, tokio) = (Kind::Hub.name(), Kind::Tokio(1).name());
    Ok(vec![
        user.at_most(1.0, &ours, &tokio),
        user.at_most(1.5, &ours, &Kind::Epoll.name()),
        clock.at_most(1.1, &ours, &tokio),
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
    for kind in KINDS {
        let wanted = if kind == Kind::Threads { IDLE_THREADS } else { IDLE };
        let count = wanted.min(room);
        let server = Server::start(&kind)?;
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
    let of = |wanted: Kind| each.iter().find(|each| each.0 == wanted).map_or(0.0, |each| each.1);
    let (ours, thread) = (of(Kind::Hub), of(Kind::Threads));
    let text = format!(
        "{}: {ours:.0} B, at most that of a thread ({thread:.0} B) wanted",
        Kind::Hub.name()
    );
    Ok(vec![Verdict::new(title, text, ours <= thread)])
}
