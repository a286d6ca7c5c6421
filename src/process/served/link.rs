//! The connection of this process to the root: one for all its threads, coroutines and futures.
//!
//! A request has a number, and its answer the same. Whoever waits reads the socket itself if nobody else does, gives the
//! others their answers, and leaves the reading to one of them when its own has come: so a call of a thread that is alone
//! is one round trip, with no hop over another thread. Coroutines and futures must not block: while one of them waits, a
//! thread of the library's reads.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};

use super::undo::undo;
use super::wire::{Answer, Ask, Head, Inbox, ONE_WAY, read_reply, write_request};
use crate::error::{Error, ErrorKind, Result, Scale, shield};
use crate::process::channel::{Parcel, send_bytes};
use crate::process::context::context;
use crate::process::fork::{Generation, generation};
use crate::process::patience::Patience;
use crate::sync::park::{self, Parker, Wait};

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

static LINK: Mutex<Option<Arc<Link>>> = Mutex::new(None);

fn slot() -> MutexGuard<'static, Option<Arc<Link>>> {
    LINK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    slot()
}

/// A connection that a fork is to have, made before there is one.
#[derive(Debug)]
pub(crate) struct Heir {
    socket: OwnedFd,
    number: u64,
}

/// If this process has a connection: one for a fork of it, which has the same handles.
pub(crate) fn heir() -> Result<Option<Heir>> {
    let Some(link) = existing() else { return Ok(None) };
    connect(link.number).map(Some)
}

