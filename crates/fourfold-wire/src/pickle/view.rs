//! A node seen within its value.

use std::fmt;

use super::{Global, Made, Node, NodeId, Object, Step, Value};

/// A node seen within its value, with its parts at hand.
///
/// # Examples
///
/// ```
/// use fourfold_wire::pickle::Value;
///
/// let value = Value::read(b"(lp0\nI1\naI2\na.")?;
/// let sum: i64 = value.root().items().expect("a list").filter_map(|item| item.as_i64()).sum();
/// assert_eq!(sum, 3);
/// # Ok::<(), fourfold_wire::pickle::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct NodeRef<'a> {
    pub(crate) value: &'a Value,
    id: NodeId,
}

impl<'a> NodeRef<'a> {
    pub(crate) fn new(value: &'a Value, id: NodeId) -> NodeRef<'a> {
        NodeRef { value, id }
    }

    /// The node's number in its value.
    #[must_use]
    pub fn id(self) -> NodeId {
        self.id
    }

    /// The node itself.
    #[must_use]
    pub fn node(self) -> &'a Node {
        &self.value.nodes[self.id.index()]
    }

    /// Another node of the same value.
    ///
    /// # Panics
    ///
    /// When the number is from another value.
    #[must_use]
    pub fn at(self, id: NodeId) -> NodeRef<'a> {
        self.value.node(id)
    }

    pub(crate) fn nodes(self) -> &'a [Node] {
        &self.value.nodes
    }

    /// This node and all that it is made of, each once.
    pub(crate) fn all_parts(self) -> impl Iterator<Item = NodeRef<'a>> {
        let (keep, _) = super::graph::part(self.nodes(), self.id);
        let kept = keep.into_iter().enumerate().filter(|&(_, keep)| keep);
        kept.map(move |(index, _)| self.at(NodeId(index as u32)))
    }

    /// A value of its own that starts here, copied.
    #[must_use]
    pub fn to_value(self) -> Value {
        self.value.copy_of_part(self.id)
    }

    /// Whether this is `None`.
    #[must_use]
    pub fn is_none(self) -> bool {
        matches!(self.node(), Node::None)
    }

    /// The truth value of a `bool`.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A whole number that fits.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        match self.node() {
            Node::Int(value) => Some(*value),
            Node::Long(long) => long.to_i64(),
            _ => None,
        }
    }

    /// A number as a float: a `float`, or a whole number, rounded if it is large.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        match self.node() {
            Node::Float(value) => Some(*value),
            Node::Int(value) => Some(*value as f64),
            Node::Long(long) => long.to_i128().map(|value| value as f64),
            _ => None,
        }
    }

    /// Text without lone surrogates, or a `str` of Python 2 that is UTF-8.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        match self.node() {
            Node::Str(text) | Node::Unicode(text) => text.as_str(),
            Node::ByteStr(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The bytes of a `bytes`, a `bytearray` or a `str` of Python 2.
    #[must_use]
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        match self.node() {
            Node::Bytes(bytes) | Node::ByteArray(bytes) | Node::ByteStr(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A class or function.
    #[must_use]
    pub fn as_global(self) -> Option<&'a Global> {
        match self.node() {
            Node::Global(global) => Some(global),
            _ => None,
        }
    }

    /// An object.
    #[must_use]
    pub fn as_object(self) -> Option<&'a Object> {
        match self.node() {
            Node::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The class of an object, or what it is made by calling.
    #[must_use]
    pub fn class(self) -> Option<&'a Global> {
        self.at(self.as_object()?.made.class()).as_global()
    }

    /// The items of a tuple, list, set or frozenset.
    #[must_use]
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = NodeRef<'a>> + Clone> {
        match self.node() {
            Node::Tuple(items) | Node::List(items) | Node::Set(items) | Node::FrozenSet(items) => {
                Some(items.iter().map(move |&id| self.at(id)))
            }
            _ => None,
        }
    }

    /// One item of a tuple or list.
    #[must_use]
    pub fn item(self, index: usize) -> Option<NodeRef<'a>> {
        match self.node() {
            Node::Tuple(items) | Node::List(items) => items.get(index).map(|&id| self.at(id)),
            _ => None,
        }
    }

    /// The entries of a dict.
    #[must_use]
    pub fn entries(
        self,
    ) -> Option<
        impl DoubleEndedIterator<Item = (NodeRef<'a>, NodeRef<'a>)> + ExactSizeIterator + Clone,
    > {
        match self.node() {
            Node::Dict(entries) => {
                Some(entries.iter().map(move |&(key, value)| (self.at(key), self.at(value))))
            }
            _ => None,
        }
    }

    /// The entries of a dict, or of an `OrderedDict`, a `Counter` or a `defaultdict` of `collections`, as any version of Python
    /// writes it. If a key is there more than once, the last one counts.
    #[must_use]
    pub fn mapping(self) -> Option<Vec<(NodeRef<'a>, NodeRef<'a>)>> {
        if let Some(entries) = self.entries() {
            return Some(entries.collect());
        }
        let object = self.as_object()?;
        let Made::Reduce { .. } = object.made else { return None };
        let ("collections", name) = self.class()?.python3() else { return None };
        let args: Vec<NodeRef<'a>> = self.made_with()?.take(2).collect();
        let mut found: Vec<_> = match (name, &args[..]) {
            ("OrderedDict" | "Counter" | "defaultdict", []) | ("defaultdict", [_]) => Vec::new(),
            ("Counter", [from]) => from.entries()?.collect(),
            // As Python 2 has it: from a list of pairs.
            ("OrderedDict", [from]) => {
                let pair = |pair: NodeRef<'a>| Some((pair.item(0)?, pair.item(1)?));
                from.items()?.map(pair).collect::<Option<_>>()?
            }
            _ => return None,
        };
        for step in &object.steps {
            match step {
                Step::SetItems(pairs) => {
                    found.extend(pairs.iter().map(|&(key, value)| (self.at(key), self.at(value))));
                }
                Step::State(_) => {}
                _ => return None,
            }
        }
        Some(found)
    }

    /// The value of a key of a dict that is text. If the key is there more than once, the last one counts.
    #[must_use]
    pub fn get_key(self, key: &str) -> Option<NodeRef<'a>> {
        let Node::Dict(entries) = self.node() else { return None };
        entries
            .iter()
            .rev()
            .find(|entry| self.at(entry.0).as_str() == Some(key))
            .map(|entry| self.at(entry.1))
    }

    /// The last state that an object was given.
    #[must_use]
    pub fn state(self) -> Option<NodeRef<'a>> {
        self.as_object()?.steps.iter().rev().find_map(|step| match step {
            Step::State(id) => Some(self.at(*id)),
            _ => None,
        })
    }

    /// The arguments that an object is made with, where they are a plain tuple.
    #[must_use]
    pub fn made_with(self) -> Option<impl ExactSizeIterator<Item = NodeRef<'a>> + Clone> {
        self.at(self.as_object()?.made.args()).items()
    }
}

impl fmt::Debug for NodeRef<'_> {
    /// The node without its parts: they may contain it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NodeRef").field(&self.id.0).field(self.node()).finish()
    }
}
