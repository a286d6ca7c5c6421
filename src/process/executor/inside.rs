//! The pool, as a task of its own sees it: what it submits travels to the pool's process, and the outcomes come back. The
//! pool's side is `nested.rs`.
//!
//! # Who reads what the pool writes
//!
//! | state | who reads | leaves it when |
//! | --- | --- | --- |
//! | `Idle` | nobody: the main thread runs a task, and nothing is under way | the task ends: `Main`; something is submitted: `Thread` |
//! | `Main` | the main thread, between tasks | a task comes: `Idle`, or `Thread` if something is under way |
//! | `Thread` | a thread of its own, which hands tasks to the main thread | never |
//!
//! What is submitted is put in `pending`, under the lock, before it is sent, and the lock decides who reads: so an outcome
//! always finds its reader and its place. A thread that reads makes no outcome into a value and calls nobody's code, so it
//! is never held up, and the pool may write to this worker at any time.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::nested::{CANCEL, CANCEL_WAITING, FAILED, IS_RUNNING};
use super::outgoing::Outgoing;
use super::pool::not_of_a_fork;
use super::task::Sink;
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::process::callbacks;
use crate::process::channel::{Frame, Inbox, Kind, Parcel, Received, wake};
use crate::process::page::{Page, Stream};
use crate::process::patience::Patience;
use crate::process::serve::monotonic;
use crate::sync::park::Wait;
use crate::task::envelope::Envelope;
use crate::task::ticket::Tickets;
use crate::task::{Call, Payload, Stateless, catch, codec, image, name_of, next_id};
use crate::vocab::Handle;
use crate::vocab::outcome::Cell;
use crate::vocab::wait::{self, Backend, park};

/// The worker that this process is.
static INSIDE: OnceLock<Inside> = OnceLock::new();

/// A worker's ways from and to its pool, and what its tasks have submitted.
pub(crate) struct Inside {
    owner: u32,
    workers: usize,
    stream: &'static Stream,
    socket: BorrowedFd<'static>,
    outgoing: Outgoing,
    state: Mutex<State>,
    /// Told when a question has its answer, and when something submitted has its outcome.
    changed: Condvar,
}

struct State {
    reading: Reading,
    pending: HashMap<u64, Pending>,
    /// Questions under way, and their answers.
    asked: HashMap<u64, Option<bool>>,
    /// For the thread that will read: where it hands tasks to.
    forward: Option<Sender<Frame>>,
}

enum Reading {
    Idle(Inbox),
    Main,
    Thread,
}

#[derive(Clone)]
struct Pending {
    sink: Arc<dyn Sink>,
    name: fn() -> String,
    /// Of its arguments, which its pool hands on.
    _tickets: Arc<Tickets>,
}

/// The pool's side has hung up.
struct HungUp;

/// Where the main thread of a worker gets its tasks from.
pub(crate) struct Tasks {
    inside: &'static Inside,
    patience: Patience,
    forwarded: Receiver<Frame>,
}

impl Tasks {
    /// Makes this process a worker. `socket` stays open to its end; what was in it has been read.
    pub(crate) fn begin(
        socket: BorrowedFd<'static>,
        page: &'static Page,
        outgoing: Outgoing,
        workers: usize,
    ) -> Tasks {
        let (forward, forwarded) = channel();
        let inside = INSIDE.get_or_init(|| Inside {
            owner: std::process::id(),
            workers,
            stream: page.stream_to_worker(),
            socket,
            outgoing,
            state: Mutex::new(State {
                reading: Reading::Idle(Inbox::new()),
                pending: HashMap::new(),
                asked: HashMap::new(),
                forward: Some(forward),
            }),
            changed: Condvar::new(),
        });
        Tasks { inside, patience: Patience::at_memory(), forwarded }
    }

    /// The next task; `None` when the pool has hung up.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut state = self.inside.lock();
        let mut inbox = match std::mem::replace(&mut state.reading, Reading::Main) {
            Reading::Idle(inbox) => inbox,
            Reading::Main | Reading::Thread => {
                state.reading = Reading::Thread;
                drop(state);
                return self.forwarded.recv().ok();
            }
        };
        drop(state);
        loop {
            let frame = self.read(&mut inbox).ok()?;
            if frame.kind == Kind::Task {
                let mut state = self.inside.lock();
                state.reading = Reading::Idle(inbox);
                if !state.pending.is_empty() {
                    // Without a thread the outcomes wait until this task is over.
                    let _ = self.inside.transition_to_thread(&mut state);
                }
                return Some(frame);
            }
            self.inside.deliver(frame);
        }
    }

    /// As `Inside::read`, but looks for a moment before it sleeps, if the last task was soon there too.
    fn read(&mut self, inbox: &mut Inbox) -> Result<Frame, HungUp> {
        let inside = self.inside;
        if let Some(frame) = inside.next(inbox)? {
            return Ok(frame);
        }
        let began = monotonic();
        let seen = self.patience.look(|| inside.stream.has_some());
        let frame = inside.read(inbox);
        if seen.is_none() {
            self.patience.learn(Duration::from_nanos(monotonic().saturating_sub(began)));
        }
        frame
    }

    /// Sends a frame to the pool.
    pub(crate) fn send(&self, kind: Kind, id: u64, word: u64, parcel: &Parcel) -> io::Result<()> {
        self.inside.send(kind, id, word, parcel)
    }
}

