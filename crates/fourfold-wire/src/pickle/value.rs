//! A whole pickled value.

use super::{Builder, Error, Node, NodeId, NodeRef, Reader, Writer, graph};
use crate::Dialect;

/// A whole pickled value: a graph of nodes and the one that stands for all.
///
/// Two values are equal when they are the same graph: what is mutable is shared in the same places
/// in both. A value is made by [`Value::read`], by [`From`] and the functions here, by a [`Builder`], or
/// from a Rust type by [`to_value`](super::to_value).
///
/// # Examples
///
/// ```
/// use fourfold_wire::{Dialect, pickle::Value};
///
/// let value = Value::tuple([Value::from(1), Value::list([Value::from("two"), Value::none()])]);
/// let bytes = value.write(Dialect::Python3)?;
/// assert_eq!(Value::read(&bytes)?, value);
/// # Ok::<(), fourfold_wire::pickle::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Value {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: NodeId,
}

impl Value {
    /// Reads a pickle with the default [`Limits`](super::Limits), any global allowed.
    ///
    /// # Errors
    ///
    /// As [`Reader::read`].
    pub fn read(pickle: &[u8]) -> Result<Value, Error> {
        Reader::new().read(pickle)
    }

    /// The value as a pickle.
    ///
    /// # Errors
    ///
    /// As [`Writer::value`].
    pub fn write(&self, dialect: Dialect) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new(dialect);
        writer.value(self.root())?;
        Ok(writer.finish())
    }

    /// The node that stands for all.
    #[must_use]
    pub fn root(&self) -> NodeRef<'_> {
        NodeRef::new(self, self.root)
    }

    /// The node of that number.
    ///
    /// # Panics
    ///
    /// When the number is from another value.
    #[must_use]
    pub fn node(&self, id: NodeId) -> NodeRef<'_> {
        assert!(id.index() < self.nodes.len(), "a node of another value");
        NodeRef::new(self, id)
    }

    /// How many nodes are kept, including those that nothing refers to.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is a class or function of that module in it, by its name in Python 3.
    pub(crate) fn names_module(&self, module: &str) -> bool {
        self.nodes.iter().any(|node| match node {
            Node::Global(global) => global.python3().0 == module,
            _ => false,
        })
    }

    /// The value that starts at node `id`, taken out without copying its contents.
    ///
    /// # Panics
    ///
    /// When the number is from another value.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold_wire::pickle::Value;
    ///
    /// let pair = Value::tuple([Value::from("name"), Value::from(vec![0u8; 1000])]);
    /// let payload = pair.root().item(1).expect("an item").id();
    /// assert_eq!(pair.into_part(payload), Value::from(vec![0u8; 1000]));
    /// ```
    #[must_use]
    pub fn into_part(self, id: NodeId) -> Value {
        assert!(id.index() < self.nodes.len(), "a node of another value");
        let (keep, numbers) = graph::part(&self.nodes, id);
        let kept = self.nodes.into_iter().zip(keep).filter_map(|(node, keep)| keep.then_some(node));
        Value::renumbered(kept, id, &numbers)
    }

    pub(crate) fn copy_of_part(&self, id: NodeId) -> Value {
        let (keep, numbers) = graph::part(&self.nodes, id);
        let kept =
            self.nodes.iter().zip(keep).filter(|(_, keep)| *keep).map(|(node, _)| node.clone());
        Value::renumbered(kept, id, &numbers)
    }

    fn renumbered(nodes: impl Iterator<Item = Node>, root: NodeId, numbers: &[u32]) -> Value {
        let map = |id: NodeId| NodeId(numbers[id.index()]);
        let nodes = nodes
            .map(|mut node| {
                node.renumber(map);
                node
            })
            .collect();
        Value { nodes, root: map(root) }
    }

    fn leaf(node: Node) -> Value {
        Value { nodes: vec![node], root: NodeId(0) }
    }

    /// `None`
    #[must_use]
    pub fn none() -> Value {
        Value::leaf(Node::None)
    }

    /// A tuple.
    #[must_use]
    pub fn tuple(items: impl IntoIterator<Item = Value>) -> Value {
        Value::of_items(items, Node::Tuple)
    }

    /// A list.
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::of_items(items, Node::List)
    }

    /// A dict.
    #[must_use]
    pub fn dict(entries: impl IntoIterator<Item = (Value, Value)>) -> Value {
        let mut builder = Builder::new();
        let entries = entries
            .into_iter()
            .map(|(key, value)| (builder.value(key), builder.value(value)))
            .collect();
        let root = builder.push(Node::Dict(entries));
        builder.finish(root)
    }

    fn of_items(
        items: impl IntoIterator<Item = Value>,
        node: impl FnOnce(Vec<NodeId>) -> Node,
    ) -> Value {
        let mut builder = Builder::new();
        let items = items.into_iter().map(|item| builder.value(item)).collect();
        let root = builder.push(node(items));
        builder.finish(root)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::leaf(Node::Bool(value))
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Value::leaf(Node::Int(value.into()))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::leaf(Node::Int(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::leaf(Node::Float(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::leaf(Node::Str(value.into()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::leaf(Node::Str(value.into()))
    }
}

impl From<Vec<u8>> for Value {
    /// `bytes`
    fn from(value: Vec<u8>) -> Self {
        Value::leaf(Node::Bytes(value))
    }
}

impl From<&[u8]> for Value {
    /// `bytes`
    fn from(value: &[u8]) -> Self {
        Value::from(value.to_vec())
    }
}
