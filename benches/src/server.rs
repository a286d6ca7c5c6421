//! Echo by one handler under every model of `server`, beside other runtimes' servers: what a request and a connection take.
//!
//! The servers run on two cores, the client on two others, so that who asks takes nothing from who answers. Processor time is the
//! server's, with all its children's. How much of it was in user mode is what the kernel's tick has seen, a rough guess in each round:
//! so that is told of all rounds together, and of each for how far they are apart.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Failure;
use crate::chart::{Chart, Mark, Panel, Row};
use crate::contest::{Results, Verdict, median, time};
use crate::echo::{self, Kind, Made, Seen, Server};
use crate::place;

const SIZE: usize = 100;
const CONNECTIONS: [usize; 3] = [1, 64, 1_000];
/// Those of the chart and of the targets.
const MANY: usize = 64;
const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_millis(1_500);
/// Who connect again and again, at once.
const CALLERS: usize = 16;
/// The tick finds out how much of a process's time was in user mode if it is there often enough: not with a thousand of them.
const FEW: usize = 100;

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let limit = getrlimit(Resource::Nofile);
    // The servers and the client inherit it.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let mut verdicts = Vec::new();
    for connections in CONNECTIONS {
        verdicts.extend(requests(connections)?);
    }
    verdicts.extend(connects()?);
    Ok(verdicts)
}

fn ours(model: impl Into<String>) -> Kind {
    Kind::Ours(model.into())
}

/// Who is measured with so many connections: ours first.
fn kinds(connections: usize) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if connections == 1 {
        kinds.push(ours("serial"));
    }
    kinds.extend(["events:1", "coroutines:1", "coroutines:2", "threads"].map(ours));
    kinds.push(ours(format!("pool:{connections}")));
    kinds.push(ours("processes"));
    kinds.extend(
        ["prefork:1:coroutines:1", "prefork:2:coroutines:1", "prefork:2:events:1"].map(ours),
    );
    kinds.extend([Kind::Epoll, Kind::Threads, Kind::Tokio(1), Kind::Tokio(2), Kind::May]);
    kinds.extend(["threading", "forking", "gevent"].map(Kind::Python));
    kinds
}

