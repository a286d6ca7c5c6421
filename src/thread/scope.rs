//! Threads that borrow from who starts them, and have ended when the scope has.
//!
//! On top of [`std::thread::scope`], which guarantees that: what is added is the name, the record, the typed outcome, and
//! that a panic which nobody was told of is an error of the scope. A child that panics notes it in the scope's [`Ends`] before
//! its outcome is there, and who takes the outcome strikes it out: what is left when all have ended was told to nobody.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use super::builder::Builder;
use super::registry::{self, Kind, Record};
use crate::error::{Error, ErrorKind, Outcome, Result, Scale, shield};
use crate::sync::park::{Wait, after, is_plain_thread};
use crate::task::catch::catch;
use crate::task::{Call, name_of};
use crate::vocab::outcome::{Core, Value};
use crate::vocab::wait::{Pending, for_a_task, park};

/// Calls `f` with a scope, in which threads can be started that borrow what lives outside of it. All of them have ended when
/// it returns.
///
/// The value is that of `f`. A child's panic is an error of its [`join`](ScopedChild::join). Where nobody joined it, it is
/// the scope's error, the first one if there are several, in place of the value of `f`: `std::thread::scope` panics there.
/// A panic of `f` itself goes on, once all children have ended.
///
/// A child can start others in the same scope: it takes the scope with it by `move`.
///
/// # Errors
///
/// [`Panicked`](ErrorKind::Panicked) if a child panicked and was not joined.
///
/// # Panics
///
/// If `f` does.
///
/// # Examples
///
/// ```
/// use fourfold::thread;
///
/// let words = ["one", "two", "three"];
/// let mut longest = 0;
/// let total = thread::scope(|scope| {
///     let total = scope.spawn(|| words.iter().map(|word| word.len()).sum::<usize>(), ())?;
///     scope.spawn(|| longest = words.iter().map(|word| word.len()).max().unwrap(), ())?;
///     total.join()
/// })??;
/// assert_eq!((total, longest), (11, 5));
/// # Ok::<(), fourfold::Error>(())
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> Outcome<T>
where
    F: for<'scope> FnOnce(Scope<'scope, 'env>) -> T,
{
    let wait = Wait { what: "thread::scope", place: Location::caller() };
    let open = Open::new();
    let value = std::thread::scope(|inner| {
        let scope = Scope { inner, id: open.id };
        if is_plain_thread() {
            return f(scope);
        }
        // A coroutine is suspended until no child has anything left to do: then std, which has the thread wait, finds that too.
        // Unwind safe: the panic goes on from here.
        let caught = catch_unwind(AssertUnwindSafe(|| f(scope)));
        park(&*open.ends, &wait, None);
        caught.unwrap_or_else(|panic| resume_unwind(panic))
    });
    let untold = open.ends.lock().untold.pop_first();
    match untold {
        None => Ok(value),
        Some((_, error)) => Err(error),
    }
}

/// Where threads can be started that borrow. Made by [`scope`].
///
/// A copy is the same scope.
#[derive(Clone, Copy)]
pub struct Scope<'scope, 'env: 'scope> {
    inner: &'scope std::thread::Scope<'scope, 'env>,
    id: u64,
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Starts a thread that calls `f` with `args`, as [`spawn`](super::spawn) does.
    ///
    /// # Errors
    ///
    /// [`NotStarted`](ErrorKind::NotStarted) if the system gives no thread.
    pub fn spawn<F, A, M>(self, f: F, args: A) -> Result<ScopedChild<'scope, F::Output>>
    where
        F: Call<A, M> + Send + 'scope,
        F::Output: Send + 'scope,
        A: Send + 'scope,
    {
        Builder::new().spawn_scoped(self, f, args)
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

impl Builder {
    /// Starts a thread in a [`scope`], which may borrow. The scope waits for it, also if it is a daemon.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Builder::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::thread::{self, Builder};
    ///
    /// let text = String::from("borrowed");
    /// let length = thread::scope(|scope| {
    ///     let builder = Builder::new().name("reader").stack_size(1 << 20);
    ///     builder.spawn_scoped(scope, |text: &str| text.len(), &*text)?.join()
    /// })??;
    /// assert_eq!(length, 8);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn spawn_scoped<'scope, F, A, M>(
        &self,
        scope: Scope<'scope, '_>,
        f: F,
        args: A,
    ) -> Result<ScopedChild<'scope, F::Output>>
    where
        F: Call<A, M> + Send + 'scope,
        F::Output: Send + 'scope,
        A: Send + 'scope,
    {
        let ends = Open::ends(scope.id);
        let running = Running::new(ends.clone());
        let core = Arc::new(Core::new(crate::task::next_id()));
        let (plan, task) = self.plan(name_of::<F>());
        let (theirs, noted) = (core.clone(), ends.clone());
        let body = move |record: &Arc<Record>| {
            let outcome = catch(move || f.call(args)).map_err(|panic| {
                let error =
                    |panic| Error::panicked(panic).with_task(&*task).with_scale(Scale::Thread);
                noted.lock().untold.insert(record.id, error(panic.clone()));
                error(panic)
            });
            // Before the outcome is known: who has joined the thread finds it ended.
            record.transition_to_ended();
            theirs.finish(Value::Plain(outcome));
            // The value is dropped here if nobody holds the child any more.
            shield(move || drop(theirs));
            drop(running);
        };
        let (record, thread) = registry::start_by(plan, |builder, presence| {
            builder.spawn_scoped(scope.inner, move || presence.run(body))
        })?;
        Ok(ScopedChild { core, record, ends, thread })
    }
}

