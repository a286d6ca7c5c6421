//! What ends a whole program, or is told on its standard error: each in a process of its own.
//!
//! This executable is run again with the name of one test and a variable that has it play the program.

use std::io::{Read, Write};
use std::process::{Command, Output};
use std::time::Duration;

use fourfold::{ErrorKind, green};

use super::support::{LIMIT, within};

const PLAY: &str = "FOURFOLD_TEST_PLAY";

/// Runs the test of this name again, as a program, or says that this is that run. What it leaves out is told.
fn program(name: &str, variables: &[(&str, &str)]) -> Option<Output> {
    if std::env::var_os(PLAY).is_some() {
        return None;
    }
    let run = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("programs::{name}"), "--exact", "--nocapture", "--test-threads=1"]);
        command.env(PLAY, name).envs(variables.iter().copied()).env("RUST_BACKTRACE", "0");
        command.output().unwrap()
    };
    let output = within(LIMIT, run);
    // The harness writes the name of the test before what it prints first.
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(start) = line.find("left out: ") {
            tell(name, &line[start..]);
        }
    }
    Some(output)
}

/// Past the harness, which keeps what a test prints to itself where the test passes.
fn tell(name: &str, line: &str) {
    let _ = writeln!(std::io::stderr(), "{name}: {line}");
}

fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn an_overflow_names_the_coroutine() {
    let Some(output) = program("an_overflow_names_the_coroutine", &[]) else {
        let child = green::Builder::new().name("digger").spawn(overflow, 0).unwrap();
        unreachable!("{:?}", child.join());
    };
    let text = text(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("coroutine 'digger' has overflowed its stack"), "{text}");
}

