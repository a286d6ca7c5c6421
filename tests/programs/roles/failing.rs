//! Surroundings in which nothing can be started: no descriptors, no processes, no room.

use std::fs::File;
use std::process::ExitCode;

use fourfold::ErrorKind;
use fourfold::process::{Builder, Command, Executor, Jobs, Resource, Stdio};

use super::counts::{settle, steady};
use super::kills::join;
use super::support::{LIMIT, METHODS};

fn set_limit(resource: libc::__rlimit_resource_t, value: u64) {
    // SAFETY: reads a limit and writes it back, in place.
    unsafe {
        let mut limit = std::mem::zeroed::<libc::rlimit>();
        assert_eq!(libc::getrlimit(resource, &mut limit), 0);
        limit.rlim_cur = value;
        assert_eq!(libc::setrlimit(resource, &limit), 0);
    }
}

/// Every start there is. Each gives a value or an error; how many gave an error.
fn attempts() -> usize {
    let mut failed = 0;
    for method in METHODS {
        match Builder::new().start_method(method).spawn(|n: u8| n, 5) {
            Ok(child) => match join("a child", child.into_handle()) {
                Ok(value) => assert_eq!(value, 5),
                Err(_) => failed += 1,
            },
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::NotStarted | ErrorKind::Io), "{error}");
                failed += 1;
            }
        }
        match Executor::builder().workers(2).start_method(method).build() {
            Ok(pool) => {
                let handles: Vec<_> = (0..4).map(|n: u8| pool.submit(|n: u8| n, n)).collect();
                let big = pool.submit(|text: Vec<u8>| text.len(), vec![1; 1 << 20]);
                for handle in handles {
                    failed += usize::from(join("a task", handle).is_err());
                }
                failed += usize::from(join("a big task", big).is_err());
                pool.shutdown();
            }
            Err(_) => failed += 1,
        }
    }
    let job = Jobs::new().and_then(|mut jobs| {
        let mut command = Command::new("true");
        jobs.start(1, command.stdout(Stdio::Capture).stderr(Stdio::Capture))?;
        while !jobs.is_empty() {
            jobs.wait(None)?;
        }
        Ok(())
    });
    failed + usize::from(job.is_err())
}

/// With none left, one left, and so on, until there are enough.
pub(crate) fn no_descriptors(_: &[String]) -> ExitCode {
    assert_eq!(attempts(), 0);
    set_limit(libc::RLIMIT_NOFILE, 128);
    assert_eq!(attempts(), 0);
    let before = steady();
    let mut worst = 0;
    for left in 0..40 {
        let mut fill: Vec<File> = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            fill.push(file);
        }
        fill.truncate(fill.len() - left);
        let failed = attempts();
        drop(fill);
        if left == 0 {
            assert!(failed > 0, "nothing failed without descriptors");
        }
        worst = worst.max(failed);
        settle(&format!("with {left} descriptors left"), &before);
    }
    assert_eq!(attempts(), 0, "all is well again");
    println!("{worst} attempts failed at the most");
    ExitCode::SUCCESS
}

/// Run as a user whose processes are counted, who may have no more of them. The first argument says whether the
/// supervisor's thread is there before.
pub(crate) fn no_processes(args: &[String]) -> ExitCode {
    let warm = args.first().is_some_and(|arg| arg == "warm");
    if warm {
        assert_eq!(attempts(), 0);
    }
    set_limit(libc::RLIMIT_NPROC, 1);
    // What is made once and kept.
    assert!(attempts() > 0, "nothing failed without processes");
    let before = steady();
    for _ in 0..20 {
        assert!(attempts() > 0, "nothing failed without processes");
        let limited = Builder::new().memory_limit(1 << 30).spawn(|| (), ());
        assert!(limited.is_err());
    }
    settle("without processes", &before);
    if warm {
        no_thread_to_look();
    }
    set_limit(libc::RLIMIT_NPROC, 4096);
    assert_eq!(attempts(), 0, "all is well again");
    ExitCode::SUCCESS
}

