//! A queue: FIFO, LIFO or by priority, bounded or not, joinable.

use std::collections::{HashMap, VecDeque};

use super::line::Line;
use super::store::{Entry, Order, Store};
use super::{Element, Participant, Replies, Unordered, Word};

/// What happens to an item whose consumer goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum HandBack {
    /// It is gone with its consumer, once the consumer has got it.
    #[default]
    Never,
    /// It is gone with its consumer, and counts as done then, unless its consumer said so before.
    CountDone,
    /// It is kept for who asks for what was lost, and counts as done then, unless its consumer said so before.
    Report,
    /// It goes back into the queue, unless its consumer said `task_done` for it.
    UntilDone,
    /// It goes back, unless its consumer said `task_done` or has asked for another one since.
    UntilNext,
}

#[derive(Clone, Debug)]
pub(crate) enum QueueRequest<V> {
    /// `at` is what a priority queue orders the item by, in place of the item itself.
    Put {
        item: V,
        at: Option<V>,
        block: bool,
    },
    Get {
        block: bool,
    },
    Len,
    IsEmpty,
    IsFull,
    TaskDone,
    Join,
    ShutDown {
        immediate: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum QueueReply<V> {
    /// The request was carried out and has no value.
    Done,
    /// The item that was to be put, since there is no room.
    Full(V),
    /// The item that was to be put, since it has no order with those in the queue.
    NoOrder(V, Unordered),
    /// `at` is what it was ordered by in place of itself.
    Item {
        item: V,
        at: Option<V>,
        /// Its place among those that came, for [`Queue::take_back`].
        arrival: u64,
    },
    Empty,
    /// The queue was shut down.
    Shut {
        /// Whether something was to be put, and not taken.
        put: bool,
    },
    Len(usize),
    Is(bool),
    /// `task_done` was called more often than there were items.
    TooManyDone,
}

#[derive(Debug)]
pub(crate) struct Queue<V> {
    store: Store<V>,
    /// Zero: as many as there is memory.
    capacity: usize,
    hand_back: HandBack,
    /// Items that were put and not yet said to be done.
    unfinished: usize,
    getters: Line<()>,
    putters: Line<(V, Option<V>)>,
    joiners: Line<()>,
    /// What was given to participants and may have to be handed back.
    held: HashMap<Participant, VecDeque<Entry<V>>>,
    /// How many were given to participants that only count.
    taken: HashMap<Participant, usize>,
    /// What participants held that are gone, to be told.
    lost: Vec<V>,
    shut: bool,
}

impl<V: Element> Queue<V> {
    pub(crate) fn new(order: Order, capacity: usize, hand_back: HandBack) -> Queue<V> {
        Queue {
            store: Store::new(order),
            capacity,
            hand_back,
            unfinished: 0,
            getters: Line::default(),
            putters: Line::default(),
            joiners: Line::default(),
            held: HashMap::new(),
            taken: HashMap::new(),
            lost: Vec::new(),
            shut: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.store.len()
    }

    /// How many items it has room for. Zero: for any number.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// What one participant has taken is another's from now on.
    pub(crate) fn hand_over(&mut self, from: Participant, to: Participant) {
        if let Some(count) = self.taken.remove(&from) {
            *self.taken.entry(to).or_default() += count;
        }
        if let Some(held) = self.held.remove(&from) {
            let all = self.held.entry(to).or_default();
            all.extend(held);
            all.make_contiguous().sort_by_key(|entry| entry.arrival);
        }
    }

    /// What those held that are gone, each once.
    pub(crate) fn take_lost(&mut self) -> Vec<V> {
        std::mem::take(&mut self.lost)
    }

    /// Some of what [`take_lost`](Queue::take_lost) gave was not read: it comes first the next time.
    pub(crate) fn lose_again(&mut self, items: Vec<V>) {
        self.lost.splice(..0, items);
    }

    /// An item that was given to a participant could not be handed over: it goes back to where it was.
    pub(crate) fn take_back(
        &mut self,
        who: Participant,
        item: V,
        at: Option<V>,
        arrival: u64,
        replies: &mut Replies<QueueReply<V>>,
    ) {
        if let Some(held) = self.held.get_mut(&who) {
            held.retain(|entry| entry.arrival != arrival);
            if held.is_empty() {
                self.held.remove(&who);
            }
        }
        self.count_off(who, 1);
        self.store.put_back(Entry { item, at, arrival });
        self.settle(replies);
    }

    fn has_room(&self) -> bool {
        self.capacity == 0 || self.store.len() < self.capacity
    }

    /// Gives what there is to those who wait for it.
    fn settle(&mut self, replies: &mut Replies<QueueReply<V>>) {
        loop {
            if self.has_room()
                && let Some((who, (item, at))) = self.putters.pop()
            {
                let reply = self.put(item, at);
                replies.push((who, reply));
            } else if !self.getters.is_empty()
                && let Some(entry) = self.store.take()
                && let Some((who, ())) = self.getters.pop()
            {
                let reply = self.give(who, entry);
                replies.push((who, reply));
            } else {
                break;
            }
        }
        if self.shut && self.store.len() == 0 {
            while let Some((who, ())) = self.getters.pop() {
                replies.push((who, QueueReply::Shut { put: false }));
            }
        }
        if self.unfinished == 0 {
            while let Some((who, ())) = self.joiners.pop() {
                replies.push((who, QueueReply::Done));
            }
        }
    }

    fn put(&mut self, item: V, at: Option<V>) -> QueueReply<V> {
        match self.store.put(item, at) {
            Ok(()) => {
                self.unfinished += 1;
                QueueReply::Done
            }
            Err((item, why)) => QueueReply::NoOrder(item, why),
        }
    }

    fn give(&mut self, who: Participant, entry: Entry<V>) -> QueueReply<V> {
        let (item, at, arrival) = (entry.item.clone(), entry.at.clone(), entry.arrival);
        match self.hand_back {
            HandBack::Never => {}
            HandBack::CountDone => *self.taken.entry(who).or_default() += 1,
            _ => self.held.entry(who).or_default().push_back(entry),
        }
        QueueReply::Item { item, at, arrival }
    }

    /// So many less that count for a participant: how many there were.
    fn count_off(&mut self, who: Participant, most: usize) -> usize {
        let Some(count) = self.taken.get_mut(&who) else { return 0 };
        let off = most.min(*count);
        *count -= off;
        if *count == 0 {
            self.taken.remove(&who);
        }
        off
    }

    /// One item less that may have to be handed back: the one the participant has had for longest. One that has none speaks for
    /// another, as the thread does that collects what others have got: for one of its own connection if it can, and then it
    /// is the first of those.
    fn let_go(&mut self, who: Participant) {
        let first = |held: &VecDeque<Entry<V>>| held.front().map(|entry| entry.arrival);
        let far = |other: &Participant| (*other != who, other.link != who.link);
        let holder = self.held.iter().min_by_key(|(other, held)| (far(other), first(held)));
        let holder = holder.map(|(other, _)| *other);
        if let Some(counted) = self.taken.keys().min_by_key(|other| far(other)).copied() {
            self.count_off(counted, 1);
        }
        if let Some(holder) = holder
            && let Some(held) = self.held.get_mut(&holder)
        {
            held.pop_front();
            if held.is_empty() {
                self.held.remove(&holder);
            }
        }
    }

    fn shut_down(&mut self, immediate: bool) {
        self.shut = true;
        if immediate {
            let dropped = self.store.clear();
            self.unfinished = self.unfinished.saturating_sub(dropped);
        }
    }
}

impl<V: Element> Word for Queue<V> {
    type Request = QueueRequest<V>;
    type Reply = QueueReply<V>;

    fn request(
        &mut self,
        who: Participant,
        request: QueueRequest<V>,
        replies: &mut Replies<QueueReply<V>>,
    ) {
        let reply = match request {
            QueueRequest::Put { .. } if self.shut => QueueReply::Shut { put: true },
            QueueRequest::Put { item, at, block } => {
                if self.has_room() && self.putters.is_empty() {
                    self.put(item, at)
                } else if block {
                    self.putters.push(who, (item, at));
                    return;
                } else {
                    QueueReply::Full(item)
                }
            }
            QueueRequest::Get { block } => {
                if self.hand_back == HandBack::UntilNext {
                    self.held.remove(&who);
                }
                match self.store.take() {
                    Some(entry) => self.give(who, entry),
                    None if self.shut => QueueReply::Shut { put: false },
                    None if block => {
                        self.getters.push(who, ());
                        return;
                    }
                    None => QueueReply::Empty,
                }
            }
            QueueRequest::Len => QueueReply::Len(self.store.len()),
            QueueRequest::IsEmpty => QueueReply::Is(self.store.len() == 0),
            QueueRequest::IsFull => QueueReply::Is(!self.has_room()),
            QueueRequest::TaskDone if self.unfinished == 0 => QueueReply::TooManyDone,
            QueueRequest::TaskDone => {
                self.unfinished -= 1;
                self.let_go(who);
                QueueReply::Done
            }
            QueueRequest::Join if self.unfinished == 0 => QueueReply::Done,
            QueueRequest::Join => {
                self.joiners.push(who, ());
                return;
            }
            QueueRequest::ShutDown { immediate } => {
                self.shut_down(immediate);
                while let Some((putter, _)) = self.putters.pop() {
                    replies.push((putter, QueueReply::Shut { put: true }));
                }
                QueueReply::Done
            }
        };
        replies.push((who, reply));
        self.settle(replies);
    }

    fn time_out(&mut self, who: Participant, replies: &mut Replies<QueueReply<V>>) {
        if let Some((item, _)) = self.putters.remove(who) {
            replies.push((who, QueueReply::Full(item)));
        } else if self.getters.remove(who).is_some() {
            replies.push((who, QueueReply::Empty));
        } else if self.joiners.remove(who).is_some() {
            replies.push((who, QueueReply::Is(false)));
        }
    }

    fn gone(&mut self, who: Participant, replies: &mut Replies<QueueReply<V>>) {
        self.putters.remove(who);
        self.getters.remove(who);
        self.joiners.remove(who);
        let mut done = self.count_off(who, usize::MAX);
        for mut entry in self.held.remove(&who).into_iter().flatten() {
            if self.hand_back == HandBack::Report {
                self.lost.push(entry.item);
                done += 1;
            } else {
                entry.item.hand_back();
                self.store.put_back(entry);
            }
        }
        self.unfinished = self.unfinished.saturating_sub(done);
        self.settle(replies);
    }

    fn participants(&self) -> Vec<Participant> {
        let lines = self.getters.participants().chain(self.putters.participants());
        let takers = self.held.keys().chain(self.taken.keys()).copied();
        lines.chain(self.joiners.participants()).chain(takers).collect()
    }
}
