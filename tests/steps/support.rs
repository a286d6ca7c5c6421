//! Forks that are victims, forks that help, and rounds of them.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use fourfold::process::steps;

/// Nothing takes as long, but for who waits for ever.
pub(crate) const HANG: Duration = Duration::from_secs(20);
/// More steps than any operation has.
pub(crate) const MANY: i64 = 1 << 40;

/// What victims tell, in memory of their own.
#[derive(Default)]
pub(crate) struct Board {
    /// How far the victim has come.
    pub(crate) stage: AtomicU64,
    /// Something that it got.
    pub(crate) got: AtomicU64,
    pub(crate) left: AtomicI64,
}

fn board() -> &'static Board {
    // SAFETY: a fresh mapping of zeros, which is never unmapped, for what is atomics.
    unsafe {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        let page = libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast::<Board>()
    }
}

/// A fork. Dropped, it is killed and waited for.
pub(crate) struct Fork {
    pid: libc::pid_t,
    what: &'static str,
}

/// Has a fork do something; it exits with 0 if it gives true.
pub(crate) fn fork(what: &'static str, child: impl FnOnce() -> bool) -> Fork {
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        -1 => panic!("{what}: no fork: {}", std::io::Error::last_os_error()),
        0 => {
            // SAFETY: a call on numbers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: ends at once, with no destructors, as a death does.
            unsafe { libc::_exit(if matches!(done, Ok(true)) { 0 } else { 1 }) }
        }
        pid => Fork { pid, what },
    }
}

impl Fork {
    /// Its status, once it has ended.
    fn wait(mut self) -> i32 {
        let end = Instant::now() + HANG;
        loop {
            let mut status = 0;
            // SAFETY: a child of ours, which nobody has waited for.
            match unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) } {
                0 if Instant::now() < end => std::thread::sleep(Duration::from_micros(50)),
                0 => panic!("{} hangs", self.what),
                _ => {
                    self.pid = 0;
                    return status;
                }
            }
        }
    }

    pub(crate) fn succeed(self) {
        let what = self.what;
        assert_eq!(self.wait(), 0, "{what} failed");
    }

    /// Kills it.
    pub(crate) fn die(self) {
        self.signal(libc::SIGKILL);
        self.wait();
    }

    /// Waits until it is stopped, or has ended, which it is not waited for.
    fn until_stopped(&self) {
        let stopped_or_ended = libc::WSTOPPED | libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        until("it is stopped, or has ended", || {
            // SAFETY: a child of ours, which nobody has waited for, and a struct of numbers to write to.
            unsafe {
                let mut info: libc::siginfo_t = std::mem::zeroed();
                let id = self.pid as libc::id_t;
                libc::waitid(libc::P_PID, id, &mut info, stopped_or_ended) == 0
                    && info.si_pid() == self.pid
            }
        });
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: a child of ours, which nobody has waited for.
        unsafe { libc::kill(self.pid, signal) };
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        if self.pid != 0 {
            self.signal(libc::SIGKILL);
            // SAFETY: as above.
            unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
        }
    }
}

/// One round.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    pub(crate) board: &'static Board,
    /// Before which step the victim dies.
    pub(crate) steps: i64,
    /// Another number, at random.
    pub(crate) random: u64,
    /// Steps of the whole operation, as it was measured.
    pub(crate) total: i64,
}

impl Round {
    /// A fork that dies before its step number `steps` of `op`, after `warm`.
    pub(crate) fn victim(self, warm: impl FnOnce(), op: impl FnOnce(&Board)) -> Fork {
        self.victim_at(self.steps, warm, op)
    }

    pub(crate) fn victim_at(
        self,
        steps: i64,
        warm: impl FnOnce(),
        op: impl FnOnce(&Board),
    ) -> Fork {
        fork("the victim", || {
            warm();
            steps::arm(steps);
            op(self.board);
            self.board.left.store(steps::left(), SeqCst);
            steps::arm(-1);
            true
        })
    }

    /// A fork that is stopped before its step number `steps` of `op`, after `warm`; or has come to the end.
    pub(crate) fn stopped(self, warm: impl FnOnce(), op: impl FnOnce(&Board)) -> Fork {
        let fork = fork("the one that is stopped", || {
            warm();
            steps::arm_stop(self.steps);
            op(self.board);
            self.board.left.store(steps::left(), SeqCst);
            steps::arm(-1);
            true
        });
        fork.until_stopped();
        fork
    }

