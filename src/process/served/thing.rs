//! What the root serves: each word with what it is asked.

use std::collections::VecDeque;

use super::wire::{Answer, Ask, Blank, Fate, Got, Load};
use super::world::Item;
use crate::words::{
    Barrier, BarrierReply, BarrierRequest, Condition, ConditionReply, ConditionRequest, Dict,
    HandBack, List, LockReply, LockRequest, Order, Participant, Queue, QueueReply, QueueRequest,
    RLock, Replies, RwLock, RwLockReply, RwLockRequest, Word,
};

/// An answer for one who has asked.
pub(super) type Told = (Participant, Answer);

/// A word, and the value that it guards.
pub(super) enum Thing {
    RLock(RLock),
    RwLock(RwLock, Item),
    Condition(Box<Condition>, Item),
    Barrier(Barrier),
    Queue(Box<Queue<Item>>, Order),
    /// With its version, which each change makes another.
    List(List<Item>, u64),
    Dict(Dict<Vec<u8>, Item, Item>),
}

impl Thing {
    pub(super) fn new(blank: Blank, hold: impl FnOnce(Load) -> Item) -> Thing {
        match blank {
            Blank::RLock => Thing::RLock(RLock::default()),
            Blank::RwLock(value) => Thing::RwLock(RwLock::default(), hold(value)),
            Blank::Condition(value) => Thing::Condition(Box::default(), hold(value)),
            Blank::Barrier(parties) => Thing::Barrier(Barrier::new(parties)),
            Blank::Queue { order, capacity, fate } => {
                let hand_back = match fate {
                    Fate::HandBack => HandBack::UntilDone,
                    Fate::Report => HandBack::Report,
                    Fate::Drop => HandBack::CountDone,
                };
                Thing::Queue(Box::new(Queue::new(order, capacity, hand_back)), order)
            }
            Blank::List => Thing::List(List::new(Vec::new()), 0),
            Blank::Dict => Thing::Dict(Dict::default()),
        }
    }

    /// Whether somebody may wait for it or hold something of it.
    pub(super) fn is_shared(&self) -> bool {
        !matches!(self, Thing::List(..) | Thing::Dict(_))
    }

    pub(super) fn participants(&self) -> Vec<Participant> {
        match self {
            Thing::RLock(lock) => lock.participants(),
            Thing::RwLock(lock, _) => lock.participants(),
            Thing::Condition(condition, _) => condition.participants(),
            Thing::Barrier(barrier) => barrier.participants(),
            Thing::Queue(queue, _) => queue.participants(),
            Thing::List(..) | Thing::Dict(_) => Vec::new(),
        }
    }

    /// Carries out a request, whose values are in `loads`. Where it may not wait, who asks times it out.
    pub(super) fn ask(
        &mut self,
        who: Participant,
        ask: Ask,
        loads: Vec<Item>,
        block: bool,
    ) -> Vec<Told> {
        match self {
            Thing::RLock(lock) => {
                let request = match ask {
                    Ask::Lock => LockRequest::Acquire { block },
                    Ask::Unlock(_) => LockRequest::Release,
                    Ask::IsLocked => LockRequest::IsLocked,
                    _ => return misplaced(who),
                };
                drive(|replies| lock.request(who, request, replies), |_, reply| lock_told(reply))
            }
            Thing::RwLock(lock, value) => {
                let request = match ask {
                    Ask::Read => RwLockRequest::Acquire { write: false, block },
                    Ask::Write => RwLockRequest::Acquire { write: true, block },
                    Ask::IsLocked => RwLockRequest::IsLocked,
                    Ask::Unlock(_) => {
                        store(value, loads, lock.is_written_by(who));
                        RwLockRequest::Release
                    }
                    _ => return misplaced(who),
                };
                drive(
                    |replies| lock.request(who, request, replies),
                    |_, reply| rwlock_told(reply, value),
                )
            }
            Thing::Condition(condition, value) => {
                let request = match ask {
                    Ask::Lock => ConditionRequest::Lock(LockRequest::Acquire { block }),
                    Ask::IsLocked => ConditionRequest::Lock(LockRequest::IsLocked),
                    Ask::Unlock(_) => {
                        store(value, loads, condition.is_held_by(who));
                        ConditionRequest::Lock(LockRequest::Release)
                    }
                    Ask::Wait(_) => {
                        store(value, loads, condition.is_held_by(who));
                        ConditionRequest::Wait
                    }
                    Ask::Notify(u64::MAX) => ConditionRequest::NotifyAll,
                    Ask::Notify(count) => ConditionRequest::Notify(count as usize),
                    _ => return misplaced(who),
                };
                drive(
                    |replies| condition.request(who, request, replies),
                    |_, reply| condition_told(reply, value),
                )
            }
            Thing::Barrier(barrier) => {
                let request = match ask {
                    Ask::Meet => BarrierRequest::Wait,
                    Ask::Reset => BarrierRequest::Reset,
                    Ask::Abort => BarrierRequest::Abort,
                    Ask::Parties => BarrierRequest::Parties,
                    Ask::Waiting => BarrierRequest::Waiting,
                    Ask::IsBroken => BarrierRequest::IsBroken,
                    _ => return misplaced(who),
                };
                drive(
                    |replies| barrier.request(who, request, replies),
                    |_, reply| barrier_told(reply),
                )
            }
            Thing::Queue(queue, order) => ask_queue(queue, *order, who, ask, loads, block),
            Thing::List(list, version) => vec![(who, ask_list(list, version, ask, loads))],
            Thing::Dict(dict) => vec![(who, ask_dict(dict, ask, loads))],
        }
    }