impl Inside {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn send(&self, kind: Kind, id: u64, word: u64, parcel: &Parcel) -> io::Result<()> {
        self.outgoing.send(kind, id, word, parcel)
    }

    /// The next frame, if it is there.
    fn next(&self, inbox: &mut Inbox) -> Result<Option<Frame>, HungUp> {
        loop {
            match inbox.next_of_stream(self.socket) {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(_) => return Err(HungUp),
            }
            match inbox.read(self.stream) {
                Ok(true) if self.stream.is_asked_for_room() => wake(self.socket),
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(_) => return Err(HungUp),
            }
        }
    }

    fn read(&self, inbox: &mut Inbox) -> Result<Frame, HungUp> {
        let mut hung_up = false;
        loop {
            if let Some(frame) = self.next(inbox)? {
                self.stream.stay_awake();
                return Ok(frame);
            }
            if hung_up {
                return Err(HungUp);
            }
            if !inbox.fall_asleep(self.stream) {
                // What was written before it hung up is there when that is known.
                hung_up = !matches!(inbox.receive_calls(self.socket, false), Ok(Received::Some));
            }
        }
    }

    /// Has a thread read from here on, if nobody does.
    fn transition_to_thread(&'static self, state: &mut State) -> io::Result<()> {
        let mut inbox = match std::mem::replace(&mut state.reading, Reading::Thread) {
            Reading::Idle(inbox) => inbox,
            other => {
                state.reading = other;
                return Ok(());
            }
        };
        let Some(forward) = state.forward.take() else {
            return Ok(());
        };
        // The inbox comes back if there is no thread to be had.
        let slot =
            Arc::new(Mutex::new(Some((std::mem::replace(&mut inbox, Inbox::new()), forward))));
        let theirs = slot.clone();
        let started = thread::Builder::new().name("fourfold-outcomes".into()).spawn(move || {
            let taken = theirs.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
            if let Some((inbox, forward)) = taken {
                self.read_on(inbox, &forward);
            }
        });
        if let Err(error) = started {
            let taken = slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
            if let Some((inbox, forward)) = taken {
                state.reading = Reading::Idle(inbox);
                state.forward = Some(forward);
            }
            return Err(error);
        }
        Ok(())
    }

    /// The life of the thread that reads.
    fn read_on(&self, mut inbox: Inbox, forward: &Sender<Frame>) {
        while let Ok(frame) = self.read(&mut inbox) {
            if frame.kind == Kind::Task {
                let _ = forward.send(frame);
            } else {
                self.deliver(frame);
            }
        }
        let pending = std::mem::take(&mut self.lock().pending);
        for (_, pending) in pending {
            let error = Error::new(ErrorKind::ShutDown).with_message("the pool is gone");
            pending.fail(error.with_scale(Scale::Process));
        }
        self.changed.notify_all();
    }

    /// Puts an outcome or an answer where it belongs.
    fn deliver(&self, mut frame: Frame) {
        let mut state = self.lock();
        match frame.kind {
            Kind::Outcome => {
                let pending = state.pending.get(&frame.id).cloned();
                drop(state);
                let Some(pending) = pending else {
                    return;
                };
                let id = frame.id;
                let (kind, pid) = (frame.word as u8, (frame.word >> 8) as u32);
                match Kind::from_byte(kind) {
                    Some(kind) => {
                        frame.kind = kind;
                        pending.sink.answer(frame, pid, pending.name);
                    }
                    None => {
                        debug_assert_eq!(kind, FAILED);
                        let told = frame.parcel.open().map_err(Error::from);
                        let error = told.and_then(|(body, _)| codec::decode(&body, "error"));
                        pending.fail(error.unwrap_or_else(|error| error));
                    }
                }
                // Only now: who waits for this finds the outcome there.
                self.lock().pending.remove(&id);
            }
            Kind::Told => {
                if let Some(answer) = state.asked.get_mut(&frame.id) {
                    *answer = Some(frame.word != 0);
                }
            }
            _ => {}
        }
        self.changed.notify_all();
    }

