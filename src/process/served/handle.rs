//! Handles to words: made, sent, received, and given back when the last of this process is dropped.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use super::link::{self, Link, link};
use super::wire::{Answer, Ask, Blank, FOR_EVER, Load};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::sync::park::{self, Wait};
use crate::task::ticket::{self, Ticket, Tickets};
use crate::task::travel::{self, Arrival, Mark};
use crate::task::{Payload, codec};

/// A handle to a word. All of one process that were cloned from each other count as one.
#[derive(Clone, Debug)]
pub(super) struct Handle(Arc<Reference>);

#[derive(Debug)]
struct Reference {
    word: u64,
}

impl Drop for Reference {
    fn drop(&mut self) {
        if let Some(link) = link::existing() {
            link.tell(self.word, 0, &Ask::LetGo(1));
        }
    }
}

/// Has values that handles travel in get tickets.
pub(super) fn install() {
    travel::install(ticket);
}

/// A descriptor that keeps these words for as long as a copy of it is open.
fn ticket(words: &[Mark]) -> Result<OwnedFd> {
    let (end, ticket) = pipe_with(PipeFlags::CLOEXEC).map_err(std::io::Error::from)?;
    // Before what this process says next: it may be that it gives up its own handle.
    link()?.tell_with(&Ask::Carry(words.to_vec()), end)?;
    Ok(ticket)
}

/// How many words there are in this tree of processes.
#[cfg(test)]
pub(crate) fn count() -> Result<usize> {
    match link()?.ask(0, 0, &Ask::Words, Tickets::default())? {
        Answer::Number(count) => Ok(count as usize),
        other => Err(unexpected(&other)),
    }
}