    pub(crate) fn stage(self) -> u64 {
        self.board.stage.load(SeqCst)
    }

    pub(crate) fn got(self) -> u64 {
        self.board.got.load(SeqCst)
    }

    /// What happens a moment later, at one of several moments.
    pub(crate) fn moment(self) -> Duration {
        Duration::from_micros([0, 100, 400, 3000][(self.random % 4) as usize])
    }
}

/// The victim's end. Whether it finished; else it was killed.
pub(crate) fn finished(victim: Fork) -> bool {
    let status = victim.wait();
    match status {
        0 => true,
        _ if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL => false,
        _ => panic!("the victim ended with {status:#x}"),
    }
}

impl Board {
    pub(crate) fn is_at(&self, stage: u64) {
        self.stage.store(stage, SeqCst);
    }
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + HANG;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

/// An operation that a victim dies in, and what is checked then. It says whether the victim came to the end.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) round: Box<dyn Fn(Round) -> bool>,
}

/// Runs all of them, a few at a time, each in a process of its own.
pub(crate) fn run(cases: Vec<Case>) {
    let only: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let soak = std::env::var_os("FOURFOLD_SOAK").is_some();
    let rounds = if soak { 10_000 } else { 500 };
    let limit = Duration::from_secs(if soak { 3600 } else { 150 });
    let chosen = |case: &&Case| only.is_empty() || only.iter().any(|part| case.name.contains(part));
    let mut waiting: Vec<&Case> = cases.iter().filter(chosen).collect();
    waiting.reverse();
    let mut running: Vec<(Fork, &Case, Instant)> = Vec::new();
    let mut failed = Vec::new();
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < 4
            && let Some(case) = waiting.pop()
        {
            running.push((fork("a case", || repeat(case, rounds)), case, Instant::now()));
        }
        let mut at = 0;
        while at < running.len() {
            let (fork, case, began) = &mut running[at];
            let mut status = 0;
            // SAFETY: a child of ours, which nobody has waited for.
            let ended = unsafe { libc::waitpid(fork.pid, &mut status, libc::WNOHANG) } != 0;
            if !ended && began.elapsed() < limit {
                at += 1;
                continue;
            }
            let passed = ended && status == 0;
            let how = match (passed, ended) {
                (true, _) => "ok",
                (_, true) => "FAILED",
                _ => "FAILED: it takes too long",
            };
            println!("test {} ... {how} ({:.1} s)", case.name, began.elapsed().as_secs_f64());
            if !passed {
                failed.push(case.name.clone());
            }
            let (mut fork, ..) = running.swap_remove(at);
            if ended {
                fork.pid = 0;
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(failed.is_empty(), "{} failed: {}", failed.len(), failed.join(", "));
}

fn repeat(case: &Case, rounds: i64) -> bool {
    let board = board();
    let before = steps::usage();
    let mut total = MANY;
    let mut random = 0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id());
    for round in 0..=rounds {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // The first is not killed, and measures; the others die at each step in turn, or spread if there are too many.
        let steps = match round {
            0 => MANY,
            _ if total <= rounds => (round - 1) % (total + 1),
            _ if round % 2 == 0 => round / 2 * total / (rounds / 2),
            _ => (random >> 8) as i64 % (total + 1),
        };
        for number in [&board.stage, &board.got] {
            number.store(0, SeqCst);
        }
        let this = Round { board, steps, random: random >> 32, total };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let finished = (case.round)(this);
            assert!(round > 0 || finished, "one that is not killed does not finish");
            until("all is given back", || {
                steps::bury();
                steps::members() == 1 && steps::usage() == before
            });
            steps::audit().unwrap();
        }));
        if result.is_err() {
            eprintln!(
                "{}: step {steps} of {total}, stage {}: {:?} in use of {before:?}, audit: {:?}",
                case.name,
                this.stage(),
                steps::usage(),
                steps::audit(),
            );
            return false;
        }
        if round == 0 {
            total = MANY - board.left.load(SeqCst);
        }
    }
    true
}
