//! The workers of an executor, and the tasks that wait for them.
//!
//! # States
//!
//! ```text
//! worker:  starting ──► busy ◄──► searching ──► idle ──► gone
//!                       ▲ ▼           ▲───────────┘
//!                     joining                             waits for a task of this same pool: its slot may be lent
//! ```
//!
//! The states of a task are told in `task.rs`, the protocol of waking in `slots.rs`, the joins in `joins.rs`.
//!
//! | what | who may touch it |
//! | --- | --- |
//! | `tasks`, all that were submitted, the oldest first | anyone, at any time; what is taken out of it is whoever's took it out |
//! | `wished`, those of them that a worker waits for | likewise; a worker looks here first |
//! | `slots`, how many hold a slot, and how many search | see there |
//! | `state`, all else | who holds its lock |
//! | a [`Sleeper`] | its `order` is given, once, by whoever takes it out of `idle`, under the lock |
//!
//! Under the lock: `threads` = those that hold a slot + `idle` + `lent` + those that have been told to leave, or are about to
//! by themselves. No code of a user runs under it: no task, no callback, no destructor of an argument or a value.
//!
//! # Slots
//!
//! There are `limit` slots. A worker holds one from when it is counted (before its thread starts) except while it is idle
//! or has lent it. It takes a task only if no more than `limit` hold one, itself counted. So no more than `limit` tasks run
//! at once, with one exception: a worker whose join has ended goes on at once, and there may for a while be one more for
//! each of these; the next workers to finish a task step down until it is even again. To make the joiner wait for a slot
//! would be strict, but could hang a program whose tasks also wait for each other by other means. A joiner holds its slot
//! again from the moment it is woken, so where its substitute has just finished the very task it waited for, the slot goes
//! straight back and there is none too many.
//!
//! # Sleep
//!
//! A worker gives its slot up, and is among `idle`, under one hold of the lock, after a last look at the queues: whoever then
//! wants to wake one finds it there, under the lock. The last to come is the first to be woken: those at the bottom of
//! `idle` sleep through `keep_alive` when they are not needed, and leave.
//!
//! # The end
//!
//! `slots` is closed once. A worker that finds nothing then leaves, and sends all that are idle away. A task that was pushed
//! while the pool was being closed is taken back by who submitted it, unless a worker has it: what remains in the queue is
//! cleared away by a worker, be it one that is started for that. `quiet` is notified, and `wakers` are woken, when no worker holds a
//! slot any more, and when the last one is gone. Who shuts the pool down, maybe a coroutine, leaves a waker under the lock, if what it
//! waits for has not come by then: see [`Turn`].

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::panic::Location;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crossbeam_queue::SegQueue;

use super::joins::Lease;
use super::registry::{self, Kind, Plan};
use super::slots::{After, Slots};
use super::spin::{glance, spin};
use super::task::{Fate, Work};
use crate::error::{Error, ErrorKind, shield};
use crate::sync::Event;
use crate::sync::park::{Wait, after, is_plain_thread};
use crate::task::catch::catch;
use crate::vocab::wait::{Pending, park};

pub(super) struct Settings {
    pub(super) limit: usize,
    pub(super) name: String,
    pub(super) stack_size: Option<usize>,
    pub(super) keep_alive: Duration,
    pub(super) on_start: Option<Arc<dyn Fn() + Send + Sync>>,
}

