//! The nodes that a pickled value is made of.

use super::{Long, Text};
use crate::Language;

/// A node's place in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One value within a graph; its parts are named by their [`NodeId`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Node {
    /// `None`
    None,
    /// `True` or `False`
    Bool(bool),
    /// A whole number: `int` of either Python.
    Int(i64),
    /// A whole number written as long: `long` of Python 2, `int` of Python 3.
    Long(Long),
    /// `float`
    Float(f64),
    /// `str` of Python 3. To Python 2 it becomes `str` where it is ASCII, else `unicode`.
    Str(Text),
    /// `unicode` of Python 2. To Python 3 it becomes `str`.
    Unicode(Text),
    /// `str` of Python 2. To Python 3 it becomes `str` where it is ASCII, else `bytes`.
    ByteStr(Vec<u8>),
    /// `bytes` of Python 3. To Python 2 it becomes `str`.
    Bytes(Vec<u8>),
    /// `bytearray`
    ByteArray(Vec<u8>),
    /// `tuple`
    Tuple(Vec<NodeId>),
    /// `list`
    List(Vec<NodeId>),
    /// `dict`, in order, perhaps with keys more than once: the last one counts.
    Dict(Vec<(NodeId, NodeId)>),
    /// `set`
    Set(Vec<NodeId>),
    /// `frozenset`
    FrozenSet(Vec<NodeId>),
    /// A class or function, by name.
    Global(Box<Global>),
    /// Anything else: how it is made, and what happens to it then.
    Object(Box<Object>),
}

/// A class or function, by name. It is never looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Global {
    /// The module.
    pub module: String,
    /// The name in the module; with dots in it, a path of attributes.
    pub name: String,
    /// Whose names these are: `Queue.Empty` of Python 2 is `queue.Empty` of Python 3.
    pub language: Language,
}

/// How an object is made, and what happens to it then.
#[derive(Clone, Debug)]
pub struct Object {
    /// What makes it.
    pub made: Made,
    /// What happens to it afterwards, in order.
    pub steps: Vec<Step>,
}

/// What makes an object.
#[derive(Clone, Copy, Debug)]
pub enum Made {
    /// `callable(*args)`: opcode `REDUCE`.
    Reduce {
        /// What is called, mostly a [`Node::Global`].
        callable: NodeId,
        /// A [`Node::Tuple`], or an object that makes one.
        args: NodeId,
    },
    /// `class.__new__(class, *args)`: opcode `NEWOBJ`.
    New {
        /// The class.
        class: NodeId,
        /// As for `Reduce`.
        args: NodeId,
    },
    /// `class.__new__(class, *args, **kwargs)`: opcode `NEWOBJ_EX`.
    NewEx {
        /// The class.
        class: NodeId,
        /// As for `Reduce`.
        args: NodeId,
        /// A [`Node::Dict`].
        kwargs: NodeId,
    },
    /// An instance of a class of Python 2's old style, or `class(*args)`: opcodes `INST` and `OBJ`.
    Instance {
        /// The class.
        class: NodeId,
        /// A [`Node::Tuple`] of the arguments, which exists in this graph only.
        args: NodeId,
    },
}

/// What happens to an object after it is made.
#[derive(Clone, Debug)]
pub enum Step {
    /// `append` of each, or `extend`: items of a subclass of list, of a deque.
    Append(Vec<NodeId>),
    /// `object[key] = value` for each: items of a subclass of dict.
    SetItems(Vec<(NodeId, NodeId)>),
    /// `add` of each: items of a subclass of set.
    Add(Vec<NodeId>),
    /// `__setstate__`, or the attributes as a dict: opcode `BUILD`.
    State(NodeId),
    /// A call with the object among its arguments, whose result nobody looks at: how an object
    /// whose class brings a function of its own gets its state. Always a [`Made::Reduce`].
    Call(NodeId),
}

