//! Coroutines: switching, giving way, starting and joining, and the memory of very many, beside gevent, may and tokio.
//!
//! All of them run on one thread, so what counts is the processor time of that thread, which others that are at work on the
//! machine disturb less than the time by the clock. That is told in a second table of the same rounds.

use std::cell::{Cell, RefCell};
use std::env;
use std::fs;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use fourfold::green::{self, Coroutine, Greenlet, State};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime;

use crate::Failure;
use crate::contest::{Contest, Results, Verdict};
use crate::submit::nothing;
use crate::tools;

const ROUNDS: usize = 31;
/// Pairs of switches of a round, and yields.
const SWITCHES: u32 = 300_000;
const SPAWNS: u32 = 50_000;
/// The same of an interpreter.
const SLOW: u32 = 10_000;

const OURS: &str = "fourfold";
const GEVENT: &str = "gevent";
const MAY: &str = "may, one worker";
const TOKIO: &str = "tokio current_thread";

/// The parts that this executable plays in a process of its own: how many sleep in it.
pub(crate) const SLEEPERS: &str = "green-sleepers";
pub(crate) const TOKIO_SLEEPERS: &str = "green-tokio-sleepers";

const MANY: u32 = 1_000_000;
/// gevent takes about as long for these.
const FEWER: u32 = 100_000;
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let gevent = RefCell::new(Gevent::start()?);
    // Before its first coroutine; there is one configuration in a process.
    may::config().set_workers(1);
    let tokio = runtime::Builder::new_current_thread().build()?;
    let mut verdicts = vec![switch_to(&gevent)?, resume()?];
    for (coroutines, verb) in [(1, "yield-1"), (10, "yield-10")] {
        verdicts.push(yields(coroutines, verb, &gevent, &tokio)?);
    }
    verdicts.extend(spawns(&gevent, &tokio)?);
    verdicts.extend(memory(&gevent)?);
    Ok(verdicts)
}

fn switch_to(gevent: &RefCell<Gevent>) -> Result<Verdict, Failure> {
    let mut duel = Duel::new("Greenlet, two switches: there and back, per pair");
    duel.entry(OURS, pairs);
    duel.entry("greenlet of Python", || gevent.borrow_mut().ask("switch", SLOW));
    Ok(duel.run()?.within(10e-9, OURS))
}

/// Two greenlets that switch to each other; neither is the root.
fn pairs() -> Result<Took, Failure> {
    let took = Rc::new(Cell::new(None));
    let (left, right) = (Greenlet::named("left"), Greenlet::named("right"));
    let (there, note) = (right.clone(), took.clone());
    left.define(move |first: u64| {
        let run = || (0..SWITCHES).fold(first, |value, _| there.switch_to(value));
        let (value, took) = timed(SWITCHES, run);
        note.set(Some(took));
        value
    })?;
    let back = left.clone();
    right.define(move |mut value| {
        loop {
            value = back.switch_to(value + 1);
        }
    })?;
    match left.switch_to(0) == u64::from(SWITCHES) {
        true => took.get().ok_or_else(|| "it did not run".into()),
        false => Err("switches were lost".into()),
    }
}

fn resume() -> Result<Verdict, Failure> {
    let mut duel = Duel::new("Coroutine, resume and suspend, per pair");
    duel.entry(OURS, || {
        let mut counter = Coroutine::new(|suspender, mut value: u64| {
            loop {
                value = suspender.suspend(value + 1);
            }
        })?;
        let mut resume = |value| match counter.resume(value) {
            State::Suspended(value) => value,
            State::Finished(never) => never,
        };
        Ok(count_up(&mut resume))
    });
    duel.entry("corosensei, which is below it", || {
        let mut counter = corosensei::Coroutine::new(|yielder, mut value: u64| {
            loop {
                value = yielder.suspend(value + 1);
            }
        });
        let mut resume = |value| match counter.resume(value) {
            corosensei::CoroutineResult::Yield(value) => value,
            corosensei::CoroutineResult::Return(never) => never,
        };
        Ok(count_up(&mut resume))
    });
    Ok(duel.run()?.within(10e-9, OURS))
}

fn count_up(resume: &mut impl FnMut(u64) -> u64) -> Took {
    let (value, took) = timed(SWITCHES, || (0..SWITCHES).fold(0, |value, _| resume(value)));
    assert_eq!(value, u64::from(SWITCHES));
    took
}

