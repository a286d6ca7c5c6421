//! A graph under construction.

use super::{Error, Global, Long, Made, Node, NodeId, NodeRef, Object, Step, Value};
use crate::Language;

/// A graph under construction, for values that share parts or contain themselves.
///
/// A node is made of nodes that are there already; what is mutable (lists, dicts, sets, objects)
/// can be given more afterwards. So a cycle always leads through something mutable, as in Python.
///
/// # Examples
///
/// A list that contains itself:
///
/// ```
/// use fourfold_wire::pickle::{Builder, Node};
///
/// let mut builder = Builder::new();
/// let list = builder.push(Node::List(Vec::new()));
/// builder.append(list, list)?;
/// let value = builder.finish(list);
/// assert_eq!(value.root().item(0).map(|item| item.id()), Some(value.root().id()));
/// # Ok::<(), fourfold_wire::pickle::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    pub(crate) nodes: Vec<Node>,
}

impl Builder {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Adds a node.
    ///
    /// # Panics
    ///
    /// When a part of it is not in this graph, or the graph has 2³² nodes.
    pub fn push(&mut self, node: Node) -> NodeId {
        node.for_each_part(|part| self.check(part));
        self.push_unchecked(node)
    }

    pub(crate) fn push_unchecked(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
        self.nodes.push(node);
        id
    }

    fn check(&self, id: NodeId) {
        assert!(id.index() < self.nodes.len(), "a node of another graph");
    }

    /// Adds a class or function by its name in Python 3. A dialect of Python 2 says its old name.
    pub fn global(&mut self, module: &str, name: &str) -> NodeId {
        let (module, name) = (module.to_owned(), name.to_owned());
        let global = Global { module, name, language: Language::Python3 };
        self.push(Node::Global(Box::new(global)))
    }

    /// Adds text.
    pub fn str(&mut self, text: &str) -> NodeId {
        self.push(Node::Str(text.into()))
    }

    /// Adds a whole number of any size.
    pub fn long(&mut self, number: impl Into<Long>) -> NodeId {
        let number = number.into();
        self.push(match number.to_i64() {
            Some(small) => Node::Int(small),
            None => Node::Long(number),
        })
    }

    /// Adds a tuple.
    pub fn tuple(&mut self, items: impl Into<Vec<NodeId>>) -> NodeId {
        self.push(Node::Tuple(items.into()))
    }

    /// Adds an object.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold_wire::{Dialect, pickle::{Builder, Made}};
    ///
    /// let mut builder = Builder::new();
    /// let (callable, text) = (builder.global("decimal", "Decimal"), builder.str("1.50"));
    /// let args = builder.tuple([text]);
    /// let price = builder.object(Made::Reduce { callable, args });
    /// let pickle = builder.finish(price).write(Dialect::Common)?;
    /// assert_eq!(pickle, b"\x80\x02cdecimal\nDecimal\nU\x041.50\x85R.");
    /// # Ok::<(), fourfold_wire::pickle::Error>(())
    /// ```
    pub fn object(&mut self, made: Made) -> NodeId {
        self.push(Node::Object(Box::new(Object { made, steps: Vec::new() })))
    }

    /// Adds a value that was made apart, and gives its root.
    pub fn value(&mut self, value: Value) -> NodeId {
        let base = u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes");
        u32::try_from(self.nodes.len() + value.nodes.len()).expect("fewer than 2^32 nodes");
        let map = |id: NodeId| NodeId(id.0 + base);
        self.nodes.extend(value.nodes.into_iter().map(|mut node| {
            node.renumber(map);
            node
        }));
        map(value.root)
    }

    /// Adds a copy of a part of another value.
    pub fn copy(&mut self, node: NodeRef<'_>) -> NodeId {
        self.value(node.to_value())
    }

    /// Adds an item to a list, or to an object that takes items as a list does.
    ///
    /// # Errors
    ///
    /// The container is something else.
    ///
    /// # Panics
    ///
    /// When a node is not in this graph, here and in all functions below.
    pub fn append(&mut self, container: NodeId, item: NodeId) -> Result<(), Error> {
        self.check(item);
        match self.mutable(container) {
            Node::List(items) => items.push(item),
            Node::Object(object) => match object.steps.last_mut() {
                Some(Step::Append(items)) => items.push(item),
                _ => object.steps.push(Step::Append(vec![item])),
            },
            other => return Err(Error::unexpected("a list", other.type_name())),
        }
        Ok(())
    }

    /// Adds an entry to a dict, or to an object that takes items as a dict does.
    ///
    /// # Errors
    ///
    /// The container is something else.
    pub fn set_item(&mut self, container: NodeId, key: NodeId, value: NodeId) -> Result<(), Error> {
        self.check(key);
        self.check(value);
        match self.mutable(container) {
            Node::Dict(entries) => entries.push((key, value)),
            Node::Object(object) => match object.steps.last_mut() {
                Some(Step::SetItems(entries)) => entries.push((key, value)),
                _ => object.steps.push(Step::SetItems(vec![(key, value)])),
            },
            other => return Err(Error::unexpected("a dict", other.type_name())),
        }
        Ok(())
    }

    /// Adds an item to a set, or to an object that takes items as a set does.
    ///
    /// # Errors
    ///
    /// The container is something else.
    pub fn add(&mut self, container: NodeId, item: NodeId) -> Result<(), Error> {
        self.check(item);
        match self.mutable(container) {
            Node::Set(items) => items.push(item),
            Node::Object(object) => match object.steps.last_mut() {
                Some(Step::Add(items)) => items.push(item),
                _ => object.steps.push(Step::Add(vec![item])),
            },
            other => return Err(Error::unexpected("a set", other.type_name())),
        }
        Ok(())
    }

    /// Gives an object its state: a dict of attributes, or what its `__setstate__` takes.
    ///
    /// # Errors
    ///
    /// The node is not an object.
    pub fn set_state(&mut self, object: NodeId, state: NodeId) -> Result<(), Error> {
        self.check(state);
        match self.mutable(object) {
            Node::Object(object) => object.steps.push(Step::State(state)),
            other => return Err(Error::unexpected("an object", other.type_name())),
        }
        Ok(())
    }

    fn mutable(&mut self, id: NodeId) -> &mut Node {
        self.check(id);
        &mut self.nodes[id.index()]
    }

    /// The value that starts at `root`.
    ///
    /// # Panics
    ///
    /// When `root` is not in this graph.
    #[must_use]
    pub fn finish(self, root: NodeId) -> Value {
        self.check(root);
        Value { nodes: self.nodes, root }
    }
}
