//! The queue against a model that keeps everything in plain rows.

use proptest::prelude::*;

use super::{Driver, Effort, Element, Thing, Unordered};
use crate::words::{HandBack, Order, Participant, Queue, QueueReply, QueueRequest};
use std::cmp::Ordering;

#[derive(Clone, Debug)]
enum Step {
    Put { key: u8, at: Option<u8>, block: bool },
    Get { block: bool },
    TaskDone,
    Join,
    TimeOut,
    Gone,
    ShutDown { immediate: bool },
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let key = prop_oneof![9 => 0u8..4, 1 => Just(super::ODD)];
    let at = prop_oneof![3 => Just(None), 1 => (0u8..4).prop_map(Some)];
    let step = prop_oneof![
        8 => (key, at, any::<bool>()).prop_map(|(key, at, block)| Step::Put { key, at, block }),
        8 => any::<bool>().prop_map(|block| Step::Get { block }),
        3 => Just(Step::TaskDone),
        1 => Just(Step::Join),
        2 => Just(Step::TimeOut),
        2 => Just(Step::Gone),
        1 => any::<bool>().prop_map(|immediate| Step::ShutDown { immediate }),
    ];
    (0u64..5, step)
}

type Row = (Thing, Option<Thing>, u64);

/// What a queue is, without a thought for speed. Arrival numbers are kept, and those of what was handed back.
struct Model {
    order: Order,
    capacity: usize,
    hand_back: HandBack,
    items: Vec<Row>,
    /// What came back and has no order with what is there.
    returned: Vec<Row>,
    arrivals: u64,
    getters: Vec<u64>,
    putters: Vec<(u64, Thing, Option<Thing>)>,
    joiners: Vec<u64>,
    held: Vec<(u64, Row)>,
    unfinished: usize,
    shut: bool,
}

type Answers = Vec<(u64, QueueReply<Thing>)>;

impl Model {
    fn has_room(&self) -> bool {
        self.capacity == 0 || self.len() < self.capacity
    }

    fn len(&self) -> usize {
        self.items.len() + self.returned.len()
    }

    /// Whether a priority queue finds no order between this and what is there.
    fn clashes(&self, key: &Thing) -> bool {
        // All that have an order have it with each other, so one to compare with is enough.
        let odd = |thing: &Thing| thing.order(thing, &mut Effort::over(1)).is_err();
        self.order == Order::Priority
            && !self.items.is_empty()
            && (odd(key) || self.items.iter().any(|(item, at, _)| odd(&at.unwrap_or(*item))))
    }

    fn put(&mut self, item: Thing, at: Option<Thing>) -> QueueReply<Thing> {
        if self.clashes(&at.unwrap_or(item)) {
            return QueueReply::NoOrder(item, Unordered::NoOrder);
        }
        self.items.push((item, at, self.arrivals));
        self.arrivals += 1;
        self.unfinished += 1;
        QueueReply::Done
    }

    fn take(&mut self) -> Option<Row> {
        if !self.returned.is_empty() {
            return Some(self.returned.remove(0));
        }
        if self.items.is_empty() {
            return None;
        }
        let at = match self.order {
            Order::Fifo => 0,
            Order::Lifo => self.items.len() - 1,
            Order::Priority => (0..self.items.len())
                .min_by(|&a, &b| {
                    let (a, b) = (&self.items[a], &self.items[b]);
                    let order = a.1.unwrap_or(a.0);
                    let order = order.order(&b.1.unwrap_or(b.0), &mut Effort::over(1));
                    order.unwrap_or(Ordering::Equal).then(a.2.cmp(&b.2))
                })
                .expect("it is not empty"),
        };
        Some(self.items.remove(at))
    }

    fn put_back(&mut self, row: Row) {
        let rows = match self.clashes(&row.1.unwrap_or(row.0)) {
            true => &mut self.returned,
            false => &mut self.items,
        };
        rows.push(row);
        rows.sort_by_key(|&(.., arrival)| arrival);
    }

    fn give(&mut self, who: u64, row: Row) -> QueueReply<Thing> {
        if self.hand_back != HandBack::Never {
            self.held.push((who, row));
        }
        QueueReply::Item { item: row.0, at: row.1, arrival: row.2 }
    }

    fn settle(&mut self, out: &mut Answers) {
        loop {
            if self.has_room() && !self.putters.is_empty() {
                let (who, item, at) = self.putters.remove(0);
                let reply = self.put(item, at);
                out.push((who, reply));
            } else if !self.getters.is_empty() && self.len() > 0 {
                let row = self.take().expect("it is not empty");
                let who = self.getters.remove(0);
                let reply = self.give(who, row);
                out.push((who, reply));
            } else {
                break;
            }
        }
        if self.shut && self.len() == 0 {
            out.extend(self.getters.drain(..).map(|who| (who, QueueReply::Shut { put: false })));
        }
        if self.unfinished == 0 {
            out.extend(self.joiners.drain(..).map(|who| (who, QueueReply::Done)));
        }
    }