fn yields(
    coroutines: u32,
    verb: &'static str,
    gevent: &RefCell<Gevent>,
    tokio: &runtime::Runtime,
) -> Result<Verdict, Failure> {
    let each = SWITCHES / coroutines;
    let title = match coroutines {
        1 => "Yield of the only coroutine, through the hub, per yield".into(),
        n => format!("Yield of {n} coroutines in turn, through the hub, per yield"),
    };
    let mut duel = Duel::new(title);
    duel.entry(OURS, || {
        green::run(|| {
            let body = move || (0..each).for_each(|_| green::yield_now());
            timed_result(each * coroutines, || {
                let children = (0..coroutines).map(move |_| green::spawn_local(body, ()));
                let children = children.collect::<Result<Vec<_>, _>>()?;
                children.into_iter().try_for_each(|child| Ok(child.join()?))
            })
        })?
    });
    duel.entry(TOKIO, || {
        tokio.block_on(async {
            let body = move || async move {
                for _ in 0..each {
                    tokio::task::yield_now().await;
                }
            };
            let clock = Clock::start();
            let tasks: Vec<_> = (0..coroutines).map(|_| tokio::spawn(body())).collect();
            for task in tasks {
                task.await?;
            }
            Ok(clock.stop(each * coroutines))
        })
    });
    duel.entry(MAY, || {
        let body = move || (0..each).for_each(|_| may::coroutine::yield_now());
        in_may(move || {
            let clock = Clock::start();
            let children: Vec<_> = (0..coroutines).map(|_| may::go!(body)).collect();
            for child in children {
                child.join().map_err(|_| "a coroutine panicked")?;
            }
            Ok(clock.stop(each * coroutines))
        })
    });
    duel.entry(GEVENT, || gevent.borrow_mut().ask(verb, SLOW));
    Ok(duel.run()?.within(25e-9, OURS))
}

fn spawns(gevent: &RefCell<Gevent>, tokio: &runtime::Runtime) -> Result<Vec<Verdict>, Failure> {
    const LOCAL: &str = "fourfold spawn_local";
    const SENT: &str = "fourfold spawn";
    let mut duel = Duel::new("Spawn, run and join a coroutine that does nothing");
    duel.entry(LOCAL, || {
        green::run(|| each_spawn(|| Ok(green::spawn_local(nothing, ())?.join()?)))?
    });
    duel.entry(SENT, || green::run(|| each_spawn(|| Ok(green::spawn(nothing, ())?.join()?)))?);
    duel.entry(TOKIO, || {
        tokio.block_on(async {
            let clock = Clock::start();
            for _ in 0..SPAWNS {
                tokio::spawn(async { nothing() }).await?;
            }
            Ok(clock.stop(SPAWNS))
        })
    });
    duel.entry(MAY, || {
        in_may(|| {
            let spawn = || may::go!(nothing).join().map_err(|_| "a coroutine panicked".into());
            each_spawn(spawn).map_err(|error: Failure| error.to_string())
        })
    });
    duel.entry(GEVENT, || gevent.borrow_mut().ask("spawn", SLOW));
    let results = duel.run()?;
    Ok(vec![results.within(150e-9, LOCAL), results.within(150e-9, SENT)])
}

fn each_spawn(mut spawn: impl FnMut() -> Result<(), Failure>) -> Result<Took, Failure> {
    timed_result(SPAWNS, || (0..SPAWNS).try_for_each(|_| spawn()))
}

/// Measures in a coroutine of may: what it starts runs on the same thread, since there is only one.
fn in_may(
    measure: impl FnOnce() -> Result<Took, String> + Send + 'static,
) -> Result<Took, Failure> {
    let took = may::go!(measure).join().map_err(|_| "a coroutine panicked")?;
    Ok(took?)
}

/// What one took, in seconds.
#[derive(Clone, Copy)]
struct Took {
    cpu: f64,
    wall: f64,
}

struct Clock {
    cpu: Duration,
    wall: Instant,
}

impl Clock {
    fn start() -> Clock {
        Clock { cpu: thread_time(), wall: Instant::now() }
    }

    fn stop(self, count: u32) -> Took {
        let (cpu, wall) = (thread_time() - self.cpu, self.wall.elapsed());
        let each = |time: Duration| time.as_secs_f64() / f64::from(count);
        Took { cpu: each(cpu), wall: each(wall) }
    }
}

/// The processor time of this thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn timed<R>(count: u32, run: impl FnOnce() -> R) -> (R, Took) {
    let clock = Clock::start();
    let value = black_box(run());
    (value, clock.stop(count))
}

fn timed_result(count: u32, run: impl FnOnce() -> Result<(), Failure>) -> Result<Took, Failure> {
    let (result, took) = timed(count, run);
    result.map(|()| took)
}

/// A contest by processor time, that also tells the time by the clock.
struct Duel<'a> {
    title: String,
    contest: Contest<'a>,
    walls: Vec<(String, Rc<RefCell<Vec<f64>>>)>,
}

impl<'a> Duel<'a> {
    fn new(title: impl Into<String>) -> Duel<'a> {
        let title = title.into();
        let contest = Contest::new(format!("{title}: processor time of the thread"));
        Duel { title, contest, walls: Vec::new() }
    }

    fn entry(&mut self, name: &str, mut measure: impl FnMut() -> Result<Took, Failure> + 'a) {
        let walls = Rc::new(RefCell::new(Vec::new()));
        self.walls.push((name.to_owned(), walls.clone()));
        self.contest.entry(name, move || {
            let took = measure()?;
            walls.borrow_mut().push(took.wall);
            Ok(took.cpu)
        });
    }

    fn run(self) -> Result<Results, Failure> {
        let results = self.contest.run(ROUNDS)?;
        // The first round does not count.
        let walls =
            self.walls.into_iter().map(|(name, walls)| (name, walls.borrow()[1..].to_vec()));
        println!(
            "{}",
            Results::new(format!("{}: by the clock", self.title), walls.collect()).table()
        );
        Ok(results)
    }
}

