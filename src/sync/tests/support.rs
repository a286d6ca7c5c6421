//! What the tests of the words need: a limit to every wait, futures without a runtime, and chance.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test may take that should take no time.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test, and ends everything, loudly, if it has not returned in time.
pub(super) fn within<R>(test: impl FnOnce() -> R) -> R {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let (done, watch) = channel::<()>();
    let watchdog = thread::spawn(move || {
        if watch.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "\n{name} did not end within {LIMIT:?}");
            std::process::abort();
        }
    });
    let result = test();
    drop(done);
    watchdog.join().unwrap();
    result
}

/// Waits until `check` holds of what nobody tells of.
pub(super) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !check() {
        assert!(Instant::now() < end, "not so in {LIMIT:?}: {what}");
        thread::yield_now();
    }
}

/// Wakes a thread, and counts how often.
pub(super) struct Bell {
    thread: thread::Thread,
    rung: AtomicUsize,
}

impl Bell {
    pub(super) fn new() -> Arc<Bell> {
        Arc::new(Bell { thread: thread::current(), rung: AtomicUsize::new(0) })
    }

    pub(super) fn count(&self) -> usize {
        self.rung.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Polls a future until it is ready, or, before each poll but the first, `gives_up`: then drops it.
pub(super) fn run<T>(future: impl Future<Output = T>, gives_up: impl FnMut() -> bool) -> Option<T> {
    run_with(future, gives_up, thread::park)
}

/// The same, but it does not wait to be woken for long before it is asked whether to give up.
pub(super) fn run_briefly<T>(
    future: impl Future<Output = T>,
    gives_up: impl FnMut() -> bool,
) -> Option<T> {
    run_with(future, gives_up, || thread::park_timeout(Duration::from_micros(50)))
}

fn run_with<T>(
    future: impl Future<Output = T>,
    mut gives_up: impl FnMut() -> bool,
    park: impl Fn(),
) -> Option<T> {
    let mut future = pin!(future);
    let waker = Waker::from(Bell::new());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(value);
        }
        park();
        if gives_up() {
            return None;
        }
    }
}

/// Numbers by chance, other ones in each run. What failed is seen by what it says, not by its numbers: threads interleave.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new() -> Chance {
        static SEED: AtomicU64 = AtomicU64::new(1);
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos() as u64);
        Chance(now ^ SEED.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed) | 1)
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        // xorshift
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}