pub(super) struct Pool {
    pub(super) id: u64,
    pub(super) settings: Settings,
    /// The process that its threads are of: a fork takes along none of them.
    process: u32,
    me: Weak<Pool>,
    pub(super) slots: Slots,
    tasks: SegQueue<Arc<dyn Work>>,
    pub(super) wished: SegQueue<Arc<dyn Work>>,
    state: Mutex<State>,
    /// The end of `main` sleeps here until no task is left.
    quiet: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    threads: usize,
    /// Those of them that have not begun to search.
    starting: usize,
    idle: Vec<Arc<Sleeper>>,
    /// Joining workers whose slot is lent, until they are woken.
    pub(super) lent: usize,
    /// Joining workers that have no deadline, until they are woken.
    pub(super) stuck: usize,
    /// Joining workers whose slot could not be lent, until they are woken.
    pub(super) holding: VecDeque<Arc<Lease>>,
    /// How often a worker was woken or started for a task.
    activations: u64,
    started: u64,
    handles: Vec<JoinHandle<()>>,
    /// Of those who shut the pool down.
    wakers: Vec<Waker>,
}

/// A worker, as who wakes it knows it.
struct Sleeper {
    thread: Thread,
    order: AtomicU8,
}

/// A sleeper's orders: none yet; to work, holding a slot and counted as searching; to leave.
const SLEEP: u8 = 0;
const WORK: u8 = 1;
const LEAVE: u8 = 2;

impl Sleeper {
    fn transition_to(&self, order: u8) {
        // Release: the worker sees what was done before.
        self.order.store(order, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    /// The pool that this thread is a worker of.
    static WORKS_FOR: OnceCell<Arc<Pool>> = const { OnceCell::new() };
}

static POOLS: Mutex<Vec<Weak<Pool>>> = Mutex::new(Vec::new());

impl Pool {
    pub(super) fn new(settings: Settings) -> Arc<Pool> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let pool = Arc::new_cyclic(|me| Pool {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            slots: Slots::new(settings.limit),
            settings,
            process: std::process::id(),
            me: me.clone(),
            tasks: SegQueue::new(),
            wished: SegQueue::new(),
            state: Mutex::default(),
            quiet: Condvar::new(),
        });
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(&pool));
        pool
    }

    /// The pool of that number, if the calling thread is one of its workers.
    pub(super) fn of_this_worker(id: u64) -> Option<Arc<Pool>> {
        let pool = WORKS_FOR.try_with(|pool| pool.get().filter(|pool| pool.id == id).cloned());
        pool.ok().flatten()
    }

    /// Takes a task in, or drops it with an error at once.
    pub(super) fn submit(&self, task: Arc<dyn Work>) {
        let refuse = |task: &dyn Work| {
            let message = "the executor was shut down and takes nothing new";
            task.drop_as(Fate::Failed, &|| error(ErrorKind::ShutDown, message));
        };
        if self.slots.is_closed() {
            return refuse(&*task);
        }
        self.tasks.push(task.clone());
        match self.slots.after_push() {
            After::Nothing => {}
            // A worker that is just done with its task, which may be why this one comes, is faster than one that sleeps.
            After::Wake if self.slots.active() > 0 && glance(|| self.tasks.is_empty()) => {}
            After::Wake => self.staff(self.lock()),
            After::TakeBack => {
                refuse(&*task);
                // To clear away what is left of it: as long as that is there, those that are idle do not leave.
                self.staff(self.lock());
            }
        }
    }

    /// Drops all tasks that wait, as cancelled. How many there were.
    pub(super) fn cancel_waiting(&self) -> usize {
        // No more than there were when it began, so that it ends although others submit meanwhile.
        let tasks = (0..self.tasks.len()).map_while(|_| self.tasks.pop());
        let cancelled = |task: &Arc<dyn Work>| {
            task.drop_as(Fate::Cancelled, &|| Error::new(ErrorKind::Cancelled))
        };
        tasks.filter(cancelled).map(discard).count()
    }

