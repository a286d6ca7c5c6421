//! What the parts of a server in one process share: settings, connections, counters, and how far its end has come.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use super::address::Address;
use super::counters::{Tally, count};
use super::event::Event;
use super::handle::{join, start};
use super::ledger::{Entry, Ledger, Verdict};
use super::listener::Socket;
use super::model::aide::Aide;
use super::settings::Settings;
use crate::error::{Error, Result, shield};

/// Who tells the user what happens.
enum Teller {
    /// A thread, once there is something to tell.
    None,
    Thread(mpsc::SyncSender<Event>, JoinHandle<()>),
    /// The server is over, and all was told.
    Over,
}

/// So many events wait to be told. What comes while so many wait is not.
const UNTOLD: usize = 1024;

thread_local! {
    /// The address of the server that this thread tells of; 0 if it is none that tells.
    static TELLS: Cell<usize> = const { Cell::new(0) };
}

/// A function that hears what happens: see [`Builder::on_event`](super::Builder::on_event).
pub(super) type OnEvent = dyn Fn(Event) + Send + Sync;

pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) ledger: Ledger,
    pub(super) tally: Tally,
    /// Wakes the acceptor, where there is one: not in the process of one connection.
    bell: Option<OwnedFd>,
    /// No more is accepted.
    stopping: AtomicBool,
    /// There is no time any more for those that are there.
    hurried: AtomicBool,
    /// Connections that have a seat.
    seated: AtomicUsize,
    /// The acceptor waits for a seat.
    full: AtomicBool,
    /// How many have left their seat, for whoever waits for that.
    left: Mutex<u64>,
    on_left: Condvar,
    on_event: Arc<OnEvent>,
    teller: Mutex<Teller>,
    /// In the process of one connection: who hears of the shutdown.
    pub(super) aide: Option<Aide>,
    /// The watch has been started.
    is_watched: AtomicBool,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A connection that was accepted, with what is kept for it.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: Socket,
    pub(super) peer: Address,
    pub(super) seat: Seat,
}

/// A place among the connections that there may be. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Core>);

impl Drop for Seat {
    fn drop(&mut self) {
        let core = &self.0;
        // SeqCst, as in `has_room`: either the acceptor sees that there is room, or this sees that it waits.
        core.seated.fetch_sub(1, Ordering::SeqCst);
        if core.full.swap(false, Ordering::SeqCst) {
            core.ring();
        }
        core.nudge();
    }
}

