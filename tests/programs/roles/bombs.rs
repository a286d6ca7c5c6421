//! Programs that would start processes without end, if they were let.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fourfold::process::{self, Builder, Executor};
use fourfold::{Error, ErrorKind};

use super::kills::join;
use super::support::{Log, METHODS, note};

fn kind<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

/// Each level starts the next one, and tells how deep it went.
fn level(log: PathBuf, method: usize) -> u32 {
    fourfold::init();
    note(&log, &process::current().depth().to_string());
    let next = Builder::new().start_method(METHODS[method]).spawn(level, (log, method));
    match next {
        Ok(child) => join("a level", child.into_handle()).unwrap(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotStarted, "{error}");
            process::current().depth()
        }
    }
}

/// As `level`, by pools.
fn pool_level(log: PathBuf, method: usize) -> u32 {
    note(&log, &process::current().depth().to_string());
    match Executor::builder().workers(1).start_method(METHODS[method]).build() {
        Ok(pool) => join("a level", pool.submit(pool_level, (log, method))).unwrap(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotStarted, "{error}");
            process::current().depth()
        }
    }
}

/// Processes that start processes come to an end.
pub(crate) fn bomb(_: &[String]) -> ExitCode {
    for method in 0..METHODS.len() {
        for by_pool in [false, true] {
            let log = Log::new();
            let deepest = match by_pool {
                false => level(log.path(), method),
                true => pool_level(log.path(), method),
            };
            let lines = log.lines();
            assert!(deepest >= 4, "{deepest} levels");
            assert_eq!(lines.len() as u32, deepest + 1, "one process a level");
        }
    }
    // A daemon starts none, in no way.
    for method in METHODS {
        let daemon = Builder::new().daemon(true).start_method(method);
        let tries = || {
            let child = process::spawn(|| (), ()).map(drop);
            let forked = Builder::new().start_method(METHODS[1]).spawn(|| (), ()).map(drop);
            let pool = Executor::builder().workers(1).build().map(drop);
            [kind(child), kind(forked), kind(pool)] == [Some(ErrorKind::NotStarted); 3]
        };
        assert!(join("a daemon", daemon.spawn(tries, ()).unwrap().into_handle()).unwrap());
    }
    ExitCode::SUCCESS
}

/// `init` once more, later, and in a child.
pub(crate) fn twice(_: &[String]) -> ExitCode {
    fourfold::init();
    fourfold::init();
    let again = || {
        fourfold::init();
        fourfold::init();
        let child = process::spawn(
            || {
                fourfold::init();
                process::current().depth()
            },
            (),
        );
        child.and_then(process::Child::join).unwrap()
    };
    for method in METHODS {
        let child = Builder::new().start_method(method).spawn(again, ()).unwrap();
        assert_eq!(join("init in a child", child.into_handle()).unwrap(), 2);
    }
    ExitCode::SUCCESS
}

fn never_starts(log: PathBuf, how: u32) {
    note(&log, "start");
    match how {
        0 => panic!("no start today"),
        1 => std::process::exit(9),
        2 => std::process::abort(),
        _ => super::support::die(libc::SIGTERM),
    }
}

/// A start that keeps failing is an error, and soon.
pub(crate) fn failing_starts(_: &[String]) -> ExitCode {
    for method in METHODS {
        for how in 0..4 {
            let (log, began) = (Log::new(), Instant::now());
            let builder = Executor::builder().workers(2).start_method(method);
            let pool = builder.on_start(never_starts, (log.path(), how)).build().unwrap();
            let handles: Vec<_> = (0..10).map(|n: u32| pool.submit(|n: u32| n, n)).collect();
            for handle in handles {
                let error = join("a start that fails", handle).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotStarted, "{error}");
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
            let starts = log.lines().len();
            assert!((5..15).contains(&starts), "{starts} starts");
            pool.shutdown();
        }
        // A folder that is there when the pool is made, and then is gone.
        let folder = std::env::temp_dir().join(format!("gone-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let builder = Executor::builder().workers(1).start_method(method);
        let pool = builder.current_dir(&folder).build().unwrap();
        assert!(join("while it is there", pool.submit(|| (), ())).is_ok());
        std::fs::remove_dir(&folder).unwrap();
        let lost =
            join("it dies", pool.submit(|| -> u8 { std::process::abort() }, ())).unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::Signaled(libc::SIGABRT), "{lost}");
        let error = join("without a folder", pool.submit(|| (), ())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotStarted, "{error}");
        pool.shutdown();
    }
    ExitCode::SUCCESS
}
