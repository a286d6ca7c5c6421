//! A dict, in the order of insertion.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A dict. `K` is what makes keys equal; `N` is the key as it was first put there.
#[derive(Clone, Debug)]
pub(crate) struct Dict<K, N, V> {
    next: u64,
    places: HashMap<K, u64>,
    entries: BTreeMap<u64, (K, N, V)>,
}

impl<K, N, V> Default for Dict<K, N, V> {
    fn default() -> Self {
        Dict { next: 0, places: HashMap::new(), entries: BTreeMap::new() }
    }
}

impl<K: Hash + Eq + Clone, N, V> Dict<K, N, V> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(self.places.get(key)?).map(|(_, _, value)| value)
    }

    /// Puts a value in the place of an equal key's, or at the end.
    pub(crate) fn set(&mut self, key: K, name: N, value: V) {
        match self.places.get(&key) {
            Some(place) => {
                let entry = self.entries.get_mut(place).expect("each place has its entry");
                entry.2 = value;
            }
            None => {
                self.places.insert(key.clone(), self.next);
                self.entries.insert(self.next, (key, name, value));
                self.next += 1;
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.places.remove(key)?;
        self.entries.remove(&place).map(|(_, _, value)| value)
    }

    /// Takes the entry that came last.
    pub(crate) fn pop_last(&mut self) -> Option<(N, V)> {
        let (_, (key, name, value)) = self.entries.pop_last()?;
        self.places.remove(&key);
        Some((name, value))
    }

    pub(crate) fn clear(&mut self) {
        self.places = HashMap::new();
        self.entries = BTreeMap::new();
    }

    /// The entries by what makes their keys equal.
    pub(crate) fn names(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.values().map(|(key, _, value)| (key, value))
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&N, &V)> {
        self.entries.values().map(|(_, name, value)| (name, value))
    }
}