/// A thread of a [`scope`].
///
/// Dropping it lets the thread go on: the scope waits for it.
///
/// # Examples
///
/// ```
/// use fourfold::{ErrorKind, thread};
///
/// let text = String::from("seven");
/// let told = thread::scope(|scope| {
///     let child = scope.spawn(|| text.parse::<u32>().unwrap(), ())?;
///     child.join()
/// })?;
/// assert_eq!(told.unwrap_err().kind(), ErrorKind::Panicked);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct ScopedChild<'scope, T> {
    core: Arc<Core<T>>,
    record: Arc<Record>,
    ends: Arc<Ends>,
    thread: ScopedJoinHandle<'scope, ()>,
}

impl<T: Send> ScopedChild<'_, T> {
    /// The number of the thread, unique in this process. It is not the kernel's number.
    pub fn id(&self) -> u64 {
        self.record.id
    }

    /// The name it has now: given by the [`Builder`] or since, or that of its function.
    pub fn name(&self) -> String {
        self.record.name()
    }

    /// Gives it another name, as [`Child::rename`](super::Child::rename).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the name has a zero byte in it.
    pub fn rename(&self, name: impl Into<String>) -> Result<()> {
        self.record.rename(name.into())
    }

    /// The thread that started it.
    pub fn parent_id(&self) -> u64 {
        self.record.parent.expect("a thread that was started here has a parent")
    }

    /// The process it is a part of: this one.
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// Whether its function has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.record.is_alive()
    }

    /// Whether the end of `main` does not wait for it. Its scope does.
    pub fn is_daemon(&self) -> bool {
        self.record.kind == Kind::Daemon
    }

    /// Whether there is an outcome.
    pub fn is_finished(&self) -> bool {
        self.core.is_finished()
    }

    /// Waits until the thread has ended, the destructors of its thread-locals included, and takes the outcome.
    ///
    /// # Errors
    ///
    /// [`Panicked`](ErrorKind::Panicked) if its function panicked; [`AlreadyTaken`](ErrorKind::AlreadyTaken) if an earlier
    /// call gave the outcome; [`Deadlock`](ErrorKind::Deadlock) if the thread joins itself.
    #[track_caller]
    pub fn join(self) -> Outcome<T> {
        if self.record.is_current() {
            return Err(Error::new(ErrorKind::Deadlock)
                .with_task(self.record.name())
                .with_scale(Scale::Thread)
                .with_message("a thread cannot join itself"));
        }
        let outcome =
            self.wait(&for_a_task(), None).expect("a wait without a deadline ends with an outcome");
        // It does not panic: it has caught what could.
        let _ = self.thread.join();
        outcome
    }

    /// Waits for the outcome, at most this long. `None` if there is none by then: the thread goes on.
    ///
    /// # Errors
    ///
    /// As [`join`](ScopedChild::join).
    #[track_caller]
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Outcome<T>> {
        self.wait(&for_a_task(), after(timeout))
    }

    /// Takes the outcome if there is one.
    ///
    /// # Errors
    ///
    /// As [`join`](ScopedChild::join).
    pub fn try_join(&mut self) -> Option<Outcome<T>> {
        self.take()
    }

    fn wait(&self, wait: &Wait, deadline: Option<Instant>) -> Option<Outcome<T>> {
        loop {
            if let Some(outcome) = self.take() {
                return Some(outcome);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return None;
            }
            park(&*self.core, wait, deadline);
        }
    }

    fn take(&self) -> Option<Outcome<T>> {
        let outcome = self.core.take()?;
        if outcome.is_err() {
            self.ends.lock().untold.remove(&self.record.id);
        }
        Some(outcome)
    }
}

impl<T: Send> fmt::Debug for ScopedChild<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedChild")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("alive", &self.is_alive())
            .finish()
    }
}

/// How a scope's children have ended, so far.
#[derive(Default)]
struct Ends {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The panics that nobody has been told of, by the numbers of the threads.
    untold: BTreeMap<u64, Error>,
    running: usize,
    wakers: Vec<Waker>,
}

impl Ends {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That no child of a scope runs, once its function has returned.
impl Pending for Ends {
    fn is_done(&self) -> bool {
        self.lock().running == 0
    }

    fn register(&self, waker: &Waker) {
        let mut state = self.lock();
        if state.running == 0 {
            drop(state);
            waker.wake_by_ref();
        } else if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
    }

    fn forget(&self, waker: &Waker) {
        self.lock().wakers.retain(|known| !known.will_wake(waker));
    }
}

/// A child of a scope, from before its thread starts until it has nothing left to do.
struct Running(Arc<Ends>);

impl Running {
    fn new(ends: Arc<Ends>) -> Running {
        ends.lock().running += 1;
        Running(ends)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running -= 1;
        if state.running == 0 {
            // Under the lock: they are a coroutine's, which no code of a user's stands behind.
            state.wakers.drain(..).for_each(Waker::wake);
        }
    }
}

/// A scope that is open. A [`Scope`] names it by its number: so it is no more than a copy of two words, which the children
/// take along.
struct Open {
    id: u64,
    ends: Arc<Ends>,
}

static OPEN: LazyLock<Mutex<HashMap<u64, Arc<Ends>>>> = LazyLock::new(Mutex::default);

impl Open {
    fn new() -> Open {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let ends: Arc<Ends> = Arc::default();
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).insert(id, ends.clone());
        Open { id, ends }
    }

    fn ends(id: u64) -> Arc<Ends> {
        let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&id).expect("who has a scope is in it").clone()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