    /// Takes nothing new from here on.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        self.slots.transition_to_closed();
        if self.is_empty() {
            state.transition_to_dismissed();
        }
    }

    /// Closes, and waits until all tasks and all workers have ended. A worker of the pool, which would wait for itself,
    /// does not wait; nor does a fork, which has none of them. A coroutine is suspended.
    #[track_caller]
    pub(super) fn shutdown(&self) {
        if self.process != std::process::id() {
            return;
        }
        self.close();
        if Pool::of_this_worker(self.id).is_some() {
            return;
        }
        let wait = Wait { what: "Executor::shutdown", place: Location::caller() };
        let handles = loop {
            park(&Turn(self), &wait, None);
            let mut state = self.lock();
            if self.has_ended(&state) {
                break std::mem::take(&mut state.handles);
            }
            // What was taken back is still in the queue, and keeps those that are idle from leaving.
            if self.is_left_over() {
                self.staff(state);
            }
        };
        wait_for_threads(handles, &wait);
    }

    /// Whether no worker is left, and no task.
    fn has_ended(&self, state: &State) -> bool {
        state.threads == 0 && self.is_empty()
    }

    /// Whether there are tasks that no worker will take, unless it is woken or started.
    fn is_left_over(&self) -> bool {
        self.slots.active() == 0 && !self.is_empty()
    }

    /// Sees that workers take the tasks that wait, if slots are free: wakes one, which sees to the next; or starts as many
    /// as are needed, since what one does at its start may take long.
    pub(super) fn staff<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        loop {
            // What is in `wished` is in `tasks` too, if it still waits.
            let waiting = self.tasks.len().max(usize::from(!self.wished.is_empty()));
            if waiting <= state.starting || !self.slots.transition_to_active(!state.idle.is_empty())
            {
                return;
            }
            state.activations += 1;
            if let Some(sleeper) = state.idle.pop() {
                drop(state);
                return sleeper.transition_to(WORK);
            }
            state.threads += 1;
            state.starting += 1;
            state.started += 1;
            let number = state.started;
            drop(state);
            if !self.start_worker(number) {
                return;
            }
            state = self.lock();
        }
    }

    /// Whether there is one more.
    fn start_worker(&self, number: u64) -> bool {
        let pool = self.me();
        let plan = Plan {
            name: format!("{}-{number}", self.settings.name),
            stack_size: self.settings.stack_size,
            kind: Kind::Worker,
        };
        match registry::start(plan, move |_| pool.work()) {
            Ok((_, handle)) => {
                let mut state = self.lock();
                state.handles.retain(|handle| !handle.is_finished());
                state.handles.push(handle);
                true
            }
            Err(error) => {
                self.give_up(&error);
                false
            }
        }
    }

    /// A worker that was counted did not come to be. If no other is there to take them, the waiting tasks are dropped with
    /// an error that says why; a later one gets a new try.
    fn give_up(&self, why: &Error) {
        let _dropping = Dropping::begin();
        let mut state = self.lock();
        state.threads -= 1;
        state.starting -= 1;
        self.slots.transition_to_idle(false);
        let mut tasks = Vec::new();
        if state.threads == state.lent {
            for queue in [&self.tasks, &self.wished] {
                tasks.extend((0..queue.len()).map_while(|_| queue.pop()));
            }
        }
        self.notify_if_quiet(&mut state);
        if state.idle.is_empty() {
            self.end_deadlock(state);
        } else {
            self.staff(state);
        }
        for task in tasks {
            let message = format!("no worker: {why}");
            task.drop_as(Fate::Failed, &|| error(ErrorKind::NotStarted, &message));
            discard(task);
        }
    }

    /// What a worker does all its life.
    fn work(self: &Arc<Self>) {
        let _ = WORKS_FOR.try_with(|pool| pool.set(self.clone()));
        if let Some(on_start) = &self.settings.on_start
            && let Err(panic) = catch(|| on_start())
        {
            return self.give_up(&Error::panicked(panic).with_task("on_start"));
        }
        let me = Sleeper { thread: thread::current(), order: AtomicU8::new(SLEEP) };
        let me = Arc::new(me);
        self.slots.transition_to_searching();
        self.lock().starting -= 1;
        let (mut searches, mut has_spun) = (true, false);
        loop {
            if !self.slots.is_surplus() {
                if let Some(task) = self.next() {
                    if std::mem::take(&mut searches)
                        && self.slots.transition_to_running()
                        && !self.is_empty()
                    {
                        self.staff(self.lock());
                    }
                    has_spun = false;
                    shield(|| task.run());
                    discard(task);
                    continue;
                }
                // Where nobody could be woken, nobody need know that it searches: the word is not written at each task
                // of a stream that the workers keep up with.
                if !searches && !self.slots.is_full() {
                    searches = true;
                    // Half of the workers are enough to look in vain.
                    has_spun = self.slots.transition_to_searching() * 2 >= self.settings.limit;
                }
                if !std::mem::replace(&mut has_spun, true)
                    && spin(None, || !self.is_empty() || self.slots.is_closed())
                {
                    continue;
                }
                if !searches {
                    searches = true;
                    self.slots.transition_to_searching();
                    continue;
                }
            }
            match self.rest(&me, searches) {
                WORK => (searches, has_spun) = (true, false),
                LEAVE => return,
                _ => {}
            }
        }
    }

    fn next(&self) -> Option<Arc<dyn Work>> {
        if !self.wished.is_empty()
            && let Some(task) = self.wished.pop()
        {
            return Some(task);
        }
        self.tasks.pop()
    }

    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.wished.is_empty()
    }

    /// A worker that holds a slot, and has nothing to do or is one too many, sleeps. Its order then; [`SLEEP`] if it is to go
    /// on as it was.
    fn rest(&self, me: &Arc<Sleeper>, searches: bool) -> u8 {
        let mut state = self.lock();
        let is_surplus = self.slots.is_surplus();
        if !is_surplus && !searches {
            return SLEEP;
        }
        self.slots.transition_to_idle(searches);
        let is_empty = self.is_empty();
        if self.slots.is_closed() && is_empty {
            return self.transition_to_gone(state);
        }
        if !is_empty && self.slots.transition_to_active(true) {
            return WORK;
        }
        me.order.store(SLEEP, Ordering::Relaxed);
        state.idle.push(me.clone());
        self.notify_if_quiet(&mut state);
        if is_surplus {
            self.end_deadlock(state);
        } else {
            drop(state);
        }
        self.sleep(me)
    }

    fn sleep(&self, me: &Arc<Sleeper>) -> u8 {
        let deadline = after(self.settings.keep_alive);
        loop {
            // Acquire pairs with the Release of who gave the order.
            let order = me.order.load(Ordering::Acquire);
            if order == LEAVE {
                return self.transition_to_gone(self.lock());
            }
            if order != SLEEP {
                return order;
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                Some(_) => {
                    let mut state = self.lock();
                    let place = state.idle.iter().position(|idle| Arc::ptr_eq(idle, me));
                    let Some(place) = place else { continue };
                    state.idle.remove(place);
                    return self.transition_to_gone(state);
                }
            }
        }
    }

    /// The calling worker, which holds no slot and is not idle, leaves.
    fn transition_to_gone(&self, mut state: MutexGuard<'_, State>) -> u8 {
        state.threads -= 1;
        state.handles.retain(|handle| !handle.is_finished());
        if self.slots.is_closed() {
            state.transition_to_dismissed();
        }
        self.notify_if_quiet(&mut state);
        LEAVE
    }

    fn notify_if_quiet(&self, state: &mut State) {
        if state.threads == 0 || !self.has_task(state) {
            self.quiet.notify_all();
            // Under the lock: they are a thread's, or a coroutine's, which no code of a user's stands behind.
            state.wakers.drain(..).for_each(Waker::wake);
        }
    }

    /// Whether a task runs, or is waited for by one that does, or a worker is about to look for one.
    fn has_task(&self, state: &State) -> bool {
        self.slots.active() + state.lent > 0
    }

    pub(super) fn me(&self) -> Arc<Pool> {
        self.me.upgrade().expect("who calls holds the pool")
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a pool has ended, or that who shuts it down must see to it.
struct Turn<'a>(&'a Pool);

