//! The loop of a hub, and its end.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use super::super::control::{Control, Name, Place, Record};
use super::super::fault;
use super::super::fork;
use super::super::stack::{Cache, Class};
use super::super::thread_end;
use super::poller::Poller;
use super::switch::{Green, Interrupt};
use super::timers::Timers;
use super::{Hub, Ready, Remote, Running, Why, with_hub};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::sync::park;
use crate::system;
use crate::task::catch;

/// So many coroutines run before the hub looks at timers and descriptors again.
const TURNS: u32 = 61;

/// Room for so many wake-ups and requests is kept.
const SPARE: usize = 1024;

/// How long a hub sleeps that nothing but another thread can wake, before it looks whether there is another thread.
pub(super) const DOUBT: Duration = Duration::from_secs(1);

impl Hub {
    fn new() -> Result<Hub> {
        park::install(&Green);
        name_in_panics();
        fork::look_after();
        let (remote, slots) = Remote::take().map_err(not_started)?;
        let poller = match Poller::new(remote) {
            Ok(poller) => poller,
            Err(error) => {
                remote.close(slots);
                return Err(not_started(error));
            }
        };
        let count = u32::try_from(slots.len()).expect("slots have a number of 32 bits");
        Ok(Hub {
            remote,
            entries: RefCell::new(slots.into_iter().map(super::Entry::new).collect()),
            free: RefCell::new((0..count).rev().collect()),
            ready: RefCell::new(VecDeque::<Ready>::new()),
            timers: RefCell::new(Timers::default()),
            poller: RefCell::new(poller),
            stacks: RefCell::new(Cache::default()),
            spare: RefCell::default(),
            current: Cell::new(None),
            resumer: Cell::new(None),
            left: Cell::new(None),
            foreground: Cell::new(0),
            polling: Cell::new(0),
            no_suspend: Cell::new(false),
            stuck: RefCell::new(None),
            company: Cell::new(None),
            main: Cell::new(None),
            running: Cell::new(Running::NONE),
            callers: thread_end::calling(),
            closing: Cell::new(false),
            stopping: Cell::new(false),
        })
    }

    /// The name of the running coroutine, also where the hub itself panics.
    fn name_of_running(&self) -> Option<String> {
        let entries = self.entries.try_borrow().ok()?;
        let control = entries[self.current.get()?.index as usize].control.clone();
        drop(entries);
        control.map(|control| control.name())
    }

    /// Has it end when no foreground coroutine is left.
    pub(in crate::green) fn stop(&self) {
        self.stopping.set(true);
    }

    /// In a fork that was made on its thread.
    pub(in crate::green) fn come_along(&self) {
        if let Ok(entries) = self.entries.try_borrow() {
            let alive = entries.iter().filter(|entry| entry.control.is_some());
            self.remote.come_along(alive.map(|entry| entry.slot));
        }
    }

    /// Addresses in the functions that it was begun by.
    pub(in crate::green) fn callers(&self) -> &[usize] {
        &self.callers
    }

    /// The coroutines it has.
    pub(in crate::green) fn alive(&self) -> Vec<Arc<Record>> {
        self.entries.borrow().iter().filter_map(|entry| entry.control.clone()).collect()
    }

    /// Runs coroutines until `done` says so. True, unless nothing can go on: what waits for what is in `stuck` then.
    fn turn(&self, watch_out: bool, done: fn(&Hub) -> bool) -> bool {
        let mut turns = 0;
        loop {
            // Relaxed: what it tells of is read under the lock of the remote.
            if self.remote.has_incoming.load(Ordering::Relaxed) {
                self.receive();
            }
            if turns < TURNS && self.run_next() {
                turns += 1;
                continue;
            }
            if done(self) {
                return true;
            }
            if turns == TURNS {
                turns = 0;
                self.look(Some(Instant::now()));
                continue;
            }
            turns = 0;
            let next = self.timers.borrow().next();
            let idle = next.is_none() && self.polling.get() == 0;
            if idle && watch_out && self.is_stuck() {
                return false;
            }
            if self.remote.fall_asleep() {
                let doubt = || Instant::now().checked_add(DOUBT);
                self.look(if idle && watch_out { doubt() } else { next });
                self.receive();
            }
        }
    }

    /// Takes in what others have woken and asked for.
    fn receive(&self) {
        let (mut wakes, mut requests) = self.spare.take();
        self.remote.receive(&mut wakes, &mut requests);
        self.ready
            .borrow_mut()
            .extend(wakes.drain(..).map(|index| Ready { index, why: Why::Elsewhere }));
        for request in requests.drain(..) {
            catch::shield(|| request(self));
        }
        // After a crowd, not for good.
        wakes.shrink_to(SPARE);
        requests.shrink_to(SPARE);
        self.spare.replace((wakes, requests));
    }