impl Core {
    pub(super) fn new(settings: Settings, on_event: Box<OnEvent>) -> Result<Arc<Core>> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = eventfd(0, flags).map_err(io::Error::from)?;
        let core = Core::of(settings, on_event, Some(bell), None);
        core.is_watched.store(true, Ordering::Relaxed);
        Ok(core)
    }

    /// That of one connection, in whose process nobody watches before there is something to watch.
    pub(super) fn of_one(settings: Settings, aide: Aide) -> Arc<Core> {
        Core::of(settings, Box::new(|_| {}), None, Some(aide))
    }

    /// In that process: starts the watch if there are limits from the beginning.
    pub(super) fn watch_limits(self: &Arc<Core>) {
        if self.settings.limits.are_any() {
            self.watch();
        }
    }

    fn of(
        settings: Settings,
        on_event: Box<OnEvent>,
        bell: Option<OwnedFd>,
        aide: Option<Aide>,
    ) -> Arc<Core> {
        Arc::new(Core {
            ledger: Ledger::new(settings.limits),
            settings,
            tally: Tally::default(),
            bell,
            stopping: AtomicBool::new(false),
            hurried: AtomicBool::new(false),
            seated: AtomicUsize::new(0),
            full: AtomicBool::new(false),
            left: Mutex::new(0),
            on_left: Condvar::new(),
            on_event: on_event.into(),
            teller: Mutex::new(Teller::None),
            aide,
            is_watched: AtomicBool::new(false),
        })
    }

    /// Starts the watch of the ledger, in the process of one connection; elsewhere it is there from the beginning.
    pub(super) fn watch(self: &Arc<Core>) {
        if !self.is_watched.swap(true, Ordering::Relaxed) {
            let core = Arc::clone(self);
            // Without it the limits come by the end of this process alone.
            let _ = start("fourfold-watch", move || core.ledger.watch());
        }
    }

    /// Whether there is a seat for one more. If not, the bell rings when there is.
    pub(super) fn has_room(&self) -> bool {
        let limit = self.settings.max_connections;
        if self.seated.load(Ordering::SeqCst) < limit {
            return true;
        }
        // Said before it looks again: see `Seat::drop`.
        self.full.store(true, Ordering::SeqCst);
        let has_room = self.seated.load(Ordering::SeqCst) < limit;
        if has_room {
            self.full.store(false, Ordering::SeqCst);
        }
        has_room
    }

    /// A seat. They are given out by one thread, which has seen that there is room.
    pub(super) fn seat(self: &Arc<Core>) -> Seat {
        self.seated.fetch_add(1, Ordering::SeqCst);
        Seat(Arc::clone(self))
    }

    pub(super) fn seated(&self) -> usize {
        self.seated.load(Ordering::SeqCst)
    }

    fn left(&self) -> MutexGuard<'_, u64> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody is seated any more, at most until the deadline, or until there is no time any more. Whether that is so.
    pub(super) fn wait_empty(&self, deadline: Option<Instant>) -> bool {
        self.wait_last(deadline, || self.hurried.load(Ordering::SeqCst))
    }

    /// The same, for those that have been cut.
    pub(super) fn wait_cut(&self, deadline: Instant) -> bool {
        self.wait_last(Some(deadline), || false)
    }

    /// Ends `wait_empty`.
    pub(super) fn hurry(&self) {
        self.hurried.store(true, Ordering::SeqCst);
        self.nudge();
    }

    fn wait_last(&self, deadline: Option<Instant>, is_over: impl Fn() -> bool) -> bool {
        let mut left = self.left();
        while self.seated() > 0 {
            if is_over() {
                return false;
            }
            let rest = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if rest == Some(Duration::ZERO) {
                return false;
            }
            let day = Duration::from_secs(86_400);
            let woken = self.on_left.wait_timeout(left, rest.unwrap_or(day));
            left = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits until another number of connections have left, at most so long. Gives the number.
    pub(super) fn wait_left(&self, seen: u64, limit: Duration) -> u64 {
        let left = self.left();
        let woken = self.on_left.wait_timeout_while(left, limit, |left| *left == seen);
        *woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes who waits for connections to leave, to look at something else.
    pub(super) fn nudge(&self) {
        *self.left() += 1;
        self.on_left.notify_all();
    }

    pub(super) fn ring(&self) {
        if let Some(bell) = &self.bell {
            let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
        }
    }

    /// The acceptor's own.
    pub(super) fn bell(&self) -> &OwnedFd {
        self.bell.as_ref().expect("who accepts is not the process of one connection")
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.ring();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(super) fn leave(&self, entry: &Entry) {
        if entry.verdict() == Verdict::None {
            entry.stream.discard_unread();
        }
        self.ledger.leave(entry);
        self.tally.turns.fetch_add(entry.turns.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Counts how a handler ended. What it says of a connection that the watch has closed is the watch's doing.
    pub(super) fn note(&self, verdict: Verdict, result: Option<io::Result<()>>) {
        match (verdict, result) {
            (_, None) => count(&self.tally.panicked),
            (Verdict::None, Some(Ok(()))) => {}
            (Verdict::None, Some(Err(error))) if is_gone(&error) => {}
            (Verdict::None, Some(Err(_))) => count(&self.tally.failed),
            (Verdict::Cut, Some(_)) => count(&self.tally.cut),
            (_, Some(_)) => count(&self.tally.timed_out),
        }
    }

    /// There is nobody to serve a connection, which is closed.
    pub(super) fn reject(&self, peer: Address, error: Error) {
        count(&self.tally.rejected);
        self.tell(Event::Rejected { peer, error });
    }

    /// Tells the user of the server, on a thread for that: what the user's function waits for may be this one, and what it panics with is
    /// not the server's.
    pub(super) fn tell(&self, event: Event) {
        let mut teller = self.teller();
        let _ = self.start_teller(&mut teller);
        match &*teller {
            // One too many is not told of.
            Teller::Thread(events, _) => drop(events.try_send(event)),
            Teller::None => {
                drop(teller);
                shield(|| (self.on_event)(event));
            }
            Teller::Over => {}
        }
    }

    fn teller(&self) -> MutexGuard<'_, Teller> {
        self.teller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts its thread, if there is to be one, and is none.
    fn start_teller(&self, teller: &mut Teller) -> Result<()> {
        if !matches!(teller, Teller::None) {
            return Ok(());
        }
        let (events, told) = mpsc::sync_channel::<Event>(UNTOLD);
        let (server, hear) = (self.address(), Arc::clone(&self.on_event));
        let thread = start("fourfold-event", move || {
            TELLS.set(server);
            told.iter().for_each(|event| shield(|| hear(event)));
        })?;
        *teller = Teller::Thread(events, thread);
        Ok(())
    }

    /// Waits until all is told, unless that waits for this thread.
    pub(super) fn tell_all(&self) {
        let teller = std::mem::replace(&mut *self.teller(), Teller::Over);
        if let Teller::Thread(events, thread) = teller {
            drop(events);
            join(thread);
        }
    }

    /// Whether this thread is in a call of the user's function, and so is one that the server's end may wait for.
    pub(super) fn is_telling(&self) -> bool {
        TELLS.get() == self.address()
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// A client that has left abruptly is none of the handler's errors.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    // The kernel has asked for it long enough.
    let is_silent = error.raw_os_error() == Some(rustix::io::Errno::TIMEDOUT.raw_os_error());
    let kind = error.kind();
    is_silent || matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}
