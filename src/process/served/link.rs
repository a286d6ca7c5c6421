//! The connection of this process to the root: one for all its threads, coroutines and futures.
//!
//! A request has a number, and its answer the same. Whoever waits reads the socket itself if nobody else does, gives the
//! others their answers, and leaves the reading to one of them when its own has come: so a call of a thread that is alone
//! is one round trip, with no hop over another thread. Coroutines and futures must not block: while one of them waits, a
//! thread of the library's reads.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use rustix::net::{
    AddressFamily, RecvFlags, Shutdown, SocketFlags, SocketType, shutdown, socketpair,
};

use super::undo::undo;
use super::wire::{
    Answer, Ask, Head, Inbox, LONGEST, MOST_CALLS, ONE_WAY, read_reply, write_request,
};
use crate::error::{Error, ErrorKind, Result, Scale, shield};
use crate::process::channel::{CROWDED, Parcel, Unsent, send_held};
use crate::process::context::context;
use crate::process::fork::{Generation, generation};
use crate::process::patience::Patience;
use crate::sync::park::{self, Parker, Wait};
use crate::task::ticket::Tickets;

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

static LINK: Mutex<Option<Arc<Link>>> = Mutex::new(None);

fn slot() -> MutexGuard<'static, Option<Arc<Link>>> {
    LINK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that a fork is to have, made before there is one.
#[derive(Debug)]
pub(crate) struct Heir {
    socket: OwnedFd,
    number: u64,
}

/// Waits until the root knows of all that this thread has given up: see [`with_heir`].
pub(crate) fn catch_up() -> Result<()> {
    if let Some(link) = existing() {
        link.ask(0, 0, &Ask::Words, Tickets::default())?;
    }
    Ok(())
}

/// Calls `divide`, which forks, with a connection for the fork if this process has one. What references this process has is
/// counted for it, and until the fork is there no answer that brings others goes to anybody: the fork has no handle that was
/// not counted. It finds the lock of the connection free.
pub(crate) fn with_heir<R>(divide: impl FnOnce(Option<Heir>) -> R) -> Result<R> {
    let slot = slot();
    let link = slot.as_ref().filter(|link| link.generation == generation()).cloned();
    let state = link.as_ref().map(|link| link.state());
    // Over the door, and not over a connection whose answers nobody takes now.
    let heir = link.as_ref().map(|link| connect(link.number)).transpose()?;
    let divided = divide(heir);
    drop((state, slot));
    Ok(divided)
}

/// In a fork: its own connection in the place of its parent's, of whose socket it gives the number.
pub(crate) fn inherit(heir: Option<Heir>) -> Option<RawFd> {
    let link = heir.map(|Heir { socket, number }| Link::new(socket, number));
    let old = std::mem::replace(&mut *slot(), link)?;
    let socket = old.socket.as_raw_fd();
    // Its locks may be held by threads that are not here.
    std::mem::forget(old);
    Some(socket)
}

/// The connection of this process, if it has one.
pub(super) fn existing() -> Option<Arc<Link>> {
    slot().as_ref().filter(|link| link.generation == generation()).cloned()
}

/// The connection of this process, made at the first call.
pub(super) fn link() -> Result<Arc<Link>> {
    let mut slot = slot();
    if let Some(link) = slot.as_ref().filter(|link| link.generation == generation()) {
        return Ok(link.clone());
    }
    super::handle::install();
    let Heir { socket, number } = connect(0)?;
    let link = Link::new(socket, number);
    // That of the process that this is a plain fork of stays as it is.
    std::mem::forget(slot.replace(link.clone()));
    Ok(link)
}