/// Room for the process, but not for the thread that looks at its memory: the limit holds all the same.
fn no_thread_to_look() {
    let eat = || -> () {
        let mut eaten = Vec::new();
        loop {
            eaten.push(vec![1u8; 1 << 20]);
        }
    };
    let mut limited = 0;
    for room in 1..8 {
        set_limit(libc::RLIMIT_NPROC, room);
        if let Ok(child) = Builder::new().memory_limit(64 << 20).timeout(LIMIT / 3).spawn(eat, ()) {
            let error = join("one that eats", child.into_handle()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutOfMemory, "room for {room}: {error}");
            limited += 1;
        }
    }
    assert!(limited > 0, "there was no room at all");
}

/// Arguments and values that there is no room for.
pub(crate) fn no_room(_: &[String]) -> ExitCode {
    assert_eq!(attempts(), 0);
    let big = |n: usize| vec![1u8; n];
    // In the child: a file of its own may have 1 MiB, and so may what carries its value.
    for method in METHODS {
        let builder = Builder::new().start_method(method).limit(Resource::FileBytes, 1 << 20);
        let error = join("a big value", builder.spawn(big, 4 << 20).unwrap().into_handle());
        let kind = error.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::Signaled(libc::SIGXFSZ));
        // As a program that ignores the signal.
        let ignoring = |n: usize| {
            // SAFETY: sets a disposition.
            unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
            vec![1u8; n]
        };
        let builder = Builder::new().start_method(method).limit(Resource::FileBytes, 1 << 20);
        let error = join("a big value", builder.spawn(ignoring, 4 << 20).unwrap().into_handle());
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotSerializable);
    }
    // Here: the arguments.
    // SAFETY: sets a disposition.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    set_limit(libc::RLIMIT_FSIZE, 1 << 20);
    let before = steady();
    let pool = Executor::builder().workers(1).build().unwrap();
    for _ in 0..20 {
        assert!(Builder::new().spawn(|v: Vec<u8>| v.len(), vec![1; 4 << 20]).is_err());
        assert!(join("a task", pool.submit(|v: Vec<u8>| v.len(), vec![1; 4 << 20])).is_err());
        assert_eq!(join("a small one", pool.submit(|v: Vec<u8>| v.len(), vec![1; 9])).unwrap(), 9);
    }
    pool.shutdown();
    drop(pool);
    settle("without room", &before);
    // A value that comes and cannot be read: no address space for it.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    set_limit(libc::RLIMIT_FSIZE, libc::RLIM_INFINITY);
    let child = Builder::new().spawn(big, 64 << 20).unwrap();
    set_limit(libc::RLIMIT_AS, pages * 4096 + (32 << 20));
    let error = join("too big for us", child.into_handle()).unwrap_err();
    set_limit(libc::RLIMIT_AS, libc::RLIM_INFINITY);
    assert!(!error.is_worker_lost(), "{error}");
    settle("after a value too big", &before);
    ExitCode::SUCCESS
}

/// Working directories, programs and files that are not there.
pub(crate) fn bad_starts(_: &[String]) -> ExitCode {
    assert_eq!(attempts(), 0);
    let before = steady();
    for _ in 0..100 {
        for method in METHODS {
            // The forkserver's child tells of it by its end.
            let outcome = Builder::new()
                .start_method(method)
                .current_dir("/nowhere")
                .spawn(|| (), ())
                .and_then(|child| join("nowhere", child.into_handle()));
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotStarted);
        }
        let mut jobs = Jobs::new().unwrap();
        for program in ["no-such-program", "/dev/null", "/"] {
            let mut command = Command::new(program);
            let error = jobs.start(1, command.stdout(Stdio::Capture)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotStarted, "{error}");
        }
        let mut nowhere = Command::new("true");
        assert!(jobs.start(1, nowhere.current_dir("/nowhere")).is_err());
        assert!(jobs.is_empty());
    }
    settle("after bad starts", &before);
    ExitCode::SUCCESS
}