    fn step(&mut self, who: u64, step: &Step, id: u32) -> Answers {
        let mut out = Vec::new();
        match *step {
            Step::Put { .. } if self.shut => out.push((who, QueueReply::Shut { put: true })),
            Step::Put { key, at, block } => {
                let (item, at) = (Thing { key, id }, at.map(|key| Thing { key, id }));
                if self.has_room() {
                    let reply = self.put(item, at);
                    out.push((who, reply));
                } else if block {
                    self.putters.push((who, item, at));
                } else {
                    out.push((who, QueueReply::Full(item)));
                }
            }
            Step::Get { block } => {
                if self.hand_back == HandBack::UntilNext {
                    self.held.retain(|(holder, _)| *holder != who);
                }
                match self.take() {
                    Some(row) => {
                        let reply = self.give(who, row);
                        out.push((who, reply));
                    }
                    None if self.shut => out.push((who, QueueReply::Shut { put: false })),
                    None if block => self.getters.push(who),
                    None => out.push((who, QueueReply::Empty)),
                }
            }
            Step::TaskDone if self.unfinished == 0 => out.push((who, QueueReply::TooManyDone)),
            Step::TaskDone => {
                self.unfinished -= 1;
                let own = self.held.iter().position(|(holder, _)| *holder == who);
                let first = |model: &Model| {
                    (0..model.held.len()).min_by_key(|at| {
                        let holder = model.held[*at].0;
                        let of_holder = model.held.iter().find(|(other, _)| *other == holder);
                        of_holder.expect("it is one").1.2
                    })
                };
                if let Some(at) = own.or_else(|| first(self)) {
                    let holder = self.held[at].0;
                    let at = self.held.iter().position(|(other, _)| *other == holder);
                    self.held.remove(at.expect("it is one"));
                }
                out.push((who, QueueReply::Done));
            }
            Step::Join => self.joiners.push(who),
            Step::TimeOut => {
                if let Some(at) = self.putters.iter().position(|(putter, ..)| *putter == who) {
                    out.push((who, QueueReply::Full(self.putters.remove(at).1)));
                } else if let Some(at) = self.getters.iter().position(|&getter| getter == who) {
                    self.getters.remove(at);
                    out.push((who, QueueReply::Empty));
                } else if let Some(at) = self.joiners.iter().position(|&joiner| joiner == who) {
                    self.joiners.remove(at);
                    out.push((who, QueueReply::Is(false)));
                }
                return out;
            }
            Step::Gone => {
                self.putters.retain(|(putter, ..)| *putter != who);
                self.getters.retain(|&getter| getter != who);
                self.joiners.retain(|&joiner| joiner != who);
                let (mine, others): (Vec<_>, Vec<_>) =
                    self.held.drain(..).partition(|(holder, _)| *holder == who);
                self.held = others;
                for (_, row) in mine {
                    self.put_back(row);
                }
            }
            Step::ShutDown { immediate } => {
                self.shut = true;
                if immediate {
                    self.unfinished = self.unfinished.saturating_sub(self.len());
                    self.items.clear();
                    self.returned.clear();
                }
                out.extend(
                    self.putters
                        .drain(..)
                        .map(|(putter, ..)| (putter, QueueReply::Shut { put: true })),
                );
                out.push((who, QueueReply::Done));
            }
        }
        self.settle(&mut out);
        out
    }
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Fifo), Just(Order::Lifo), Just(Order::Priority)]
}