    /// Waits for descriptors until the deadline, if there is one, and then wakes those whose time has come.
    fn look(&self, deadline: Option<Instant>) {
        let past = deadline.is_some_and(|deadline| deadline <= Instant::now());
        if !past || self.polling.get() > 0 {
            let result = self.poller().and_then(|mut poller| poller.wait(deadline, &self.ready));
            // The kernel refuses this for bad arguments only; and a new one, in a fork, if there are no descriptors left.
            result.expect("epoll_wait on a hub's own descriptor");
        }
        let mut timers = self.timers.borrow_mut();
        if timers.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut ready = self.ready.borrow_mut();
        while let Some(index) = timers.pop_due(now) {
            ready.push_back(Ready { index, why: Why::Turn });
        }
    }

    /// Ends all coroutines that are left.
    fn finish(&self) {
        self.closing.set(true);
        // Those before it are gone, and a hub that closes takes no others: so each place is looked at once.
        let mut next = 0;
        loop {
            // What was asked for in the meantime is refused.
            self.receive();
            let entries = self.entries.borrow();
            let left = entries
                .iter()
                .enumerate()
                .skip(next)
                .find_map(|(index, entry)| Some((index, entry.control.clone()?)));
            drop(entries);
            let Some((index, control)) = left else { return };
            self.finish_inline(&control, index as u32);
            next = index;
        }
    }
}

/// Ends all coroutines of a hub, while it is still the hub of its thread.
struct Ending<'a>(&'a Hub);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        debug_assert_eq!(self.polling.get(), 0, "nobody is left who waits for a descriptor");
        let slots = self.entries.get_mut().drain(..).map(|entry| entry.slot).collect();
        self.remote.close(slots);
    }
}

/// Has a panic in a coroutine told with its name: what std tells is the name of the thread.
fn name_in_panics() {
    static ONCE: Once = Once::new();
    // The hook cannot be changed by a thread that panics: whoever comes next does it then.
    if ONCE.is_completed() || std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if let Some(name) = with_hub(Hub::name_of_running).flatten() {
                system::tell(format_args!("\nfourfold: coroutine '{name}' panics:"));
            }
            before(info);
        }));
    });
}

fn not_started(error: std::io::Error) -> Error {
    Error::new(ErrorKind::NotStarted)
        .with_scale(Scale::Green)
        .with_message("no hub for coroutines")
        .with_source(error)
}

/// Runs `f` as the first coroutine of a new hub of this thread, until it and all that are not daemons have ended.
pub(in crate::green) fn run<R>(name: Name, class: Class, f: impl FnOnce() -> R) -> Result<R> {
    let notes = catch::share();
    // Declared before the hub, so that they outlive it.
    let result = Cell::new(None);
    let hub = Hub::new()?;
    let slot = hub.free_slot();
    let control = Record::alone(Control::new(name, None, false, Place::Here(slot)));
    hub.main.set(Some(control.id));
    let main = control.clone();
    let entered = hub.enter();
    let ending = Ending(&hub);
    let _signals = fault::watch_over_this_thread();
    let body = || {
        main.transition_to_started();
        // Unwind safe: whoever gets the panic is the caller, whose `f` it was.
        let caught = panic::catch_unwind(AssertUnwindSafe(f));
        main.transition_to_ended();
        result.set(Some(caught));
    };
    // SAFETY: `f` and what it borrows outlive this call, `result` and `main` outlive `ending`; its drop, here or in an unwinding, ends
    // all coroutines of the hub.
    unsafe { hub.start_unchecked(slot, control, class, body) }?;
    let done: fn(&Hub) -> bool = |hub| hub.foreground.get() == 0;
    if !hub.turn(true, done) {
        // The first is told, and may clean up with the help of the others.
        hub.ready.borrow_mut().push_back(Ready { index: slot.index, why: Why::Turn });
        hub.turn(true, done);
    }
    let stuck = hub.stuck.take();
    drop(ending);
    drop(entered);
    drop(hub);
    drop(notes);
    match (result.into_inner(), stuck) {
        // A panic of the caller's own comes first: those that are stuck may be so because of it.
        (Some(Err(payload)), stuck) if stuck.is_none() || !payload.is::<Interrupt>() => {
            panic::resume_unwind(payload)
        }
        (_, Some(report)) => {
            Err(Error::new(ErrorKind::Deadlock).with_scale(Scale::Green).with_message(report))
        }
        (Some(Ok(value)), None) => Ok(value),
        (Some(Err(_)) | None, None) => unreachable!("the first coroutine has ended"),
    }
}

/// Makes a hub on this thread, tells `begun` of it, and runs what it is asked to, until a request calls [`Hub::stop`].
pub(in crate::green) fn serve(begun: impl FnOnce(Result<&'static Remote>)) {
    let notes = catch::share();
    let hub = match Hub::new() {
        Ok(hub) => hub,
        Err(error) => return begun(Err(error)),
    };
    let entered = hub.enter();
    let ending = Ending(&hub);
    let _signals = fault::watch_over_this_thread();
    begun(Ok(hub.remote));
    hub.turn(false, |hub| hub.stopping.get() && hub.foreground.get() == 0);
    drop(ending);
    drop(entered);
    drop(hub);
    drop(notes);
}
