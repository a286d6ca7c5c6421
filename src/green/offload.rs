//! Calls that must block their thread, made on threads that are there for this.
//!
//! A thread is started when there is more to do than idle threads, up to the limit; one that has been idle for
//! [`IDLE`] ends. What waits for a thread does so in order.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::Duration;

use super::hub;
use crate::error::{Error, ErrorKind, Outcome, Result, Scale};
use crate::system::{count_forks, forks};
use crate::task::{Call, catch, name_of, next_id};
use crate::vocab::Handle;
use crate::vocab::outcome::Cell;
use crate::vocab::wait::Backend;

/// How many threads there are at most, unless another limit is set.
const THREADS: usize = 64;

/// How long a thread waits for the next call.
const IDLE: Duration = Duration::from_secs(10);

/// A call to be made; or to be told why no thread comes to make it.
type Job = Box<dyn FnOnce(Result<()>) + Send>;

/// The threads of this process. Those of the parent's are not in a fork, which has the next one in its list.
struct Pool {
    state: Mutex<State>,
    arrived: Condvar,
    next: OnceLock<Box<Pool>>,
}

struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

static POOL: Pool = Pool::new();
static LIMIT: AtomicUsize = AtomicUsize::new(THREADS);

/// Calls `f` with `args` on a thread where it may block, and waits for its value: the coroutine is suspended meanwhile. In a thread, outside
/// of any coroutine, it is called in place.
///
/// For calls into C libraries, files on slow disks, and whatever else would hold up all coroutines of this thread. There are at most
/// 64 such threads ([`set_offload_limit`]); calls beyond that wait their turn. A thread that has nothing to do for ten seconds ends.
///
/// If the coroutine is cancelled, or its time is over, it waits no longer; the call goes on to its end, and its value is dropped there.
///
/// # Errors
///
/// [`Panicked`](ErrorKind::Panicked) if `f` does; [`NotStarted`](ErrorKind::NotStarted) if the system gives no thread at all.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// let length = green::run(|| green::offload(|path: &str| std::fs::read(path).map(|all| all.len()), "Cargo.toml"))???;
/// assert!(length > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn offload<F, A, M>(f: F, args: A) -> Result<F::Output>
where
    F: Call<A, M> + Send + 'static,
    F::Output: Send + 'static,
    A: Send + 'static,
{
    if hub::current_id().is_none() || thread::panicking() {
        return call(f, args);
    }
    let cell = Cell::new(next_id(), Arc::new(Unstoppable));
    let handle = Handle::new(cell.clone());
    // Wakers of the user's, and the drop of a call that is not made or of a value that nobody waits for, may panic.
    let job = |started: Result<()>| {
        catch::shield(move || {
            cell.complete(started.and_then(|()| call(f, args)));
            drop(cell);
        });
    };
    Pool::of_this_process().submit(Box::new(job));
    handle.join()
}

/// How many threads [`offload`] uses at most, from now on: at least one. Those that are too many end when they are idle.
///
/// # Examples
///
/// ```
/// fourfold::green::set_offload_limit(8);
/// ```
pub fn set_offload_limit(threads: usize) {
    LIMIT.store(threads.max(1), Ordering::Relaxed);
}

fn call<F: Call<A, M>, A, M>(f: F, args: A) -> Outcome<F::Output> {
    catch::catch(|| f.call(args))
        .map_err(|panic| Error::panicked(panic).with_task(name_of::<F>()).with_scale(Scale::Thread))
}

/// Nothing ends a call that blocks its thread.
struct Unstoppable;

impl Backend for Unstoppable {
    fn cancel(&self, _task: u64, _even_running: bool) -> bool {
        false
    }

    fn is_running(&self, _task: u64) -> bool {
        true
    }
}

impl Pool {
    const fn new() -> Pool {
        let state = State { jobs: VecDeque::new(), threads: 0, idle: 0 };
        Pool { state: Mutex::new(state), arrived: Condvar::new(), next: OnceLock::new() }
    }