/// Knocks at the door, and waits to be let in. `parent` is the number of the connection that this is to have the handles of.
fn connect(parent: u64) -> Result<Heir> {
    let flags = SocketFlags::CLOEXEC;
    let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(std::io::Error::from)?;
    let parcel = Parcel { fds: vec![theirs], ..Parcel::default() };
    let door = context()?.door();
    send_held(door, &parent.to_le_bytes(), &parcel, Some(CROWDED), || ()).map_err(not_sent)?;
    drop(parcel);
    let mut number = [0; 8];
    let mut got = 0;
    while got < number.len() {
        match rustix::net::recv(&socket, &mut number[got..], RecvFlags::empty()) {
            Ok((0, _)) => return Err(gone()),
            Ok((count, _)) => got += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
    }
    Ok(Heir { socket, number: u64::from_le_bytes(number) })
}

fn gone() -> Error {
    Error::new(ErrorKind::RootGone).with_scale(Scale::Process)
}

/// What is told of a request that did not leave this process.
fn not_sent(Unsent { error, .. }: Unsent) -> Error {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe
        | std::io::ErrorKind::ConnectionReset
        | std::io::ErrorKind::ConnectionRefused
        | std::io::ErrorKind::NotConnected => gone().with_source(error),
        _ => Error::from(error).with_scale(Scale::Process),
    }
}

/// A connection.
pub(super) struct Link {
    me: Weak<Link>,
    socket: OwnedFd,
    number: u64,
    generation: Generation,
    /// Requests are written one after the other.
    sending: Mutex<()>,
    /// How many replies were read.
    read: AtomicU64,
    state: Mutex<State>,
    reading: Mutex<Reading>,
    /// There is something to read for the thread that reads for those who must not block.
    work: Condvar,
    /// There is something to undo.
    undo: Condvar,
}

struct State {
    next: u64,
    calls: HashMap<u64, Call>,
    /// Somebody reads.
    is_read: bool,
    /// Calls of those who must not block.
    patient: usize,
    has_reader: bool,
    /// Answers for nobody. Another than who reads undoes them: what it sends may have to wait until the root has got rid of answers.
    undone: VecDeque<(Orphan, Tickets)>,
    has_undoer: bool,
    is_gone: bool,
}

/// For whoever reads.
struct Reading {
    inbox: Inbox,
    buffer: Vec<u8>,
    patience: Patience,
}

/// A request whose answer has not been taken.
struct Call {
    word: u64,
    who: u64,
    /// Of whom it is to wake. `None` while it runs, or when it is abandoned.
    waker: Option<Waker>,
    /// It may block, and so may read.
    leads: bool,
    answer: Option<Answer>,
    abandoned: bool,
    /// Of the values that were sent: the root's if it keeps them.
    tickets: Tickets,
}

impl Call {
    /// Its answer, and with it the tickets are whose they are. Not under a lock.
    fn settle(self) -> Option<Answer> {
        settle(self.tickets, self.answer.as_ref());
        self.answer
    }
}

/// The tickets of what was sent are the root's if it has kept that, and are given back if not.
fn settle(tickets: Tickets, answer: Option<&Answer>) {
    if answer.is_some_and(Answer::is_kept) {
        tickets.sent();
    }
}

/// An answer for nobody.
pub(super) struct Orphan {
    pub(super) word: u64,
    pub(super) who: u64,
    pub(super) answer: Answer,
}

