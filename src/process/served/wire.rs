//! How requests and replies are written: numbers and bytes, each frame behind its length.

use std::sync::Arc;

use crate::words::Order;

/// A request's number that asks for no reply.
pub(super) const ONE_WAY: u64 = 0;
/// A request that is carried out at once, or not at all.
pub(super) const AT_ONCE: u64 = 0;
/// A request that waits as long as it takes.
pub(super) const FOR_EVER: u64 = u64::MAX;

/// Bytes of a request at most, as they are in its length: a process that sends a longer one is cut off.
pub(super) const LONGEST: usize = 1 << 30;

/// Requests of one process at most that have no answer yet, or one that could not be sent yet: one with more is cut off.
pub(super) const MOST_CALLS: usize = 1 << 20;

/// What a value that crosses is made of: its bytes, and the words whose handles are in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Shared: a value goes to all who read it without a copy for each.
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) words: Vec<u64>,
}

/// The head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: u64,
    /// How many replies the sender has taken off its socket.
    pub(super) read: u64,
    pub(super) word: u64,
    /// Who asks, among those of the process.
    pub(super) who: u64,
    /// In ns, or [`AT_ONCE`], or [`FOR_EVER`].
    pub(super) limit: u64,
}

/// What becomes of what a consumer had taken when it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    HandBack,
    Report,
    Drop,
}

/// What a new word is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Blank {
    RLock,
    RwLock(Load),
    Condition(Load),
    Barrier(usize),
    Queue { order: Order, capacity: usize, fate: Fate },
    List,
    Dict,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    New(Blank),
    /// One reference more for the asking process.
    Refer,
    /// So many less.
    LetGo(u64),
    /// One reference more, for whoever comes with the number that is answered.
    PutAside,
    /// What was put aside is the asker's, or another reference, if it is gone and the word is not.
    Redeem(u64),
    /// Nobody will come for what was put aside.
    TakeBack(u64),
    /// Keep these words until the other end of the descriptor that comes along is closed everywhere.
    Carry(Vec<u64>),
    /// The request of this number is not waited for any longer.
    Cancel(u64),
    /// The asking thread has ended.
    Leave,
    /// How many words there are.
    Words,

    Lock,
    Read,
    Write,
    /// With the value that is to be stored, if it was changed.
    Unlock(Option<Load>),
    IsLocked,
    Wait(Option<Load>),
    Notify(u64),

    Meet,
    Reset,
    Abort,
    Parties,
    Waiting,
    IsBroken,

    /// Each with its key, in a queue by priority.
    Put(Vec<(Load, Vec<u8>)>),
    /// So many at most.
    Get(u64),
    /// An item that nobody wanted in the end.
    Return {
        item: Load,
        arrival: u64,
        key: Vec<u8>,
        /// It had come before already.
        redelivered: bool,
    },
    Len,
    Capacity,
    TaskDone,
    Join,
    ShutDown {
        immediate: bool,
    },
    /// What dead consumers had taken, in a queue that reports it.
    Lost,
    /// Some of those again, since they were not read.
    Lose(Vec<Load>),

    At(i64),
    SetAt(i64, Load),
    Insert(i64, Load),
    Extend(Vec<Load>),
    Pop(i64),
    Find(Load),
    Count(Load),
    All,
    /// In place of all items, if none was changed since that version.
    Replace {
        version: u64,
        items: Vec<Load>,
    },
    Clear,

    Value(Vec<u8>),
    SetValue {
        key: Load,
        value: Load,
    },
    Remove(Vec<u8>),
    PopLast,
    Entries,
}

impl Ask {
    /// Bytes of the values in it.
    pub(super) fn value_bytes(&self) -> usize {
        let sum = |loads: &[Load]| loads.iter().map(|load| load.bytes.len()).sum();
        match self {
            Ask::New(Blank::RwLock(load) | Blank::Condition(load))
            | Ask::Unlock(Some(load))
            | Ask::Wait(Some(load))
            | Ask::Return { item: load, .. }
            | Ask::SetAt(_, load)
            | Ask::Insert(_, load)
            | Ask::Find(load)
            | Ask::Count(load) => load.bytes.len(),
            Ask::Put(items) => items.iter().map(|(load, key)| load.bytes.len() + key.len()).sum(),
            Ask::Extend(loads) | Ask::Replace { items: loads, .. } | Ask::Lose(loads) => sum(loads),
            Ask::SetValue { key, value } => key.bytes.len() + value.bytes.len(),
            Ask::Value(key) | Ask::Remove(key) => key.len(),
            _ => 0,
        }
    }
}