    pub(super) fn time_out(&mut self, who: Participant) -> Vec<Told> {
        match self {
            Thing::RLock(lock) => drive(|to| lock.time_out(who, to), |_, reply| lock_told(reply)),
            Thing::RwLock(lock, value) => {
                drive(|to| lock.time_out(who, to), |_, reply| rwlock_told(reply, value))
            }
            Thing::Condition(condition, value) => {
                drive(|to| condition.time_out(who, to), |_, reply| condition_told(reply, value))
            }
            Thing::Barrier(barrier) => {
                drive(|to| barrier.time_out(who, to), |_, reply| barrier_told(reply))
            }
            Thing::Queue(queue, _) => drive(|to| queue.time_out(who, to), |_, r| queue_told(r)),
            Thing::List(..) | Thing::Dict(_) => Vec::new(),
        }
    }

    pub(super) fn gone(&mut self, who: Participant) -> Vec<Told> {
        match self {
            Thing::RLock(lock) => drive(|to| lock.gone(who, to), |_, reply| lock_told(reply)),
            Thing::RwLock(lock, value) => {
                drive(|to| lock.gone(who, to), |_, reply| rwlock_told(reply, value))
            }
            Thing::Condition(condition, value) => {
                drive(|to| condition.gone(who, to), |_, reply| condition_told(reply, value))
            }
            Thing::Barrier(barrier) => {
                drive(|to| barrier.gone(who, to), |_, reply| barrier_told(reply))
            }
            Thing::Queue(queue, _) => drive(|to| queue.gone(who, to), |_, r| queue_told(r)),
            Thing::List(..) | Thing::Dict(_) => Vec::new(),
        }
    }