    /// Asks the pool about a task that was submitted from here. `None` if the task has its outcome.
    fn ask(&self, id: u64, question: u64) -> Option<bool> {
        if self.owner != std::process::id() {
            return Some(false);
        }
        let mut state = self.lock();
        loop {
            if !state.pending.contains_key(&id) {
                return None;
            }
            // One question about a task at a time.
            if !state.asked.contains_key(&id) {
                break;
            }
            state = self.wait(state);
        }
        state.asked.insert(id, None);
        drop(state);
        let sent = self.send(Kind::Ask, id, question, &Parcel::default()).is_ok();
        let mut state = self.lock();
        let answer = loop {
            match state.asked.get(&id) {
                Some(None) if sent && state.pending.contains_key(&id) => state = self.wait(state),
                answer => break answer.copied().flatten(),
            }
        };
        state.asked.remove(&id);
        drop(state);
        self.changed.notify_all();
        answer
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Pending {
    fn fail(self, error: Error) {
        self.sink.fail(error.with_task((self.name)()));
    }
}

/// An executor in a worker of its own pool.
pub(super) struct Client {
    inside: &'static Inside,
    closed: AtomicBool,
}

impl Client {
    /// The pool that this process is a worker of.
    pub(super) fn current() -> Option<Arc<Client>> {
        let inside = INSIDE.get().filter(|inside| inside.owner == std::process::id())?;
        Some(Arc::new(Client { inside, closed: AtomicBool::new(false) }))
    }

    pub(super) fn workers(&self) -> usize {
        self.inside.workers
    }

    pub(super) fn submit<F, A, M>(&self, _function: F, args: A) -> Handle<F::Output>
    where
        F: Call<A, M> + Stateless,
        A: Payload,
        F::Output: Payload,
    {
        let cell = Cell::new(next_id(), Arc::new(Asker(self.inside)));
        // A user's `Serialize` may panic; it does so on behalf of this task.
        let packed = catch::catch(|| -> Result<(u64, Parcel)> {
            let entry = image::entry_of::<F, A, M>()?;
            let args = Envelope::pack(&args, "argument")?;
            Ok((entry, Parcel::of(args)?))
        });
        drop(args);
        let name = name_of::<F>;
        let sent = packed.map_err(Error::panicked).flatten().and_then(|(entry, mut parcel)| {
            let _tickets = Arc::new(std::mem::take(&mut parcel.tickets));
            self.begin(cell.id(), Pending { sink: cell.clone(), name, _tickets })?;
            let sent = self.inside.send(Kind::Submit, cell.id(), entry, &parcel);
            sent.map_err(|error| {
                self.inside.lock().pending.remove(&cell.id());
                self.inside.changed.notify_all();
                Error::new(ErrorKind::NotSerializable)
                    .with_message("the task cannot be sent to its pool")
                    .with_source(error)
            })
        });
        if let Err(error) = sent {
            cell.complete(Err(error.with_task(name()).with_scale(Scale::Process)));
        }
        Handle::new(cell)
    }

    /// Makes a place for the outcome, and sees to it that somebody reads.
    fn begin(&self, id: u64, pending: Pending) -> Result<()> {
        if self.inside.owner != std::process::id() {
            return Err(not_of_a_fork());
        }
        let mut state = self.inside.lock();
        // Relaxed: the lock orders it with the look of `shutdown`.
        if self.closed.load(Ordering::Relaxed) {
            return Err(
                Error::new(ErrorKind::ShutDown).with_message("this pool takes no more tasks")
            );
        }
        self.inside.transition_to_thread(&mut state).map_err(|error| {
            Error::new(ErrorKind::NotStarted)
                .with_message("no thread for the outcomes of a task's own tasks")
                .with_source(error)
        })?;
        state.pending.insert(id, pending);
        Ok(())
    }

    /// Takes nothing new from here on, and waits for what this process has submitted.
    pub(super) fn shutdown(&self) {
        let mut state = self.inside.lock();
        // Relaxed: see `begin`.
        self.closed.store(true, Ordering::Relaxed);
        while !state.pending.is_empty() {
            state = self.inside.wait(state);
        }
    }

    /// As `shutdown`, but cancels instead of waiting.
    pub(super) fn shutdown_now(&self) {
        let state = self.inside.lock();
        // Relaxed: see `begin`.
        self.closed.store(true, Ordering::Relaxed);
        let ids: Vec<u64> = state.pending.keys().copied().collect();
        drop(state);
        for id in ids {
            self.inside.ask(id, CANCEL);
        }
        self.shutdown();
    }
}

/// What stands behind the handle of a task that was submitted from here.
struct Asker(&'static Inside);

impl Backend for Asker {
    fn cancel(&self, id: u64, even_running: bool) -> bool {
        let question = if even_running { CANCEL } else { CANCEL_WAITING };
        let cancelled = self.0.ask(id, question) == Some(true);
        if cancelled {
            // The outcome is on its way: once `cancel` has returned, it is there.
            let mut state = self.0.lock();
            while state.pending.contains_key(&id) {
                state = self.0.wait(state);
            }
        }
        cancelled
    }

    fn is_running(&self, id: u64) -> bool {
        self.0.ask(id, IS_RUNNING) != Some(false)
    }

    fn call(&self, job: Box<dyn FnOnce() + Send>) {
        callbacks::run(job);
    }

    fn wait(&self, pending: &dyn wait::Pending, wait: &Wait, deadline: Option<Instant>) {
        if !callbacks::wait(pending, deadline) {
            park(pending, wait, deadline);
        }
    }
}