impl Turn<'_> {
    fn has_come(&self, state: &State) -> bool {
        self.0.has_ended(state) || self.0.is_left_over()
    }
}

impl Pending for Turn<'_> {
    fn is_done(&self) -> bool {
        self.has_come(&self.0.lock())
    }

    fn register(&self, waker: &Waker) {
        let mut state = self.0.lock();
        if self.has_come(&state) {
            drop(state);
            waker.wake_by_ref();
        } else if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
    }

    fn forget(&self, waker: &Waker) {
        self.0.lock().wakers.retain(|known| !known.will_wake(waker));
    }
}

/// Waits for threads that have nothing left to do but the destructors of their thread-locals, which may take as long as they like: so
/// a coroutine has another thread do it. They do not panic.
fn wait_for_threads(handles: Vec<JoinHandle<()>>, wait: &Wait) {
    struct Ended(Arc<Event>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.set();
        }
    }
    let join = |handles: Vec<JoinHandle<()>>| handles.into_iter().for_each(|one| _ = one.join());
    if is_plain_thread() || handles.is_empty() {
        return join(handles);
    }
    let ended = Arc::new(Event::new());
    let (ending, handles) = (Ended(ended.clone()), Arc::new(Mutex::new(handles)));
    let theirs = handles.clone();
    let take = |handles: &Mutex<Vec<_>>| {
        std::mem::take(&mut *handles.lock().unwrap_or_else(PoisonError::into_inner))
    };
    let wait_there = move || {
        let _ending = ending;
        join(take(&theirs));
    };
    // Without a thread to be had, here.
    match thread::Builder::new().name("thread-ends".into()).spawn(wait_there) {
        Ok(_) => ended.wait_for(wait),
        Err(_) => join(take(&handles)),
    }
}

