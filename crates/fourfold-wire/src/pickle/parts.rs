//! A value taken apart: each part becomes a value of its own, in time that goes with its own size.

use super::{Node, NodeId, NodeRef, Value};

/// Takes parts out of a value, one after the other, in the time that each takes by itself, however large the whole is.
///
/// Parts may share nodes, and each gets a copy: a short message may expand to more than there is memory for. So there
/// is a budget, in bytes, for all that is taken out and whatever else is charged to it.
///
/// # Examples
///
/// ```
/// use fourfold_wire::pickle::{Parts, Value};
///
/// let pair = Value::tuple([Value::from("name"), Value::from(vec![0u8; 1000])]);
/// let mut parts = Parts::new(&pair, 1 << 20);
/// let name = pair.root().item(0).expect("an item").id();
/// assert_eq!(parts.take(name), Some(Value::from("name")));
/// let mut parts = Parts::new(&pair, 1000);
/// let bytes = pair.root().item(1).expect("an item").id();
/// assert_eq!(parts.take(bytes), None);
/// ```
#[derive(Debug)]
pub struct Parts<'a> {
    value: &'a Value,
    left: usize,
    /// The number of each node in the part that is being taken out, while it is that part's turn.
    numbers: Vec<(u32, u32)>,
    turn: u32,
}

impl<'a> Parts<'a> {
    /// Takes parts out of `value` until `budget` bytes are used up.
    #[must_use]
    pub fn new(value: &'a Value, budget: usize) -> Parts<'a> {
        Parts { value, left: budget, numbers: Vec::new(), turn: 0 }
    }

    /// Takes so many bytes from what is left. `None`: there are not so many.
    pub fn charge(&mut self, bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }

    /// A copy of the part that starts at `id`. `None`: it is larger than what is left of the budget.
    ///
    /// # Panics
    ///
    /// When the number is from another value.
    pub fn take(&mut self, id: NodeId) -> Option<Value> {
        let nodes = &self.value.nodes;
        assert!(id.index() < nodes.len(), "a node of another value");
        let mut is_leaf = true;
        nodes[id.index()].for_each_part(|_| is_leaf = false);
        if is_leaf {
            self.charge(VALUE + size(&nodes[id.index()]))?;
            return Some(Value { nodes: vec![nodes[id.index()].clone()], root: NodeId(0) });
        }
        self.charge(VALUE)?;
        // Made when it is first wanted: mostly parts are plain.
        if self.numbers.is_empty() {
            self.numbers = vec![(0, 0); nodes.len()];
        }
        self.turn = self.turn.checked_add(1)?;
        let mut kept = vec![id];
        self.numbers[id.index()] = (self.turn, 0);
        let mut next = 0;
        while let Some(&id) = kept.get(next) {
            next += 1;
            self.charge(size(&nodes[id.index()]))?;
            let (numbers, turn) = (&mut self.numbers, self.turn);
            nodes[id.index()].for_each_part(|part| {
                if numbers[part.index()].0 != turn {
                    numbers[part.index()] = (turn, 0);
                    kept.push(part);
                }
            });
        }
        // Parts stay before what they are parts of, as they were read.
        kept.sort_unstable();
        for (number, id) in kept.iter().enumerate() {
            self.numbers[id.index()].1 = u32::try_from(number).ok()?;
        }
        let map = |id: NodeId| NodeId(self.numbers[id.index()].1);
        let copied = kept.iter().map(|id| {
            let mut node = nodes[id.index()].clone();
            node.renumber(map);
            node
        });
        Some(Value { nodes: copied.collect(), root: map(id) })
    }
}

/// What a value takes apart from its nodes, in bytes: it is allocated, counted and referred to.
const VALUE: usize = size_of::<Value>() + 4 * size_of::<usize>();

/// What a node takes, in bytes.
fn size(node: &Node) -> usize {
    let id = size_of::<NodeId>();
    size_of::<Node>()
        + match node {
            Node::Str(text) | Node::Unicode(text) => text.as_bytes().len(),
            Node::ByteStr(bytes) | Node::Bytes(bytes) | Node::ByteArray(bytes) => bytes.len(),
            Node::Long(long) => long.as_le_bytes().len(),
            Node::Global(global) => {
                size_of_val(&**global) + global.module.len() + global.name.len()
            }
            Node::Object(object) => {
                let mut parts = 0;
                node.for_each_part(|_| parts += 1);
                size_of_val(&**object) + size_of_val(&*object.steps) + parts * id
            }
            parts => {
                let mut count = 0;
                parts.for_each_part(|_| count += 1);
                count * id
            }
        }
}

impl Value {
    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        VALUE + self.nodes.iter().map(size).sum::<usize>()
    }
}

impl<'a> NodeRef<'a> {
    /// The whole value that the node is in.
    #[must_use]
    pub fn whole(self) -> &'a Value {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_same_as_when_copied_one_by_one() {
        let whole = Value::read(b"\x80\x04](]\x94(h\x00Kce}\x8c\x01aK\x01s(K\x05h\x00\x8c\x01bte.")
            .expect("a pickle");
        let mut parts = Parts::new(&whole, whole.size() * 10);
        let items = whole.root().items().expect("a list");
        assert_eq!(items.len(), 3);
        for item in items {
            assert_eq!(parts.take(item.id()), Some(item.to_value()));
            assert_eq!(
                parts.take(item.id()).map(|part| part.node_count()),
                Some(item.to_value().node_count())
            );
        }
        assert_eq!(parts.take(whole.root().id()), Some(whole.clone()));
    }

    #[test]
    fn a_part_that_is_shared_is_paid_for_each_time() {
        let whole = Value::list([Value::tuple([Value::from("x".repeat(1000))])]);
        let tuple = whole.root().item(0).expect("an item").id();
        let mut parts = Parts::new(&whole, 10_000);
        let taken = (0..).take_while(|_| parts.take(tuple).is_some()).count();
        assert!((7..10).contains(&taken), "{taken}");
    }

    #[test]
    fn many_parts_of_a_large_value_are_taken_in_time_with_its_size() {
        let start = std::time::Instant::now();
        let pairs = (0..200_000).map(|n| Value::tuple([Value::from(n), Value::from(-n)]));
        let whole = Value::list(pairs);
        let mut parts = Parts::new(&whole, usize::MAX);
        for (n, item) in whole.root().items().expect("a list").enumerate() {
            let part = parts.take(item.id()).expect("it is within the budget");
            assert_eq!(part.root().item(0).and_then(|node| node.as_i64()), Some(n as i64));
        }
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
}
