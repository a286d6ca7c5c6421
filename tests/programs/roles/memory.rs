//! Processes that take memory, and how far over a limit they come before they are ended.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use fourfold::ErrorKind;
use fourfold::process::{Builder, Command, End};

use super::kills::join;

const MIB: u64 = 1 << 20;

/// As fast as it can, for ever, or as much as it is told and then waits.
pub(crate) fn eat(args: &[String]) -> ExitCode {
    let most: u64 = args.first().map_or(u64::MAX, |text| text.parse().unwrap());
    let mut eaten = Vec::new();
    while (eaten.len() as u64) < most {
        eaten.push(vec![1u8; MIB as usize]);
    }
    std::thread::sleep(Duration::from_secs(3600));
    drop(eaten);
    ExitCode::FAILURE
}

/// With all processors, and no page touched one by one.
pub(crate) fn eat_hard(_: &[String]) -> ExitCode {
    let bite = || loop {
        // SAFETY: a fresh mapping, which is kept for ever.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), 16 * MIB as usize, protection, flags, -1, 0);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(bite);
        }
    });
    ExitCode::FAILURE
}

/// Four processes, none of which has too much.
pub(crate) fn eat_tree(args: &[String]) -> ExitCode {
    let each = args.first().map_or("100", String::as_str);
    let program = std::env::current_exe().unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| std::process::Command::new(&program).args(["eat", each]).spawn().unwrap())
        .collect();
    std::thread::sleep(Duration::from_secs(3600));
    drop(children);
    ExitCode::FAILURE
}

/// Pages that four processes have in common, and a second in which each is looked at.
pub(crate) fn share(args: &[String]) -> ExitCode {
    let size = args.first().map_or(200, |text| text.parse::<usize>().unwrap()) << 20;
    // SAFETY: a fresh mapping; forks of this process, which has one thread, read it and end.
    unsafe {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let start = libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        let mut pids = [0; 3];
        for pid in &mut pids {
            *pid = libc::fork();
            if *pid == 0 {
                let bytes = std::slice::from_raw_parts(start.cast::<u8>(), size);
                let sum: u64 = bytes.iter().step_by(4096).map(|byte| u64::from(*byte)).sum();
                libc::usleep(1_000_000);
                libc::_exit(sum as i32);
            }
        }
        for pid in pids {
            let mut status = -1;
            assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
            assert_eq!(status, 0);
        }
        libc::munmap(start, size);
    }
    ExitCode::SUCCESS
}

fn eat_here(_: u8) {
    eat(&[]);
}

/// The overshoot, printed; and that trees are summed and shared pages counted once.
pub(crate) fn measure(args: &[String]) -> ExitCode {
    let rounds: usize = args.first().map_or(5, |text| text.parse().unwrap());
    let program = std::env::current_exe().unwrap();
    let limit = 256 * MIB;
    for role in ["eat", "eat-hard"] {
        let mut over: Vec<u64> = (0..rounds)
            .map(|_| {
                let done = Command::new(&program).arg(role).memory_limit(limit).run().unwrap();
                assert!(matches!(done.end, End::OutOfMemory { .. }), "{}", done.end);
                // Where the kernel keeps the limit, there is no overshoot.
                assert!(done.peak_memory > limit / 2);
                done.peak_memory.saturating_sub(limit) / MIB
            })
            .collect();
        over.sort_unstable();
        println!(
            "{role}: overshoot of {} MiB in {rounds} runs: {} MiB at least, {} in the middle, {} at most",
            limit / MIB,
            over[0],
            over[rounds / 2],
            over[rounds - 1]
        );
        // Two samples at 10 GB/s, the most that a kernel hands out, are 250 MB. A loaded machine takes longer.
        assert!(over[rounds / 2] < 4096, "{over:?}");
    }
    let mut seen = Vec::new();
    for _ in 0..rounds {
        let child = Builder::new().memory_limit(limit).spawn(eat_here, 0).unwrap();
        let error = join("a child that eats", child.into_handle()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
        seen.push(error.to_string());
    }
    println!("a child of spawn: {}", seen[0]);
    // Four times 100 MiB: over 300 together, and none alone.
    let began = Instant::now();
    let mut tree = Command::new(&program);
    let done = tree.args(["eat-tree", "100"]).memory_limit(300 * MIB).run().unwrap();
    assert!(matches!(done.end, End::OutOfMemory { .. }), "{}", done.end);
    println!("a tree of four: {} after {:?}", done.end, began.elapsed());
    // Under 500 together: let be, until its time is over.
    let mut tree = Command::new(&program);
    tree.args(["eat-tree", "100"]).memory_limit(500 * MIB).timeout(Duration::from_secs(3));
    let done = tree.run().unwrap();
    assert_eq!(done.end, End::TimedOut);
    println!("a tree of four under its limit had {} MiB", done.peak_memory / MIB);
    // 200 MiB, in common to four: 800 MiB to who counts them four times.
    let done = Command::new(&program).args(["share", "200"]).memory_limit(450 * MIB).run().unwrap();
    assert_eq!(done.end, End::Exited(0));
    println!("200 MiB in common to four processes counted as {} MiB", done.peak_memory / MIB);
    ExitCode::SUCCESS
}