impl Node {
    /// What Python calls the type, for messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Node::None => "None",
            Node::Bool(_) => "bool",
            Node::Int(_) | Node::Long(_) => "int",
            Node::Float(_) => "float",
            Node::Str(_) | Node::Unicode(_) | Node::ByteStr(_) => "str",
            Node::Bytes(_) => "bytes",
            Node::ByteArray(_) => "bytearray",
            Node::Tuple(_) => "tuple",
            Node::List(_) => "list",
            Node::Dict(_) => "dict",
            Node::Set(_) => "set",
            Node::FrozenSet(_) => "frozenset",
            Node::Global(_) => "a class or function",
            Node::Object(_) => "an object",
        }
    }

    /// Whether it makes a difference that two references are to the same node.
    pub(crate) fn is_mutable(&self) -> bool {
        matches!(
            self,
            Node::List(_) | Node::Dict(_) | Node::Set(_) | Node::ByteArray(_) | Node::Object(_)
        )
    }

    /// Calls `visit` with each part, in order.
    pub(crate) fn for_each_part(&self, mut visit: impl FnMut(NodeId)) {
        match self {
            Node::Tuple(items) | Node::List(items) | Node::Set(items) | Node::FrozenSet(items) => {
                items.iter().copied().for_each(visit);
            }
            Node::Dict(pairs) => each_of_pairs(pairs, visit),
            Node::Object(object) => {
                object.made.for_each_part(&mut visit);
                for step in &object.steps {
                    step.for_each_part(&mut visit);
                }
            }
            _ => {}
        }
    }

    /// Gives each part another number.
    pub(crate) fn renumber(&mut self, map: impl Fn(NodeId) -> NodeId) {
        let each = |items: &mut [NodeId]| items.iter_mut().for_each(|id| *id = map(*id));
        let pairs = |pairs: &mut [(NodeId, NodeId)]| {
            pairs.iter_mut().for_each(|pair| *pair = (map(pair.0), map(pair.1)));
        };
        match self {
            Node::Tuple(items) | Node::List(items) | Node::Set(items) | Node::FrozenSet(items) => {
                each(items);
            }
            Node::Dict(entries) => pairs(entries),
            Node::Object(object) => {
                match &mut object.made {
                    Made::Reduce { callable: class, args }
                    | Made::New { class, args }
                    | Made::Instance { class, args } => {
                        (*class, *args) = (map(*class), map(*args));
                    }
                    Made::NewEx { class, args, kwargs } => {
                        (*class, *args, *kwargs) = (map(*class), map(*args), map(*kwargs));
                    }
                }
                for step in &mut object.steps {
                    match step {
                        Step::Append(items) | Step::Add(items) => each(items),
                        Step::SetItems(entries) => pairs(entries),
                        Step::State(id) | Step::Call(id) => *id = map(*id),
                    }
                }
            }
            _ => {}
        }
    }
}

impl Made {
    /// What is called or made an instance of.
    #[must_use]
    pub fn class(&self) -> NodeId {
        match *self {
            Made::Reduce { callable, .. } => callable,
            Made::New { class, .. } | Made::NewEx { class, .. } | Made::Instance { class, .. } => {
                class
            }
        }
    }

    /// The positional arguments, mostly a [`Node::Tuple`].
    #[must_use]
    pub fn args(&self) -> NodeId {
        match *self {
            Made::Reduce { args, .. }
            | Made::New { args, .. }
            | Made::NewEx { args, .. }
            | Made::Instance { args, .. } => args,
        }
    }

    pub(crate) fn for_each_part(&self, mut visit: impl FnMut(NodeId)) {
        visit(self.class());
        visit(self.args());
        if let Made::NewEx { kwargs, .. } = *self {
            visit(kwargs);
        }
    }
}

impl Step {
    pub(crate) fn for_each_part(&self, mut visit: impl FnMut(NodeId)) {
        match self {
            Step::Append(items) | Step::Add(items) => items.iter().copied().for_each(visit),
            Step::SetItems(pairs) => each_of_pairs(pairs, visit),
            Step::State(id) | Step::Call(id) => visit(*id),
        }
    }
}

fn each_of_pairs(pairs: &[(NodeId, NodeId)], mut visit: impl FnMut(NodeId)) {
    for &(key, value) in pairs {
        visit(key);
        visit(value);
    }
}