/// An item of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) item: Load,
    pub(super) arrival: u64,
    pub(super) key: Vec<u8>,
    pub(super) redelivered: bool,
}

impl Got {
    /// What puts it back to where it was, as it was.
    pub(super) fn back(self) -> Ask {
        let Got { item, arrival, key, redelivered } = self;
        Ask::Return { item, arrival, key, redelivered }
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    /// There is no such word.
    Unknown,
    Word(u64),
    Number(u64),
    Is(bool),
    /// The lock is the asker's; its value, where it has one.
    Locked {
        owner_died: bool,
        value: Option<Load>,
    },
    /// A wait is over, with the lock taken again.
    Woken {
        notified: bool,
        owner_died: bool,
        value: Load,
    },
    /// Not within the time.
    Busy,
    NotHeld,
    Passed(u64),
    Broken,
    Items(Vec<Got>),
    Empty,
    Full,
    Shut,
    TooManyDone,
    Loads {
        version: u64,
        loads: Vec<Load>,
    },
    /// It has changed meanwhile.
    Changed,
    /// What was asked means nothing to this word.
    Misplaced,
}

impl Answer {
    /// Whether the values that came with what was asked are kept. It is told of requests with values only.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Answer::Done | Answer::Word(_) | Answer::Is(true) | Answer::Loads { .. })
    }

    /// The words whose handles are in it.
    pub(super) fn words(&self) -> Vec<u64> {
        let of = |load: &Load| load.words.clone();
        match self {
            Answer::Locked { value: Some(load), .. } | Answer::Woken { value: load, .. } => {
                of(load)
            }
            Answer::Items(items) => items.iter().flat_map(|got| of(&got.item)).collect(),
            Answer::Loads { loads, .. } => loads.iter().flat_map(of).collect(),
            _ => Vec::new(),
        }
    }
}

/// Writes a frame.
pub(super) struct Writer(Vec<u8>);

/// Bytes of the length before a frame.
pub(super) const LENGTH: usize = 8;

impl Writer {
    fn new(id: u64) -> Writer {
        let mut writer = Writer(Vec::with_capacity(64));
        writer.number(0);
        writer.number(id);
        writer
    }

    fn end(mut self) -> Vec<u8> {
        let length = (self.0.len() - LENGTH) as u64;
        self.0[..LENGTH].copy_from_slice(&length.to_le_bytes());
        self.0
    }

    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn numbers(&mut self, numbers: &[u64]) {
        self.number(numbers.len() as u64);
        numbers.iter().for_each(|number| self.number(*number));
    }

    fn load(&mut self, load: &Load) {
        self.bytes(&load.bytes);
        self.numbers(&load.words);
    }

    fn option(&mut self, load: Option<&Load>) {
        self.byte(load.is_some().into());
        if let Some(load) = load {
            self.load(load);
        }
    }

    fn loads(&mut self, loads: &[Load]) {
        self.number(loads.len() as u64);
        loads.iter().for_each(|load| self.load(load));
    }
}

/// Reads a frame; `None` where it is not one of ours.
pub(super) struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }

    /// So many as are said to come. The reservation is of no more than there are bytes.
    fn many<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::try_from(self.number()?).ok().filter(|count| *count <= self.0.len())?;
        (0..count).map(|_| read(self)).collect()
    }

    fn load(&mut self) -> Option<Load> {
        Some(Load { bytes: Arc::new(self.bytes()?), words: self.many(Self::number)? })
    }

    fn option(&mut self) -> Option<Option<Load>> {
        Some(match self.byte()? {
            0 => None,
            _ => Some(self.load()?),
        })
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.byte()? != 0)
    }
}

