//! Graphs into pickles.

use super::emit::{Emit, is_worth_sharing};
use super::graph::References;
use super::node::{Made, Node, NodeId, Step};
use super::{Error, Limited, NodeRef, graph, opcode as op};
use crate::Dialect;

/// How many items go between a `MARK` and an `APPENDS`, as stock picklers do it, so that the
/// reader's stack stays small.
const BATCH: usize = 1000;

/// Writes one pickle in a dialect.
///
/// [`Value::write`](super::Value::write) is this for one value. The other functions write the pieces of
/// a message around values that are there already, in the order of the stack machine: first the parts,
/// then what makes a tuple of them.
///
/// # Examples
///
/// ```
/// use fourfold_wire::{Dialect, pickle::{Value, Writer}};
///
/// let value = Value::list([Value::from(1)]);
/// let mut writer = Writer::new(Dialect::Common);
/// writer.native_str("#RETURN")?;
/// writer.value(value.root())?;
/// writer.tuple2();
/// assert_eq!(writer.finish(), b"\x80\x02U\x07#RETURN]K\x01a\x86.");
/// # Ok::<(), fourfold_wire::pickle::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    emit: Emit,
}

impl Writer {
    /// A writer into a new buffer.
    #[must_use]
    pub fn new(dialect: Dialect) -> Writer {
        Writer::with_buffer(dialect, Vec::with_capacity(64))
    }

    /// A writer that appends to `out`, for example behind the room for a
    /// [frame](crate::frame::begin)'s length.
    #[must_use]
    pub fn with_buffer(dialect: Dialect, mut out: Vec<u8>) -> Writer {
        out.extend_from_slice(&[op::PROTO, if dialect.is_python3() { 4 } else { 2 }]);
        Writer { emit: Emit { out, dialect, next_memo: 0 } }
    }

    /// Writes `None`.
    pub fn none(&mut self) {
        self.emit.op(op::NONE);
    }

    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) {
        self.emit.op(if value { op::NEWTRUE } else { op::NEWFALSE });
    }

    /// Writes a whole number.
    pub fn int(&mut self, value: i64) {
        self.emit.int(value);
    }

    /// Writes text that is `str` to whoever reads it, as the names of a conversation are. Python 2
    /// gets it in UTF-8; where any Python may read, what is not ASCII is escaped as in `\u{e9}`.
    ///
    /// # Errors
    ///
    /// [`Error::CannotSay`]: more than protocol 2 can say.
    pub fn native_str(&mut self, text: &str) -> Result<(), Error> {
        self.emit.native_str(text)
    }

    /// Starts a row of values that [`tuple`](Writer::tuple), [`list`](Writer::list) or [`dict`](Writer::dict) ends.
    pub fn mark(&mut self) {
        self.emit.op(op::MARK);
    }

    /// Makes a tuple of what was written since [`mark`](Writer::mark).
    pub fn tuple(&mut self) {
        self.emit.op(op::TUPLE);
    }

    /// Makes a list of what was written since [`mark`](Writer::mark).
    pub fn list(&mut self) {
        self.emit.op(op::LIST);
    }

    /// Makes a dict of the keys and values written since [`mark`](Writer::mark).
    pub fn dict(&mut self) {
        self.emit.op(op::DICT);
    }

    /// Makes a tuple of the last two values.
    pub fn tuple2(&mut self) {
        self.emit.op(op::TUPLE2);
    }

    /// Writes a value and all its parts.
    ///
    /// # Errors
    ///
    /// [`Error::CannotSay`]: the dialect has no words for a part of it. [`Error::Limit`]: its parts
    /// refer to each other in so many ways that it takes too long. The writer is of no more use then.
    pub fn value(&mut self, node: NodeRef<'_>) -> Result<(), Error> {
        let nodes = node.nodes();
        if let [only] = nodes
            && !matches!(only, Node::Tuple(_) | Node::List(_) | Node::Dict(_) | Node::Object(_))
            && !matches!(only, Node::Set(_) | Node::FrozenSet(_))
        {
            return self.emit.leaf(only);
        }
        let references = graph::references(nodes, node.id());
        let walk = Walk {
            nodes,
            numbers: vec![None; nodes.len()],
            budget: references.edges.saturating_mul(64).saturating_add(4096),
            references,
            emit: &mut self.emit,
            jobs: vec![Job::Visit(node.id())],
        };
        walk.run()
    }

    /// The pickle.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.emit.op(op::STOP);
        self.emit.out
    }
}

/// What is still to be written.
#[derive(Clone, Copy, Debug)]
enum Job {
    /// A node, or a reference to it.
    Visit(NodeId),
    /// The parts are on the stack: what makes the node of them.
    Make(NodeId),
    /// The items of a container from the given one on.
    Items(Items, usize),
    /// An opcode.
    Op(u8),
    /// The items of a tuple from the given one on, which are on the stack until the tuple is made.
    Each(NodeId, usize),
    /// The steps of an object from the given one on.
    Steps(NodeId, usize),
}

