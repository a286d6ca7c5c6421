//! The stack machine of pickle, which builds nodes where Python builds objects.

use super::memo::Memo;
use super::node::{Global, Made, Node, NodeId, Object, Step};
use super::reader::Limits;
use super::{Error, Limited, Long, Text, literal, plain};
use crate::Language;

/// The stack machine: what stock unpicklers keep while they read.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) nodes: Vec<Node>,
    /// Where the current opcode starts, in bytes, for errors.
    pub(super) at: usize,
    stack: Vec<NodeId>,
    /// How high the stack was at each `MARK`.
    marks: Vec<usize>,
    memo: Memo,
    language: Language,
    language_is_given: bool,
    /// Whose names the globals are: Python 3 writes those of Python 2 too, below protocol 3.
    names_of: Language,
    limits: Limits,
    /// How many bytes and items may still be copied from one node to another. Every pickle that
    /// a stock pickler wrote copies each of its bytes once at most.
    copies: usize,
    /// How many bytes of names may still be copied, which `STACK_GLOBAL` can do over and over at a
    /// few bytes of the pickle each. A module's name is written once for all its classes.
    names: usize,
    /// The object that the last opcode made by `REDUCE`.
    just_reduced: Option<(usize, NodeId)>,
    /// How many opcodes were carried out that change the stack.
    tick: usize,
}

impl Machine {
    pub(super) fn new(limits: Limits, language: Option<Language>, input: usize) -> Machine {
        Machine {
            // A message of a few values is the rule.
            nodes: Vec::with_capacity(16.min(input)),
            at: 0,
            stack: Vec::with_capacity(8.min(input)),
            marks: Vec::new(),
            memo: Memo::default(),
            language: language.unwrap_or(Language::Python2),
            language_is_given: language.is_some(),
            names_of: Language::Python2,
            limits,
            copies: input,
            names: 16 * input + (64 << 10),
            just_reduced: None,
            tick: 0,
        }
    }

    pub(super) fn protocol(&mut self, version: u8) {
        self.names_of = if version < 3 { Language::Python2 } else { Language::Python3 };
        if !self.language_is_given {
            self.language = self.names_of;
        }
    }

    fn malformed(&self, what: &'static str) -> Error {
        Error::Malformed { at: self.at, what }
    }

    // The stack

    pub(super) fn push(&mut self, node: Node) -> Result<(), Error> {
        if self.nodes.len() >= self.limits.nodes {
            return Err(Error::Limit { what: Limited::Nodes, limit: self.limits.nodes });
        }
        let id = u32::try_from(self.nodes.len()).map_err(|_| self.malformed("too many values"))?;
        self.nodes.push(node);
        self.stack.push(NodeId(id));
        self.tick += 1;
        Ok(())
    }