/// Writes a request.
pub(super) fn write_request(head: &Head, ask: &Ask) -> Vec<u8> {
    let mut to = Writer::new(head.id);
    for number in [head.read, head.word, head.who, head.limit] {
        to.number(number);
    }
    match ask {
        Ask::New(blank) => {
            to.byte(0);
            write_blank(&mut to, blank);
        }
        Ask::Refer => to.byte(1),
        Ask::LetGo(count) => (to.byte(2), to.number(*count)).1,
        Ask::Carry(words) => (to.byte(3), to.numbers(words)).1,
        Ask::Cancel(id) => (to.byte(4), to.number(*id)).1,
        Ask::Leave => to.byte(5),
        Ask::Words => to.byte(6),
        Ask::Lock => to.byte(7),
        Ask::Read => to.byte(8),
        Ask::Write => to.byte(9),
        Ask::Unlock(value) => (to.byte(10), to.option(value.as_ref())).1,
        Ask::IsLocked => to.byte(11),
        Ask::Wait(value) => (to.byte(12), to.option(value.as_ref())).1,
        Ask::Notify(count) => (to.byte(13), to.number(*count)).1,
        Ask::Meet => to.byte(14),
        Ask::Reset => to.byte(15),
        Ask::Abort => to.byte(16),
        Ask::Parties => to.byte(17),
        Ask::Waiting => to.byte(18),
        Ask::IsBroken => to.byte(19),
        Ask::Put(items) => {
            to.byte(20);
            to.number(items.len() as u64);
            for (item, key) in items {
                to.load(item);
                to.bytes(key);
            }
        }
        Ask::Get(most) => (to.byte(21), to.number(*most)).1,
        Ask::Return { item, arrival, key, redelivered } => {
            to.byte(22);
            to.load(item);
            to.number(*arrival);
            to.bytes(key);
            to.byte((*redelivered).into());
        }
        Ask::Len => to.byte(23),
        Ask::Capacity => to.byte(24),
        Ask::TaskDone => to.byte(25),
        Ask::Join => to.byte(26),
        Ask::ShutDown { immediate } => (to.byte(27), to.byte((*immediate).into())).1,
        Ask::Lost => to.byte(28),
        Ask::At(index) => (to.byte(29), to.number(*index as u64)).1,
        Ask::SetAt(index, load) => (to.byte(30), to.number(*index as u64), to.load(load)).2,
        Ask::Insert(index, load) => (to.byte(31), to.number(*index as u64), to.load(load)).2,
        Ask::Extend(loads) => (to.byte(32), to.loads(loads)).1,
        Ask::Pop(index) => (to.byte(33), to.number(*index as u64)).1,
        Ask::Find(load) => (to.byte(34), to.load(load)).1,
        Ask::Count(load) => (to.byte(35), to.load(load)).1,
        Ask::All => to.byte(36),
        Ask::Replace { version, items } => {
            to.byte(37);
            to.number(*version);
            to.loads(items);
        }
        Ask::Clear => to.byte(38),
        Ask::Value(key) => (to.byte(39), to.bytes(key)).1,
        Ask::SetValue { key, value } => (to.byte(40), to.load(key), to.load(value)).2,
        Ask::Remove(key) => (to.byte(41), to.bytes(key)).1,
        Ask::PopLast => to.byte(42),
        Ask::Entries => to.byte(43),
        Ask::PutAside => to.byte(44),
        Ask::Redeem(ticket) => (to.byte(45), to.number(*ticket)).1,
        Ask::TakeBack(ticket) => (to.byte(46), to.number(*ticket)).1,
        Ask::Lose(loads) => (to.byte(47), to.loads(loads)).1,
    }
    to.end()
}

fn write_blank(to: &mut Writer, blank: &Blank) {
    match blank {
        Blank::RLock => to.byte(0),
        Blank::RwLock(value) => (to.byte(1), to.load(value)).1,
        Blank::Condition(value) => (to.byte(2), to.load(value)).1,
        Blank::Barrier(parties) => (to.byte(3), to.number(*parties as u64)).1,
        Blank::Queue { order, capacity, fate } => {
            to.byte(4);
            to.byte(*order as u8);
            to.number(*capacity as u64);
            to.byte(*fate as u8);
        }
        Blank::List => to.byte(5),
        Blank::Dict => to.byte(6),
    }
}

fn read_blank(from: &mut Reader<'_>) -> Option<Blank> {
    Some(match from.byte()? {
        0 => Blank::RLock,
        1 => Blank::RwLock(from.load()?),
        2 => Blank::Condition(from.load()?),
        3 => Blank::Barrier(from.number()? as usize),
        4 => Blank::Queue {
            order: *[Order::Fifo, Order::Lifo, Order::Priority].get(from.byte()? as usize)?,
            capacity: from.number()? as usize,
            fate: *[Fate::HandBack, Fate::Report, Fate::Drop].get(from.byte()? as usize)?,
        },
        5 => Blank::List,
        6 => Blank::Dict,
        _ => return None,
    })
}

