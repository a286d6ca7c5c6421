//! The items of a queue, in the order in which they leave it.

use std::cmp::Ordering;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Effort, Element, Unordered};

/// The order in which items leave a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// First in, first out.
    Fifo,
    /// Last in, first out.
    Lifo,
    /// The smallest first, equal ones in the order of their arrival.
    Priority,
}

/// An item, and what it is ordered by.
#[derive(Clone, Debug)]
pub(super) struct Entry<V> {
    pub(super) item: V,
    /// What a priority queue orders it by in place of the item itself.
    pub(super) at: Option<V>,
    /// When it came. What was handed back has its old number, and its old place.
    pub(super) arrival: u64,
}

#[derive(Debug)]
pub(super) struct Store<V> {
    order: Order,
    /// A binary heap, or a row in the order of arrival.
    entries: VecDeque<Entry<V>>,
    /// What came back to a priority queue that has no order with what is there by now: it leaves next, the oldest first.
    returned: VecDeque<Entry<V>>,
    arrivals: u64,
}

impl<V: Element> Store<V> {
    pub(super) fn new(order: Order) -> Store<V> {
        Store { order, entries: VecDeque::new(), returned: VecDeque::new(), arrivals: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.returned.len()
    }

    /// Adds an item. It comes back if a priority queue finds no order between it and what is there.
    pub(super) fn put(&mut self, item: V, at: Option<V>) -> Result<(), (V, Unordered)> {
        let entry = Entry { item, at, arrival: self.arrivals };
        let mut effort = Effort::over(self.entries.len());
        match self.order {
            Order::Fifo | Order::Lifo => self.entries.push_back(entry),
            Order::Priority => match self.has_order(&entry, &mut effort) {
                Ok(()) => self.push_heap(entry, &mut effort),
                Err(why) => return Err((entry.item, why)),
            },
        }
        self.arrivals += 1;
        Ok(())
    }

    /// Puts back what was taken, to where it was: whoever had several of them may give them back in any order.
    pub(super) fn put_back(&mut self, entry: Entry<V>) {
        let mut effort = Effort::over(self.entries.len());
        let row = match self.order {
            Order::Priority if self.has_order(&entry, &mut effort).is_ok() => {
                return self.push_heap(entry, &mut effort);
            }
            Order::Priority => &mut self.returned,
            Order::Fifo | Order::Lifo => &mut self.entries,
        };
        let place = row.partition_point(|other| other.arrival < entry.arrival);
        row.insert(place, entry);
    }

    pub(super) fn take(&mut self) -> Option<Entry<V>> {
        match self.order {
            Order::Fifo => self.entries.pop_front(),
            Order::Lifo => self.entries.pop_back(),
            Order::Priority => self.returned.pop_front().or_else(|| self.pop_heap()),
        }
    }

    pub(super) fn clear(&mut self) -> usize {
        let count = self.len();
        self.entries = VecDeque::new();
        self.returned = VecDeque::new();
        count
    }

    fn has_order(&self, entry: &Entry<V>, effort: &mut Effort) -> Result<(), Unordered> {
        let mut at = self.entries.len();
        while at > 0 {
            at = (at - 1) / 2;
            key(entry).order(key(&self.entries[at]), effort)?;
        }
        Ok(())
    }

    fn push_heap(&mut self, entry: Entry<V>, effort: &mut Effort) {
        self.entries.push_back(entry);
        let mut at = self.entries.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.is_before(at, parent, effort) {
                break;
            }
            self.entries.swap(at, parent);
            at = parent;
        }
    }

    fn pop_heap(&mut self) -> Option<Entry<V>> {
        let first = self.entries.swap_remove_back(0)?;
        let mut effort = Effort::over(self.entries.len());
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let Some(least) = (left..=right)
                .filter(|&child| child < self.entries.len())
                .reduce(|a, b| if self.is_before(b, a, &mut effort) { b } else { a })
            else {
                break;
            };
            if !self.is_before(least, at, &mut effort) {
                break;
            }
            self.entries.swap(least, at);
            at = least;
        }
        Some(first)
    }

    /// Between two that have no order, the one that came first leaves first.
    fn is_before(&self, a: usize, b: usize, effort: &mut Effort) -> bool {
        let (a, b) = (&self.entries[a], &self.entries[b]);
        let order = key(a).order(key(b), effort).unwrap_or(Ordering::Equal);
        order.then(a.arrival.cmp(&b.arrival)) == Ordering::Less
    }
}

fn key<V>(entry: &Entry<V>) -> &V {
    entry.at.as_ref().unwrap_or(&entry.item)
}