    fn of_this_process() -> &'static Pool {
        count_forks();
        let mut pool = &POOL;
        for _ in 0..forks() {
            pool = pool.next.get_or_init(|| Box::new(Pool::new()));
        }
        pool
    }

    fn submit(&'static self, job: Job) {
        let start = || thread::Builder::new().name("offload".into()).spawn(|| self.serve());
        self.submit_with(job, || start().map(drop));
    }

    fn submit_with(&self, job: Job, start: impl FnOnce() -> io::Result<()>) {
        let mut state = self.lock();
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() || state.threads >= LIMIT.load(Ordering::Relaxed) {
            drop(state);
            self.arrived.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let Err(error) = start() else { return };
        let mut state = self.lock();
        state.threads -= 1;
        if state.threads > 0 {
            // One of them comes to it; or, if none of them starts, the last one to fail tells all who wait.
            drop(state);
            self.arrived.notify_one();
            return;
        }
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        for job in jobs {
            let source = io::Error::new(error.kind(), error.to_string());
            job(Err(Error::new(ErrorKind::NotStarted)
                .with_scale(Scale::Thread)
                .with_message("the system gave no thread for a call that blocks")
                .with_source(source)));
        }
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job(Ok(()));
                state = self.lock();
                continue;
            }
            if state.threads > LIMIT.load(Ordering::Relaxed) {
                break;
            }
            state.idle += 1;
            let woken = self.arrived.wait_timeout(state, IDLE);
            let (again, timeout) = woken.unwrap_or_else(|poisoned| poisoned.into_inner());
            state = again;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// A job that tells what it was told.
    fn job(told: &Sender<Result<()>>) -> Job {
        let told = told.clone();
        Box::new(move |started| told.send(started).unwrap())
    }

    fn no_thread() -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::WouldBlock))
    }

    fn all_are_told(told: &Receiver<Result<()>>, count: usize) {
        for _ in 0..count {
            let started =
                told.recv_timeout(LIMIT).expect("a call waits for a thread that never comes");
            assert_eq!(started.unwrap_err().kind(), ErrorKind::NotStarted);
        }
        assert!(told.try_recv().is_err(), "told twice");
    }

    #[test]
    fn who_counted_on_a_thread_that_does_not_start_is_told() {
        let (pool, (tell, told)) = (Pool::new(), channel());
        // The second comes while the first is on its way, and both fail, the first one first.
        thread::scope(|scope| {
            let (begun, first_may_fail) = channel::<()>();
            let (failed, second_may_fail) = channel();
            let (pool, first, second) = (&pool, job(&tell), job(&tell));
            let (may_begin, begins) = channel();
            scope.spawn(move || {
                pool.submit_with(first, || {
                    may_begin.send(()).unwrap();
                    first_may_fail.recv_timeout(LIMIT).unwrap();
                    no_thread()
                });
                failed.send(()).unwrap();
            });
            begins.recv_timeout(LIMIT).unwrap();
            pool.submit_with(second, || {
                begun.send(()).unwrap();
                second_may_fail.recv_timeout(LIMIT).unwrap();
                no_thread()
            });
        });
        all_are_told(&told, 2);
        let state = pool.lock();
        assert_eq!((state.jobs.len(), state.threads), (0, 0));
    }

    #[test]
    fn who_came_while_the_only_thread_was_to_start_is_told() {
        let (pool, (tell, told)) = (Pool::new(), channel());
        pool.submit_with(job(&tell), || {
            // As many as the limit: each counts on the one.
            pool.lock().threads = THREADS;
            pool.submit_with(job(&tell), || unreachable!("there are as many as may be"));
            pool.submit_with(job(&tell), || unreachable!("there are as many as may be"));
            pool.lock().threads = 1;
            no_thread()
        });
        all_are_told(&told, 3);
    }
}