impl Link {
    fn new(socket: OwnedFd, number: u64) -> Arc<Link> {
        let state = State {
            next: ONE_WAY + 1,
            calls: HashMap::new(),
            is_read: false,
            patient: 0,
            has_reader: false,
            undone: VecDeque::new(),
            has_undoer: false,
            is_gone: false,
        };
        let reading = Reading {
            inbox: Inbox::default(),
            buffer: vec![0; PIECE],
            patience: Patience::default(),
        };
        Arc::new_cyclic(|me| Link {
            me: me.clone(),
            socket,
            number,
            generation: generation(),
            sending: Mutex::new(()),
            read: AtomicU64::new(0),
            state: Mutex::new(state),
            reading: Mutex::new(reading),
            work: Condvar::new(),
            undo: Condvar::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for nothing in return.
    pub(super) fn tell(&self, word: u64, who: u64, ask: &Ask) {
        // That the root is gone the next call finds.
        let _ = self.send(ONE_WAY, word, who, 0, ask, None);
    }

    /// As `tell`, with a descriptor.
    pub(super) fn tell_with(&self, ask: &Ask, fd: OwnedFd) -> Result<()> {
        self.send(ONE_WAY, 0, 0, 0, ask, Some(fd))
    }

    fn send(
        &self,
        id: u64,
        word: u64,
        who: u64,
        limit: u64,
        ask: &Ask,
        fd: Option<OwnedFd>,
    ) -> Result<()> {
        let parcel = Parcel { fds: fd.into_iter().collect(), ..Parcel::default() };
        // Relaxed: a number that is behind makes the other side keep more than it must.
        let read = self.read.load(Ordering::Relaxed);
        // A value that is too long by itself is not even copied.
        let bytes = match ask.value_bytes() {
            0..=LONGEST => write_request(&Head { id, read, word, who, limit }, ask),
            _ => return Err(too_long()),
        };
        if bytes.len() > LONGEST {
            return Err(too_long());
        }
        let sending = || self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = send_held(&self.socket, &bytes, &parcel, Some(CROWDED), sending);
        sent.map_err(|unsent| {
            let begun = unsent.begun;
            let error = not_sent(unsent);
            if begun || error.kind() == ErrorKind::RootGone {
                // The root is to find out as well, should it be there: as if this process had died.
                let _ = shutdown(&self.socket, Shutdown::Both);
                self.deal_out(Vec::new(), true);
            }
            error
        })
    }

    /// Asks, and blocks the thread for the answer, which does not let itself be waited for.
    pub(super) fn ask(&self, word: u64, who: u64, ask: &Ask, tickets: Tickets) -> Result<Answer> {
        let call = Pending::new(self, word, who, true, tickets)?.send(0, ask)?;
        let thread = Waker::from(Arc::new(Unpark(std::thread::current())));
        self.wait_as_thread(call, &thread, &std::thread::park)
    }

    /// Asks, and lets the caller, thread or coroutine, wait for the answer.
    pub(super) fn wait(
        &self,
        word: u64,
        who: u64,
        limit: u64,
        ask: &Ask,
        tickets: Tickets,
        wait: &Wait,
    ) -> Result<Answer> {
        let leads = park::may_spin();
        let mut call = Pending::new(self, word, who, leads, tickets)?.send(limit, ask)?;
        let parker = Parker::current();
        if leads {
            return self.wait_as_thread(call, parker.waker(), &|| {
                parker.park(wait, None);
            });
        }
        let mut context = Context::from_waker(parker.waker());
        loop {
            if let Poll::Ready(answer) = call.poll(&mut context) {
                return answer;
            }
            parker.park(wait, None);
        }
    }

    /// As `wait`, for a future.
    pub(super) async fn wait_async(
        &self,
        word: u64,
        who: u64,
        ask: &Ask,
        tickets: Tickets,
    ) -> Result<Answer> {
        let call = Pending::new(self, word, who, false, tickets)?;
        let mut call = call.send(super::wire::FOR_EVER, ask)?;
        std::future::poll_fn(|context| call.poll(context)).await
    }

    /// Reads while nobody else does, and sleeps while another reads.
    fn wait_as_thread(
        &self,
        mut call: Pending<'_>,
        waker: &Waker,
        sleep: &dyn Fn(),
    ) -> Result<Answer> {
        let mut context = Context::from_waker(waker);
        loop {
            if let Poll::Ready(answer) = call.poll(&mut context) {
                return answer;
            }
            if self.begin_to_read() {
                let turn = Turn(self);
                while !self.is_over(call.id) {
                    self.read();
                }
                drop(turn);
            } else {
                sleep();
            }
        }
    }

    /// Whether the caller is the one who reads now.
    fn begin_to_read(&self) -> bool {
        let mut state = self.state();
        !std::mem::replace(&mut state.is_read, true)
    }

    /// Leaves the reading to the next: to the thread that reads for those who must not block, or to one who waits.
    fn end_to_read(&self) {
        let mut state = self.state();
        state.is_read = false;
        self.find_reader(state);
    }

    /// Wakes one who can read, if nobody does.
    fn find_reader(&self, mut state: MutexGuard<'_, State>) {
        if state.is_read {
            return;
        }
        if state.patient > 0 {
            drop(state);
            self.work.notify_one();
            return;
        }
        // One without a waker does not sleep: it finds out by itself that nobody reads, or has been woken, and leaves another.
        let waiting = state.calls.values_mut();
        let mut waiting = waiting.filter(|call| call.leads && call.answer.is_none());
        let waker = waiting.find_map(|call| call.waker.take());
        drop(state);
        if let Some(waker) = waker {
            // A panic of a user's harms nobody else who waits.
            shield(|| waker.wake());
        }
    }

    fn is_over(&self, id: u64) -> bool {
        let state = self.state();
        state.is_gone || state.calls.get(&id).is_none_or(|call| call.answer.is_some())
    }

    /// Reads once, and gives the answers that have come to whom they are for.
    fn read(&self) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let Reading { inbox, buffer, patience } = &mut *reading;
        let began = Instant::now();
        let mut received = Err(rustix::io::Errno::AGAIN);
        patience.look(|| {
            received = rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT);
            received != Err(rustix::io::Errno::AGAIN)
        });
        if received == Err(rustix::io::Errno::AGAIN) {
            received = rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty());
        }
        patience.learn(began.elapsed());
        let mut answers = Vec::new();
        let is_gone = match received {
            Ok((0, _)) => true,
            Ok((count, _)) => {
                inbox.add(&buffer[..count]);
                let mut is_sound = true;
                while let Some(frame) = inbox.next() {
                    match read_reply(frame) {
                        Some(answer) => answers.push(answer),
                        None => is_sound = false,
                    }
                }
                !is_sound
            }
            Err(rustix::io::Errno::INTR) => false,
            Err(_) => true,
        };
        drop(reading);
        self.read.fetch_add(answers.len() as u64, Ordering::Relaxed);
        self.deal_out(answers, is_gone);
    }