/// Whose items.
#[derive(Clone, Copy, Debug)]
enum Items {
    /// Those of a list, dict or set.
    Of(NodeId),
    /// Those of a step of an object.
    Step(NodeId, usize),
}

/// Items, and the opcodes that add one of them or many.
enum Slice<'a> {
    Single(&'a [NodeId], Option<u8>, u8),
    Pairs(&'a [(NodeId, NodeId)]),
}

struct Walk<'a, 'b> {
    nodes: &'a [Node],
    references: References,
    /// The memo number of each node that has one.
    numbers: Vec<Option<u32>>,
    /// How many jobs may still be done. Each node is written once, except in cycles through tuples and
    /// the arguments of calls, which are begun again within themselves.
    budget: usize,
    emit: &'b mut Emit,
    jobs: Vec<Job>,
}

impl<'a> Walk<'a, '_> {
    fn run(mut self) -> Result<(), Error> {
        let budget = self.budget;
        while let Some(job) = self.jobs.pop() {
            if self.budget == 0 {
                return Err(Error::Limit { what: Limited::Steps, limit: budget });
            }
            self.budget -= 1;
            match job {
                Job::Visit(id) => self.visit(id)?,
                Job::Make(id) => self.make(id)?,
                Job::Op(opcode) => self.emit.op(opcode),
                Job::Items(items, at) => self.items(items, at)?,
                Job::Each(id, at) => {
                    let (Node::Tuple(items) | Node::FrozenSet(items)) = self.node(id) else {
                        unreachable!("only tuples and frozensets are written item by item");
                    };
                    if let Some(&item) = items.get(at) {
                        self.jobs.extend([Job::Each(id, at + 1), Job::Visit(item)]);
                    }
                }
                Job::Steps(id, at) => self.step(id, at)?,
            }
        }
        Ok(())
    }

    fn node(&self, id: NodeId) -> &'a Node {
        &self.nodes[id.index()]
    }

    /// Gives what is on top of the stack, which is the node, a memo number if it is needed.
    fn memoize(&mut self, id: NodeId) {
        let node = self.node(id);
        // What is within a cycle may be come upon more often than it is referred to, since a tuple
        // that contains itself is begun again within itself.
        let needed =
            self.references.counts[id.index()] > 1 || (self.references.cyclic && node.is_mutable());
        if needed && is_worth_sharing(node) {
            self.numbers[id.index()] = Some(self.emit.memoize());
        }
    }

    fn visit(&mut self, id: NodeId) -> Result<(), Error> {
        if let Some(number) = self.numbers[id.index()] {
            self.emit.get(number);
            return Ok(());
        }
        let python3 = self.emit.dialect.is_python3();
        match self.node(id) {
            Node::List(_) => self.container(id, op::EMPTY_LIST),
            Node::Dict(_) => self.container(id, op::EMPTY_DICT),
            Node::Set(_) if python3 => self.container(id, op::EMPTY_SET),
            Node::Tuple(items) if items.is_empty() => self.emit.op(op::EMPTY_TUPLE),
            Node::Tuple(items) => {
                if items.len() > 3 {
                    self.emit.op(op::MARK);
                }
                self.jobs.extend([Job::Make(id), Job::Each(id, 0)]);
            }
            Node::FrozenSet(_) if python3 => {
                self.emit.op(op::MARK);
                self.jobs.extend([Job::Make(id), Job::Each(id, 0)]);
            }
            node @ (Node::Set(_) | Node::FrozenSet(_)) => {
                let name = if matches!(node, Node::Set(_)) { "set" } else { "frozenset" };
                self.emit.named("__builtin__", name)?;
                self.emit.op(op::EMPTY_LIST);
                self.jobs.extend([Job::Make(id), Job::Items(Items::Of(id), 0)]);
            }
            Node::Object(object) => {
                self.jobs.push(Job::Make(id));
                match object.made {
                    Made::Reduce { callable: class, args } | Made::New { class, args } => {
                        self.jobs.extend([Job::Visit(args), Job::Visit(class)]);
                    }
                    Made::NewEx { class, args, kwargs } => {
                        let parts = [Job::Visit(kwargs), Job::Visit(args), Job::Visit(class)];
                        self.jobs.extend(parts);
                    }
                    Made::Instance { class, args } => {
                        let Node::Tuple(_) = self.node(args) else {
                            let dialect = self.emit.dialect;
                            let what = "an instance whose arguments are no plain tuple";
                            return Err(Error::CannotSay { dialect, what });
                        };
                        self.emit.op(op::MARK);
                        self.jobs.extend([Job::Each(args, 0), Job::Visit(class)]);
                    }
                }
            }
            leaf => {
                self.emit.leaf(leaf)?;
                self.memoize(id);
            }
        }
        Ok(())
    }

    /// Writes something empty that its items are added to.
    fn container(&mut self, id: NodeId, empty: u8) {
        self.emit.op(empty);
        self.memoize(id);
        self.jobs.push(Job::Items(Items::Of(id), 0));
    }

    /// Makes a node of its parts, which are on the stack.
    fn make(&mut self, id: NodeId) -> Result<(), Error> {
        use op::*;
        let python3 = self.emit.dialect.is_python3();
        let node = self.node(id);
        // The opcodes that make it, and those that take the parts away again.
        let (make, drop): (&[u8], &[u8]) = match node {
            Node::Tuple(items) => match items.len() {
                1 => (&[TUPLE1], &[POP]),
                2 => (&[TUPLE2], &[POP, POP]),
                3 => (&[TUPLE3], &[POP, POP, POP]),
                _ => (&[TUPLE], &[POP_MARK]),
            },
            Node::FrozenSet(_) if python3 => (&[FROZENSET], &[POP_MARK]),
            Node::Set(_) | Node::FrozenSet(_) => (&[TUPLE1, REDUCE], &[POP, POP]),
            Node::Object(object) => match object.made {
                Made::Reduce { .. } => (&[REDUCE], &[POP, POP]),
                Made::New { .. } => (&[NEWOBJ], &[POP, POP]),
                Made::NewEx { .. } if python3 => (&[NEWOBJ_EX], &[POP, POP, POP]),
                Made::NewEx { .. } => {
                    let dialect = self.emit.dialect;
                    let what = "an object made with keyword arguments";
                    return Err(Error::CannotSay { dialect, what });
                }
                Made::Instance { .. } => (&[OBJ], &[POP_MARK]),
            },
            other => unreachable!("{} is not made of parts", other.type_name()),
        };
        if let Some(number) = self.numbers[id.index()] {
            // One of its parts contains it, so it was made while they were written.
            self.emit.out.extend_from_slice(drop);
            self.emit.get(number);
            return Ok(());
        }
        self.emit.out.extend_from_slice(make);
        self.memoize(id);
        if let Node::Object(_) = node {
            self.jobs.push(Job::Steps(id, 0));
        }
        Ok(())
    }

    fn step(&mut self, id: NodeId, at: usize) -> Result<(), Error> {
        let Node::Object(object) = self.node(id) else { unreachable!("only objects have steps") };
        let Some(step) = object.steps.get(at) else { return Ok(()) };
        self.jobs.push(Job::Steps(id, at + 1));
        match step {
            Step::State(state) => self.jobs.extend([Job::Op(op::BUILD), Job::Visit(*state)]),
            Step::Call(call) => self.jobs.extend([Job::Op(op::POP), Job::Visit(*call)]),
            Step::Append(_) | Step::SetItems(_) => {
                self.jobs.push(Job::Items(Items::Step(id, at), 0))
            }
            Step::Add(_) => {
                if !self.emit.dialect.is_python3() {
                    let dialect = self.emit.dialect;
                    let what = "an object that takes items as a set does";
                    return Err(Error::CannotSay { dialect, what });
                }
                self.jobs.push(Job::Items(Items::Step(id, at), 0));
            }
        }
        Ok(())
    }

    fn slice(&self, items: Items) -> Slice<'a> {
        const LIST: (Option<u8>, u8) = (Some(op::APPEND), op::APPENDS);
        const SET: (Option<u8>, u8) = (None, op::ADDITEMS);
        let python3 = self.emit.dialect.is_python3();
        let (items, (one, many)) = match items {
            Items::Of(id) => match self.node(id) {
                Node::Dict(pairs) => return Slice::Pairs(pairs),
                Node::Set(items) if python3 => (items, SET),
                Node::List(items) | Node::Set(items) | Node::FrozenSet(items) => (items, LIST),
                other => unreachable!("{} has no items to add", other.type_name()),
            },
            Items::Step(id, at) => match self.node(id) {
                Node::Object(object) => match &object.steps[at] {
                    Step::SetItems(pairs) => return Slice::Pairs(pairs),
                    Step::Append(items) => (items, LIST),
                    Step::Add(items) => (items, SET),
                    Step::State(_) | Step::Call(_) => unreachable!("a state has no items"),
                },
                _ => unreachable!("only objects have steps"),
            },
        };
        Slice::Single(items, one, many)
    }

    fn items(&mut self, items: Items, at: usize) -> Result<(), Error> {
        let slice = self.slice(items);
        let (count, one, many) = match slice {
            Slice::Single(items, one, many) => (items.len(), one, many),
            Slice::Pairs(pairs) => (pairs.len(), Some(op::SETITEM), op::SETITEMS),
        };
        if at == count {
            return Ok(());
        }
        let to = count.min(at + BATCH);
        self.jobs.push(Job::Items(items, to));
        match one {
            Some(one) if to - at == 1 => self.jobs.push(Job::Op(one)),
            _ => {
                self.emit.op(op::MARK);
                self.jobs.push(Job::Op(many));
            }
        }
        match slice {
            Slice::Single(items, ..) => {
                self.jobs.extend(items[at..to].iter().rev().map(|&id| Job::Visit(id)));
            }
            Slice::Pairs(pairs) => self.jobs.extend(
                pairs[at..to].iter().rev().flat_map(|&(k, v)| [Job::Visit(v), Job::Visit(k)]),
            ),
        }
        Ok(())
    }
}
