//! The memo of a pickle that is being read.

use std::collections::HashMap;

use super::NodeId;

/// Numbers to nodes. Stock picklers count from 0 or 1 without gaps, and those are kept in a row; a
/// number far ahead goes to a map, so it costs one entry and not a row up to it.
#[derive(Debug, Default)]
pub(super) struct Memo {
    row: Vec<Option<NodeId>>,
    far: HashMap<u64, NodeId>,
    /// How many numbers have a node.
    len: usize,
}

impl Memo {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, number: u64) -> Option<NodeId> {
        match usize::try_from(number).ok().and_then(|index| self.row.get(index)) {
            Some(entry) => *entry,
            None => self.far.get(&number).copied(),
        }
    }

    pub(super) fn put(&mut self, number: u64, id: NodeId) {
        let in_row = usize::try_from(number).ok().filter(|&index| {
            // At most one gap, as a row that starts at 1 has: else a number could be in both.
            index < self.row.len() || (index <= self.row.len() + 1 && self.far.is_empty())
        });
        let before = match in_row {
            Some(index) => {
                if index >= self.row.len() {
                    self.row.resize(index + 1, None);
                }
                self.row[index].replace(id)
            }
            None => self.far.insert(number, id),
        };
        self.len += usize::from(before.is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_numbers_cost_one_entry() {
        let mut memo = Memo::default();
        memo.put(u64::from(u32::MAX), NodeId(7));
        memo.put(1, NodeId(1));
        memo.put(0, NodeId(0));
        memo.put(1, NodeId(2));
        assert_eq!((memo.len(), memo.row.len()), (3, 0));
        assert_eq!(memo.get(u64::from(u32::MAX)), Some(NodeId(7)));
        assert_eq!(
            [memo.get(0), memo.get(1), memo.get(2)],
            [Some(NodeId(0)), Some(NodeId(2)), None]
        );
    }

    #[test]
    fn a_row_may_start_at_one() {
        let mut memo = Memo::default();
        for number in 1..100 {
            memo.put(number, NodeId(number as u32));
        }
        memo.put(1 << 40, NodeId(0));
        memo.put(100, NodeId(100));
        assert_eq!((memo.len(), memo.row.len()), (101, 100));
        assert!((1..=100).all(|number| memo.get(number) == Some(NodeId(number as u32))));
        assert_eq!(memo.get(0), None);
    }
}