/// Reads a request, without its length.
pub(super) fn read_request(frame: &[u8]) -> Option<(Head, Ask)> {
    let mut from = Reader(frame);
    let id = from.number()?;
    let [read, word, who, limit] = [from.number()?, from.number()?, from.number()?, from.number()?];
    let head = Head { id, read, word, who, limit };
    let ask = match from.byte()? {
        0 => Ask::New(read_blank(&mut from)?),
        1 => Ask::Refer,
        2 => Ask::LetGo(from.number()?),
        3 => Ask::Carry(from.many(Reader::number)?),
        4 => Ask::Cancel(from.number()?),
        5 => Ask::Leave,
        6 => Ask::Words,
        7 => Ask::Lock,
        8 => Ask::Read,
        9 => Ask::Write,
        10 => Ask::Unlock(from.option()?),
        11 => Ask::IsLocked,
        12 => Ask::Wait(from.option()?),
        13 => Ask::Notify(from.number()?),
        14 => Ask::Meet,
        15 => Ask::Reset,
        16 => Ask::Abort,
        17 => Ask::Parties,
        18 => Ask::Waiting,
        19 => Ask::IsBroken,
        20 => Ask::Put(from.many(|from| Some((from.load()?, from.bytes()?)))?),
        21 => Ask::Get(from.number()?),
        22 => Ask::Return {
            item: from.load()?,
            arrival: from.number()?,
            key: from.bytes()?,
            redelivered: from.flag()?,
        },
        23 => Ask::Len,
        24 => Ask::Capacity,
        25 => Ask::TaskDone,
        26 => Ask::Join,
        27 => Ask::ShutDown { immediate: from.flag()? },
        28 => Ask::Lost,
        29 => Ask::At(from.number()? as i64),
        30 => Ask::SetAt(from.number()? as i64, from.load()?),
        31 => Ask::Insert(from.number()? as i64, from.load()?),
        32 => Ask::Extend(from.many(Reader::load)?),
        33 => Ask::Pop(from.number()? as i64),
        34 => Ask::Find(from.load()?),
        35 => Ask::Count(from.load()?),
        36 => Ask::All,
        37 => Ask::Replace { version: from.number()?, items: from.many(Reader::load)? },
        38 => Ask::Clear,
        39 => Ask::Value(from.bytes()?),
        40 => Ask::SetValue { key: from.load()?, value: from.load()? },
        41 => Ask::Remove(from.bytes()?),
        42 => Ask::PopLast,
        43 => Ask::Entries,
        44 => Ask::PutAside,
        45 => Ask::Redeem(from.number()?),
        46 => Ask::TakeBack(from.number()?),
        47 => Ask::Lose(from.many(Reader::load)?),
        _ => return None,
    };
    from.0.is_empty().then_some((head, ask))
}

/// Writes a reply.
pub(super) fn write_reply(id: u64, answer: &Answer) -> Vec<u8> {
    let mut to = Writer::new(id);
    match answer {
        Answer::Done => to.byte(0),
        Answer::Unknown => to.byte(1),
        Answer::Word(word) => (to.byte(2), to.number(*word)).1,
        Answer::Number(number) => (to.byte(3), to.number(*number)).1,
        Answer::Is(is) => (to.byte(4), to.byte((*is).into())).1,
        Answer::Locked { owner_died, value } => {
            to.byte(5);
            to.byte((*owner_died).into());
            to.option(value.as_ref());
        }
        Answer::Woken { notified, owner_died, value } => {
            to.byte(6);
            to.byte((*notified).into());
            to.byte((*owner_died).into());
            to.load(value);
        }
        Answer::Busy => to.byte(7),
        Answer::NotHeld => to.byte(8),
        Answer::Passed(place) => (to.byte(9), to.number(*place)).1,
        Answer::Broken => to.byte(10),
        Answer::Items(items) => {
            to.byte(11);
            to.number(items.len() as u64);
            for Got { item, arrival, key, redelivered } in items {
                to.load(item);
                to.number(*arrival);
                to.bytes(key);
                to.byte((*redelivered).into());
            }
        }
        Answer::Empty => to.byte(12),
        Answer::Full => to.byte(13),
        Answer::Shut => to.byte(14),
        Answer::TooManyDone => to.byte(15),
        Answer::Loads { version, loads } => {
            to.byte(16);
            to.number(*version);
            to.loads(loads);
        }
        Answer::Changed => to.byte(17),
        Answer::Misplaced => to.byte(18),
    }
    to.end()
}

