//! Who reads the workers' answers: the supervisor, or the thread that waits for them. See `README.md`.

use std::cell::Cell;
use std::sync::{Arc, MutexGuard, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use rustix::event::epoll;

use super::pool::{BELL, Pool};
use crate::error::Result;
use crate::process::patience::Patience;
use crate::process::serve::monotonic;
use crate::process::supervisor::{Ready, Token, supervisor, timespec};
use crate::sync::park::Wait;
use crate::vocab::wait::{Pending, park};

/// Short waits in a row after which the reading is lent.
const STREAK: u32 = 4;
/// A wait that is short: the answer came while a wake-up was still worth saving.
const SHORT: Duration = Duration::from_micros(500);
/// How often the supervisor looks whether a pool that is lent is being driven.
const TICK: Duration = Duration::from_millis(1);
/// Looks at a worker after which it is asked again which one has the task.
const LOOKS: u32 = 64;
/// Ticks without any driver after which the lending ends.
const QUIET_TICKS: u32 = 20;

/// Who reads.
pub(super) struct Lending {
    /// The supervisor looks away; joiners read.
    lent: bool,
    /// A joiner reads now.
    driving: bool,
    /// A joiner has read from all workers since the last tick, and when one did last.
    drove: bool,
    read_at: Option<u64>,
    /// Joiners that sleep.
    sleepers: usize,
    streak: u32,
    quiet: u32,
    patience: Patience,
    /// A tick is on its way.
    ticking: bool,
    token: Option<Token>,
}

impl Default for Lending {
    fn default() -> Lending {
        Lending {
            lent: false,
            driving: false,
            drove: false,
            read_at: None,
            sleepers: 0,
            streak: 0,
            quiet: 0,
            patience: Patience::at_memory(),
            ticking: false,
            token: None,
        }
    }
}

thread_local! {
    /// The pool that this thread drives: its own wakers need not ring the bell.
    static DRIVES: Cell<*const Pool> = const { Cell::new(std::ptr::null()) };
}

impl Pool {
    pub(super) fn begin_supervision(self: &Arc<Self>) -> Result<()> {
        // The supervisor must not keep the pool: its handles and executors do.
        let watcher = Arc::new(Watcher(self.me.clone()));
        let mut lending = self.lending();
        lending.token = Some(supervisor()?.watch(&self.epoll, watcher)?);
        Ok(())
    }

    pub(super) fn end_supervision(&self) {
        let token = self.lending().token.take();
        if let (Some(token), Ok(supervisor)) = (token, supervisor()) {
            supervisor.unwatch(&self.epoll, token);
        }
    }

    /// Blocks until `pending` has come to pass, reading answers meanwhile if that is this thread's to do.
    pub(super) fn wait_or_drive(
        &self,
        pending: &dyn Pending,
        wait: &Wait,
        deadline: Option<Instant>,
    ) {
        if pending.is_done() {
            return;
        }
        let mut lending = self.lending();
        if lending.lent && !lending.driving {
            lending.driving = true;
            let mut patience = lending.patience;
            // Under the lock: who takes the reading back has all workers ring afterwards.
            let mut watched = pending.task().and_then(|task| self.stay_awake(task));
            drop(lending);
            let began = monotonic();
            let mut read = false;
            let mut round = 0;
            let seen = patience.look(|| {
                round += 1;
                if round % LOOKS == 0 {
                    watched = pending.task().and_then(|task| self.where_to_look(task));
                }
                let (Some(task), Some(proc)) = (pending.task(), &watched) else {
                    return true;
                };
                if proc.page.stream_from_worker().has_some() {
                    self.look_for(task);
                }
                pending.is_done()
            });
            if !pending.is_done() {
                read = true;
                self.drive(pending, deadline);
            }
            let now = seen.filter(|_| !read).unwrap_or_else(|| {
                let now = monotonic();
                patience.learn(Duration::from_nanos(now.saturating_sub(began)));
                now
            });
            let mut lending = self.lending();
            lending.patience = patience;
            let is_late = |at: u64| now.saturating_sub(at) > TICK.as_nanos() as u64;
            if !read && lending.read_at.is_none_or(is_late) {
                // It has looked at the one worker only, and somebody may wait for what another has written.
                drop(lending);
                read = true;
                self.read_ready(&mut Vec::with_capacity(32), Some(Duration::ZERO), true);
                self.sweep();
                lending = self.lending();
            }
            if read {
                lending.drove = true;
                lending.read_at = Some(monotonic());
            }
            lending.driving = false;
            if lending.sleepers > 0 {
                self.take_reading_back(&mut lending);
            }
            return;
        }
        // Two joiners: one of them would sleep while nobody read for it, once the other has what it wants.
        self.take_reading_back(&mut lending);
        lending.sleepers += 1;
        drop(lending);
        let began = Instant::now();
        park(pending, wait, deadline);
        let short = began.elapsed() < SHORT && pending.is_done();
        let mut lending = self.lending();
        lending.sleepers -= 1;
        lending.streak = if short && lending.sleepers == 0 { lending.streak + 1 } else { 0 };
        if lending.streak >= STREAK {
            self.lend(&mut lending);
        }
    }

    fn drive(&self, pending: &dyn Pending, deadline: Option<Instant>) {
        if pending.is_done() {
            return;
        }
        DRIVES.set(self);
        let waker = Waker::from(Arc::new(Bell(self.me.clone())));
        pending.register(&waker);
        let mut events = Vec::with_capacity(32);
        // From here on each worker rings, those too that it has looked at.
        self.sweep();
        while !pending.is_done() {
            let now = Instant::now();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            if left.is_some_and(|left| left.is_zero()) {
                pending.forget(&waker);
                break;
            }
            self.read_ready(&mut events, left, true);
        }
        DRIVES.set(std::ptr::null());
    }

    fn read_ready(&self, events: &mut Vec<epoll::Event>, timeout: Option<Duration>, driver: bool) {
        events.clear();
        let timeout = timeout.map(timespec);
        let space = rustix::buffer::spare_capacity(events);
        if epoll::wait(&self.epoll, space, timeout.as_ref()).is_err() || events.is_empty() {
            return;
        }
        if events.iter().any(|event| event.data.u64() == BELL) {
            self.silence_bell(driver);
            self.sweep();
        }
        self.on_events(events.iter().map(|event| event.data.u64()));
    }

    /// Takes a ring off the bell. Only the driver may while there is one, since it is for the driver: it could not be woken
    /// by a ring that another has taken. Whoever begins to drive does so under the lock, and is rung for only then.
    fn silence_bell(&self, driver: bool) {
        let lending = self.lending();
        if driver || !lending.driving {
            let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        }
    }

    fn lend(&self, lending: &mut Lending) {
        let (Some(token), Ok(supervisor), false) = (lending.token, supervisor(), lending.lent)
        else {
            return;
        };
        if supervisor.pause(&self.epoll, token, true).is_ok() {
            lending.lent = true;
            lending.quiet = 0;
            lending.drove = true;
            if !lending.ticking {
                lending.ticking = true;
                self.tick_later();
            }
        }
    }

    fn take_reading_back(&self, lending: &mut Lending) {
        if !lending.lent {
            return;
        }
        lending.streak = 0;
        if let (Some(token), Ok(supervisor)) = (lending.token, supervisor()) {
            let _ = supervisor.pause(&self.epoll, token, false);
        }
        lending.lent = false;
        // Who reads from here on has all workers ring, and reads what they have written while they did not.
        self.ring();
    }

    fn ring(&self) {
        // The counter cannot be full: each driver reads it, and so does the supervisor.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    fn tick_later(&self) {
        let pool = self.me.clone();
        if let Ok(supervisor) = supervisor() {
            supervisor.at(Instant::now() + TICK, move || {
                if let Some(pool) = pool.upgrade() {
                    pool.tick();
                }
            });
        }
    }

    fn tick(&self) {
        let mut lending = self.lending();
        lending.ticking = false;
        if !lending.lent {
            return;
        }
        // One that drives reads from all workers, or sleeps until one rings, or does so before it leaves.
        if lending.driving || std::mem::take(&mut lending.drove) {
            lending.quiet = 0;
        } else {
            lending.quiet += 1;
            if lending.quiet >= QUIET_TICKS || self.has_tasks() {
                return self.take_reading_back(&mut lending);
            }
        }
        lending.ticking = true;
        drop(lending);
        self.tick_later();
    }

    fn lending(&self) -> MutexGuard<'_, Lending> {
        self.lending.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

struct Watcher(Weak<Pool>);

impl Ready for Watcher {
    fn ready(self: Arc<Self>) {
        if let Some(pool) = self.0.upgrade() {
            pool.read_ready(&mut Vec::with_capacity(32), Some(Duration::ZERO), false);
        }
    }
}

/// Wakes the thread that drives a pool from its sleep.
struct Bell(Weak<Pool>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if DRIVES.try_with(Cell::get) == Ok(self.0.as_ptr()) {
            return;
        }
        if let Some(pool) = self.0.upgrade() {
            pool.ring();
        }
    }
}