impl State {
    /// All that are idle are to leave.
    fn transition_to_dismissed(&mut self) {
        for sleeper in self.idle.drain(..) {
            sleeper.transition_to(LEAVE);
        }
    }
}

/// What is left of a task may hold a value that nobody took.
fn discard(task: Arc<dyn Work>) {
    shield(|| drop(task));
}

pub(super) fn error(kind: ErrorKind, message: &str) -> Error {
    Error::new(kind).with_message(message)
}

/// Tasks that are being dropped, callbacks included, by whatever thread: the end of `main` waits for these too.
pub(super) struct Dropping;

#[derive(Clone, Copy)]
struct Drops {
    now: usize,
    ever: u64,
}

static DROPS: Mutex<Drops> = Mutex::new(Drops { now: 0, ever: 0 });
static DROPPED: Condvar = Condvar::new();

impl Dropping {
    pub(super) fn begin() -> Dropping {
        let mut drops = DROPS.lock().unwrap_or_else(PoisonError::into_inner);
        drops.now += 1;
        drops.ever += 1;
        Dropping
    }
}

impl Drop for Dropping {
    fn drop(&mut self) {
        let mut drops = DROPS.lock().unwrap_or_else(PoisonError::into_inner);
        drops.now -= 1;
        if drops.now == 0 {
            DROPPED.notify_all();
        }
    }
}

/// Waits until no executor has a task. A number that goes up with each that has got one since it was idle.
pub(super) fn wait_until_idle() -> u64 {
    let pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let pools = pools.iter().filter_map(Weak::upgrade);
    let ours = pools.filter(|pool| pool.process == std::process::id());
    let activations: u64 = ours
        .map(|pool| {
            let state = pool.quiet.wait_while(pool.lock(), |state| pool.has_task(state));
            state.unwrap_or_else(PoisonError::into_inner).activations
        })
        .sum();
    let drops = DROPS.lock().unwrap_or_else(PoisonError::into_inner);
    let drops = DROPPED.wait_while(drops, |drops| drops.now > 0);
    activations + drops.unwrap_or_else(PoisonError::into_inner).ever
}
