//! Many rounds of everything, and nothing of it left.

use std::process::ExitCode;
use std::time::Duration;

use fourfold::ErrorKind;
use fourfold::process::{Builder, Command, End, Executor, Fd, Jobs, Resource, StartMethod, Stdio};

use super::counts::{all_mappings, settle, steady};
use super::kills::join;
use super::support::{METHODS, Rounds, WAYS, Way, die};

fn children(way: Way) {
    let builder = || way.builder();
    let value = builder().spawn(|n: u32| n, 1).unwrap();
    let big = builder().spawn(|n: usize| vec![3u8; n], 300 << 10).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let fd = builder().spawn(|w: Fd<std::io::PipeWriter>| w, Fd(writer)).unwrap();
    let killed = builder().spawn(die, libc::SIGKILL).unwrap();
    let timed = builder().timeout(Duration::from_millis(5));
    let timed = timed.spawn(std::thread::sleep, Duration::from_secs(60)).unwrap();
    let limited = builder().memory_limit(1 << 30).spawn(|| (), ()).unwrap();
    let cancelled = builder().spawn(std::thread::sleep, Duration::from_secs(60)).unwrap();
    assert!(cancelled.cancel());
    // Its end is nobody's concern.
    drop(builder().spawn(|| (), ()).unwrap());
    assert_eq!(join("value", value.into_handle()).unwrap(), 1);
    assert_eq!(join("big", big.into_handle()).unwrap().len(), 300 << 10);
    drop((join("descriptor", fd.into_handle()).unwrap(), reader));
    let kinds =
        [killed, timed, cancelled].map(|c| join("lost", c.into_handle()).unwrap_err().kind());
    let expected = [ErrorKind::Signaled(libc::SIGKILL), ErrorKind::TimedOut, ErrorKind::Cancelled];
    assert_eq!(kinds, expected);
    join("limited", limited.into_handle()).unwrap();
}

fn pools(method: StartMethod) {
    let builder = Executor::builder().workers(2).start_method(method).memory_limit(1 << 30);
    let pool = builder.task_timeout(Duration::from_secs(60)).tasks_per_worker(5).build().unwrap();
    let sum: u64 = pool.map(|n: u64| n, 0..20).map(Result::unwrap).sum();
    assert_eq!(sum, 190);
    let big = pool.submit(|text: String| text, "x".repeat(1 << 20));
    let killed = pool.submit(die, libc::SIGKILL);
    let running = pool.submit(std::thread::sleep, Duration::from_secs(60));
    let unread = pool.submit(|n: usize| vec![3u8; n], 1 << 20);
    assert_eq!(join("big", big).unwrap().len(), 1 << 20);
    assert!(join("killed", killed).is_err());
    assert!(running.cancel());
    drop(unread);
    pool.shutdown_now();
    let late = join("late", pool.submit(|| (), ())).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ShutDown, "{late}");
}

fn jobs() {
    let mut jobs = Jobs::new().unwrap();
    let scripts =
        ["exit 0", "exit 3", "kill -9 $$", "sleep 60", "sleep 60", "echo hello", "sleep 60"];
    for (key, script) in (0..).zip(scripts) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::Capture).stderr(Stdio::Capture);
        if key == 3 {
            command.timeout(Duration::from_millis(5));
        }
        jobs.start(key, &command).unwrap();
    }
    jobs.kill(4);
    assert!(jobs.start(9, &Command::new("no-such-program")).is_err());
    // The last one is killed as the set is dropped.
    while jobs.len() > 1 {
        let finished = jobs.wait(Some(Duration::from_secs(60))).unwrap().expect("one that ends");
        match finished.key {
            0 | 5 => assert_eq!(finished.end, End::Exited(0)),
            1 => assert_eq!(finished.end, End::Exited(3)),
            2 => assert_eq!(finished.end, End::Signaled { signal: 9, core_dumped: false }),
            3 => assert_eq!(finished.end, End::TimedOut),
            _ => assert_eq!(finished.end, End::Cancelled),
        }
        jobs.recycle(finished);
    }
}

/// Starts that fail, in each way that needs no special surroundings.
fn failures(method: StartMethod) {
    let builder = || Builder::new().start_method(method);
    assert!(
        builder().current_dir("/nowhere").spawn(|| (), ()).is_err() || method != StartMethod::Spawn
    );
    assert!(builder().name("a\0b").spawn(|| (), ()).is_err());
    if let Ok(child) = builder().limit(Resource::OpenFiles, 2).spawn(|| (), ()) {
        // A fork has all that it needs open already.
        let outcome = join("no descriptors", child.into_handle());
        assert!(outcome.is_err() || method == StartMethod::Forkserver);
    }
    assert!(Executor::builder().workers(2).current_dir("/nowhere").build().is_err());
    assert!(Executor::builder().workers(0).build().is_err());
    let pool = Executor::builder().workers(1).start_method(method).on_start(die, libc::SIGKILL);
    let pool = pool.build().unwrap();
    assert!(join("never starts", pool.submit(|| (), ())).is_err());
}

fn round() {
    WAYS.into_iter().for_each(children);
    METHODS.into_iter().for_each(pools);
    jobs();
}

/// What one round holds, all rounds hold.
pub(crate) fn leaks(args: &[String]) -> ExitCode {
    let with_failures = args.first().is_some_and(|arg| arg == "failures");
    let run = || {
        round();
        if with_failures {
            METHODS.into_iter().for_each(failures);
        }
    };
    // What is made once and kept: the supervisor, the zygote, the null device.
    run();
    run();
    let (before, mappings) = (steady(), all_mappings());
    let mut rounds = Rounds::of(if with_failures { 200 } else { 1000 });
    while rounds.next() {
        run();
    }
    settle("after all rounds", &before);
    let now = all_mappings();
    assert!(now <= mappings + 32, "{mappings} mappings before, {now} after {} rounds", rounds.done);
    println!("{} rounds, and {before:?}", rounds.done);
    ExitCode::SUCCESS
}