    /// A thread has ended whose process goes on.
    pub(super) fn leave(&mut self, who: Participant) -> Vec<Told> {
        match self {
            Thing::RLock(_) => self.gone(who),
            Thing::Queue(queue, _) => {
                queue.hand_over(who, Participant::alone(who.link));
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// An item that was given to somebody and has not arrived.
    pub(super) fn take_back(&mut self, who: Participant, got: Got) -> Vec<Told> {
        let Thing::Queue(queue, order) = self else { return Vec::new() };
        let item = Item::returned(got.item, got.redelivered);
        give_back(queue, *order, who, item, got.arrival, got.key)
    }

    /// One more item for who has got one. What it leads to for others is added to `told`.
    pub(super) fn take_more(&mut self, who: Participant, told: &mut VecDeque<Told>) -> Option<Got> {
        let Thing::Queue(queue, _) = self else { return None };
        let mut found = None;
        let request = QueueRequest::Get { block: false };
        let answers = drive(|to| queue.request(who, request, to), |_, reply| queue_told(reply));
        for (to, answer) in answers {
            match answer {
                Answer::Items(mut items) if to == who && found.is_none() => found = items.pop(),
                _ if to == who => {}
                answer => told.push_back((to, answer)),
            }
        }
        found
    }

    /// Somebody has got items. One that is nobody afterwards has them for its process.
    pub(super) fn note_taken(&mut self, who: Participant) {
        if let Thing::Queue(queue, _) = self
            && is_passing(who)
        {
            queue.hand_over(who, Participant::alone(who.link));
        }
    }
}

/// Whether this is one wait, and not a thread or a coroutine.
fn is_passing(who: Participant) -> bool {
    who.who & 1 == 1
}

/// Calls a word, and turns its replies into answers.
fn drive<R>(
    call: impl FnOnce(&mut Replies<R>),
    mut told: impl FnMut(Participant, R) -> Answer,
) -> Vec<Told> {
    let mut replies = Vec::new();
    call(&mut replies);
    replies.into_iter().map(|(who, reply)| (who, told(who, reply))).collect()
}

fn misplaced(who: Participant) -> Vec<Told> {
    vec![(who, Answer::Misplaced)]
}

/// Stores the value that came with a release, if it is the holder's.
fn store(value: &mut Item, loads: Vec<Item>, is_held: bool) {
    if let Some(new) = loads.into_iter().next().filter(|_| is_held) {
        *value = new;
    }
}

fn lock_told(reply: LockReply) -> Answer {
    match reply {
        LockReply::Acquired { owner_died } => Answer::Locked { owner_died, value: None },
        LockReply::Busy => Answer::Busy,
        LockReply::Released => Answer::Done,
        LockReply::NotHeld => Answer::NotHeld,
        LockReply::Is(is) => Answer::Is(is),
    }
}

fn rwlock_told(reply: RwLockReply, value: &Item) -> Answer {
    match reply {
        RwLockReply::Acquired { owner_died } => {
            Answer::Locked { owner_died, value: Some(value.load().clone()) }
        }
        RwLockReply::Busy => Answer::Busy,
        RwLockReply::Released => Answer::Done,
        RwLockReply::NotHeld => Answer::NotHeld,
        RwLockReply::Is(is) => Answer::Is(is),
    }
}

fn condition_told(reply: ConditionReply, value: &Item) -> Answer {
    match reply {
        ConditionReply::Lock(LockReply::Acquired { owner_died }) => {
            Answer::Locked { owner_died, value: Some(value.load().clone()) }
        }
        ConditionReply::Lock(reply) => lock_told(reply),
        ConditionReply::Woken { notified, owner_died } => {
            Answer::Woken { notified, owner_died, value: value.load().clone() }
        }
        ConditionReply::Notified => Answer::Done,
        ConditionReply::NotHeld => Answer::NotHeld,
    }
}

fn barrier_told(reply: BarrierReply) -> Answer {
    match reply {
        BarrierReply::Passed(place) => Answer::Passed(place as u64),
        BarrierReply::Broken => Answer::Broken,
        BarrierReply::Done => Answer::Done,
        BarrierReply::Number(number) => Answer::Number(number as u64),
        BarrierReply::Is(is) => Answer::Is(is),
    }
}

fn queue_told(reply: QueueReply<Item>) -> Answer {
    match reply {
        QueueReply::Done => Answer::Done,
        QueueReply::Full(_) | QueueReply::NoOrder(..) => Answer::Full,
        QueueReply::Item { item, at, arrival } => {
            let key = at.map(|key| key.load().bytes.to_vec()).unwrap_or_default();
            let redelivered = item.redelivered;
            Answer::Items(vec![Got { item: item.load().clone(), arrival, key, redelivered }])
        }
        QueueReply::Empty => Answer::Empty,
        QueueReply::Shut { .. } => Answer::Shut,
        QueueReply::Len(len) => Answer::Number(len as u64),
        QueueReply::Is(is) => Answer::Is(is),
        QueueReply::TooManyDone => Answer::TooManyDone,
    }
}

fn key_of(order: Order, key: Vec<u8>) -> Option<Item> {
    (order == Order::Priority).then(|| Item::plain(key))
}

fn give_back(
    queue: &mut Queue<Item>,
    order: Order,
    who: Participant,
    item: Item,
    arrival: u64,
    key: Vec<u8>,
) -> Vec<Told> {
    let key = key_of(order, key);
    let who = match is_passing(who) {
        true => {
            // As `note_taken` does.
            queue.hand_over(who, Participant::alone(who.link));
            Participant::alone(who.link)
        }
        false => who,
    };
    drive(|to| queue.take_back(who, item, key, arrival, to), |_, reply| queue_told(reply))
}

fn ask_queue(
    queue: &mut Queue<Item>,
    order: Order,
    who: Participant,
    ask: Ask,
    loads: Vec<Item>,
    block: bool,
) -> Vec<Told> {
    let request = match ask {
        Ask::Put(keys) => return put(queue, order, who, keys, loads, block),
        Ask::Get(_) => QueueRequest::Get { block },
        Ask::Return { arrival, key, redelivered, .. } => {
            let told = loads.into_iter().flat_map(|mut item| {
                item.redelivered = redelivered;
                give_back(queue, order, who, item, arrival, key.clone())
            });
            return told.collect();
        }
        Ask::Len => QueueRequest::Len,
        Ask::Capacity => return vec![(who, Answer::Number(queue.capacity() as u64))],
        Ask::TaskDone => QueueRequest::TaskDone,
        Ask::Join => QueueRequest::Join,
        Ask::ShutDown { immediate } => QueueRequest::ShutDown { immediate },
        Ask::Lost => {
            let loads = queue.take_lost().iter().map(|item| item.load().clone()).collect();
            return vec![(who, Answer::Loads { version: 0, loads })];
        }
        Ask::Lose(_) => {
            queue.lose_again(loads);
            return vec![(who, Answer::Done)];
        }
        _ => return misplaced(who),
    };
    drive(|to| queue.request(who, request, to), |_, reply| queue_told(reply))
}

/// Puts items: one that may wait for room, or several for which there is room.
fn put(
    queue: &mut Queue<Item>,
    order: Order,
    who: Participant,
    keys: Vec<(Load, Vec<u8>)>,
    items: Vec<Item>,
    block: bool,
) -> Vec<Told> {
    let is_one = items.len() == 1;
    let mut told = Vec::new();
    let mut last = Answer::Done;
    for ((_, key), item) in keys.into_iter().zip(items) {
        let request = QueueRequest::Put { item, at: key_of(order, key), block: block && is_one };
        for (to, answer) in drive(|to| queue.request(who, request, to), |_, r| queue_told(r)) {
            match to == who && !is_one {
                true => last = answer,
                false => told.push((to, answer)),
            }
        }
        if last != Answer::Done {
            break;
        }
    }
    if !is_one {
        told.push((who, last));
    }
    told
}

fn loads<'a>(version: u64, items: impl IntoIterator<Item = &'a Item>) -> Answer {
    Answer::Loads { version, loads: items.into_iter().map(|item| item.load().clone()).collect() }
}

fn ask_list(list: &mut List<Item>, version: &mut u64, ask: Ask, given: Vec<Item>) -> Answer {
    let before = *version;
    *version += 1;
    let mut given = given.into_iter();
    match (ask, given.next()) {
        (Ask::SetAt(index, _), Some(item)) => Answer::Is(list.set(index, item).is_ok()),
        (Ask::Insert(index, _), Some(item)) => {
            list.insert(index, item);
            Answer::Done
        }
        (Ask::Extend(_), first) => {
            list.extend(first.into_iter().chain(given).collect());
            Answer::Done
        }
        (Ask::Pop(index), _) => loads(before, &list.pop(index).ok()),
        (Ask::Replace { version, .. }, first) if version == before => {
            list.replace(first.into_iter().chain(given).collect());
            Answer::Done
        }
        (Ask::Clear, _) => {
            list.clear();
            Answer::Done
        }
        (ask, item) => {
            // Nothing below is a change.
            *version = before;
            match (ask, item) {
                (Ask::Replace { .. }, _) => Answer::Changed,
                (Ask::Len, _) => Answer::Number(list.items().len() as u64),
                (Ask::At(index), _) => loads(before, &list.get(index).ok()),
                (Ask::All, _) => loads(before, list.items()),
                (Ask::Find(_), Some(item)) => match list.index(&item, None, None) {
                    Ok(place) => Answer::Number(place as u64),
                    Err(_) => Answer::Empty,
                },
                (Ask::Count(_), Some(item)) => {
                    Answer::Number(list.count(&item).unwrap_or(0) as u64)
                }
                _ => Answer::Misplaced,
            }
        }
    }
}

fn ask_dict(dict: &mut Dict<Vec<u8>, Item, Item>, ask: Ask, given: Vec<Item>) -> Answer {
    let mut given = given.into_iter();
    match (ask, given.next(), given.next()) {
        (Ask::SetValue { .. }, Some(key), Some(value)) => {
            let before = dict.get(&*key.load().bytes).cloned();
            dict.set(key.load().bytes.to_vec(), key, value);
            loads(0, &before)
        }
        (Ask::Value(key), ..) => loads(0, dict.get(&key)),
        (Ask::Remove(key), ..) => loads(0, &dict.remove(&key)),
        (Ask::PopLast, ..) => match dict.pop_last() {
            Some((key, value)) => loads(0, [&key, &value]),
            None => loads(0, []),
        },
        (Ask::Entries, ..) => loads(0, dict.iter().flat_map(|(key, value)| [key, value])),
        (Ask::Len, ..) => Answer::Number(dict.len() as u64),
        (Ask::Clear, ..) => {
            dict.clear();
            Answer::Done
        }
        _ => Answer::Misplaced,
    }
}
