//! The words that the root keeps, who has handles to them, and who waits.
//!
//! It does no I/O: the server tells it what was asked, who has hung up and what time it is, and sends what it answers.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::thing::{Thing, Told};
use super::wire::{AT_ONCE, Answer, Ask, Blank, FOR_EVER, Got, Head, Load, ONE_WAY};
use crate::words::{Effort, Element, Participant, Unordered};

/// Which process asks: a connection.
pub(super) type Link = u64;

/// An answer on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Out {
    pub(super) link: Link,
    pub(super) id: u64,
    /// The word that it is of.
    pub(super) word: u64,
    pub(super) who: u64,
    pub(super) answer: Answer,
}

impl Out {
    /// What would be lost with it.
    pub(super) fn unread(self) -> Vec<Unread> {
        let Out { word, who, answer, .. } = self;
        match answer {
            Answer::Items(items) => {
                items.into_iter().map(|got| Unread::Item(word, who, got)).collect()
            }
            Answer::Woken { notified: true, .. } => vec![Unread::Notification(word, who)],
            _ => Vec::new(),
        }
    }
}

/// What is in an answer that is for one alone: of which word, and whose.
#[derive(Debug)]
pub(super) enum Unread {
    Item(u64, u64, Got),
    Notification(u64, u64),
}

/// What a word holds: the bytes of a value, with the words whose handles are in it. The same value however often it is cloned.
#[derive(Clone, Debug)]
pub(super) struct Item {
    load: Arc<Held>,
    /// Its consumer has died: it comes again.
    pub(super) redelivered: bool,
}

#[derive(Debug)]
struct Held(Load);

thread_local! {
    /// The words of values that are held again, until somebody counts them.
    static TAKEN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    /// The words of values that are held no longer.
    static FREED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.0.words.is_empty() {
            FREED.with_borrow_mut(|freed| freed.append(&mut self.0.words));
        }
    }
}

impl Item {
    /// A value that comes back.
    pub(super) fn returned(load: Load, redelivered: bool) -> Item {
        TAKEN.with_borrow_mut(|taken| taken.extend_from_slice(&load.words));
        Item { load: Arc::new(Held(load)), redelivered }
    }

    /// A value without handles in it.
    pub(super) fn plain(bytes: Vec<u8>) -> Item {
        Item {
            load: Arc::new(Held(Load { bytes: Arc::new(bytes), words: Vec::new() })),
            redelivered: false,
        }
    }

    pub(super) fn load(&self) -> &Load {
        &self.load.0
    }
}

impl Element for Item {
    fn is_equal(&self, other: &Item, _: &mut Effort) -> Option<bool> {
        Some(self.load().bytes == other.load().bytes)
    }

    fn hand_back(&mut self) {
        self.redelivered = true;
    }

    /// Keys are written so that their bytes are in their order.
    fn order(&self, other: &Item, _: &mut Effort) -> Result<Ordering, Unordered> {
        Ok(self.load().bytes.cmp(&other.load().bytes))
    }
}

/// A word, and who has to do with it.
struct Kept {
    thing: Thing,
    /// Handles of processes, those on their way, and those in what other words hold.
    references: usize,
    waits: HashMap<Participant, Waiting>,
}

impl Kept {
    /// Passes on what the word says to those who have asked.
    fn tell(&mut self, word: u64, told: Vec<Told>, deadlines: &mut Deadlines, out: &mut Vec<Out>) {
        let mut told = VecDeque::from(told);
        while let Some((who, mut answer)) = told.pop_front() {
            let Some(waiting) = self.waits.remove(&who) else {
                // It does not wait any longer, or never did.
                if let Answer::Items(items) = answer {
                    told.extend(items.into_iter().flat_map(|got| self.thing.take_back(who, got)));
                }
                continue;
            };
            if let Some(deadline) = waiting.deadline {
                deadlines.remove(&deadline);
            }
            if let Answer::Items(items) = &mut answer {
                while (items.len() as u64) < waiting.most
                    && let Some(got) = self.thing.take_more(who, &mut told)
                {
                    items.push(got);
                }
                self.thing.note_taken(who);
            }
            out.push(Out { link: who.link, id: waiting.id, word, who: who.who, answer });
        }
    }
}