fn hand_back() -> impl Strategy<Value = HandBack> {
    prop_oneof![Just(HandBack::Never), Just(HandBack::UntilDone), Just(HandBack::UntilNext)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_queue_does_what_its_model_does(
        order in order(),
        capacity in 0usize..4,
        hand_back in hand_back(),
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut queue = Driver::new(Queue::new(order, capacity, hand_back));
        let mut model = Model {
            order, capacity, hand_back, items: Vec::new(), returned: Vec::new(), arrivals: 0, getters: Vec::new(),
            putters: Vec::new(), joiners: Vec::new(), held: Vec::new(), unfinished: 0, shut: false,
        };
        for (id, (who, step)) in steps.iter().enumerate() {
            let (who, id) = (*who, id as u32);
            if queue.is_waiting(who) && !matches!(step, Step::TimeOut | Step::Gone) {
                continue;
            }
            let ours = match *step {
                Step::Put { key, at, block } => {
                    let (item, at) = (Thing { key, id }, at.map(|key| Thing { key, id }));
                    queue.request(who, QueueRequest::Put { item, at, block })
                }
                Step::Get { block } => queue.request(who, QueueRequest::Get { block }),
                Step::TaskDone => queue.request(who, QueueRequest::TaskDone),
                Step::Join => queue.request(who, QueueRequest::Join),
                Step::ShutDown { immediate } => {
                    queue.request(who, QueueRequest::ShutDown { immediate })
                }
                Step::TimeOut => queue.time_out(who),
                Step::Gone => queue.gone(who),
            };
            let theirs = model.step(who, step, id);
            prop_assert_eq!(&ours, &theirs, "{:?} of {}", step, who);
            prop_assert_eq!(queue.word.len(), model.len());
        }
    }

    /// With hand-back, every item is with somebody who lives or in the queue, and nowhere twice.
    #[test]
    fn nothing_is_lost_or_doubled_when_consumers_die(
        hand_back in prop_oneof![Just(HandBack::UntilDone), Just(HandBack::UntilNext)],
        steps in prop::collection::vec((0u64..4, 0u8..4), 0..200),
    ) {
        let mut queue = Driver::new(Queue::new(Order::Fifo, 0, hand_back));
        let (mut put, mut finished) = (0, Vec::new());
        let mut has: [Option<u32>; 4] = [None; 4];
        for (who, what) in steps {
            match what {
                0 => {
                    let item = Thing { key: 0, id: put };
                    queue.request(9, QueueRequest::Put { item, at: None, block: false });
                    put += 1;
                }
                1 | 2 if has[who as usize].is_none() => {
                    let replies = queue.request(who, QueueRequest::Get { block: false });
                    if let [(_, QueueReply::Item { item, .. })] = replies[..] {
                        has[who as usize] = Some(item.id);
                    }
                }
                1 | 2 => {
                    finished.extend(has[who as usize].take());
                    queue.request(who, QueueRequest::TaskDone);
                }
                _ => {
                    has[who as usize] = None;
                    queue.gone(who);
                }
            }
        }
        let mut all: Vec<u32> = finished.into_iter().chain(has.into_iter().flatten()).collect();
        while let [(_, QueueReply::Item { item, .. })] =
            queue.request(9, QueueRequest::Get { block: false })[..]
        {
            all.push(item.id);
        }
        all.sort_unstable();
        prop_assert_eq!(all, (0..put).collect::<Vec<_>>());
    }
}

fn queue_of(order: Order, hand_back: HandBack, items: u32) -> Driver<Queue<Thing>> {
    let mut queue = Driver::new(Queue::new(order, 0, hand_back));
    for id in 0..items {
        let item = Thing { key: 0, id };
        queue.request(99, QueueRequest::Put { item, at: None, block: false });
    }
    queue
}

/// What the participant gets from the queue, which has something.
fn get(queue: &mut Driver<Queue<Thing>>, who: u64) -> (Thing, u64) {
    match queue.request(who, QueueRequest::Get { block: true })[..] {
        [(to, QueueReply::Item { item, at: None, arrival })] if to == who => (item, arrival),
        ref other => panic!("no item, but {other:?}"),
    }
}

const HAND_BACKS: [HandBack; 3] = [HandBack::Never, HandBack::UntilDone, HandBack::UntilNext];
const ORDERS: [Order; 3] = [Order::Fifo, Order::Lifo, Order::Priority];

#[test]
fn what_could_not_be_handed_over_goes_back_to_where_it_was() {
    for (order, hand_back) in ORDERS.into_iter().flat_map(|o| HAND_BACKS.map(|h| (o, h))) {
        let mut queue = queue_of(order, hand_back, 4);
        // Two who had several each, and another order of handing over than that of taking.
        let taken: Vec<_> = [2, 3, 2, 3].map(|who| (who, get(&mut queue, who))).into();
        let mut replies = Vec::new();
        for &(who, (item, arrival)) in [2, 0, 1, 3].map(|at| &taken[at]) {
            queue.word.take_back(Participant::alone(who), item, None, arrival, &mut replies);
        }
        assert!(replies.is_empty());
        assert!(queue.gone(2).is_empty() && queue.gone(3).is_empty());
        assert_eq!(queue.word.len(), 4, "{order:?} {hand_back:?}");
        let again: Vec<_> = taken.iter().map(|_| get(&mut queue, 4)).collect();
        let before: Vec<_> = taken.into_iter().map(|(_, got)| got).collect();
        assert_eq!(again, before, "{order:?} {hand_back:?}");
    }
}

#[test]
fn what_the_dead_held_is_in_its_old_order_whoever_dies_first() {
    for order in ORDERS {
        let mut queue = queue_of(order, HandBack::UntilDone, 6);
        let taken = [1, 2, 3, 1, 2].map(|who| get(&mut queue, who));
        for who in [1, 3, 2] {
            queue.gone(who);
        }
        assert_eq!([(); 5].map(|()| get(&mut queue, 4)), taken, "{order:?}");
    }
}

/// One thread takes, another says that it is done, on a connection of its own.
#[test]
fn who_holds_nothing_says_done_for_the_first_that_is_held() {
    let mut queue = Driver::new(Queue::new(Order::Fifo, 0, HandBack::UntilDone));
    for id in 0..3 {
        let item = Thing { key: 0, id };
        queue.request(1, QueueRequest::Put { item, at: None, block: false });
        queue.request(2, QueueRequest::Get { block: false });
    }
    for _ in 0..3 {
        assert_eq!(queue.request(3, QueueRequest::TaskDone), [(3, QueueReply::Done)]);
    }
    queue.gone(2);
    assert_eq!(queue.word.len(), 0);
    assert_eq!(queue.request(3, QueueRequest::TaskDone), [(3, QueueReply::TooManyDone)]);
}