    fn deal_out(&self, answers: Vec<(u64, Answer)>, is_gone: bool) {
        let (mut wakers, mut orphans, mut left) = (Vec::new(), Vec::new(), Vec::new());
        let mut state = self.state();
        for (id, answer) in answers {
            let Some(call) = state.calls.get_mut(&id) else { continue };
            if call.abandoned {
                let Call { word, who, .. } = *call;
                let tickets = std::mem::take(&mut call.tickets);
                state.remove(id);
                orphans.push((Orphan { word, who, answer }, tickets));
            } else {
                call.answer = Some(answer);
                wakers.extend(call.waker.take());
            }
        }
        if is_gone {
            state.is_gone = true;
            wakers.extend(state.calls.values_mut().filter_map(|call| call.waker.take()));
            let abandoned = state.calls.iter().filter(|(_, call)| call.abandoned);
            let abandoned: Vec<u64> = abandoned.map(|(id, _)| *id).collect();
            left.extend(abandoned.into_iter().filter_map(|id| state.remove(id)));
            self.work.notify_one();
            self.undo.notify_one();
        }
        drop(state);
        // Those of futures are a user's: a panic harms nobody else who waits.
        wakers.into_iter().for_each(|waker| shield(|| waker.wake()));
        drop(left);
        self.undo_soon(orphans);
    }

    /// Has what came for nobody undone by a thread that does nothing else: who reads must not wait for the root to read.
    fn undo_soon(&self, orphans: Vec<(Orphan, Tickets)>) {
        if orphans.is_empty() {
            return;
        }
        let mut state = self.state();
        state.undone.extend(orphans);
        if !state.has_undoer {
            let undoer = self.me.upgrade().map(|link| {
                std::thread::Builder::new()
                    .name("fourfold-undo".into())
                    .stack_size(256 << 10)
                    .spawn(move || link.undo_all())
            });
            state.has_undoer = matches!(undoer, Some(Ok(_)));
        }
        if state.has_undoer {
            drop(state);
            self.undo.notify_one();
            return;
        }
        // No thread is to be had: late and here is better than never.
        let undone = std::mem::take(&mut state.undone);
        drop(state);
        undone.into_iter().for_each(|(orphan, tickets)| self.undo_one(orphan, tickets));
    }

    fn undo_one(&self, orphan: Orphan, tickets: Tickets) {
        settle(tickets, Some(&orphan.answer));
        undo(self, orphan);
    }