    pub(super) fn mark(&mut self) -> Result<(), Error> {
        if self.marks.len() >= self.limits.depth {
            return Err(Error::Limit { what: Limited::Depth, limit: self.limits.depth });
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn top(&self) -> Result<NodeId, Error> {
        match self.stack.last() {
            Some(&id) if self.marks.last() != Some(&self.stack.len()) => Ok(id),
            _ => Err(self.malformed("the stack is empty")),
        }
    }

    pub(super) fn pop(&mut self) -> Result<NodeId, Error> {
        let id = self.top()?;
        self.stack.pop();
        self.tick += 1;
        Ok(id)
    }

    /// Pops the positional arguments of a call.
    pub(super) fn pop_args(&mut self) -> Result<NodeId, Error> {
        let id = self.pop()?;
        match self.nodes[id.index()] {
            Node::Tuple(_) | Node::Object(_) => Ok(id),
            _ => Err(self.malformed("arguments that are no tuple")),
        }
    }

    pub(super) fn pop_mark(&mut self) -> Result<Vec<NodeId>, Error> {
        let mark = self.marks.pop().ok_or_else(|| self.malformed("no mark"))?;
        self.tick += 1;
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn pop_mark_pairs(&mut self) -> Result<Vec<(NodeId, NodeId)>, Error> {
        let items = self.pop_mark()?;
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(self.malformed("an odd number of keys and values"));
        };
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    pub(super) fn dup(&mut self) -> Result<(), Error> {
        let id = self.top()?;
        self.stack.push(id);
        self.tick += 1;
        Ok(())
    }

    /// `POP`, which takes a mark away where there is one on top.
    pub(super) fn discard(&mut self) -> Result<(), Error> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        let reduced = self.just_reduced.filter(|&(tick, _)| tick == self.tick);
        let id = self.pop()?;
        // A call whose result goes away at once, made with the object below: it sets that one's
        // state, as the sixth part of `__reduce__` asks for.
        if let (Some((_, call)), Ok(below)) = (reduced, self.top())
            && call == id
            && self.first_of_two_args(call) == Some(below)
            && let Node::Object(object) = &mut self.nodes[below.index()]
        {
            object.steps.push(Step::Call(call));
        }
        Ok(())
    }

    fn first_of_two_args(&self, call: NodeId) -> Option<NodeId> {
        let Node::Object(object) = &self.nodes[call.index()] else { return None };
        match &self.nodes[object.made.args().index()] {
            Node::Tuple(args) if args.len() == 2 => Some(args[0]),
            _ => None,
        }
    }

    // The memo

    pub(super) fn put(&mut self, number: u64) -> Result<(), Error> {
        let id = self.top()?;
        if self.memo.len() >= self.limits.memo {
            return Err(Error::Limit { what: Limited::Memo, limit: self.limits.memo });
        }
        self.memo.put(number, id);
        Ok(())
    }

    pub(super) fn memoize(&mut self) -> Result<(), Error> {
        self.put(self.memo.len() as u64)
    }

    pub(super) fn get(&mut self, number: u64) -> Result<(), Error> {
        let id = self.memo.get(number).ok_or_else(|| self.malformed("no such memo entry"))?;
        self.stack.push(id);
        self.tick += 1;
        Ok(())
    }

    pub(super) fn index(&self, line: &[u8]) -> Result<u64, Error> {
        literal::index(line).ok_or_else(|| self.malformed("a memo entry that is no number"))
    }

    // Plain values

    /// The text of a number, if it is not too long.
    pub(super) fn number<'a>(&self, line: &'a [u8]) -> Result<&'a [u8], Error> {
        if line.len() > self.limits.digits {
            return Err(Error::Limit { what: Limited::Digits, limit: self.limits.digits });
        }
        Ok(line)
    }

    pub(super) fn literal(&mut self, node: Option<Node>, what: &'static str) -> Result<(), Error> {
        let node = node.ok_or_else(|| self.malformed(what))?;
        self.push(node)
    }

    pub(super) fn long_literal(&mut self, long: Option<Long>) -> Result<(), Error> {
        let long = long.ok_or_else(|| self.malformed("a number that is none"))?;
        self.whole(long)
    }

    pub(super) fn long(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.whole(Long::from_le_bytes(bytes))
    }

    /// A number written as long, which is a kind of its own to Python 2 only.
    fn whole(&mut self, long: Long) -> Result<(), Error> {
        self.push(match (self.language, long.to_i64()) {
            (Language::Python3, Some(small)) => Node::Int(small),
            _ => Node::Long(long),
        })
    }

    pub(super) fn utf8(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.text(Text::from_bytes(bytes.to_vec()))
    }

    pub(super) fn text(&mut self, text: Option<Text>) -> Result<(), Error> {
        let text = text.ok_or_else(|| self.malformed("text that is none"))?;
        self.push(match self.language {
            Language::Python2 => Node::Unicode(text),
            Language::Python3 => Node::Str(text),
        })
    }

    // Containers