/// A Python with gevent, which measures when it is asked to.
struct Gevent {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Gevent {
    fn start() -> Result<Gevent, Failure> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/green.py");
        let mut command = Command::new(tools::python_with("gevent")?);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or("a pipe was asked for")?;
        let output = BufReader::new(child.stdout.take().ok_or("a pipe was asked for")?);
        Ok(Gevent { child, input, output })
    }

    fn ask(&mut self, verb: &str, count: u32) -> Result<Took, Failure> {
        let [cpu, wall] = self.numbers(verb, count)?;
        Ok(Took { cpu, wall })
    }

    fn numbers<const N: usize>(&mut self, verb: &str, count: u32) -> Result<[f64; N], Failure> {
        writeln!(self.input, "{verb} {count}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        numbers_of(&line)
    }
}

impl Drop for Gevent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn numbers_of<const N: usize>(line: &str) -> Result<[f64; N], Failure> {
    let numbers: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    <[f64; N]>::try_from(numbers).map_err(|_| format!("{N} numbers, not {line:?}").into())
}

/// What sleepers take: bytes that are resident, bytes of the page tables, and how many mappings the process has then.
type Taken = [f64; 3];

fn memory(gevent: &RefCell<Gevent>) -> Result<Vec<Verdict>, Failure> {
    let title = "Coroutines that sleep, the memory of each";
    println!("{title}");
    let tell = |name: &str, count: u32, [resident, tables, mappings]: Taken| {
        let [resident, tables] = [resident, tables].map(|bytes| bytes / f64::from(count));
        println!(
            "  {name:20} {count:>9} {resident:>6.0} B + {tables:>3.0} B of page tables, {mappings} mappings in all"
        );
        (resident, tables)
    };
    let ours = in_a_process(SLEEPERS)?;
    let (each, tables) = tell(OURS, MANY, ours);
    tell(TOKIO, MANY, in_a_process(TOKIO_SLEEPERS)?);
    tell(GEVENT, FEWER, gevent.borrow_mut().numbers("sleepers", FEWER)?);
    println!();
    let size = format!(
        "{MANY} coroutines: {each:.0} B each resident, at most 4608 B wanted; {tables:.0} B of page tables beside it"
    );
    let mappings = format!("{MANY} coroutines: {} mappings, at most 64 wanted", ours[2]);
    Ok(vec![
        Verdict::new(title, size, each <= 4608.0),
        Verdict::new(title, mappings, ours[2] <= 64.0),
    ])
}

fn in_a_process(part: &str) -> Result<Taken, Failure> {
    eprintln!("measuring: {part}");
    let output = Command::new(env::current_exe()?)
        .arg(part)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    match output.status.success() {
        true => numbers_of(&String::from_utf8_lossy(&output.stdout)),
        false => Err(format!("{part}: {}", output.status).into()),
    }
}

/// Tells what they take, in a process of its own, which ends with this.
pub(crate) fn sleepers() -> Result<(), Failure> {
    green::run(|| {
        let before = account()?;
        let begun = Rc::new(Cell::new(0));
        let sleeper = green::Builder::new().daemon(true);
        let sleep = |begun: Rc<Cell<u32>>| {
            begun.set(begun.get() + 1);
            green::sleep(HOUR);
        };
        for _ in 0..MANY {
            sleeper.spawn_local(sleep, begun.clone())?;
        }
        while begun.get() < MANY {
            green::yield_now();
        }
        tell_account(before)
    })?
}

/// The same for tokio.
pub(crate) fn tokio_sleepers() -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let before = account()?;
        let mut tasks = Vec::new();
        for _ in 0..MANY {
            tasks.push(tokio::spawn(tokio::time::sleep(HOUR)));
        }
        // Each has been polled when the last that was started has.
        tokio::spawn(async {}).await?;
        drop(tasks);
        tell_account(before)
    })
}

/// Of this process: the resident bytes, those of the page tables, and the mappings.
fn account() -> Result<[u64; 3], Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let bytes = |key: &str| -> Result<u64, Failure> {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or("a line of it")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib << 10)
    };
    let mappings = fs::read_to_string("/proc/self/maps")?.lines().count();
    Ok([bytes("VmRSS:")?, bytes("VmPTE:")?, mappings as u64])
}

fn tell_account(before: [u64; 3]) -> Result<(), Failure> {
    let [resident, tables, mappings] = account()?;
    println!("{} {} {mappings}", resident - before[0], tables - before[1]);
    std::io::stdout().flush()?;
    // Not by returning: to unwind them all would take longer than to start them.
    std::process::exit(0)
}
