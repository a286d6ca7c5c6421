//! What Python would go through item by item: rows, texts, ranges, iterators and views, by their names.

use std::collections::HashMap;

use fourfold_wire::pickle::{Builder, Global, Made, Node, NodeRef, Parts, Step, Value};
use fourfold_wire::talk::Exception;

use super::args::{int, known_truth, number};
use super::arrays;
use super::errors::{memory_error, type_error, value_error};
use crate::cluster::manager::item::Item;
use crate::cluster::manager::mapping::entries as mapping;
use crate::words::Number;

/// How many bytes a request may take beyond what it brings itself, for parts that are shared within it and for what
/// it only describes, as a range does.
const EXPANSION: usize = 256 << 20;
/// How deep iterators may lie within each other.
const DEPTH: usize = 16;

/// The items of what can be gone through.
pub(super) fn items(node: NodeRef<'_>) -> Result<Vec<Item>, Exception> {
    let mut taker = Taker::new(node);
    let parts = taker.parts_of(node, DEPTH)?;
    parts.into_iter().map(|part| taker.item(part)).collect()
}

/// The items of what can be gone through, as numbers.
pub(super) fn numbers(node: NodeRef<'_>) -> Result<Vec<Number>, Exception> {
    if let Some(numbers) = arrays::written(node) {
        let numbers = numbers?;
        Taker::new(node).charge(numbers.len() * size_of::<Number>())?;
        return Ok(numbers);
    }
    items(node)?.iter().map(|item| number(item.root())).collect()
}

/// The entries of a dict or of what one can be made from: pairs of key and value.
pub(super) fn entries(node: NodeRef<'_>) -> Result<Vec<(Item, Item)>, Exception> {
    let mut taker = Taker::new(node);
    if let Some((_, entries)) = mapping(node) {
        let pair =
            |(key, value)| Ok((taker.item(Part::Node(key))?, taker.item(Part::Node(value))?));
        return entries.into_iter().map(pair).collect();
    }
    let mut pairs = Vec::new();
    for part in taker.parts_of(node, DEPTH)? {
        let pair = match part {
            Part::Node(node) => taker.parts_of(node, DEPTH)?,
            Part::Tuple(parts) => parts,
            Part::Made(_) => Vec::new(),
        };
        let Ok([key, value]) = <[Part<'_>; 2]>::try_from(pair) else {
            return Err(value_error("pairs of key and value are required"));
        };
        pairs.push((taker.item(key)?, taker.item(value)?));
    }
    Ok(pairs)
}

/// One of the items, before it is a value of its own.
enum Part<'a> {
    Node(NodeRef<'a>),
    Made(Item),
    Tuple(Vec<Part<'a>>),
}

impl Part<'_> {
    fn truth(&self) -> Result<bool, Exception> {
        match self {
            Part::Node(node) => known_truth(*node),
            Part::Made(item) => known_truth(item.root()),
            Part::Tuple(parts) => Ok(!parts.is_empty()),
        }
    }
}

/// Whether `filter` with this keeps what is true.
fn keeps_the_true(function: NodeRef<'_>) -> bool {
    let is_bool = |global: &Global| global.python3() == ("builtins", "bool");
    function.is_none() || function.as_global().is_some_and(is_bool)
}

/// Takes the items out of one value.
struct Taker<'a> {
    parts: Parts<'a>,
    /// What was taken out already: it stays shared.
    taken: HashMap<fourfold_wire::pickle::NodeId, Item>,
    /// The characters that texts were made of.
    letters: HashMap<u32, Item>,
}

impl<'a> Taker<'a> {
    fn new(node: NodeRef<'a>) -> Taker<'a> {
        // Each node may become a value of its own, which takes more room than the node.
        let brought = node.whole().node_count().saturating_mul(size_of::<Value>() * 4);
        let budget = EXPANSION.saturating_add(brought).saturating_add(node.whole().size());
        Taker {
            parts: Parts::new(node.whole(), budget),
            taken: HashMap::new(),
            letters: HashMap::new(),
        }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Exception> {
        self.parts.charge(bytes).ok_or_else(memory_error)
    }

    fn item(&mut self, part: Part<'a>) -> Result<Item, Exception> {
        match part {
            Part::Made(item) => Ok(item),
            Part::Tuple(parts) => {
                let mut values = Vec::new();
                for part in parts {
                    let item = self.item(part)?;
                    self.charge(item.root().whole().size())?;
                    values.push(item.into_value());
                }
                Ok(Item::new(Value::tuple(values)))
            }
            Part::Node(node) => {
                if let Some(item) = self.taken.get(&node.id()) {
                    return Ok(item.clone());
                }
                let item = Item::new(self.parts.take(node.id()).ok_or_else(memory_error)?);
                // Of what is short there may be as many copies as references.
                if !matches!(
                    node.node(),
                    Node::None | Node::Bool(_) | Node::Int(_) | Node::Float(_)
                ) {
                    self.taken.insert(node.id(), item.clone());
                }
                Ok(item)
            }
        }
    }

    /// A new value.
    fn made(&mut self, value: impl Into<Value>) -> Result<Part<'a>, Exception> {
        let value = value.into();
        self.charge(value.size())?;
        Ok(Part::Made(Item::new(value)))
    }

    /// A character, made once.
    fn letter(&mut self, point: u32, make: impl FnOnce() -> Value) -> Part<'a> {
        Part::Made(self.letters.entry(point).or_insert_with(|| Item::new(make())).clone())
    }