    pub(super) fn tuple_of(&mut self, count: usize) -> Result<(), Error> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let from = self.stack.len().checked_sub(count).filter(|&from| from >= floor);
        let from = from.ok_or_else(|| self.malformed("the stack is empty"))?;
        let items = self.stack.split_off(from);
        self.push(Node::Tuple(items))
    }

    pub(super) fn append(&mut self, items: Vec<NodeId>) -> Result<(), Error> {
        let top = self.top()?;
        self.tick += 1;
        match &mut self.nodes[top.index()] {
            Node::List(list) => list.extend(items),
            Node::Object(object) => match object.steps.last_mut() {
                Some(Step::Append(list)) => list.extend(items),
                _ => object.steps.push(Step::Append(items)),
            },
            _ => return Err(self.malformed("items for what is no list")),
        }
        Ok(())
    }

    pub(super) fn set_items(&mut self, entries: Vec<(NodeId, NodeId)>) -> Result<(), Error> {
        let top = self.top()?;
        self.tick += 1;
        match &mut self.nodes[top.index()] {
            Node::Dict(dict) => dict.extend(entries),
            Node::Object(object) => match object.steps.last_mut() {
                Some(Step::SetItems(dict)) => dict.extend(entries),
                _ => object.steps.push(Step::SetItems(entries)),
            },
            _ => return Err(self.malformed("entries for what is no dict")),
        }
        Ok(())
    }

    pub(super) fn add_items(&mut self, items: Vec<NodeId>) -> Result<(), Error> {
        let top = self.top()?;
        self.tick += 1;
        match &mut self.nodes[top.index()] {
            Node::Set(set) => set.extend(items),
            Node::Object(object) => match object.steps.last_mut() {
                Some(Step::Add(set)) => set.extend(items),
                _ => object.steps.push(Step::Add(items)),
            },
            _ => return Err(self.malformed("items for what is no set")),
        }
        Ok(())
    }

    // Globals and objects

    pub(super) fn global(&mut self, module: &[u8], name: &[u8]) -> Result<(), Error> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
        match (text(module), text(name)) {
            (Ok(module), Ok(name)) => self.push_global(module, name),
            _ => Err(self.malformed("a global's name that is no text")),
        }
    }

    pub(super) fn stack_global(&mut self) -> Result<(), Error> {
        let (name, module) = (self.pop()?, self.pop()?);
        let text = |id: NodeId| match &self.nodes[id.index()] {
            Node::Str(text) | Node::Unicode(text) => text.as_str().map(str::to_owned),
            _ => None,
        };
        match (text(module), text(name)) {
            (Some(module), Some(name)) => self.push_global(module, name),
            _ => Err(self.malformed("a global's name that is no text")),
        }
    }

    fn push_global(&mut self, module: String, name: String) -> Result<(), Error> {
        let left = self.names.checked_sub(module.len() + name.len());
        self.names = left.ok_or_else(|| self.malformed("too many long names of globals"))?;
        let language = self.names_of;
        self.push(Node::Global(Box::new(Global { module, name, language })))
    }

    pub(super) fn reduce(&mut self) -> Result<(), Error> {
        let (args, callable) = (self.pop_args()?, self.pop()?);
        match plain::from_call(&self.nodes, callable, args, &mut self.copies) {
            Some(node) => self.push(node),
            None => {
                self.object(Made::Reduce { callable, args })?;
                self.just_reduced = self.stack.last().map(|&id| (self.tick, id));
                Ok(())
            }
        }
    }

    pub(super) fn object(&mut self, made: Made) -> Result<(), Error> {
        self.push(Node::Object(Box::new(Object { made, steps: Vec::new() })))
    }

    pub(super) fn inst(&mut self, module: &[u8], name: &[u8]) -> Result<(), Error> {
        let args = self.pop_mark()?;
        self.global(module, name)?;
        let class = self.pop()?;
        self.instance(class, args)
    }

    pub(super) fn obj(&mut self) -> Result<(), Error> {
        let mut args = self.pop_mark()?;
        if args.is_empty() {
            return Err(self.malformed("an instance without a class"));
        }
        let class = args.remove(0);
        self.instance(class, args)
    }

    fn instance(&mut self, class: NodeId, args: Vec<NodeId>) -> Result<(), Error> {
        self.push(Node::Tuple(args))?;
        let args = self.pop()?;
        self.object(Made::Instance { class, args })
    }

    pub(super) fn build(&mut self) -> Result<(), Error> {
        let (state, top) = (self.pop()?, self.top()?);
        match &mut self.nodes[top.index()] {
            Node::Object(object) => {
                object.steps.push(Step::State(state));
                Ok(())
            }
            _ => Err(self.malformed("a state for what is no object")),
        }
    }
}