/// A request that has no answer yet.
#[derive(Clone, Copy)]
struct Waiting {
    id: u64,
    /// How many items it wants at most.
    most: u64,
    deadline: Option<(Instant, u64)>,
}

/// What a process has.
#[derive(Default)]
struct Peer {
    references: HashMap<u64, usize>,
    /// Words that it has asked something of: those that it may wait for, or hold.
    touched: HashSet<u64>,
}

type Deadlines = BTreeMap<(Instant, u64), (u64, Participant)>;

#[derive(Default)]
pub(super) struct World {
    next: u64,
    words: HashMap<u64, Kept>,
    peers: HashMap<Link, Peer>,
    /// Each with the word and the request that waits.
    deadlines: Deadlines,
    /// References that are in items of words in shared memory, by their numbers.
    aside: HashMap<u64, u64>,
    tickets: u64,
    ticks: u64,
}

impl World {
    /// A process has come. `parent` is that of which it is a fork: it has the same handles.
    pub(super) fn welcome(&mut self, link: Link, parent: Option<Link>) {
        let references =
            parent.and_then(|parent| Some(self.peers.get(&parent)?.references.clone()));
        let references = references.unwrap_or_default();
        for (word, count) in &references {
            self.refer(*word, *count);
        }
        self.peers.insert(link, Peer { references, touched: HashSet::new() });
    }

    /// A process has hung up: it is gone, with all that it had.
    pub(super) fn gone(&mut self, link: Link, out: &mut Vec<Out>) {
        let before = out.len();
        let Some(peer) = self.peers.remove(&link) else { return };
        for word in peer.touched {
            let Some(kept) = self.words.get_mut(&word) else { continue };
            kept.waits.retain(|who, waiting| {
                let stays = who.link != link;
                if let Some(deadline) = waiting.deadline.filter(|_| !stays) {
                    self.deadlines.remove(&deadline);
                }
                stays
            });
            // What one of them gives up may go to another, which is gone as well.
            loop {
                let mut gone = kept.thing.participants();
                gone.retain(|who| who.link == link);
                if gone.is_empty() {
                    break;
                }
                let told = gone.into_iter().flat_map(|who| kept.thing.gone(who)).collect();
                kept.tell(word, told, &mut self.deadlines, out);
            }
        }
        self.grant(&out[before..]);
        for (word, count) in peer.references {
            self.let_go(word, count, out);
        }
        self.settle(out);
    }

    /// What was sent to a process, or was to be, and what it did not read before it ended.
    pub(super) fn take_back(&mut self, link: Link, unread: Vec<Unread>, out: &mut Vec<Out>) {
        for unread in &unread {
            if let Unread::Notification(word, who) = unread {
                self.notify_another(link, *word, *who, out);
            }
        }
        let before = out.len();
        for unread in unread {
            let Unread::Item(word, who, mut got) = unread else { continue };
            if let Some(kept) = self.words.get_mut(&word) {
                got.redelivered = true;
                // Nobody of this process is to get it.
                kept.waits.retain(|waiting, _| waiting.link != link);
                let told = kept.thing.take_back(Participant { link, who }, got);
                kept.tell(word, told, &mut self.deadlines, out);
            }
        }
        // Before the process that had them gives up its references.
        self.count_taken();
        self.grant(&out[before..]);
    }

    fn count_taken(&mut self) {
        for word in TAKEN.take() {
            self.refer(word, 1);
        }
    }