/// Reads a reply, without its length.
pub(super) fn read_reply(frame: &[u8]) -> Option<(u64, Answer)> {
    let mut from = Reader(frame);
    let id = from.number()?;
    let got = |from: &mut Reader<'_>| {
        Some(Got {
            item: from.load()?,
            arrival: from.number()?,
            key: from.bytes()?,
            redelivered: from.flag()?,
        })
    };
    let answer = match from.byte()? {
        0 => Answer::Done,
        1 => Answer::Unknown,
        2 => Answer::Word(from.number()?),
        3 => Answer::Number(from.number()?),
        4 => Answer::Is(from.flag()?),
        5 => Answer::Locked { owner_died: from.flag()?, value: from.option()? },
        6 => {
            Answer::Woken { notified: from.flag()?, owner_died: from.flag()?, value: from.load()? }
        }
        7 => Answer::Busy,
        8 => Answer::NotHeld,
        9 => Answer::Passed(from.number()?),
        10 => Answer::Broken,
        11 => Answer::Items(from.many(got)?),
        12 => Answer::Empty,
        13 => Answer::Full,
        14 => Answer::Shut,
        15 => Answer::TooManyDone,
        16 => Answer::Loads { version: from.number()?, loads: from.many(Reader::load)? },
        17 => Answer::Changed,
        18 => Answer::Misplaced,
        _ => return None,
    };
    from.0.is_empty().then_some((id, answer))
}

/// Room that is kept for what comes next.
pub(super) const SPARE: usize = 1 << 20;

/// Bytes that have come, and the frames in them.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
}

impl Inbox {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            // The room of a large one is given back with it.
            self.bytes.shrink_to(SPARE);
            self.start = 0;
        } else if self.start > 64 << 10 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, without its length, if all of it is here.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let (length, rest) = self.bytes[self.start..].split_first_chunk::<LENGTH>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let frame = rest.get(..length)?;
        self.start += LENGTH + length;
        Some(frame)
    }

    /// Bytes of the next frame with its length, if that is here: as many as are said to come.
    pub(super) fn announced(&self) -> Option<usize> {
        let length = self.bytes[self.start..].first_chunk::<LENGTH>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        Some(length.saturating_add(LENGTH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Load {
        Load { bytes: Arc::new(text.into()), words: vec![3, 4] }
    }

    #[test]
    fn requests_and_replies_are_read_back_and_nothing_that_is_cut() {
        let head = Head { id: 7, read: 8, word: 9, who: 10, limit: FOR_EVER };
        let queue = Blank::Queue { order: Order::Priority, capacity: 3, fate: Fate::Report };
        let asks = [
            Ask::New(queue),
            Ask::New(Blank::Condition(load("c"))),
            Ask::LetGo(2),
            Ask::Carry(vec![1, 2]),
            Ask::Unlock(Some(load("v"))),
            Ask::Put(vec![(load("a"), vec![1]), (load("b"), vec![])]),
            Ask::Return { item: load("r"), arrival: 5, key: vec![2], redelivered: true },
            Ask::Replace { version: 1, items: vec![load("x")] },
            Ask::SetAt(-2, load("y")),
            Ask::Entries,
        ];
        for ask in asks {
            let bytes = write_request(&head, &ask);
            let mut inbox = Inbox::default();
            inbox.add(&bytes[..bytes.len() - 1]);
            assert!(inbox.next().is_none());
            inbox.add(&bytes[bytes.len() - 1..]);
            let frame = inbox.next().unwrap().to_vec();
            assert_eq!(read_request(&frame), Some((head, ask)));
            assert_eq!(read_request(&frame[..frame.len() - 1]), None);
            assert!(inbox.next().is_none());
        }
        let got = Got { item: load("g"), arrival: 1, key: vec![9], redelivered: true };
        let answers = [
            Answer::Items(vec![got]),
            Answer::Locked { owner_died: true, value: Some(load("w")) },
            Answer::Woken { notified: false, owner_died: true, value: load("w") },
            Answer::Loads { version: 2, loads: vec![load("l")] },
        ];
        for answer in answers {
            let bytes = write_reply(5, &answer);
            assert_eq!(read_reply(&bytes[LENGTH..]), Some((5, answer)));
            assert_eq!(read_reply(&bytes[LENGTH..bytes.len() - 1]), None);
        }
    }
}