#[test]
fn stacks_run_out_with_a_clear_error_where_guards_take_mappings() {
    let name = "stacks_run_out_with_a_clear_error_where_guards_take_mappings";
    let Some(output) = program(name, &[("FOURFOLD_STACK_GUARD", "mprotect")]) else {
        let most: usize =
            std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
        if most > 200_000 {
            println!("left out: a process may have {most} mappings here");
            return;
        }
        let (count, error) = green::run(|| {
            let nap = || green::sleep(Duration::from_secs(3600));
            let daemon = green::Builder::new().daemon(true);
            let mut count = 0;
            loop {
                match daemon.spawn_local(nap, ()) {
                    Ok(_) => count += 1,
                    Err(error) => return (count, error),
                }
            }
        })
        .unwrap();
        assert!(count > most / 2 - 1000 && count < most, "{count}");
        assert_eq!(error.kind(), ErrorKind::NotStarted);
        assert!(error.to_string().contains("vm.max_map_count"), "{error}");
        // Those that were refused have cost nothing: one more goes now that the others are gone.
        assert_eq!(green::run(|| green::spawn(|| 1, ()).unwrap().join().unwrap()).unwrap(), 1);
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
}

/// How many bytes of memory this process has.
fn resident() -> usize {
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = sizes.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

#[test]
fn many_sleepers_take_few_mappings_and_a_page_each() {
    let name = "many_sleepers_take_few_mappings_and_a_page_each";
    let Some(output) = program(name, &[]) else {
        let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
        // As many as there is memory for, if the kernel installs guards without mappings.
        let count = if cfg!(debug_assertions) { 50_000 } else { 200_000 };
        let before = (mappings(), resident());
        let (more, bytes) = green::run(|| {
            let daemon = green::Builder::new().daemon(true);
            for _ in 0..count {
                drop(daemon.spawn_local(|| green::sleep(Duration::from_secs(3600)), ()).unwrap());
            }
            green::yield_now();
            (mappings() - before.0, (resident() - before.1) / count)
        })
        .unwrap();
        println!("{count} sleepers, {more} mappings more, {bytes} bytes each");
        assert!(more <= 64, "{more} mappings");
        // Of its stack, and what is kept of each. Frames are larger where nothing is optimised.
        let pages = if cfg!(debug_assertions) { 2 } else { 1 };
        assert!(bytes < pages * rustix::param::page_size() + 1024, "{bytes} bytes each");
        return;
    };
    let text = text(&output);
    // A kernel before 6.13 needs two mappings for each.
    if text.contains("vm.max_map_count") {
        tell(name, "left out: this kernel installs no guards");
        return;
    }
    assert!(output.status.success(), "{text}");
}

#[allow(unconditional_recursion)]
fn overflow(n: u64) -> u64 {
    std::hint::black_box(overflow(std::hint::black_box(n + 1)) + 1)
}

/// In the worker process of the test below.
fn overflow_somewhere(place: u8) -> u64 {
    match place {
        0 => green::spawn(overflow, 0).unwrap().join().unwrap(),
        1 => green::run(|| green::spawn(overflow, 0).unwrap().join().unwrap()).unwrap(),
        2 => green::run(|| overflow(0)).unwrap(),
        _ => {
            let mut coroutine = green::Coroutine::<(), (), u64>::new(|_, ()| overflow(0)).unwrap();
            coroutine.resume(()).finished().unwrap()
        }
    }
}

#[test]
fn an_overflow_in_a_worker_process_is_told_as_one() {
    for place in 0..4u8 {
        within(LIMIT, || {
            let child = fourfold::process::spawn(overflow_somewhere, place).unwrap();
            let error = child.join().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StackOverflow, "{place}: {error}");
        });
    }
}

#[test]
fn an_executor_that_gets_no_second_hub_makes_do_with_the_first() {
    let name = "an_executor_that_gets_no_second_hub_makes_do_with_the_first";
    let Some(output) = program(name, &[]) else {
        let pool = green::Executor::builder().workers(1).hubs(2).build().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let first = pool.submit(move || receiver.recv().is_err(), ());
        // Those that wait while the first runs; no descriptor is left for another hub.
        let rest: Vec<_> = (0..20_000u32).map(|n| pool.submit(|n: u32| n, n)).collect();
        let mut open = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            open.push(file);
        }
        drop(sender);
        assert!(first.join().unwrap());
        for (n, one) in rest.into_iter().enumerate() {
            assert_eq!(one.join().unwrap(), n as u32);
        }
        drop(open);
        pool.shutdown();
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn without_descriptors_there_is_no_hub_and_a_clear_error() {
    let Some(output) = program("without_descriptors_there_is_no_hub_and_a_clear_error", &[]) else {
        let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        // Those that are open stay; there are no more.
        let none = rustix::process::Rlimit { current: Some(3), ..limits };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, none).unwrap();
        let errors = [green::run(|| ()).unwrap_err(), green::spawn(|| (), ()).unwrap_err()];
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limits).unwrap();
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::NotStarted);
            assert!(error.to_string().contains("no hub for coroutines"), "{error}");
        }
        // It works again, as often as before.
        for _ in 0..3 {
            assert_eq!(green::run(|| green::spawn(|| 1, ()).unwrap().join().unwrap()).unwrap(), 1);
        }
        assert_eq!(green::spawn(|| 2, ()).unwrap().join().unwrap(), 2);
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn in_locked_memory_stacks_have_guards_too_and_after_it_as_before() {
    use rustix::mm::{MlockAllFlags, mlockall, munlockall};
    /// Twenty at once, more than the first mapping has. How many guards there were that cut their mapping.
    fn run_with_stacks_of(bytes: usize) -> usize {
        let wait = |event: &std::sync::Arc<green::Event>| {
            let on = event.clone();
            green::Builder::new().stack_size(bytes).spawn(move || on.wait(), ()).unwrap()
        };
        green::run(|| {
            let event = std::sync::Arc::new(green::Event::new());
            let all: Vec<_> = (0..20).map(|_| wait(&event)).collect();
            green::yield_now();
            let guards = guards();
            event.set();
            all.into_iter().for_each(|one| one.join().unwrap());
            guards
        })
        .unwrap()
    }
    fn guards() -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.contains("---p")).count()
    }
    let name = "in_locked_memory_stacks_have_guards_too_and_after_it_as_before";
    let Some(output) = program(name, &[]) else {
        // The first guard is made by what the kernel has, and so may be those after the memory is locked no more.
        run_with_stacks_of(20 << 10);
        let limits = rustix::process::getrlimit(rustix::process::Resource::Memlock);
        let all = rustix::process::Rlimit { current: limits.maximum, ..limits };
        rustix::process::setrlimit(rustix::process::Resource::Memlock, all).unwrap();
        mlockall(MlockAllFlags::FUTURE).expect("some memory may be locked (ulimit -l)");
        let before = guards();
        assert!(run_with_stacks_of(28 << 10) >= before + 20, "stacks in locked memory have guards");
        munlockall().unwrap();
        run_with_stacks_of(36 << 10);
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_panic_names_the_coroutine() {
    let Some(output) = program("a_panic_names_the_coroutine", &[]) else {
        let fails = green::Builder::new().name("fails").spawn(|| -> () { panic!("oh no") }, ());
        assert!(fails.unwrap().join().is_err());
        return;
    };
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("coroutine 'fails' panics"), "{text}");
}

#[test]
fn a_fork_that_goes_on_in_a_coroutine_takes_no_wake_up_from_the_parent() {
    use fourfold::process::{self, Forked};
    let name = "a_fork_that_goes_on_in_a_coroutine_takes_no_wake_up_from_the_parent";
    let Some(output) = program(name, &[]) else {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let late = green::run(move || {
            // SAFETY: the child sleeps, and is killed.
            let child = match unsafe { process::fork() }.unwrap() {
                Forked::Child => {
                    // Again and again, so that it is the last to have gone to sleep.
                    for round in 0..30_000 {
                        green::sleep(Duration::from_millis(1));
                        if round == 0 {
                            writer.write_all(&[1]).unwrap();
                        }
                    }
                    std::process::exit(0);
                }
                Forked::Parent(child) => child,
            };
            drop(writer);
            reader.read_exact(&mut [0]).expect("the fork has slept in its hub");
            let event = std::sync::Arc::new(green::Event::new());
            let mut late = 0;
            for _ in 0..50 {
                event.clear();
                let setter = event.clone();
                let thread = std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(5));
                    setter.set();
                });
                let began = std::time::Instant::now();
                event.wait();
                // A hub whose bell is not heard looks after a second.
                late += u32::from(began.elapsed() > Duration::from_millis(900));
                thread.join().unwrap();
            }
            child.kill();
            late
        })
        .unwrap();
        // On a busy machine one or another may be late for other reasons.
        assert!(late < 10, "{late} of 50 were late");
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
}