    fn undo_all(&self) {
        let mut state = self.state();
        while !state.is_gone || !state.undone.is_empty() {
            match state.undone.pop_front() {
                Some((orphan, tickets)) => {
                    drop(state);
                    self.undo_one(orphan, tickets);
                    state = self.state();
                }
                None => state = self.undo.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Sees to it that somebody reads for those who must not block.
    fn need_reader(&self, state: &mut State) -> Result<()> {
        if !state.has_reader {
            let link = self.me.upgrade().ok_or_else(gone)?;
            std::thread::Builder::new()
                .name("fourfold-reader".into())
                .stack_size(256 << 10)
                .spawn(move || link.read_for_others())?;
            state.has_reader = true;
        }
        if !state.is_read {
            self.work.notify_one();
        }
        Ok(())
    }

    fn read_for_others(&self) {
        let mut state = self.state();
        loop {
            if state.is_gone {
                return;
            }
            if state.patient == 0 || state.is_read {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_read = true;
            while state.patient > 0 && !state.is_gone {
                drop(state);
                self.read();
                state = self.state();
            }
            drop(state);
            self.end_to_read();
            state = self.state();
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl State {
    fn remove(&mut self, id: u64) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        if !call.leads {
            self.patient -= 1;
        }
        Some(call)
    }
}

/// Ends the turn of one who reads, also if what it wakes panics.
struct Turn<'a>(&'a Link);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.end_to_read();
    }
}

/// A request on its way. Dropped before its answer was taken, what it got is given back.
struct Pending<'a> {
    link: &'a Link,
    id: u64,
    word: u64,
    who: u64,
    is_over: bool,
}

impl<'a> Pending<'a> {
    fn new(
        link: &'a Link,
        word: u64,
        who: u64,
        leads: bool,
        tickets: Tickets,
    ) -> Result<Pending<'a>> {
        let mut state = link.state();
        if state.is_gone {
            return Err(gone());
        }
        if state.calls.len() >= MOST_CALLS {
            return Err(Error::invalid(format!(
                "{MOST_CALLS} calls of words between processes wait in this process, and no more can"
            )));
        }
        if !leads {
            state.patient += 1;
            if let Err(error) = link.need_reader(&mut state) {
                state.patient -= 1;
                return Err(error);
            }
        }
        let id = state.next;
        state.next += 1;
        let (waker, answer) = (None, None);
        let call = Call { word, who, waker, leads, answer, abandoned: false, tickets };
        state.calls.insert(id, call);
        Ok(Pending { link, id, word, who, is_over: false })
    }

    /// Sends it. What has not left is as if it had never been.
    fn send(mut self, limit: u64, ask: &Ask) -> Result<Pending<'a>> {
        if let Err(error) = self.link.send(self.id, self.word, self.who, limit, ask, None) {
            self.is_over = true;
            let call = self.link.state().remove(self.id);
            drop(call);
            return Err(error);
        }
        Ok(self)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Answer>> {
        // A waker is a user's, and so is what its clone and its end do: neither is under the lock.
        let mut waker = None;
        loop {
            let mut state = self.link.state();
            let is_gone = state.is_gone;
            let call =
                state.calls.get_mut(&self.id).expect("it is there until its answer is taken");
            if call.answer.is_some() || is_gone {
                self.is_over = true;
                let call = state.remove(self.id);
                drop(state);
                return Poll::Ready(call.and_then(Call::settle).ok_or_else(gone));
            }
            let known = call.waker.as_ref();
            if known.is_some_and(|known| known.will_wake(context.waker())) {
                return Poll::Pending;
            }
            if waker.is_some() {
                let _old = std::mem::replace(&mut call.waker, waker);
                drop(state);
                return Poll::Pending;
            }
            drop(state);
            waker = Some(context.waker().clone());
        }
    }
}

fn too_long() -> Error {
    Error::invalid(format!(
        "what is sent in one call of a word between processes is at most {LONGEST} bytes long"
    ))
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = self.link.state();
        let (id, word, who) = (self.id, self.word, self.who);
        let is_gone = state.is_gone;
        let Some(call) = state.calls.get_mut(&id) else { return };
        if call.answer.is_some() || is_gone {
            let call = state.remove(id);
            drop(state);
            if let Some(answer) = call.and_then(Call::settle) {
                undo(self.link, Orphan { word, who, answer });
            }
            return;
        }
        call.abandoned = true;
        let waker = call.waker.take();
        if std::mem::take(&mut call.leads) {
            // Somebody is to read its answer, also where nobody else waits.
            state.patient += 1;
            let _ = self.link.need_reader(&mut state);
        }
        self.link.find_reader(state);
        drop(waker);
        self.link.tell(word, who, &Ask::Cancel(id));
    }
}

/// Ends the sleep of a thread in `std::thread::park`.
struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests;
