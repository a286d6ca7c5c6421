//! Participants who wait, in the order in which they came.

use std::collections::{BTreeMap, HashMap};

use super::Participant;

/// A waiting line. Each participant stands in it once at most; leaving from the middle is cheap.
#[derive(Debug)]
pub(super) struct Line<T> {
    next: u64,
    places: HashMap<Participant, u64>,
    waiting: BTreeMap<u64, (Participant, T)>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Line { next: 0, places: HashMap::new(), waiting: BTreeMap::new() }
    }
}

impl<T> Line<T> {
    pub(super) fn push(&mut self, who: Participant, what: T) {
        let before = self.places.insert(who, self.next);
        debug_assert!(before.is_none(), "a participant waits for one thing at a time");
        self.waiting.insert(self.next, (who, what));
        self.next += 1;
    }

    pub(super) fn pop(&mut self) -> Option<(Participant, T)> {
        let (_, (who, what)) = self.waiting.pop_first()?;
        self.places.remove(&who);
        Some((who, what))
    }

    pub(super) fn remove(&mut self, who: Participant) -> Option<T> {
        let place = self.places.remove(&who)?;
        self.waiting.remove(&place).map(|(_, what)| what)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn first(&self) -> Option<(Participant, &T)> {
        self.waiting.first_key_value().map(|(_, (who, what))| (*who, what))
    }

    pub(super) fn participants(&self) -> impl Iterator<Item = Participant> + '_ {
        self.waiting.values().map(|(who, _)| *who)
    }

    pub(super) fn contains(&self, who: Participant) -> bool {
        self.places.contains_key(&who)
    }
}