    fn parts_of(&mut self, node: NodeRef<'a>, depth: usize) -> Result<Vec<Part<'a>>, Exception> {
        let part = size_of::<Part<'_>>();
        match node.node() {
            Node::Tuple(items) | Node::List(items) | Node::Set(items) | Node::FrozenSet(items) => {
                self.charge(items.len() * part)?;
                Ok(items.iter().map(|&id| Part::Node(node.at(id))).collect())
            }
            Node::Dict(entries) => {
                self.charge(entries.len() * part)?;
                Ok(entries.iter().map(|&(key, _)| Part::Node(node.at(key))).collect())
            }
            Node::Str(text) | Node::Unicode(text) => {
                self.charge(text.as_bytes().len() * part)?;
                let letter = |point| self.letter(point, || letter(point));
                Ok(text.code_points().map(letter).collect())
            }
            // Each byte is a text of its own to Python 2.
            Node::ByteStr(bytes) => {
                self.charge(bytes.len() * part)?;
                let letter = |&byte| self.letter(u32::from(byte), || byte_letter(byte));
                Ok(bytes.iter().map(letter).collect())
            }
            Node::Bytes(bytes) | Node::ByteArray(bytes) => {
                self.charge(bytes.len() * part)?;
                let number = |&byte: &u8| self.letter(byte.into(), || i64::from(byte).into());
                Ok(bytes.iter().map(number).collect())
            }
            Node::Object(_) => self.parts_of_object(node, depth),
            other => Err(not_iterable(other.type_name())),
        }
    }

    /// What is written as a call: only where it is known what the call makes.
    fn parts_of_object(
        &mut self,
        node: NodeRef<'a>,
        depth: usize,
    ) -> Result<Vec<Part<'a>>, Exception> {
        if let Some((_, entries)) = mapping(node) {
            self.charge(entries.len() * size_of::<Part<'_>>())?;
            return Ok(entries.into_iter().map(|(key, _)| Part::Node(key)).collect());
        }
        let name = match node.class() {
            Some(class) => class.python3(),
            None => return Err(not_iterable("object")),
        };
        if name == ("multiprocessing.managers", "RebuildProxy") {
            return Err(type_error(
                "a proxy is gone through where it is the argument itself, and stands for a list, a dict or an array \
                 of this server; otherwise pass what it holds",
            ));
        }
        let refused = || Err(not_iterable(name.1));
        let Some(object) = node.as_object() else { return refused() };
        let (Made::Reduce { .. }, Some(args)) = (object.made, node.made_with()) else {
            return refused();
        };
        let depth = depth.checked_sub(1).ok_or_else(memory_error)?;
        self.charge(args.len() * 64)?;
        let args: Vec<NodeRef<'a>> = args.collect();
        let is_plain = object.steps.is_empty();
        let state = match object.steps[..] {
            [] => None,
            [Step::State(id)] if !node.at(id).is_none() => Some(node.at(id)),
            [Step::State(_)] => None,
            _ if name == ("collections", "deque") => None,
            _ => return refused(),
        };
        match (name, &args[..]) {
            (("builtins", "range"), [..]) if is_plain => self.range(&args),
            (("builtins", "list" | "tuple" | "set" | "frozenset"), []) if is_plain => {
                Ok(Vec::new())
            }
            (("builtins", "list" | "tuple" | "set" | "frozenset"), [of]) if is_plain => {
                self.parts_of(*of, depth)
            }
            // The state is the place of the next item.
            (("builtins", "iter"), [of]) => {
                let mut parts = self.parts_of(*of, depth)?;
                let gone = state.map_or(Ok(0), int)?.max(0);
                parts.drain(..parts.len().min(usize::try_from(gone).unwrap_or(usize::MAX)));
                Ok(parts)
            }
            (("builtins", "reversed"), [of])
                if !matches!(of.node(), Node::Set(_) | Node::FrozenSet(_)) =>
            {
                let mut parts = self.parts_of(*of, depth)?;
                if let Some(next) = state {
                    let left = int(next)?.max(-1).saturating_add(1);
                    parts.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                }
                parts.reverse();
                Ok(parts)
            }
            (("builtins", "enumerate"), [of]) if is_plain => self.enumerate(*of, 0, depth),
            (("builtins", "enumerate"), [of, first]) if is_plain => {
                self.enumerate(*of, int(*first)?, depth)
            }
            (("builtins", "zip"), [..]) => {
                let is_strict = state.is_some_and(super::args::truth);
                self.zip(&args, is_strict, depth)
            }
            (("collections", "deque"), [..]) => self.deque(node, &args, depth),
            (("array", "array" | "_array_reconstructor"), [..]) if is_plain => {
                match arrays::machine(name.1, &args) {
                    Some(bytes) => self.numbers(&bytes?),
                    None => args.get(1).map_or(Ok(Vec::new()), |of| self.parts_of(*of, depth)),
                }
            }
            (("builtins", "filter"), [by, of]) if is_plain && keeps_the_true(*by) => {
                let mut true_ones = Vec::new();
                for part in self.parts_of(*of, depth)? {
                    if part.truth()? {
                        true_ones.push(part);
                    }
                }
                Ok(true_ones)
            }
            (("builtins", "map" | "filter"), _) => Err(type_error(format!(
                "a {}() calls a function for each item, and none is called here: pass a list of what it gives",
                name.1
            ))),
            _ => refused(),
        }
    }

    /// The numbers of a `range`, or of Python 2's `xrange`.
    fn range(&mut self, bounds: &[NodeRef<'a>]) -> Result<Vec<Part<'a>>, Exception> {
        let bounds = bounds.iter().map(|&node| int(node)).collect::<Result<Vec<_>, _>>()?;
        let (start, stop, step) = match bounds[..] {
            [stop] => (0, stop, 1),
            [start, stop] => (start, stop, 1),
            [start, stop, step] if step != 0 => (start, stop, step),
            _ => return Err(value_error("a range of other bounds is required")),
        };
        let (start, stop, step) = (i128::from(start), i128::from(stop), i128::from(step));
        let mut parts = Vec::new();
        let mut next = start;
        while if step > 0 { next < stop } else { next > stop } {
            self.charge(size_of::<Part<'_>>())?;
            // It lies between two numbers of 64 bits.
            parts.push(self.made(next as i64)?);
            next += step;
        }
        Ok(parts)
    }

    fn enumerate(
        &mut self,
        of: NodeRef<'a>,
        first: i64,
        depth: usize,
    ) -> Result<Vec<Part<'a>>, Exception> {
        let mut parts = Vec::new();
        for (n, part) in self.parts_of(of, depth)?.into_iter().enumerate() {
            let number =
                first.checked_add(n as i64).ok_or_else(|| value_error("too large a number"))?;
            self.charge(3 * size_of::<Part<'_>>())?;
            parts.push(Part::Tuple(vec![self.made(number)?, part]));
        }
        Ok(parts)
    }

    fn zip(
        &mut self,
        of: &[NodeRef<'a>],
        is_strict: bool,
        depth: usize,
    ) -> Result<Vec<Part<'a>>, Exception> {
        let mut rows = Vec::new();
        for &node in of {
            rows.push(self.parts_of(node, depth)?);
        }
        let shortest = rows.iter().map(Vec::len).min().unwrap_or(0);
        if is_strict && rows.iter().any(|row| row.len() != shortest) {
            return Err(value_error("zip() arguments are of different lengths"));
        }
        self.charge(shortest * (rows.len() + 1) * size_of::<Part<'_>>())?;
        let mut rows: Vec<_> = rows.into_iter().map(Vec::into_iter).collect();
        let tuple = |_| Part::Tuple(rows.iter_mut().filter_map(Iterator::next).collect());
        Ok((0..shortest).map(tuple).collect())
    }

    fn deque(
        &mut self,
        node: NodeRef<'a>,
        args: &[NodeRef<'a>],
        depth: usize,
    ) -> Result<Vec<Part<'a>>, Exception> {
        let (of, longest) = match args {
            [] => (None, None),
            [of] => (Some(*of), None),
            [of, longest] => (Some(*of), Some(*longest).filter(|node| !node.is_none())),
            _ => return Err(not_iterable("deque")),
        };
        let mut parts = of.map_or(Ok(Vec::new()), |of| self.parts_of(of, depth))?;
        for step in node.as_object().into_iter().flat_map(|object| &object.steps) {
            match step {
                Step::Append(items) => {
                    self.charge(items.len() * size_of::<Part<'_>>())?;
                    parts.extend(items.iter().map(|&id| Part::Node(node.at(id))));
                }
                Step::State(_) => {}
                _ => return Err(not_iterable("deque")),
            }
        }
        if let Some(longest) = longest {
            let longest = super::args::count(longest)?;
            parts.drain(..parts.len().saturating_sub(longest));
        }
        Ok(parts)
    }

    fn numbers(&mut self, numbers: &[Number]) -> Result<Vec<Part<'a>>, Exception> {
        let mut parts = Vec::new();
        for &number in numbers {
            self.charge(size_of::<Part<'_>>())?;
            parts.push(match number {
                Number::Char(point) => self.letter(point, || letter(point)),
                number => self.made(arrays::number_value(number))?,
            });
        }
        Ok(parts)
    }
}

fn not_iterable(name: &str) -> Exception {
    type_error(format!("'{name}' object is not iterable"))
}

fn letter(point: u32) -> Value {
    let mut builder = Builder::new();
    let root = builder.push(Node::Str(arrays::char_text(point)));
    builder.finish(root)
}

fn byte_letter(byte: u8) -> Value {
    let mut builder = Builder::new();
    let root = builder.push(Node::ByteStr(vec![byte]));
    builder.finish(root)
}