/// Measures each of them in turn, again and again. The first round does not count.
fn rounds<T>(
    kinds: &[Kind],
    mut measure: impl FnMut(&Server) -> Result<T, Failure>,
) -> Result<Vec<Vec<T>>, Failure> {
    let start = |kind: &Kind| {
        place::on(place::FIRST, || Server::start(kind))
            .map_err(|error| format!("{}: {error}", kind.name()))
    };
    let servers = kinds.iter().map(start).collect::<Result<Vec<_>, _>>()?;
    let mut samples: Vec<Vec<T>> = kinds.iter().map(|_| Vec::new()).collect();
    for round in 0..=ROUNDS {
        eprint!("\r  round {round} of {ROUNDS} ");
        for ((kind, server), samples) in kinds.iter().zip(&servers).zip(&mut samples) {
            let measured = place::on(place::SECOND, || measure(server));
            let sample = measured.map_err(|error| format!("{}: {error}", kind.name()))?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    eprintln!();
    Ok(samples)
}

/// One number of each sample, as a contest's results.
fn results<T>(title: &str, kinds: &[Kind], all: &[Vec<T>], of: impl Fn(&T) -> f64) -> Results {
    let each = all.iter().map(|samples| samples.iter().map(&of).collect());
    Results::new(title, kinds.iter().map(Kind::name).zip(each).collect())
}

fn middle<T>(samples: &[T], of: impl Fn(&T) -> f64) -> f64 {
    median(&samples.iter().map(of).collect::<Vec<_>>())
}

fn requests(connections: usize) -> Result<Vec<Verdict>, Failure> {
    let title = format!("Echo of {SIZE} B on {connections} connections, a request");
    eprintln!("measuring: {title}");
    let kinds = kinds(connections);
    let all = rounds(&kinds, |server| echo::load(server, connections, SIZE, ROUND))?;
    println!("{title}; the server on two cores{}\n", place::note());
    let heads = ["user", "", "system", "all", "a second", "p50", "p99", "memory"];
    let [user, range, system, both, rate, p50, p99, memory] = heads;
    println!(
        "  {:24} {user:>8} {range:>17} {system:>8} {both:>8} {rate:>9} {p50:>8} {p99:>8} {memory:>9}",
        ""
    );
    let user = |seen: &Seen| seen.user / seen.requests;
    let both = |seen: &Seen| seen.all / seen.requests;
    let rate = |seen: &Seen| seen.requests / seen.elapsed;
    for (kind, samples) in kinds.iter().zip(&all) {
        let in_user = pooled(samples);
        let system = middle(samples, both) - in_user;
        let sorted = {
            let mut each: Vec<f64> = samples.iter().map(user).collect();
            each.sort_by(f64::total_cmp);
            each
        };
        let range = format!("{}–{}", time(sorted[0]), time(sorted[sorted.len() - 1]));
        let mut split = [time(in_user), range, time(system)];
        if !is_split(kind, connections) {
            split = ["–"; 3].map(str::to_owned);
        }
        let [user, range, system] = split;
        println!(
            "  {:24} {user:>8} {range:>17} {system:>8} {:>8} {:>9.0} {:>8} {:>8} {:>5.1} MiB",
            kind.name(),
            time(middle(samples, both)),
            middle(samples, rate),
            time(middle(samples, |seen| seen.p50)),
            time(middle(samples, |seen| seen.p99)),
            middle(samples, |seen| seen.memory) / f64::from(1 << 20),
        );
    }
    println!();
    if connections == MANY {
        draw(&kinds, &all, both, rate)?;
    }
    if connections == 1 {
        return Ok(Vec::new());
    }
    let not_above = |model: &str, peer: Kind| {
        let of =
            |kind: &Kind| kinds.iter().position(|known| known == kind).map(|at| pooled(&all[at]));
        let ratio = of(&ours(model)).zip(of(&peer)).map_or(f64::NAN, |(ours, peer)| ours / peer);
        let peer = peer.name();
        let text = format!("{model}: {ratio:.2}x of {peer} in user mode, at most 1x wanted");
        Verdict::new(&title, text, ratio <= 1.0)
    };
    let mut verdicts = vec![not_above("coroutines:1", Kind::Tokio(1))];
    if connections == MANY {
        verdicts.push(not_above("threads", Kind::Threads));
        let title = format!("{title}: by the clock");
        let times = results(&title, &kinds, &all, |seen| 1.0 / rate(seen));
        verdicts.push(times.ahead(1.5, "prefork:2:coroutines:1", "prefork:1:coroutines:1"));
    }
    Ok(verdicts)
}

/// Processor time in user mode, a request, of all rounds together.
fn pooled(samples: &[Seen]) -> f64 {
    let sum = |of: fn(&Seen) -> f64| samples.iter().map(of).sum::<f64>();
    sum(|seen| seen.user) / sum(|seen| seen.requests)
}

/// Whether it can be told how much of its time was in user mode.
fn is_split(kind: &Kind, connections: usize) -> bool {
    let has_process_each = [ours("processes"), Kind::Python("forking")].contains(kind);
    !has_process_each || connections <= FEW
}

fn connects() -> Result<Vec<Verdict>, Failure> {
    let title = format!("New connections, each for one echo of {SIZE} B, by {CALLERS} at once");
    eprintln!("measuring: {title}");
    let mut kinds: Vec<Kind> =
        ["processes", "threads", "coroutines:1", "events:1", "prefork:2:coroutines:1"]
            .map(ours)
            .into();
    kinds.extend(["forking", "threading", "gevent"].map(Kind::Python));
    kinds.extend([Kind::Threads, Kind::Tokio(1), Kind::May, Kind::Epoll]);
    let all = rounds(&kinds, |server| echo::connects(server, CALLERS, SIZE, ROUND))?;
    println!("{title}; the server on two cores{}\n", place::note());
    println!("  {:24} {:>9} {:>17} {:>24}", "", "a second", "", "processor time of each");
    let rate = |made: &Made| made.connections / made.elapsed;
    for (kind, samples) in kinds.iter().zip(&all) {
        let mut each: Vec<f64> = samples.iter().map(rate).collect();
        each.sort_by(f64::total_cmp);
        let range = format!("{:.0}–{:.0}", each[0], each[each.len() - 1]);
        let took = middle(samples, |made| made.all / made.connections);
        println!("  {:24} {:>9.0} {range:>17} {:>24}", kind.name(), median(&each), time(took));
    }
    println!();
    let results = results(&title, &kinds, &all, |made| 1.0 / rate(made));
    Ok(vec![results.ahead(4.0, "processes", &Kind::Python("forking").name())])
}

/// The chart of the README.
fn draw(
    kinds: &[Kind],
    all: &[Vec<Seen>],
    both: impl Fn(&Seen) -> f64,
    rate: impl Fn(&Seen) -> f64,
) -> Result<(), Failure> {
    let rows = kinds.iter().zip(all).map(|(kind, samples)| Row {
        name: kind.name(),
        is_ours: matches!(kind, Kind::Ours(_)),
        values: vec![
            vec![pooled(samples) * 1e6, middle(samples, &both) * 1e6],
            vec![middle(samples, &rate) / 1e3],
        ],
    });
    let chart = Chart {
        title: format!("Echo of {SIZE} bytes on {MANY} connections"),
        panels: vec![
            Panel {
                title: "Processor time of the server, a request".into(),
                unit: "µs, logarithmic; less is better".into(),
                marks: vec![Mark::Full("in user mode"), Mark::Hollow("with system calls")],
            },
            Panel {
                title: "Requests a second".into(),
                unit: "thousands, logarithmic; more is better".into(),
                marks: vec![Mark::Full("requests")],
            },
        ],
        rows: rows.collect(),
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/server.svg");
    fs::write(&path, chart.svg())?;
    println!("drawn: benches/charts/server.svg\n");
    Ok(())
}