    /// When the first wait is over.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first_key_value().map(|((at, _), _)| *at)
    }

    /// Ends the waits whose time is over.
    pub(super) fn expire(&mut self, now: Instant, out: &mut Vec<Out>) {
        let before = out.len();
        while let Some(entry) = self.deadlines.first_entry().filter(|entry| entry.key().0 <= now) {
            let (word, who) = entry.remove();
            if let Some(kept) = self.words.get_mut(&word) {
                let told = kept.thing.time_out(who);
                kept.tell(word, told, &mut self.deadlines, out);
            }
        }
        self.grant(&out[before..]);
        self.settle(out);
    }

    /// Carries out a request.
    pub(super) fn ask(&mut self, link: Link, head: Head, ask: Ask, out: &mut Vec<Out>) {
        let before = out.len();
        let who = Participant { link, who: head.who };
        let answer = match ask {
            Ask::New(blank) => Some(Answer::Word(self.make(link, blank))),
            Ask::Refer => Some(self.lend(link, head.word, 1)),
            Ask::LetGo(count) => {
                self.give_back(link, head.word, count as usize, out);
                Some(Answer::Done)
            }
            Ask::PutAside => Some(self.put_aside(head.word)),
            Ask::Redeem(ticket) => {
                let answer = self.lend(link, head.word, 1);
                self.take_aside(head.word, ticket, out);
                Some(answer)
            }
            Ask::TakeBack(ticket) => {
                self.take_aside(head.word, ticket, out);
                Some(Answer::Done)
            }
            Ask::Words => Some(Answer::Number(self.words.len() as u64)),
            Ask::Cancel(id) => {
                self.cancel(head.word, who, id, out);
                None
            }
            Ask::Leave => {
                self.leave(who, out);
                None
            }
            // The server's.
            Ask::Carry(_) => None,
            ask => self.ask_word(who, head, ask, out),
        };
        if let Some(answer) = answer
            && head.id != ONE_WAY
        {
            out.push(Out { link, id: head.id, word: head.word, who: head.who, answer });
        }
        self.grant(&out[before..]);
        self.settle(out);
    }

    /// A notification came to one who will not read it any more: the next who waits has it.
    fn notify_another(&mut self, link: Link, word: u64, who: u64, out: &mut Vec<Out>) {
        let head = Head { id: ONE_WAY, read: 0, word, who, limit: AT_ONCE };
        self.ask(link, head, Ask::Notify(1), out);
    }

    fn ask_word(
        &mut self,
        who: Participant,
        head: Head,
        ask: Ask,
        out: &mut Vec<Out>,
    ) -> Option<Answer> {
        let ask = self.hold_loads(ask);
        let Some(kept) = self.words.get_mut(&head.word) else { return Some(Answer::Unknown) };
        if let Some(peer) = self.peers.get_mut(&who.link)
            && kept.thing.is_shared()
        {
            peer.touched.insert(head.word);
        }
        let most = if let Ask::Get(most) = ask.0 { most } else { 1 };
        if head.id != ONE_WAY {
            kept.waits.insert(who, Waiting { id: head.id, most, deadline: None });
        }
        let told = kept.thing.ask(who, ask.0, ask.1, head.limit != 0);
        kept.tell(head.word, told, &mut self.deadlines, out);
        // Who still waits.
        if let Some(waiting) = kept.waits.get_mut(&who)
            && waiting.id == head.id
        {
            if head.limit == 0 {
                let told = kept.thing.time_out(who);
                kept.tell(head.word, told, &mut self.deadlines, out);
            } else if head.limit != FOR_EVER
                && let Some(at) = Instant::now().checked_add(Duration::from_nanos(head.limit))
            {
                self.ticks += 1;
                waiting.deadline = Some((at, self.ticks));
                self.deadlines.insert((at, self.ticks), (head.word, who));
            }
        }
        None
    }

    fn cancel(&mut self, word: u64, who: Participant, id: u64, out: &mut Vec<Out>) {
        if let Some(kept) = self.words.get_mut(&word)
            && kept.waits.get(&who).is_some_and(|waiting| waiting.id == id)
        {
            let told = kept.thing.time_out(who);
            kept.tell(word, told, &mut self.deadlines, out);
        }
    }

    /// A thread has ended: its locks are free, and what it has taken is its process's.
    fn leave(&mut self, who: Participant, out: &mut Vec<Out>) {
        let Some(peer) = self.peers.get(&who.link) else { return };
        for word in &peer.touched {
            if let Some(kept) = self.words.get_mut(word)
                && !kept.waits.contains_key(&who)
            {
                let told = kept.thing.leave(who);
                kept.tell(*word, told, &mut self.deadlines, out);
            }
        }
    }

    fn make(&mut self, link: Link, blank: Blank) -> u64 {
        self.next += 1;
        let word = self.next;
        let thing = Thing::new(blank, |load| self.hold(load));
        self.words.insert(word, Kept { thing, references: 0, waits: HashMap::new() });
        self.lend(link, word, 1);
        word
    }

    /// Keeps the words of a value for as long as the value is held.
    fn hold(&mut self, mut load: Load) -> Item {
        load.words.retain(|word| self.refer(*word, 1));
        Item { load: Arc::new(Held(load)), redelivered: false }
    }

    /// The values of a request, held.
    fn hold_loads(&mut self, mut ask: Ask) -> (Ask, Vec<Item>) {
        let loads: Vec<Load> = match &mut ask {
            Ask::Unlock(load) | Ask::Wait(load) => load.take().into_iter().collect(),
            Ask::Put(items) => items.iter_mut().map(|(load, _)| std::mem::take(load)).collect(),
            Ask::Return { item, .. } => vec![std::mem::take(item)],
            Ask::SetAt(_, load) | Ask::Insert(_, load) | Ask::Find(load) | Ask::Count(load) => {
                vec![std::mem::take(load)]
            }
            Ask::Extend(loads) | Ask::Lose(loads) | Ask::Replace { items: loads, .. } => {
                std::mem::take(loads)
            }
            Ask::SetValue { key, value } => vec![std::mem::take(key), std::mem::take(value)],
            _ => Vec::new(),
        };
        let items = loads.into_iter().map(|load| self.hold(load)).collect();
        (ask, items)
    }

    /// Whether there is such a word, which has so many references more now.
    pub(super) fn refer(&mut self, word: u64, count: usize) -> bool {
        let kept = self.words.get_mut(&word);
        kept.map(|kept| kept.references += count).is_some()
    }

    fn lend(&mut self, link: Link, word: u64, count: usize) -> Answer {
        match self.peers.get_mut(&link) {
            Some(peer) if self.words.contains_key(&word) => {
                *peer.references.entry(word).or_default() += count;
                self.refer(word, count);
                Answer::Done
            }
            _ => Answer::Unknown,
        }
    }

    fn put_aside(&mut self, word: u64) -> Answer {
        if !self.refer(word, 1) {
            return Answer::Unknown;
        }
        self.tickets += 1;
        self.aside.insert(self.tickets, word);
        Answer::Number(self.tickets)
    }

    fn take_aside(&mut self, word: u64, ticket: u64, out: &mut Vec<Out>) {
        if self.aside.get(&ticket) == Some(&word) {
            self.aside.remove(&ticket);
            self.let_go(word, 1, out);
        }
    }

    fn give_back(&mut self, link: Link, word: u64, count: usize, out: &mut Vec<Out>) {
        let Some(peer) = self.peers.get_mut(&link) else { return };
        let Some(had) = peer.references.get_mut(&word) else { return };
        let count = count.min(*had);
        *had -= count;
        if *had == 0 {
            peer.references.remove(&word);
        }
        self.let_go(word, count, out);
    }

    /// So many references less: with the last one the word is gone.
    pub(super) fn let_go(&mut self, word: u64, count: usize, out: &mut Vec<Out>) {
        let Some(kept) = self.words.get_mut(&word) else { return };
        kept.references = kept.references.saturating_sub(count);
        if kept.references > 0 {
            return;
        }
        let Some(kept) = self.words.remove(&word) else { return };
        for (who, waiting) in &kept.waits {
            out.push(Out {
                link: who.link,
                id: waiting.id,
                word,
                who: who.who,
                answer: Answer::Unknown,
            });
        }
        for peer in self.peers.values_mut() {
            peer.touched.remove(&word);
        }
    }

    /// The handles in an answer are the process's that gets it.
    fn grant(&mut self, out: &[Out]) {
        for out in out {
            for word in out.answer.words() {
                self.lend(out.link, word, 1);
            }
        }
    }

    /// Counts what is held no longer, and what that held.
    pub(super) fn settle(&mut self, out: &mut Vec<Out>) {
        self.count_taken();
        loop {
            let freed = FREED.take();
            if freed.is_empty() {
                return;
            }
            for word in freed {
                self.let_go(word, 1, out);
            }
        }
    }
}