/// In a fork: its own connection in the place of its parent's, of whose socket it gives the number.
pub(crate) fn inherit(heir: Option<Heir>) -> Option<RawFd> {
    let link = heir.map(|Heir { socket, number }| Arc::new(Link::new(socket, number)));
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
    let link = Arc::new(Link::new(socket, number));
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
    send_bytes(door, &parent.to_le_bytes(), &parcel).map_err(|error| gone().with_source(error))?;
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

/// A connection.
pub(super) struct Link {
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
}

struct State {
    next: u64,
    calls: HashMap<u64, Call>,
    /// Somebody reads.
    is_read: bool,
    /// Calls of those who must not block.
    patient: usize,
    has_reader: bool,
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
}

/// An answer for nobody.
pub(super) struct Orphan {
    pub(super) word: u64,
    pub(super) who: u64,
    pub(super) answer: Answer,
}

impl Link {
    fn new(socket: OwnedFd, number: u64) -> Link {
        let state = State {
            next: ONE_WAY + 1,
            calls: HashMap::new(),
            is_read: false,
            patient: 0,
            has_reader: false,
            is_gone: false,
        };
        let reading = Reading {
            inbox: Inbox::default(),
            buffer: vec![0; PIECE],
            patience: Patience::default(),
        };
        Link {
            socket,
            number,
            generation: generation(),
            sending: Mutex::new(()),
            read: AtomicU64::new(0),
            state: Mutex::new(state),
            reading: Mutex::new(reading),
            work: Condvar::new(),
        }
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
        let bytes = write_request(&Head { id, read, word, who, limit }, ask);
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = send_bytes(&self.socket, &bytes, &parcel);
        drop(sending);
        sent.map_err(|error| {
            self.deal_out(Vec::new(), true);
            gone().with_source(error)
        })
    }

    /// Asks, and blocks the thread for the answer, which does not let itself be waited for.
    pub(super) fn ask(&self, word: u64, who: u64, ask: &Ask) -> Result<Answer> {
        let call = Pending::new(self, word, who, true)?;
        self.send(call.id, word, who, 0, ask, None)?;
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
        wait: &Wait,
    ) -> Result<Answer> {
        let leads = park::may_spin();
        let mut call = Pending::new(self, word, who, leads)?;
        self.send(call.id, word, who, limit, ask, None)?;
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
    pub(super) async fn wait_async(&self, word: u64, who: u64, ask: &Ask) -> Result<Answer> {
        let mut call = Pending::new(self, word, who, false)?;
        self.send(call.id, word, who, super::wire::FOR_EVER, ask, None)?;
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
        if state.patient > 0 {
            drop(state);
            self.work.notify_one();
            return;
        }
        // One without a waker does not sleep: it finds out by itself that nobody reads.
        let mut waiting = state.calls.values().filter(|call| call.leads && call.answer.is_none());
        let waker = waiting.find_map(|call| call.waker.clone());
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
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
        let (mut wakers, mut orphans) = (Vec::new(), Vec::new());
        let mut state = self.state();
        for (id, answer) in answers {
            let Some(call) = state.calls.get_mut(&id) else { continue };
            if call.abandoned {
                let Call { word, who, .. } = *call;
                state.remove(id);
                orphans.push(Orphan { word, who, answer });
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
            abandoned.into_iter().for_each(|id| drop(state.remove(id)));
            self.work.notify_one();
        }
        drop(state);
        // Those of futures are a user's: a panic harms nobody else who waits.
        wakers.into_iter().for_each(|waker| shield(|| waker.wake()));
        orphans.into_iter().for_each(|orphan| undo(self, orphan));
    }

    /// Sees to it that somebody reads for those who must not block.
    fn need_reader(&self, state: &mut State) -> Result<()> {
        if !state.has_reader {
            let link = existing().filter(|link| std::ptr::eq(&**link, self)).ok_or_else(gone)?;
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
    fn new(link: &'a Link, word: u64, who: u64, leads: bool) -> Result<Pending<'a>> {
        let mut state = link.state();
        if state.is_gone {
            return Err(gone());
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
        let call = Call { word, who, waker: None, leads, answer: None, abandoned: false };
        state.calls.insert(id, call);
        Ok(Pending { link, id, word, who, is_over: false })
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Answer>> {
        let mut state = self.link.state();
        let is_gone = state.is_gone;
        let call = state.calls.get_mut(&self.id).expect("it is there until its answer is taken");
        if call.answer.is_none() && !is_gone {
            match &mut call.waker {
                Some(waker) => waker.clone_from(context.waker()),
                None => call.waker = Some(context.waker().clone()),
            }
            return Poll::Pending;
        }
        self.is_over = true;
        let answer = state.remove(self.id).and_then(|call| call.answer);
        Poll::Ready(answer.ok_or_else(gone))
    }
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
        match call.answer.take() {
            Some(answer) => {
                state.remove(id);
                drop(state);
                undo(self.link, Orphan { word, who, answer });
            }
            None if is_gone => drop(state.remove(id)),
            None => {
                call.abandoned = true;
                call.waker = None;
                drop(state);
                self.link.tell(word, who, &Ask::Cancel(id));
            }
        }
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
mod tests {
    use super::*;
    use std::panic::Location;
    use std::pin::pin;
    use std::time::Duration;

    #[track_caller]
    fn wait() -> Wait {
        Wait { what: "a test", place: Location::caller() }
    }

    fn is_gone<T>(result: Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == ErrorKind::RootGone)
    }

    #[test]
    fn all_who_wait_are_told_that_the_root_is_gone_and_all_who_come_later() {
        for later in [false, true] {
            let flags = SocketFlags::CLOEXEC;
            let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
            let (ours, root) = pair.unwrap();
            let link = Link::new(ours, 1);
            std::thread::scope(|scope| {
                let forever = super::super::wire::FOR_EVER;
                let calls: Vec<_> = (0..4)
                    .map(|who| {
                        scope.spawn({
                            let link = &link;
                            move || is_gone(link.wait(1, who << 1, forever, &Ask::Lock, &wait()))
                        })
                    })
                    .collect();
                if later {
                    // Until all have asked: each request has the same size.
                    let size = write_request(
                        &Head { id: 1, read: 0, word: 1, who: 0, limit: forever },
                        &Ask::Lock,
                    )
                    .len();
                    let mut left = 4 * size;
                    let mut buffer = vec![0; left];
                    while left > 0 {
                        let flags = RecvFlags::empty();
                        left -= rustix::net::recv(&root, &mut buffer[..left], flags).unwrap().0;
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
                drop(root);
                assert!(calls.into_iter().all(|call| call.join().unwrap()));
            });
            assert!(is_gone(link.ask(1, 0, &Ask::Len)));
            link.tell(1, 0, &Ask::LetGo(1));
            let state = link.state();
            assert!(state.calls.is_empty() && state.patient == 0);
        }
    }

    #[test]
    fn a_word_that_is_not_there_is_told_to_a_future() {
        let link = super::link().unwrap();
        let asks = link.wait_async(u64::MAX, 1, &Ask::Len);
        let mut asks = pin!(asks);
        let end = Instant::now() + Duration::from_secs(20);
        let mut context = Context::from_waker(Waker::noop());
        let answer = loop {
            if let Poll::Ready(answer) = asks.as_mut().poll(&mut context) {
                break answer;
            }
            assert!(Instant::now() < end, "no answer");
            std::thread::yield_now();
        };
        assert_eq!(answer.unwrap(), Answer::Unknown);
    }
}