impl Handle {
    /// A new word, with the value that it begins with.
    pub(super) fn new(blank: Blank, tickets: Tickets) -> Result<Handle> {
        match link()?.ask(0, 0, &Ask::New(blank), tickets)? {
            Answer::Word(word) => Ok(Handle(Arc::new(Reference { word }))),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks what is answered at once.
    pub(super) fn ask(&self, who: u64, ask: &Ask) -> Result<Answer> {
        self.give(who, ask, Tickets::default())
    }

    /// As `ask`, with values: their tickets are the root's if it keeps them, and given back if not.
    pub(super) fn give(&self, who: u64, ask: &Ask, tickets: Tickets) -> Result<Answer> {
        known(link()?.ask(self.0.word, who, ask, tickets)?)
    }

    /// Asks, and lets the caller wait.
    pub(super) fn wait(&self, who: u64, limit: u64, ask: &Ask, wait: &Wait) -> Result<Answer> {
        self.give_waiting(who, limit, ask, Tickets::default(), wait)
    }

    /// As `wait`, with values.
    pub(super) fn give_waiting(
        &self,
        who: u64,
        limit: u64,
        ask: &Ask,
        tickets: Tickets,
        wait: &Wait,
    ) -> Result<Answer> {
        known(link()?.wait(self.0.word, who, limit, ask, tickets, wait)?)
    }

    /// Asks, for a future.
    pub(super) async fn wait_async(&self, who: u64, ask: &Ask) -> Result<Answer> {
        self.give_async(who, ask, Tickets::default()).await
    }

    /// As `wait_async`, with values.
    pub(super) async fn give_async(&self, who: u64, ask: &Ask, tickets: Tickets) -> Result<Answer> {
        let link = link()?;
        known(link.wait_async(self.0.word, who, ask, tickets).await?)
    }

    /// Asks for nothing in return.
    pub(super) fn tell(&self, who: u64, ask: &Ask) {
        if let Some(link) = link::existing() {
            link.tell(self.0.word, who, ask);
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.0.word
    }
}

fn known(answer: Answer) -> Result<Answer> {
    match answer {
        Answer::Unknown => Err(not_there()),
        answer => Ok(answer),
    }
}

fn not_there() -> Error {
    Error::new(ErrorKind::InvalidInput)
        .with_message("the word is not there any more")
        .with_scale(Scale::Process)
}

/// An answer that does not belong to what was asked.
pub(super) fn unexpected(answer: &Answer) -> Error {
    Error::new(ErrorKind::Refused)
        .with_message(format!("the root answered {answer:?}"))
        .with_scale(Scale::Process)
}

/// An answer that says nothing but that it is done.
pub(super) fn done(answer: Answer) -> Result<()> {
    match answer {
        Answer::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// The number of an answer.
pub(super) fn number(answer: Answer) -> Result<usize> {
    match answer {
        Answer::Number(number) => Ok(number as usize),
        other => Err(unexpected(&other)),
    }
}

/// The truth value of an answer.
pub(super) fn truth(answer: Answer) -> Result<bool> {
    match answer {
        Answer::Is(is) => Ok(is),
        other => Err(unexpected(&other)),
    }
}

/// A reference that was put aside for who reads an item, at who wrote it.
struct Aside {
    handle: Handle,
    ticket: u64,
}

/// In the place of one, where the whole value has its ticket.
const NO_TICKET: u64 = 0;

impl Ticket for Aside {
    fn give_back(&self) {
        self.handle.tell(0, &Ask::TakeBack(self.ticket));
    }

    /// It belongs to nobody from the beginning.
    fn sent(&self) {}

    /// It is the root's, which who keeps the bytes knows nothing of.
    fn number(&self) -> Option<ticket::Number> {
        None
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let word = self.0.word;
        if travel::leave(word) {
            return (word, NO_TICKET).serialize(serializer);
        }
        if !ticket::is_writing() {
            return Err(S::Error::custom(ticket::NOWHERE));
        }
        // An item of a word in shared memory, which knows nothing of us.
        let answer = self.ask(0, &Ask::PutAside).and_then(number).map_err(S::Error::custom)?;
        let aside = Aside { handle: self.clone(), ticket: answer as u64 };
        let written = (word, aside.ticket).serialize(serializer);
        ticket::keep(aside);
        written
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Handle, D::Error> {
        let (word, ticket) = <(u64, u64)>::deserialize(deserializer)?;
        let ask = |ask| link().and_then(|link| link.ask(word, 0, &ask, Tickets::default()));
        let asked = match travel::arrival(word) {
            _ if ticket != NO_TICKET => ask(Ask::Redeem(ticket)),
            Some(Arrival::Granted) => Ok(Answer::Done),
            Some(Arrival::ByTicket) => ask(Ask::Refer),
            None => return Err(D::Error::custom("no such word came with this value")),
        };
        asked.and_then(known).map_err(D::Error::custom)?;
        Ok(Handle(Arc::new(Reference { word })))
    }
}

/// Who asks, where it counts which thread or coroutine it is.
pub(super) fn me() -> u64 {
    park::current_id() << 1
}

/// Who asks, where it is one wait or one guard that counts.
pub(super) fn nobody() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only the uniqueness counts.
    NEXT.fetch_add(1, Ordering::Relaxed) << 1 | 1
}

/// A thread that has asked under its own number: its end is told.
struct Leaver(u64);

impl Drop for Leaver {
    fn drop(&mut self) {
        if let Some(link) = link::existing() {
            link.tell(0, self.0, &Ask::Leave);
        }
    }
}

/// As [`me`], for what a thread holds: when it ends, the root is told.
pub(super) fn me_who_holds() -> u64 {
    thread_local! {
        static LEAVER: std::cell::OnceCell<Leaver> = const { std::cell::OnceCell::new() };
    }
    let me = me();
    if park::may_spin() {
        // A thread that is about to end holds nothing for long.
        let _ = LEAVER.try_with(|leaver| {
            leaver.get_or_init(|| Leaver(me));
        });
    }
    me
}

/// A time to wait, as it is sent. None at all is what is asked for by trying.
pub(super) fn limit(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(FOR_EVER).max(1)
}

/// Writes the value of a lock that is given up: the root is about to keep it, whatever happens to this process.
pub(super) fn pack_for_good<T: Payload>(value: &T, what: &str) -> Result<Load> {
    let (load, tickets) = pack(value, what)?;
    tickets.sent();
    Ok(load)
}

/// Writes a value, and gives the tickets of words in shared memory that are in it: dropped, they are given back.
pub(super) fn pack<T: Payload>(value: &T, what: &str) -> Result<(Load, Tickets)> {
    let ((bytes, words), tickets) =
        ticket::collect(|| travel::collect(|| codec::encode(value, what)));
    Ok((Load { bytes: Arc::new(bytes?), words }, tickets))
}

/// As `pack`, for several that go together.
pub(super) fn pack_all<'a, T: Payload>(
    values: impl IntoIterator<Item = &'a T>,
    what: &str,
) -> Result<(Vec<Load>, Tickets)> {
    let mut all = Tickets::default();
    let loads = values.into_iter().map(|value| {
        let (load, tickets) = pack(value, what)?;
        all.join(tickets);
        Ok(load)
    });
    // Those of the first are given back if the next cannot be written.
    Ok((loads.collect::<Result<_>>()?, all))
}

/// Reads a value that an answer brought, with handles that are this process's already.
pub(super) fn unpack<T: DeserializeOwned + 'static>(load: Load, what: &str) -> Result<T> {
    let (value, left) = travel::receive_granted(load.words, || {
        ticket::reading(false, || codec::decode(&load.bytes, what))
    });
    give_back(left);
    value
}

/// Gives back handles that nobody has made use of.
pub(super) fn give_back(words: Vec<u64>) {
    if let Some(link) = link::existing() {
        let tell = |link: &Link, word| link.tell(word, 0, &Ask::LetGo(1));
        words.into_iter().for_each(|word| tell(&link, word));
    }
}
